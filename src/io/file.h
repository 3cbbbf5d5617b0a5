/* Whole files in, whole files out.
 *
 * A file being written never stands under its final name half done: the bytes go to
 * PATH.tmp-<pid>-<counter> in the same directory, are flushed to the disk, and take the final
 * name in one rename.  Whatever stops the writer before that leaves an existing file as it was
 * and removes the temporary one.  Every message begins with the path. */
#ifndef ANF_IO_FILE_H
#define ANF_IO_FILE_H

#include "base/alloc.h"

/* The bytes of a regular file or of a pipe.  *data is 64-byte aligned, never NULL on success,
 * and is freed with mem_free(a, data, n). */
anf_status file_read(const anf_allocator *a, const char *path, void **data, size_t *n);

struct file_writer {
    const anf_allocator *allocator;
    char *block; /* path, temporary name and buffer in one piece; NULL once closed */
    size_t block_bytes;
    char *path, *tmp;
    unsigned char *buffer;
    size_t n_buffered;
    uint64_t n_put; /* bytes put so far: the offset of the next one */
    int fd;
    bool failed; /* a put failed: only discard is left */
};

/* Symbolic links are followed, so that the file they name is replaced and not the link.  The
 * mode of a file that is replaced is kept.  Only regular files are replaced. */
anf_status file_writer_open(struct file_writer *w, const anf_allocator *a, const char *path);
anf_status file_writer_put(struct file_writer *w, const void *data, size_t n);

/* Make the file appear under its name.  Closes the writer, whatever happens. */
anf_status file_writer_commit(struct file_writer *w);

/* Remove the temporary file; nothing after a commit or a failed open, so it can end every path. */
void file_writer_discard(struct file_writer *w);

#endif
