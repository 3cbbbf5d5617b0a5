/* The .npy format: magic, version, a header that is a Python dict literal, then the elements.
 *
 *     {'descr': '<f2', 'fortran_order': False, 'shape': (2, 3), }
 *
 * The header is read by a cursor that never passes its end and allocates nothing.  What it accepts
 * is what numpy writes in versions 1 to 3: the three keys in any order, each once, either quote,
 * free white space, an optional comma at the end of the dict, and Python 2's L after a dimension.
 * Strings with a backslash are refused, no key and no element type has one.
 *
 * Three outcomes, kept apart because a .npz treats them apart: a malformed header or a wrong
 * number of bytes is an error; an element type or a rank without counterpart here is an OK parse
 * that is `refused`; everything else is an array. */
#include "io/npy.h"

#include "base/dtype.h"
#include "io/file.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
enum { MAGIC_BYTES = 6, HEADER_ALIGN = 64 };

/* Kind and size, without the byte order.  bfloat16 has no code of its own: numpy writes it as raw
 * bytes.   ORDER anf_dtype */
static const char code_of[DTYPE_COUNT][4] = {
    [ANF_F16] = "f2", [ANF_F32] = "f4", [ANF_F64] = "f8", [ANF_U8] = "u1",
    [ANF_BOOL] = "b1", [ANF_I8] = "i1", [ANF_I16] = "i2", [ANF_I32] = "i4",
    [ANF_I64] = "i8", [ANF_U16] = "u2", [ANF_U32] = "u4", [ANF_U64] = "u8",
};

struct cursor {
    const char *begin, *p, *end;
};

static void refuse(struct npy *h, anf_status code, const char *fmt, ...) ANF_PRINTF(3, 4);
static void refuse(struct npy *h, anf_status code, const char *fmt, ...)
{
    if (h->refused != ANF_OK)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(h->why, sizeof h->why, fmt, ap);
    va_end(ap);
    h->refused = code;
}

