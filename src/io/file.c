/* Reading and writing whole files through POSIX calls.
 *
 * Reading trusts nothing but the bytes that arrive: st_size is only the first guess at the size,
 * and a file that shrinks or grows while it is read is an error, not a shorter array.  Pipes are
 * read to their end.  Devices and directories are refused: /dev/zero has no end, and a rename over
 * /dev/null would replace it for everybody.
 *
 * The name of the temporary file is unique in a directory: O_EXCL decides, pid and counter only
 * make the first try succeed.  The data is synced before the rename, because a file system may
 * otherwise order the two the wrong way round and leave an empty file after a power cut.  The
 * directory itself is not synced: after a power cut the old file is as good an answer as the new
 * one. */
#define _XOPEN_SOURCE 700 /* realpath */

#include "io/file.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

enum {
    IO_BYTES = 64 * 1024,   /* buffer of a writer, and one read of a pipe */
    TMP_SUFFIX_BYTES = 48,  /* ".tmp-" and two decimal numbers */
    TMP_TRIES = 100,        /* names left behind by a killed process with the same pid */
    IO_MAX = 1 << 30        /* one read or write: some systems refuse more than INT_MAX */
};

static anf_status fail_errno(const char *path, const char *what)
{
    int err = errno;
    char text[128];
    if (strerror_r(err, text, sizeof text) != 0)
        snprintf(text, sizeof text, "error %d", err);
    FAIL(IO, "%s: %s: %s", path, what, text);
}

/* Up to n bytes; fewer only at the end of the file. */
static bool read_full(int fd, void *data, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        size_t want = n - *got < IO_MAX ? n - *got : IO_MAX;
        ssize_t r = read(fd, (char *)data + *got, want);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return false;
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return true;
}

static anf_status read_known(const anf_allocator *a, int fd, const char *path, size_t n,
                             void **data)
{
    size_t got, more;
    char past;
    anf_status st = ANF_OK;
    void *p = mem_alloc(a, n, ANF_CACHE_LINE);
    if (!p)
        return status_prefix(ANF_E_NOMEM, "%s", path);
    if (!read_full(fd, p, n, &got) || !read_full(fd, &past, 1, &more))
        st = fail_errno(path, "cannot read");
    else if (got < n || more)
        st = status_fail(ANF_E_IO, "%s: changed while it was read: it had %zu bytes", path, n);
    if (st != ANF_OK) {
        mem_free(a, p, n);
        return st;
    }
    *data = p;
    return ANF_OK;
}

/* Two copies for a moment: the size that mem_free wants back is known only at the end. */
static anf_status read_stream(const anf_allocator *a, int fd, const char *path, void **data,
                              size_t *n)
{
    unsigned char piece[4096];
    struct buf b;
    anf_status st = ANF_OK;
    size_t got;
    buf_init(&b, a);
    do {
        if (!read_full(fd, piece, sizeof piece, &got))
            st = fail_errno(path, "cannot read");
        else
            buf_put(&b, piece, got);
    } while (st == ANF_OK && !b.failed && got == sizeof piece);
    void *p = NULL;
    if (st == ANF_OK) {
        p = b.failed ? NULL : mem_alloc(a, b.len, ANF_CACHE_LINE);
        if (!p) {
            st = status_prefix(ANF_E_NOMEM, "%s", path);
        } else {
            memcpy(p, b.data, b.len);
            *data = p;
            *n = b.len;
        }
    }
    buf_free(&b);
    return st;
}

anf_status file_read(const anf_allocator *a, const char *path, void **data, size_t *n)
{
    *data = NULL;
    *n = 0;
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail_errno(path, "cannot open");
    struct stat st;
    anf_status status;
    if (fstat(fd, &st) != 0) {
        status = fail_errno(path, "cannot read");
    } else if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) {
        status = status_fail(ANF_E_IO, "%s: is a %s, a file or a pipe is needed", path,
                             S_ISDIR(st.st_mode) ? "directory" : "device");
    } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
        if ((uintmax_t)st.st_size > SIZE_MAX / 2) {
            status = status_fail(ANF_E_NOMEM, "%s: the file is larger than memory can be", path);
        } else {
            status = read_known(a, fd, path, (size_t)st.st_size, data);
            *n = status == ANF_OK ? (size_t)st.st_size : 0;
        }
    } else {
        status = read_stream(a, fd, path, data, n); /* files under /proc also say size 0 */
    }
    close(fd);
    return status;
}

