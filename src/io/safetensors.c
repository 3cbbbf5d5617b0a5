/* The .safetensors format: u64 length, that many bytes of JSON, then one buffer up to the end.
 *
 *     {"w": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, "__metadata__": {...}}
 *
 * The tensors, ordered by offset, must tile the buffer: no hole, no overlap, no byte left over,
 * and each as long as its shape and dtype say.  So no two tensors share memory and nothing hides
 * between them.  Data has no alignment in the format; arrays_set copies a tensor that lies badly.
 *
 * JSON is read by jansson, which has its own rules: names are unique, text is UTF-8 without NUL,
 * and integers fit 64 bits.  Its allocator is global to the process, so setting it would reach
 * into the program that uses this library; its tree stays with malloc, lives only inside
 * safetensors_read, and is bounded by the length limit below and by a nesting limit checked before
 * parsing. */
#include "io/safetensors.h"

#include <string.h>

enum { LENGTH_BYTES = 8 };

bool safetensors_magic(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    return n > LENGTH_BYTES && load_u32(b + 4) == 0 && b[LENGTH_BYTES] == '{';
}

#ifdef ANF_HAVE_JANSSON

#include "base/dtype.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

enum { HEADER_MAX = 100000000, NESTING_MAX = 3 };

/* Known to the format; those without an anf_dtype are listed and refused by name. */
static const struct element {
    const char *name;
    uint64_t bits;
    int dtype; /* -1: none */
} elements[] = {
    {"BOOL", 8, ANF_BOOL}, {"U8", 8, ANF_U8}, {"I8", 8, ANF_I8}, {"I16", 16, ANF_I16},
    {"U16", 16, ANF_U16}, {"F16", 16, ANF_F16}, {"BF16", 16, ANF_BF16}, {"I32", 32, ANF_I32},
    {"U32", 32, ANF_U32}, {"F32", 32, ANF_F32}, {"F64", 64, ANF_F64}, {"I64", 64, ANF_I64},
    {"U64", 64, ANF_U64}, {"C64", 64, -1}, {"F4", 4, -1}, {"F6_E2M3", 6, -1}, {"F6_E3M2", 6, -1},
    {"F8_E5M2", 8, -1}, {"F8_E4M3", 8, -1}, {"F8_E8M0", 8, -1}, {"F8_E4M3FNUZ", 8, -1},
    {"F8_E5M2FNUZ", 8, -1},
};

struct tensor {
    const char *name; /* in the JSON tree */
    uint64_t begin, end;
};

static anf_status check_nesting(const char *text, size_t n)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < n; i++) {
        if (quoted && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            quoted = !quoted;
        else if (!quoted && (text[i] == '{' || text[i] == '['))
            depth++;
        else if (!quoted && (text[i] == '}' || text[i] == ']'))
            depth--;
        if (depth > NESTING_MAX)
            FAIL(FORMAT, "header nests deeper than %d at byte %zu", NESTING_MAX, i);
    }
    return ANF_OK;
}

static const struct element *find_element(const char *name)
{
    for (size_t i = 0; i < sizeof elements / sizeof elements[0]; i++)
        if (strcmp(elements[i].name, name) == 0)
            return &elements[i];
    return NULL;
}

/* Dimensions past ANF_MAX_RANK are counted and not kept: rank is then above the limit. */
static anf_status read_shape(const json_t *list, anf_dims *shape, uint64_t *count)
{
    bool empty = false, fits = true;
    uint64_t n = 1;
    if (!json_is_array(list))
        FAIL(FORMAT, "'shape' is missing or no list");
    size_t rank = json_array_size(list);
    for (size_t i = 0; i < rank; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            FAIL(FORMAT, "dimension %zu of 'shape' is not an integer >= 0", i);
        uint64_t d = (uint64_t)json_integer_value(item);
        if (i < ANF_MAX_RANK)
            shape->dim[i] = (int64_t)d;
        empty |= d == 0;
        if (d && n > UINT64_MAX / d)
            fits = false;
        else
            n *= d ? d : 1;
    }
    if (!fits && !empty)
        FAIL(FORMAT, "the number of elements of 'shape' overflows");
    shape->rank = rank > ANF_MAX_RANK ? ANF_MAX_RANK + 1 : (int32_t)rank;
    *count = empty ? 0 : n;
    return ANF_OK;
}

static anf_status read_offsets(const json_t *list, uint64_t buffer_bytes, struct tensor *t)
{
    uint64_t v[2];
    if (!json_is_array(list) || json_array_size(list) != 2)
        FAIL(FORMAT, "'data_offsets' is missing or no list of two");
    for (size_t i = 0; i < 2; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            FAIL(FORMAT, "'data_offsets' has an item that is not an integer >= 0");
        v[i] = (uint64_t)json_integer_value(item);
    }
    if (v[0] > v[1] || v[1] > buffer_bytes)
        FAIL(FORMAT, "'data_offsets' [%" PRIu64 ",%" PRIu64 "] do not lie in the %" PRIu64
             " bytes of data", v[0], v[1], buffer_bytes);
    t->begin = v[0];
    t->end = v[1];
    return ANF_OK;
}