static void skip_space(struct cursor *c)
{
    while (c->p < c->end &&
           (*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r'))
        c->p++;
}

static bool take(struct cursor *c, char want)
{
    skip_space(c);
    if (c->p == c->end || *c->p != want)
        return false;
    c->p++;
    return true;
}

static anf_status unexpected(struct cursor *c, const char *need)
{
    skip_space(c);
    if (c->p == c->end)
        FAIL(FORMAT, "npy header ends where %s is needed", need);
    FAIL(FORMAT, "npy header has '%s' at byte %td, %s is needed", shown(c->p, 1), c->p - c->begin,
         need);
}

static anf_status read_string(struct cursor *c, const char **s, size_t *len, const char *need)
{
    skip_space(c);
    if (c->p == c->end || (*c->p != '\'' && *c->p != '"'))
        return unexpected(c, need);
    char quote = *c->p++;
    *s = c->p;
    while (c->p < c->end && *c->p != quote) {
        if (*c->p == '\\')
            return unexpected(c, "a string without escapes");
        c->p++;
    }
    if (c->p == c->end)
        return unexpected(c, "the end of a string");
    *len = (size_t)(c->p++ - *s);
    return ANF_OK;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t len = strlen(word);
    skip_space(c);
    if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
        return false;
    c->p += len;
    return true;
}

static anf_status read_bool(struct cursor *c, bool *value)
{
    *value = take_word(c, "True");
    if (!*value && !take_word(c, "False"))
        return unexpected(c, "True or False");
    return ANF_OK;
}

static anf_status read_dimension(struct cursor *c, int64_t *value)
{
    skip_space(c);
    const char *start = c->p;
    *value = 0;
    while (c->p < c->end && *c->p >= '0' && *c->p <= '9') {
        int digit = *c->p - '0';
        if (*value > (INT64_MAX - digit) / 10)
            FAIL(FORMAT, "npy header has a dimension at byte %td that does not fit 63 bits",
                 start - c->begin);
        *value = *value * 10 + digit;
        c->p++;
    }
    if (c->p == start)
        return unexpected(c, "a dimension");
    if (c->p < c->end && *c->p == 'L')
        c->p++;
    return ANF_OK;
}

static anf_status read_shape(struct cursor *c, struct npy *h)
{
    int64_t rank = 0, d;
    bool comma = true;
    if (!take(c, '('))
        return unexpected(c, "'('");
    while (!take(c, ')')) {
        if (!comma)
            return unexpected(c, "',' or ')'");
        TRY(read_dimension(c, &d));
        if (rank < ANF_MAX_RANK)
            h->shape.dim[rank] = d;
        rank++;
        comma = take(c, ',');
    }
    if (rank == 1 && !comma)
        FAIL(FORMAT, "npy header has a number for a shape, a tuple as in (3,) is needed");
    if (rank > ANF_MAX_RANK)
        refuse(h, ANF_E_SHAPE, "rank %" PRId64 ", at most %d is read", rank, ANF_MAX_RANK);
    h->shape.rank = rank > ANF_MAX_RANK ? ANF_MAX_RANK : (int32_t)rank;
    return ANF_OK;
}

static void read_descr(struct npy *h, const char *s, size_t len)
{
    char order = len ? s[0] : 0;
    bool known = false;
    for (int t = 0; t < DTYPE_COUNT && len > 1; t++) {
        if (strlen(code_of[t]) == len - 1 && memcmp(code_of[t], s + 1, len - 1) == 0) {
            h->dtype = (anf_dtype)t;
            known = true;
        }
    }
    bool one_byte = known && dtype_info[h->dtype].n_bytes == 1;
    if (known && (order == '<' || (one_byte && (order == '|' || order == '>'))))
        return;
    if (known && order == '>')
        refuse(h, ANF_E_DTYPE, "dtype '%s' is big-endian, only little-endian ('<%s') is read",
               shown(s, len), code_of[h->dtype]);
    else if ((len && s[0] == 'O') || (len > 1 && s[1] == 'O'))
        refuse(h, ANF_E_DTYPE, "dtype '%s' is Python objects (pickle), which are never read",
               shown(s, len));
    else
        refuse(h, ANF_E_DTYPE, "dtype '%s' has no counterpart here, read are '<f2', '<f4', '<f8', "
               "'|b1' and '|i1' to '<u8'", shown(s, len));
}

/* Step over a value in brackets, as a structured dtype is written. */
static anf_status skip_nested(struct cursor *c)
{
    const char *s;
    size_t len, depth = 0;
    do {
        skip_space(c);
        if (c->p == c->end)
            return unexpected(c, "a closing bracket");
        if (*c->p == '\'' || *c->p == '"') {
            TRY(read_string(c, &s, &len, "a string"));
            continue;
        }
        if (*c->p == '[' || *c->p == '(' || *c->p == '{')
            depth++;
        else if (*c->p == ']' || *c->p == ')' || *c->p == '}')
            depth--;
        c->p++;
    } while (depth);
    return ANF_OK;
}

static anf_status read_value(struct cursor *c, struct npy *h, int key)
{
    const char *s;
    size_t len;
    switch (key) {
    case 0:
        skip_space(c);
        if (c->p < c->end && (*c->p == '[' || *c->p == '(' || *c->p == '{')) {
            refuse(h, ANF_E_DTYPE, "the dtype is structured, only plain element types are read");
            return skip_nested(c);
        }
        TRY(read_string(c, &s, &len, "a dtype in quotes"));
        read_descr(h, s, len);
        return ANF_OK;
    case 1:
        return read_bool(c, &h->fortran);
    default:
        return read_shape(c, h);
    }
}

static anf_status read_header(struct cursor *c, struct npy *h)
{
    static const char *const keys[3] = {"descr", "fortran_order", "shape"};
    bool seen[3] = {false, false, false}, comma = true;
    const char *s;
    size_t len;
    if (!take(c, '{'))
        return unexpected(c, "'{'");
    while (!take(c, '}')) {
        if (!comma)
            return unexpected(c, "',' or '}'");
        TRY(read_string(c, &s, &len, "a key in quotes"));
        int k = 0;
        while (k < 3 && (strlen(keys[k]) != len || memcmp(keys[k], s, len) != 0))
            k++;
        if (k == 3)
            FAIL(FORMAT, "npy header has key '%s', only descr, fortran_order and shape are known",
                 shown(s, len));
        if (seen[k])
            FAIL(FORMAT, "npy header has key '%s' twice", keys[k]);
        seen[k] = true;
        if (!take(c, ':'))
            return unexpected(c, "':'");
        TRY(read_value(c, h, k));
        comma = take(c, ',');
    }
    for (int k = 0; k < 3; k++)
        if (!seen[k])
            FAIL(FORMAT, "npy header has no key '%s'", keys[k]);
    skip_space(c);
    if (c->p != c->end)
        return unexpected(c, "nothing more");
    return ANF_OK;
}

bool npy_magic(const void *bytes, size_t n)
{
    return n >= MAGIC_BYTES && memcmp(bytes, MAGIC, MAGIC_BYTES) == 0;
}

anf_status npy_parse(const void *bytes, size_t n, struct npy *out)
{
    const unsigned char *b = bytes;
    *out = (struct npy){.refused = ANF_OK};
    if (!npy_magic(bytes, n))
        FAIL(FORMAT, "does not begin with the six bytes of a .npy file");
    if (n < MAGIC_BYTES + 2)
        FAIL(FORMAT, "npy file of %zu bytes ends before its header", n);
    unsigned major = b[6], minor = b[7];
    if (major < 1 || major > 3 || minor != 0)
        FAIL(FORMAT, "npy version %u.%u, known are 1.0, 2.0 and 3.0", major, minor);
    size_t start = major == 1 ? 10 : 12;
    if (n < start)
        FAIL(FORMAT, "npy file of %zu bytes ends before its header", n);
    size_t len = major == 1 ? load_u16(b + 8) : load_u32(b + 8);
    if (len > n - start)
        FAIL(FORMAT, "npy header needs %zu bytes, %zu are left in the file", len, n - start);

    const char *text = (const char *)b + start;
    struct cursor c = {text, text, text + len};
    TRY(read_header(&c, out));
    out->data_offset = start + len;
    if (out->refused != ANF_OK)
        return ANF_OK;

    size_t left = n - out->data_offset;
    if (!shape_bytes(&out->shape, dtype_info[out->dtype].n_bytes, &out->data_bytes))
        FAIL(FORMAT, "npy shape %s of %s overflows", dims_text(&out->shape),
             dtype_info[out->dtype].name);
    if (out->data_bytes != left)
        FAIL(FORMAT, "npy shape %s of %s needs %zu bytes of data, the file has %zu",
             dims_text(&out->shape), dtype_info[out->dtype].name, out->data_bytes, left);

    int longer_than_1 = 0;
    for (int i = 0; i < out->shape.rank; i++)
        longer_than_1 += out->shape.dim[i] != 1;
    if (longer_than_1 < 2 || out->data_bytes == 0)
        out->fortran = false;
    return ANF_OK;
}

/* A constant size lets the compiler turn each copy into one load and one store. */
static void copy_strided(char *to, const char *from, size_t n, size_t stride, size_t size)
{
    switch (size) {
    case 1:
        for (size_t i = 0; i < n; i++)
            to[i] = from[i * stride];
        break;
    case 2:
        for (size_t i = 0; i < n; i++)
            memcpy(to + 2 * i, from + 2 * i * stride, 2);
        break;
    case 4:
        for (size_t i = 0; i < n; i++)
            memcpy(to + 4 * i, from + 4 * i * stride, 4);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            memcpy(to + 8 * i, from + 8 * i * stride, 8);
        break;
    }
}

/* Walks the result in order, one row of the last axis at a time; `at` is the source index of the
 * row. */
static void to_row_major(char *to, const char *from, const anf_dims *shape, size_t size)
{
    size_t stride[ANF_MAX_RANK], index[ANF_MAX_RANK] = {0}, rows = 1, at = 0;
    int last = shape->rank - 1;
    size_t s = 1;
    for (int i = 0; i <= last; i++) {
        stride[i] = s;
        s *= (size_t)shape->dim[i];
    }
    size_t n = (size_t)shape->dim[last];
    rows = s / n;
    for (size_t r = 0; r < rows; r++) {
        copy_strided(to + r * n * size, from + at * size, n, stride[last], size);
        for (int i = last - 1; i >= 0; i--) {
            at += stride[i];
            if (++index[i] < (size_t)shape->dim[i])
                break;
            at -= stride[i] * index[i];
            index[i] = 0;
        }
    }
}

anf_status npy_read(struct anf_arrays *a, const char *name, size_t name_len, const void *bytes,
                    size_t n, struct array_entry **out)
{
    struct npy h;
    struct array_entry *e;
    TRY(npy_parse(bytes, n, &h));
    TRY(arrays_add(a, name, name_len, &e));
    *out = e;
    if (h.refused != ANF_OK)
        return arrays_refuse(a, e, h.refused, h.why);
    const char *data = (const char *)bytes + h.data_offset;
    if (!h.fortran)
        return arrays_set(a, e, h.dtype, &h.shape, data, h.data_bytes);
    e->block = mem_alloc(a->allocator, h.data_bytes, ANF_CACHE_LINE);
    if (!e->block)
        return ANF_E_NOMEM;
    e->block_bytes = h.data_bytes;
    to_row_major(e->block, data, &h.shape, dtype_info[h.dtype].n_bytes);
    return arrays_set(a, e, h.dtype, &h.shape, e->block, h.data_bytes);
}

anf_status npy_header(const anf_array *a, char header[NPY_HEADER_MAX], size_t *header_bytes,
                      size_t *data_bytes)
{
    if ((unsigned)a->dtype >= DTYPE_COUNT)
        FAIL(DTYPE, "dtype %d is none of anf_dtype", (int)a->dtype);
    if (!code_of[a->dtype][0])
        FAIL(DTYPE, "npy has no element type for %s", dtype_info[a->dtype].name);
    if (a->shape.rank < 0 || a->shape.rank > ANF_MAX_RANK)
        FAIL(SHAPE, "rank %d, 0 to %d is needed", (int)a->shape.rank, ANF_MAX_RANK);
    if (!shape_bytes(&a->shape, dtype_info[a->dtype].n_bytes, data_bytes))
        FAIL(SHAPE, "shape %s has a negative dimension or overflows", dims_text(&a->shape));
    if (!a->data && *data_bytes)
        FAIL(ARG, "the array of shape %s has no data", dims_text(&a->shape));

    size_t cap = NPY_HEADER_MAX, at = 10;
    at += (size_t)snprintf(header + at, cap - at, "{'descr': '%c%s', 'fortran_order': False, "
                           "'shape': (", dtype_info[a->dtype].n_bytes == 1 ? '|' : '<',
                           code_of[a->dtype]);
    for (int i = 0; i < a->shape.rank; i++)
        at += (size_t)snprintf(header + at, cap - at, "%s%" PRId64, i ? ", " : "",
                               a->shape.dim[i]);
    at += (size_t)snprintf(header + at, cap - at, "%s), }", a->shape.rank == 1 ? "," : "");
    size_t total = size_round_up(at + 1, HEADER_ALIGN);
    memset(header + at, ' ', total - at - 1);
    header[total - 1] = '\n';
    memcpy(header, MAGIC "\x01\x00", 8);
    header[8] = (char)((total - 10) & 0xff);
    header[9] = (char)((total - 10) >> 8);
    *header_bytes = total;
    return ANF_OK;
}

anf_status npy_write(const anf_allocator *allocator, const char *path, const anf_array *a)
{
    char header[NPY_HEADER_MAX];
    size_t header_bytes, data_bytes;
    struct file_writer w;
    anf_status st = npy_header(a, header, &header_bytes, &data_bytes);
    if (st != ANF_OK)
        return status_prefix(st, "%s", path);
    TRY(file_writer_open(&w, allocator, path));
    st = file_writer_put(&w, header, header_bytes);
    if (st == ANF_OK)
        st = file_writer_put(&w, a->data, data_bytes);
    if (st == ANF_OK)
        st = file_writer_commit(&w);
    file_writer_discard(&w);
    return st;
}
