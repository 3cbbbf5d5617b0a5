/* Tokens of the graph text, forwards and backwards.
 *
 * A reader never looks past `end`, never copies a token of unbounded length to the stack, and
 * leaves the cursor on the offending line when it fails, so that the caller's line number is the
 * mistake's. Reading a number is exact: at most MAX_DIGITS significant digits go to strtod, and a
 * further nonzero digit is kept as a final 1.  A number halfway between two doubles has at most
 * 767 digits, so that final 1 falls on the right side of it. */
#include "ir/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_DIGITS = 800, MAX_DOUBLE_DIGITS = 17, MAX_F16_DIGITS = 5, MAX_NAME = 32 };

/* <ctype.h> asks the locale. */
static bool is_digit(int ch)
{
    return ch >= '0' && ch <= '9';
}

static bool is_word_start(int ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_';
}

static bool is_word_part(int ch)
{
    return is_word_start(ch) || is_digit(ch) || ch == '.';
}

static int hex_value(int ch)
{
    if (is_digit(ch))
        return ch - '0';
    if (ch >= 'a' && ch <= 'f')
        return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F')
        return ch - 'A' + 10;
    return -1;
}

/* ---- cursor ---------------------------------------------------------------------------------- */

void text_start(struct cursor *c, const char *text, size_t n)
{
    *c = (struct cursor){.at = text, .end = text + n, .line = 1};
}

static int byte_at(const struct cursor *c)
{
    return c->at < c->end ? (unsigned char)*c->at : 0;
}

int text_peek(struct cursor *c)
{
    while (c->at < c->end) {
        char ch = *c->at;
        if (ch == '#') {
            while (c->at < c->end && *c->at != '\n')
                c->at++;
        } else if (ch == '\n' && c->depth > 0) {
            c->line++;
            c->at++;
        } else if (ch == ' ' || ch == '\t' || ch == '\r') {
            c->at++;
        } else {
            break;
        }
    }
    return byte_at(c);
}

const char *text_found(struct cursor *c)
{
    int ch = text_peek(c);
    size_t n = 0;
    if (c->at == c->end)
        return "the end of the text";
    if (ch == '\n')
        return "the end of the line";
    if (ch < 0x20 || ch > 0x7e) {
        snprintf(c->found, sizeof c->found, "byte 0x%02x", (unsigned)ch);
        return c->found;
    }
    const char *p = c->at;
    while (p + n < c->end && (is_word_part(p[n]) || p[n] == '+' || p[n] == '-' || p[n] == '%'))
        n++;
    if (n == 0)
        n = 1;
    snprintf(c->found, sizeof c->found, "'%.*s%s'", n > 40 ? 40 : (int)n, p, n > 40 ? "..." : "");
    return c->found;
}

bool text_take(struct cursor *c, char ch)
{
    if (text_peek(c) != ch || c->at == c->end)
        return false;
    c->at++;
    if (ch == '(' || ch == '[' || ch == '{')
        c->depth++;
    else if (ch == ')' || ch == ']' || ch == '}')
        c->depth--;
    return true;
}

anf_status text_expect(struct cursor *c, char ch)
{
    if (!text_take(c, ch))
        FAIL(FORMAT, "found %s where '%c' is needed", text_found(c), ch);
    return ANF_OK;
}

anf_status text_comma(struct cursor *c, char close)
{
    if (!text_take(c, ','))
        FAIL(FORMAT, "found %s where ',' or '%c' is needed", text_found(c), close);
    return ANF_OK;
}

/* ---- words and strings ----------------------------------------------------------------------- */

bool span_is(struct span s, const char *word)
{
    return s.n == strlen(word) && memcmp(s.at, word, s.n) == 0;
}

bool text_at_word(struct cursor *c)
{
    return is_word_start(text_peek(c));
}

anf_status text_word(struct cursor *c, const char *what, struct span *out)
{
    if (!text_at_word(c))
        FAIL(FORMAT, "found %s where %s is needed", text_found(c), what);
    out->at = c->at;
    while (is_word_part(byte_at(c)))
        c->at++;
    out->n = (size_t)(c->at - out->at);
    return ANF_OK;
}

anf_status text_value_name(struct cursor *c, struct span *out)
{
    if (text_peek(c) != '%')
        return text_word(c, "the name of a value", out);
    const char *p = c->at + 1;
    while (p < c->end && is_digit(*p))
        p++;
    if (p == c->at + 1 || (p < c->end && is_word_part(*p)))
        FAIL(FORMAT, "found %s where a name like %%7 is needed", text_found(c));
    *out = (struct span){c->at, (size_t)(p - c->at)};
    c->at = p;
    return ANF_OK;
}