static anf_status read_tensor(struct anf_arrays *a, const json_t *value, const unsigned char *data,
                              size_t data_bytes, struct tensor *t)
{
    struct array_entry *e;
    anf_dims shape = {0, {0}};
    uint64_t count = 0;
    char why[160];
    if (!json_is_object(value))
        FAIL(FORMAT, "is no object with 'dtype', 'shape' and 'data_offsets'");
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (!dtype)
        FAIL(FORMAT, "'dtype' is missing or no string");
    TRY(read_shape(json_object_get(value, "shape"), &shape, &count));
    TRY(read_offsets(json_object_get(value, "data_offsets"), data_bytes, t));

    const struct element *el = find_element(dtype);
    uint64_t n_bytes = t->end - t->begin;
    if (el && (count > UINT64_MAX / el->bits || count * el->bits % 8 != 0 ||
               count * el->bits / 8 != n_bytes))
        FAIL(FORMAT, "%" PRIu64 " elements of %s do not take the %" PRIu64 " bytes of "
             "'data_offsets' [%" PRIu64 ",%" PRIu64 "]", count, el->name, n_bytes, t->begin,
             t->end);

    TRY(arrays_add(a, t->name, strlen(t->name), &e));
    if (!el || el->dtype < 0) {
        snprintf(why, sizeof why, "dtype %s has no counterpart here, read are BOOL, F16, BF16, "
                 "F32, F64, I8 to I64 and U8 to U64", shown(dtype, strlen(dtype)));
        return arrays_refuse(a, e, ANF_E_DTYPE, why);
    }
    if (shape.rank > ANF_MAX_RANK) {
        snprintf(why, sizeof why, "rank %zu, at most %d is read",
                 json_array_size(json_object_get(value, "shape")), ANF_MAX_RANK);
        return arrays_refuse(a, e, ANF_E_SHAPE, why);
    }
    return arrays_set(a, e, (anf_dtype)el->dtype, &shape, data + (size_t)t->begin, (size_t)n_bytes);
}

static anf_status check_metadata(json_t *metadata)
{
    void *it = json_object_iter(metadata);
    if (!json_is_object(metadata))
        FAIL(FORMAT, "'__metadata__' is no object");
    for (; it; it = json_object_iter_next(metadata, it))
        if (!json_is_string(json_object_iter_value(it)))
            FAIL(FORMAT, "'__metadata__' has a value for '%s' that is no string",
                 shown(json_object_iter_key(it), strlen(json_object_iter_key(it))));
    return ANF_OK;
}

static int by_offset(const void *x, const void *y)
{
    const struct tensor *a = x, *b = y;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static anf_status check_tiling(struct tensor *t, size_t n, size_t data_bytes)
{
    uint64_t at = 0;
    sort_items(t, n, sizeof *t, by_offset);
    for (size_t i = 0; i < n; i++) {
        if (t[i].begin != at)
            FAIL(FORMAT, "tensor '%s' begins at byte %" PRIu64 " of the data, %s, byte %" PRIu64
                 " is next", shown(t[i].name, strlen(t[i].name)), t[i].begin,
                 t[i].begin < at ? "inside another" : "after a hole", at);
        at = t[i].end;
    }
    if (at != data_bytes)
        FAIL(FORMAT, "%zu bytes of data, the tensors end at byte %" PRIu64, data_bytes, at);
    return ANF_OK;
}

static anf_status read_tree(struct anf_arrays *a, json_t *root, const unsigned char *data,
                            size_t data_bytes, struct tensor *tensors)
{
    size_t n = 0;
    for (void *it = json_object_iter(root); it; it = json_object_iter_next(root, it)) {
        const char *key = json_object_iter_key(it);
        if (strcmp(key, "__metadata__") == 0) {
            TRY(check_metadata(json_object_iter_value(it)));
            continue;
        }
        tensors[n].name = key;
        anf_status st = read_tensor(a, json_object_iter_value(it), data, data_bytes, &tensors[n]);
        if (st != ANF_OK)
            return status_prefix(st, "tensor '%s'", shown(key, strlen(key)));
        n++;
    }
    return check_tiling(tensors, n, data_bytes);
}

anf_status safetensors_read(struct anf_arrays *a)
{
    const unsigned char *b = a->bytes;
    uint64_t length = load_u64(b);
    if (length > HEADER_MAX)
        FAIL(FORMAT, "header of %" PRIu64 " bytes, at most %d are allowed", length, HEADER_MAX);
    if (length > a->n_bytes - LENGTH_BYTES)
        FAIL(FORMAT, "header needs %" PRIu64 " bytes, %zu are left in the file", length,
             a->n_bytes - LENGTH_BYTES);
    const char *text = (const char *)b + LENGTH_BYTES;
    size_t data_bytes = a->n_bytes - LENGTH_BYTES - (size_t)length;
    TRY(check_nesting(text, (size_t)length));

    json_error_t err;
    json_t *root = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &err);
    if (!root && json_error_code(&err) == json_error_out_of_memory)
        FAIL(NOMEM, "out of memory: the JSON header has %" PRIu64 " bytes", length);
    if (!root)
        FAIL(FORMAT, "header is not JSON at byte %d: %s", err.position,
             shown(err.text, strlen(err.text)));
    anf_status st = ANF_E_NOMEM;
    size_t n = json_object_size(root);
    struct tensor *tensors = mem_calloc(a->allocator, n, sizeof *tensors);
    if (tensors)
        st = read_tree(a, root, b + LENGTH_BYTES + (size_t)length, data_bytes, tensors);
    mem_free(a->allocator, tensors, n * sizeof *tensors);
    json_decref(root);
    return st;
}

#else

anf_status safetensors_read(struct anf_arrays *a)
{
    (void)a;
    FAIL(UNSUPPORTED, "reading .safetensors needs jansson, which this build lacks");
}

#endif
