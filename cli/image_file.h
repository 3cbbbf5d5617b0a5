/* PNG and JPEG files as uint8 planes. */
#ifndef ANF_CLI_IMAGE_FILE_H
#define ANF_CLI_IMAGE_FILE_H

#include "common.h"

bool image_magic(const void *bytes, size_t n);

/* The image in `file`, which `path` names in messages, as what the port takes, [1,C,H,W] with C 1
 * or 3: *pixels is allocated, C H W bytes.  With `resize` an image of another size is brought to
 * H x W. */
anf_status image_for_port(struct cli *c, const char *path, const struct text *file,
                          const anf_port *port, bool resize, unsigned char **pixels);

#endif
