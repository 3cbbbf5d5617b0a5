/* What the command reads and writes by itself.
 *
 * Reading: a file is looked at before it is known whether the library opens it, so a pipe, which
 * can be read once, is kept as a whole.  Devices are refused as the library refuses them, but for
 * a terminal, where somebody types.
 *
 * Writing has the promises of the library's files (src/io/file.h): a temporary name in the same
 * folder, synced, renamed; links followed, the mode kept.  A device or a pipe has nothing to be
 * kept whole and is written to.  So is a file that standard output or error goes to: another file
 * under its name would take away what is printed there. */
#define _XOPEN_SOURCE 700 /* realpath */

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TMP_SUFFIX_BYTES = 48, /* ".tmp-" and two decimal numbers */
    TMP_TRIES = 100        /* names left behind by a killed process with the same pid */
};

static anf_status fail_errno(struct cli *c, const char *path, const char *what)
{
    return cli_fail(c, ANF_E_IO, "%s: %s: %s", path, what, strerror(errno));
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool path_ends_with(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

static int open_file(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_NOCTTY | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_once(const struct stat *st)
{
    return S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode) || S_ISCHR(st->st_mode);
}

bool input_comes_once(const char *path)
{
    struct stat st;
    return strcmp(path, "-") == 0 || (stat(path, &st) == 0 && is_once(&st));
}

static anf_status read_up_to(struct cli *c, const char *path, int fd, size_t most, struct text *out)
{
    char piece[16384];
    anf_status st = text_sink(out, "", 0);
    while (st == ANF_OK && out->n < most) {
        size_t want = most - out->n < sizeof piece ? most - out->n : sizeof piece;
        ssize_t got = read(fd, piece, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(c, path, "cannot read");
        if (got == 0)
            break;
        st = text_sink(out, piece, (size_t)got);
    }
    return st == ANF_OK ? st : cli_fail(c, st, "%s: out of memory", path);
}

static anf_status read_opened(struct cli *c, const char *path, int fd, size_t first,
                              struct input *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(c, path, "cannot read");
    if (!S_ISREG(st.st_mode) && (!is_once(&st) || (S_ISCHR(st.st_mode) && !isatty(fd))))
        return cli_fail(c, ANF_E_IO, "%s: is a %s, a file or a pipe is needed", path,
                        S_ISDIR(st.st_mode) ? "directory" : "device");
    out->whole = first == 0 || is_once(&st);
    return read_up_to(c, path, fd, out->whole ? SIZE_MAX : first, &out->bytes);
}

anf_status input_read(struct cli *c, const char *path, size_t first, struct input *out)
{
    anf_status st;
    *out = (struct input){.whole = true};
    if (strcmp(path, "-") == 0) {
        st = read_up_to(c, path, STDIN_FILENO, SIZE_MAX, &out->bytes);
    } else {
        int fd = open_file(path, O_RDONLY);
        if (fd < 0)
            return fail_errno(c, path, "cannot open");
        st = read_opened(c, path, fd, first, out);
        close(fd);
    }
    if (st != ANF_OK)
        input_free(out);
    return st;
}

void input_free(struct input *in)
{
    text_free(&in->bytes);
}

/* ---- signals --------------------------------------------------------------------------------- */

static int n_holds;
static sigset_t before_holds;

void signals_hold(void)
{
    sigset_t set;
    if (n_holds++ > 0)
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, &before_holds); /* the threads of the library take no signals */
}

void signals_release(void)
{
    if (--n_holds == 0)
        sigprocmask(SIG_SETMASK, &before_holds, NULL);
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool write_all(int fd, const struct text *text)
{
    for (size_t at = 0; at < text->n;) {
        ssize_t done = write(fd, text->s + at, text->n - at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        at += (size_t)done;
    }
    return true;
}

static anf_status write_directly(struct cli *c, const char *path, const struct text *text)
{
    int fd = open_file(path, O_WRONLY);
    if (fd < 0)
        return fail_errno(c, path, "cannot open");
    anf_status st = write_all(fd, text) ? ANF_OK : fail_errno(c, path, "cannot write");
    if (close(fd) != 0 && st == ANF_OK)
        st = fail_errno(c, path, "cannot close");
    return st;
}

static FILE *standard_stream(const struct stat *file)
{
    FILE *const streams[] = {stdout, stderr};
    struct stat st;
    for (int i = 0; i < 2; i++)
        if (fstat(fileno(streams[i]), &st) == 0 && st.st_dev == file->st_dev &&
            st.st_ino == file->st_ino)
            return streams[i];
    return NULL;
}

static int create_temporary(const char *target, char *tmp)
{
    size_t n = strlen(target);
    memcpy(tmp, target, n);
    for (unsigned i = 0; i < TMP_TRIES; i++) {
        snprintf(tmp + n, TMP_SUFFIX_BYTES, ".tmp-%ld-%u", (long)getpid(), i);
        int fd = open_file(tmp, O_WRONLY | O_CREAT | O_EXCL);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* Some file systems cannot sync and say so; that is not a reason to lose the file. */
static bool sync_file(int fd)
{
    return fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP;
}

static anf_status write_beside(struct cli *c, const char *path, const struct stat *old, char *tmp,
                               const struct output *out)
{
    anf_status st = ANF_OK;
    int fd = create_temporary(out->target, tmp);
    if (fd < 0)
        return fail_errno(c, path, "cannot create a file beside it");
    if (old && fchmod(fd, old->st_mode & 0777) != 0)
        st = fail_errno(c, path, "cannot keep the file mode");
    else if (!write_all(fd, &out->text) || !sync_file(fd))
        st = fail_errno(c, path, "cannot write");
    if (close(fd) != 0 && st == ANF_OK)
        st = fail_errno(c, path, "cannot close");
    if (st != ANF_OK)
        unlink(tmp);
    return st;
}

/* What is replaced: a link names another file. */
static anf_status find_target(struct cli *c, const char *path, bool exists, char **target)
{
    struct stat link;
    if (exists || lstat(path, &link) == 0) {
        *target = realpath(path, NULL);
        return *target ? ANF_OK : fail_errno(c, path, "cannot follow the link");
    }
    if (!*path)
        return cli_fail(c, ANF_E_ARG, "the name of a file to write is empty");
    *target = cli_alloc(c, strlen(path) + 1, 1);
    if (!*target)
        return ANF_E_NOMEM;
    memcpy(*target, path, strlen(path));
    return ANF_OK;
}

static anf_status replace(struct cli *c, const char *path, const struct stat *old,
                          struct output *out)
{
    TRY(find_target(c, path, old != NULL, &out->target));
    char *tmp = cli_alloc(c, strlen(out->target) + TMP_SUFFIX_BYTES, 1);
    if (!tmp)
        return ANF_E_NOMEM;
    signals_hold();
    anf_status st = write_beside(c, path, old, tmp, out);
    if (st == ANF_OK) {
        out->tmp = tmp;
        return ANF_OK;
    }
    signals_release();
    free(tmp);
    return st;
}

anf_status output_start(struct cli *c, const char *path, struct text *text, struct output *out)
{
    struct stat st;
    anf_status status = ANF_OK;
    bool is_stdout = strcmp(path, "-") == 0, exists = !is_stdout && stat(path, &st) == 0;
    *out = (struct output){.text = *text};
    *text = (struct text){0};
    out->stream = is_stdout ? stdout : exists ? standard_stream(&st) : NULL;
    if (!out->stream && exists && !S_ISREG(st.st_mode))
        status = write_directly(c, path, &out->text);
    else if (!out->stream)
        status = replace(c, path, exists ? &st : NULL, out);
    if (status != ANF_OK)
        output_discard(out);
    return status;
}

anf_status output_finish(struct cli *c, struct output *out)
{
    anf_status st = ANF_OK;
    if (out->stream && fwrite(out->text.s, 1, out->text.n, out->stream) != out->text.n)
        st = fail_errno(c, out->stream == stdout ? "standard output" : "standard error",
                        "cannot write");
    if (out->tmp && rename(out->tmp, out->target) != 0) {
        st = fail_errno(c, out->target, "cannot rename the finished file to this name");
    } else if (out->tmp) {
        free(out->tmp);
        out->tmp = NULL;
        signals_release();
    }
    output_discard(out);
    return st;
}

void output_discard(struct output *out)
{
    if (out->tmp) {
        unlink(out->tmp);
        signals_release();
    }
    text_free(&out->text);
    free(out->tmp);
    free(out->target);
    *out = (struct output){0};
}