static bool write_full(int fd, const unsigned char *data, size_t n)
{
    while (n) {
        ssize_t r = write(fd, data, n < IO_MAX ? n : IO_MAX);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return false;
        data += r;
        n -= (size_t)r;
    }
    return true;
}

static void release(struct file_writer *w)
{
    mem_free(w->allocator, w->block, w->block_bytes);
    w->block = NULL;
    w->fd = -1;
}

void file_writer_discard(struct file_writer *w)
{
    if (!w->block)
        return;
    if (w->fd >= 0)
        close(w->fd);
    unlink(w->tmp);
    release(w);
}

static int create_temporary(struct file_writer *w, size_t path_len)
{
    static atomic_uint counter;
    for (int i = 0; i < TMP_TRIES; i++) {
        snprintf(w->tmp + path_len, TMP_SUFFIX_BYTES, ".tmp-%ld-%u", (long)getpid(),
                 atomic_fetch_add(&counter, 1u));
        int fd = open(w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || (errno != EEXIST && errno != EINTR))
            return fd;
    }
    return -1;
}

anf_status file_writer_open(struct file_writer *w, const anf_allocator *a, const char *path)
{
    *w = (struct file_writer){.allocator = a, .fd = -1};
    char real[PATH_MAX];
    const char *target = path;
    struct stat st;
    bool exists = lstat(path, &st) == 0;
    if (exists && S_ISLNK(st.st_mode)) {
        if (!realpath(path, real) || stat(real, &st) != 0)
            return fail_errno(path, "cannot follow the link");
        target = real;
    }
    if (exists && !S_ISREG(st.st_mode))
        FAIL(IO, "%s: cannot be replaced, it is not a regular file", path);

    size_t len = strlen(target);
    w->block_bytes = 2 * len + 1 + TMP_SUFFIX_BYTES + IO_BYTES;
    w->block = mem_alloc(a, w->block_bytes, ANF_CACHE_LINE);
    if (!w->block)
        return status_prefix(ANF_E_NOMEM, "%s", path);
    w->buffer = (unsigned char *)w->block;
    w->path = w->block + IO_BYTES;
    w->tmp = w->path + len + 1;
    memcpy(w->path, target, len + 1);
    memcpy(w->tmp, target, len);

    w->fd = create_temporary(w, len);
    if (w->fd < 0) {
        anf_status status = fail_errno(path, "cannot create a file beside it");
        release(w);
        return status;
    }
    if (exists && fchmod(w->fd, st.st_mode & 0777) != 0) {
        anf_status status = fail_errno(path, "cannot keep the file mode");
        file_writer_discard(w);
        return status;
    }
    return ANF_OK;
}

static anf_status flush(struct file_writer *w)
{
    if (!write_full(w->fd, w->buffer, w->n_buffered)) {
        w->failed = true;
        return fail_errno(w->path, "cannot write");
    }
    w->n_buffered = 0;
    return ANF_OK;
}

anf_status file_writer_put(struct file_writer *w, const void *data, size_t n)
{
    if (!w->block || w->failed)
        FAIL(STATE, "a file writer that failed or was closed is written to");
    if (n > IO_BYTES - w->n_buffered)
        TRY(flush(w));
    if (n > IO_BYTES) {
        if (!write_full(w->fd, data, n)) {
            w->failed = true;
            return fail_errno(w->path, "cannot write");
        }
    } else if (n) {
        memcpy(w->buffer + w->n_buffered, data, n);
        w->n_buffered += n;
    }
    w->n_put += n;
    return ANF_OK;
}

/* Some file systems cannot sync and say so; that is not a reason to lose the file. */
static bool sync_file(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
}

anf_status file_writer_commit(struct file_writer *w)
{
    if (!w->block || w->failed) {
        file_writer_discard(w);
        FAIL(STATE, "a file writer that failed or was closed is committed");
    }
    anf_status st = flush(w);
    if (st == ANF_OK && !sync_file(w->fd))
        st = fail_errno(w->path, "cannot sync");
    if (st == ANF_OK) {
        int fd = w->fd;
        w->fd = -1;
        if (close(fd) != 0)
            st = fail_errno(w->path, "cannot close");
    }
    if (st == ANF_OK && rename(w->tmp, w->path) != 0)
        st = fail_errno(w->path, "cannot rename the finished file to this name");
    if (st != ANF_OK)
        file_writer_discard(w);
    else
        release(w);
    return st;
}
