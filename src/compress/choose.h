/* Which encoding a weight gets: the candidates of the mode are tried in order, and the first that
 * suits is taken; a weight that suits none stays binary16. */
#ifndef ANF_COMPRESS_CHOOSE_H
#define ANF_COMPRESS_CHOOSE_H

#include "compress/encode.h"

struct compress_opts {
    anf_compress mode;
    struct encode_opts encode;
    int family;         /* of the target; 0: this machine, which reads every encoding as it is */
    const char *target; /* its name, for messages */
};

/* From the options of a compile, checked, defaults filled in. */
anf_status compress_opts_read(const anf_compile_opts *o, struct compress_opts *out);

/* Whether the target reads this encoding as it is. */
bool compress_streams(const struct compress_opts *o, anf_encoding e);

/* `why` is why this encoding and no other. */
anf_status choose_encoding(const struct weight *w, const struct compress_opts *o,
                           struct encode_memory *m, struct encoded *out, char why[WHY_MAX]);

#endif