anf_status text_string(struct cursor *c, struct arena *arena, const char **out)
{
    TRY(text_expect(c, '"'));
    const char *close = c->at;
    while (close < c->end && *close != '"' && *close != '\n')
        close += *close == '\\' && close + 1 < c->end && close[1] != '\n' ? 2 : 1;
    if (close == c->end || *close != '"')
        FAIL(FORMAT, "a string without its closing '\"'");
    char *s = arena_alloc(arena, (size_t)(close - c->at) + 1), *to = s;
    if (!s)
        return ANF_E_NOMEM;
    while (c->at < close) {
        int ch = (unsigned char)*c->at++;
        if (ch < 0x20 || ch == 0x7f)
            FAIL(FORMAT, "byte 0x%02x in a string, which needs to be written \\x%02x",
                 (unsigned)ch, (unsigned)ch);
        if (ch == '\\') {
            ch = *c->at++;
            if (ch == 'n') {
                ch = '\n';
            } else if (ch == 't') {
                ch = '\t';
            } else if (ch == 'x') {
                int hi = close - c->at >= 2 ? hex_value(c->at[0]) : -1;
                int lo = close - c->at >= 2 ? hex_value(c->at[1]) : -1;
                if (hi < 0 || lo < 0 || hi + lo == 0)
                    FAIL(FORMAT, "\\x in a string needs two hexadecimal digits that are not 00");
                ch = hi * 16 + lo;
                c->at += 2;
            } else if (ch != '"' && ch != '\\') {
                FAIL(FORMAT, "an unknown escape in a string; \\\" \\\\ \\n \\t \\xHH exist");
            }
        }
        *to++ = (char)ch;
    }
    c->at++;
    *out = s;
    return ANF_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* Digits up to a byte that cannot follow a number. */
static anf_status read_digits(struct cursor *c, const char *what, uint64_t limit, uint64_t *out)
{
    struct cursor start = *c;
    uint64_t v = 0;
    while (is_digit(byte_at(c))) {
        unsigned d = (unsigned)(byte_at(c) - '0');
        if (v > (limit - d) / 10)
            FAIL(FORMAT, "%s is too large for %s", text_found(&start), what);
        v = v * 10 + d;
        c->at++;
    }
    if (c->at == start.at || is_word_part(byte_at(c)))
        FAIL(FORMAT, "found %s where %s is needed", text_found(&start), what);
    *out = v;
    return ANF_OK;
}

anf_status text_uint(struct cursor *c, const char *what, uint64_t *out)
{
    text_peek(c);
    return read_digits(c, what, UINT64_MAX, out);
}

anf_status text_int(struct cursor *c, const char *what, int64_t *out)
{
    bool negative = text_take(c, '-');
    uint64_t v;
    TRY(read_digits(c, what, (uint64_t)INT64_MAX, &v));
    *out = negative ? -(int64_t)v : (int64_t)v;
    return ANF_OK;
}

/* digits[0..n) times ten to the `exponent`. */
static double from_decimal(const char *digits, size_t n, int64_t exponent)
{
    char s[MAX_DIGITS + 32];
    int64_t e = exponent > 20000 ? 20000 : exponent < -20000 ? -20000 : exponent;
    snprintf(s, sizeof s, "%.*se%" PRId64, (int)n, digits, e);
    return strtod(s, NULL);
}

anf_status text_double(struct cursor *c, const char *what, double *out)
{
    text_peek(c);
    struct cursor start = *c;
    bool negative = text_take(c, '-'), point = false, any = false;
    if (is_word_start(byte_at(c))) {
        struct span w;
        TRY(text_word(c, what, &w));
        if (!span_is(w, "inf") && (negative || !span_is(w, "nan")))
            FAIL(FORMAT, "found %s where %s is needed", text_found(&start), what);
        *out = w.at[0] == 'n' ? (double)NAN : negative ? -(double)INFINITY : (double)INFINITY;
        return ANF_OK;
    }
    char digits[MAX_DIGITS + 1];
    size_t n = 0;
    int64_t exponent = 0;
    for (; is_digit(byte_at(c)) || (byte_at(c) == '.' && !point); c->at++) {
        int ch = byte_at(c);
        if (ch == '.') {
            point = true;
            continue;
        }
        any = true;
        exponent -= point;
        if (n == 0 && ch == '0')
            continue;
        if (n < MAX_DIGITS) {
            digits[n++] = (char)ch;
        } else {
            exponent++;
            if (ch != '0' && digits[MAX_DIGITS - 1] == '0')
                digits[MAX_DIGITS - 1] = '1';
        }
    }
    if (any && (byte_at(c) == 'e' || byte_at(c) == 'E')) {
        int64_t e = 0;
        c->at++;
        bool down = byte_at(c) == '-';
        if (down || byte_at(c) == '+')
            c->at++;
        any = is_digit(byte_at(c));
        for (; is_digit(byte_at(c)); c->at++)
            e = e < INT64_MAX / 100 ? e * 10 + (byte_at(c) - '0') : e;
        exponent += down ? -e : e;
    }
    if (!any || is_word_part(byte_at(c)))
        FAIL(FORMAT, "found %s where %s is needed", text_found(&start), what);
    double v = n ? from_decimal(digits, n, exponent) : 0;
    if (isinf(v))
        FAIL(FORMAT, "%s is out of the range of a double", text_found(&start));
    *out = negative ? -v : v;
    return ANF_OK;
}

anf_status text_f16(struct cursor *c, f16 *out)
{
    text_peek(c);
    struct cursor start = *c;
    double v;
    TRY(text_double(c, "a number", &v));
    *out = f64_to_f16(v);
    if ((*out & 0x7fff) == F16_INF && !isinf(v))
        FAIL(FORMAT, "%s rounds past 65504, the largest float16; write inf if it is meant",
             text_found(&start));
    return ANF_OK;
}

/* The shortest digits that read back as x, by trying 1, 2, 3, ... of them. */
static void put_shortest(struct buf *b, double x, bool half)
{
    char raw[64], digits[MAX_DOUBLE_DIGITS + 1];
    size_t n = 0;
    int e = 0, most = half ? MAX_F16_DIGITS : MAX_DOUBLE_DIGITS;
    for (int precision = 1; precision <= most; precision++) {
        snprintf(raw, sizeof raw, "%.*e", precision - 1, fabs(x));
        char *p = raw;
        n = 0;
        for (; *p && *p != 'e'; p++)
            if (is_digit(*p))
                digits[n++] = *p;
        e = (int)strtol(p + 1, NULL, 10);
        double back = from_decimal(digits, n, e - (int)n + 1);
        if (half ? f64_to_f16(back) == f64_to_f16(fabs(x)) : back == fabs(x))
            break;
    }
    int len = (int)n;
    if (signbit(x))
        buf_str(b, "-");
    if (e < -4 || e > 15) {
        buf_put(b, digits, 1);
        if (len > 1)
            buf_printf(b, ".%.*s", len - 1, digits + 1);
        buf_printf(b, "e%+03d", e);
    } else if (e < 0) {
        buf_printf(b, "0.%.*s%.*s", -e - 1, "000", len, digits);
    } else if (len <= e + 1) {
        buf_printf(b, "%.*s%.*s", len, digits, e + 1 - len, "000000000000000");
    } else {
        buf_printf(b, "%.*s.%.*s", e + 1, digits, len - e - 1, digits + e + 1);
    }
}

void text_put_double(struct buf *b, double x)
{
    if (isnan(x))
        buf_str(b, "nan");
    else if (isinf(x))
        buf_str(b, x < 0 ? "-inf" : "inf");
    else
        put_shortest(b, x, false);
}

void text_put_f16(struct buf *b, f16 x)
{
    double v = (double)f16_to_f32(x);
    /* 65472 is no longer than 65470, which reads back the same, and it is the value. */
    if (isfinite(v) && v != 0 && v == trunc(v))
        buf_printf(b, "%d", (int)v);
    else if (isfinite(v))
        put_shortest(b, v, true);
    else
        text_put_double(b, v);
}

/* ---- the nearest name ------------------------------------------------------------------------ */

static size_t edit_distance(struct span a, struct span b)
{
    size_t row[MAX_NAME + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = diagonal + (a.at[i - 1] != b.at[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.n];
}

const char *text_nearest(struct span given, int n, const char *(*name)(const void *user, int i),
                         const void *user)
{
    const char *nearest = NULL;
    size_t least = given.n < 4 ? 2 : 3; /* one wrong letter in a short name, two in a longer one */
    if (given.n > MAX_NAME)
        return NULL;
    for (int i = 0; i < n; i++) {
        const char *candidate = name(user, i);
        struct span s = {candidate, candidate ? strlen(candidate) : MAX_NAME + 1};
        if (s.n > MAX_NAME)
            continue;
        size_t d = edit_distance(given, s);
        if (d < least && d < s.n) {
            least = d;
            nearest = candidate;
        }
    }
    return nearest;
}
