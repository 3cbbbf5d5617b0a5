/* Numbers for people, growing text, and small files.
 *
 * A number keeps three digits and takes the unit in which it lies in 1..1000 (bytes: 1..1024), so a
 * column of them can be compared at a glance.  A file is written under a temporary name in its own
 * folder and renamed: what stood there before stays whole whatever happens. */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int decimals(double x)
{
    return x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
}

struct short_text time_text(double seconds)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    struct short_text t;
    double x = seconds * 1e9;
    int u = 0;
    while (u < 3 && x >= 999.5) {
        x /= 1000;
        u++;
    }
    snprintf(t.s, sizeof t.s, "%.*f %s", u ? decimals(x) : 0, x, units[u]);
    return t;
}

struct short_text bytes_text(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    struct short_text t;
    int u = 0;
    while (u < 4 && bytes >= 1023.5) {
        bytes /= 1024;
        u++;
    }
    snprintf(t.s, sizeof t.s, "%.*f %s", u ? decimals(bytes) : 0, bytes, units[u]);
    return t;
}

struct short_text count_text(double n, const char *unit)
{
    static const char *const scales[] = {"", "k", "M", "G", "T", "P"};
    struct short_text t;
    int u = 0;
    while (u < 5 && n >= 999.5) {
        n /= 1000;
        u++;
    }
    snprintf(t.s, sizeof t.s, "%.*f %s%s", u ? decimals(n) : 0, n, scales[u], unit);
    return t;
}

struct short_text number_text(double x)
{
    struct short_text t;
    if (isnan(x)) /* printf would show its sign, which means nothing */
        return (struct short_text){"nan"};
    if (fabs(x) < 1e6 && x == floor(x)) {
        snprintf(t.s, sizeof t.s, "%.0f", x);
        return t;
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(t.s, sizeof t.s, "%.*g", digits, x);
        if (strtof(t.s, NULL) == (float)x)
            break;
    }
    return t;
}

struct shape_text shape_text(const anf_dims *shape)
{
    struct shape_text t = {"["};
    size_t at = 1;
    for (int i = 0; i < shape->rank && i < ANF_MAX_RANK; i++)
        at += (size_t)snprintf(t.s + at, sizeof t.s - at, "%s%lld", i ? "," : "",
                               (long long)shape->dim[i]);
    snprintf(t.s + at, sizeof t.s - at, "]");
    return t;
}

void print_json_text(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\')
            printf("\\%c", ch);
        else if (ch < 32)
            printf("\\u%04x", ch);
        else
            putchar(ch);
    }
    putchar('"');
}

anf_status text_sink(void *text, const char *s, size_t n)
{
    struct text *t = text;
    if (t->cap - t->n <= n) {
        size_t cap = t->cap * 2 > t->n + n + 1 ? t->cap * 2 : t->n + n + 1;
        char *grown = cap > t->n ? realloc(t->s, cap) : NULL;
        if (!grown)
            return ANF_E_NOMEM;
        t->s = grown;
        t->cap = cap;
    }
    if (n)
        memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
    return ANF_OK;
}

void text_free(struct text *t)
{
    free(t->s);
    *t = (struct text){0};
}

/* ---- files ----------------------------------------------------------------------------------- */

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool path_ends_with(const char *path, const char *ending)
{
    size_t n = strlen(path), m = strlen(ending);
    return n > m && strcmp(path + n - m, ending) == 0;
}

anf_status file_head(struct cli *c, const char *path, size_t most, struct text *out)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "rb");
    char piece[16384];
    size_t n = 1;
    anf_status st = f ? text_sink(out, "", 0) : ANF_E_IO;
    while (st == ANF_OK && n > 0 && (!most || out->n < most)) {
        size_t want = most && most - out->n < sizeof piece ? most - out->n : sizeof piece;
        n = fread(piece, 1, want, f);
        st = n ? text_sink(out, piece, n) : ferror(f) ? ANF_E_IO : ANF_OK;
    }
    if (st == ANF_E_IO)
        cli_fail(c, st, "%s: %s", path, strerror(errno));
    else if (st != ANF_OK)
        cli_fail(c, st, "%s: out of memory", path);
    if (f && !is_stdin)
        fclose(f);
    if (st != ANF_OK)
        text_free(out);
    return st;
}

static bool write_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, text, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        text += done;
        n -= (size_t)done;
    }
    return true;
}

anf_status file_write(struct cli *c, const char *path, const char *text, size_t n)
{
    size_t size = strlen(path) + 32;
    char *tmp = cli_alloc(c, size, 1);
    anf_status st = ANF_OK;
    if (!tmp)
        return ANF_E_NOMEM;
    snprintf(tmp, size, "%s.tmp-%ld", path, (long)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL, 0666);
    bool done = fd >= 0 && write_all(fd, text, n) && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0 && close(fd) != 0 && done) {
        done = false;
        why = errno;
    }
    if (done && rename(tmp, path) != 0) {
        done = false;
        why = errno;
    }
    if (!done) {
        st = cli_fail(c, ANF_E_IO, "%s: %s", path, strerror(why));
        if (fd >= 0)
            unlink(tmp);
    }
    free(tmp);
    return st;
}
