/* Numbers for people, and growing text.
 *
 * A number keeps three digits and takes the unit in which it lies in 1..1000 (bytes: 1..1024), so a
 * column of them can be compared at a glance. */
#include "common.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
