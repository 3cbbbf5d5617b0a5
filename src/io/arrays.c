/* anf_arrays_*: one container for three formats, told apart by their first bytes.
 *
 * Opening reads the whole file into one block, which the container owns, and gives it to the
 * reader of the format; nothing is looked at twice after that.  An open either succeeds with every
 * entry checked or leaves nothing behind.  Names are unique in every container: entries are sorted
 * by name once, which finds duplicates and makes anf_arrays_find a binary search, at n log n for
 * hostile name sets too. */
#include "io/arrays.h"

#include "base/ctx.h"
#include "base/dtype.h"
#include "io/file.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/safetensors.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared by the readers ------------------------------------------------------------------- */

bool shape_bytes(const anf_dims *shape, size_t element_bytes, size_t *n_bytes)
{
    size_t n = element_bytes;
    bool empty = false, fits = true;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0)
            return false;
        empty |= shape->dim[i] == 0;
        fits = fits && (uint64_t)shape->dim[i] <= SIZE_MAX &&
               size_mul(n, (size_t)shape->dim[i], &n);
    }
    *n_bytes = empty ? 0 : n;
    return empty || (fits && n <= SIZE_MAX / 2);
}

/* Length of the well-formed sequence that `s` begins with, 0 if there is none.  Overlong forms,
 * surrogates and code points past U+10FFFF are not well-formed. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool utf8_valid(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0, step; i < len; i += step) {
        step = utf8_length(s + i, len - i);
        if (!step)
            return false;
    }
    return true;
}

const char *shown(const char *text, size_t len)
{
    enum { MAX = 80 };
    static _Thread_local char ring[4][MAX + 8];
    static _Thread_local unsigned turn;
    char *out = ring[turn++ % 4];
    const unsigned char *s = (const unsigned char *)text;
    size_t at = 0, i = 0, step;
    for (; i < len; i += step) {
        step = utf8_length(s + i, len - i);
        bool plain = step > 1 || (step == 1 && s[i] >= 0x20 && s[i] != 0x7f);
        if (!step)
            step = 1;
        if (at + (plain ? step : 4) > MAX)
            break;
        if (plain)
            memcpy(out + at, s + i, step);
        else
            snprintf(out + at, 5, "\\x%02x", (unsigned)s[i]);
        at += plain ? step : 4;
    }
    memcpy(out + at, i < len ? "..." : "", i < len ? 4 : 1);
    return out;
}

anf_status arrays_add(struct anf_arrays *a, const char *name, size_t name_len,
                      struct array_entry **out)
{
    void *p = a->entries;
    if (a->n == INT_MAX)
        FAIL(UNSUPPORTED, "more than %d arrays in one file", INT_MAX);
    TRY(mem_grow(a->allocator, &p, &a->cap, a->n + 1, sizeof *a->entries));
    a->entries = p;
    char *copy = arena_strndup(&a->text, name, name_len);
    if (!copy)
        return ANF_E_NOMEM;
    struct array_entry *e = &a->entries[a->n++];
    *e = (struct array_entry){.name = copy, .refused = ANF_OK};
    *out = e;
    return ANF_OK;
}

anf_status arrays_set(struct anf_arrays *a, struct array_entry *e, anf_dtype dtype,
                      const anf_dims *shape, const void *data, size_t n_bytes)
{
    if (!n_bytes) {
        data = a->bytes; /* somewhere aligned and not NULL */
    } else if ((uintptr_t)data % dtype_info[dtype].n_bytes != 0) {
        e->block = mem_alloc(a->allocator, n_bytes, ANF_CACHE_LINE);
        if (!e->block)
            return ANF_E_NOMEM;
        e->block_bytes = n_bytes;
        memcpy(e->block, data, n_bytes);
        data = e->block;
    }
    e->array = anf_array_of(data, dtype, *shape);
    return ANF_OK;
}

anf_status arrays_refuse(struct anf_arrays *a, struct array_entry *e, anf_status code,
                         const char *why)
{
    e->refused = code;
    e->why = arena_strdup(&a->text, why);
    return e->why ? ANF_OK : ANF_E_NOMEM;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int by_name(const void *x, const void *y)
{
    const struct array_entry *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

static anf_status sort_by_name(struct anf_arrays *a)
{
    if (!a->n)
        return ANF_OK;
    a->by_name = arena_alloc_array(&a->text, a->n, sizeof(const struct array_entry *));
    if (!a->by_name)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < a->n; i++)
        a->by_name[i] = &a->entries[i];
    sort_items(a->by_name, a->n, sizeof(const struct array_entry *), by_name);
    for (size_t i = 1; i < a->n; i++)
        if (by_name(&a->by_name[i - 1], &a->by_name[i]) == 0)
            FAIL(FORMAT, "two arrays are called '%s'",
                 shown(a->by_name[i]->name, strlen(a->by_name[i]->name)));
    return ANF_OK;
}

static anf_status read_single(struct anf_arrays *a)
{
    struct array_entry *e;
    TRY(npy_read(a, "", 0, a->bytes, a->n_bytes, &e));
    return e->refused == ANF_OK ? ANF_OK : status_fail(e->refused, "%s", e->why);
}

static anf_status read_any(struct anf_arrays *a)
{
    if (!a->n_bytes)
        FAIL(FORMAT, "empty, a .npy, .npz or .safetensors file is needed");
    if (npy_magic(a->bytes, a->n_bytes))
        return read_single(a);
    /* Before zip: the length of a header may begin like a zip file, but not with '{' behind it. */
    if (safetensors_magic(a->bytes, a->n_bytes))
        return safetensors_read(a);
    if (npz_magic(a->bytes, a->n_bytes))
        return npz_read(a);
    FAIL(FORMAT, "begins with '%s', which no .npy, .npz or .safetensors file does",
         shown(a->bytes, a->n_bytes < 8 ? a->n_bytes : 8));
}

void anf_arrays_free(anf_arrays *a)
{
    if (!a)
        return;
    const anf_allocator *allocator = a->allocator;
    for (size_t i = 0; i < a->n; i++)
        mem_free(allocator, a->entries[i].block, a->entries[i].block_bytes);
    mem_free(allocator, a->entries, a->cap * sizeof *a->entries);
    mem_free(allocator, a->bytes, a->n_bytes);
    arena_free(&a->text);
    mem_free(allocator, a, sizeof *a);
}

/* Takes `bytes`, on failure too. */
static anf_status open_bytes(const anf_allocator *allocator, const char *path, void *bytes,
                             size_t n, anf_arrays **out)
{
    anf_arrays *a = mem_calloc(allocator, 1, sizeof *a);
    if (!a) {
        mem_free(allocator, bytes, n);
        return ANF_E_NOMEM;
    }
    a->allocator = allocator;
    a->bytes = bytes;
    a->n_bytes = n;
    arena_init(&a->text, allocator);
    anf_status st = ANF_OK;
    if (path) {
        a->file = arena_strdup(&a->text, path);
        st = a->file ? ANF_OK : ANF_E_NOMEM;
    }
    if (st == ANF_OK)
        st = read_any(a);
    if (st == ANF_OK)
        st = sort_by_name(a);
    if (st != ANF_OK) {
        anf_arrays_free(a);
        return st;
    }
    *out = a;
    return ANF_OK;
}

anf_status anf_arrays_open(anf_ctx *ctx, const char *path, anf_arrays **out)
{
    if (out)
        *out = NULL;
    if (!ctx || !path || !out)
        FAIL(ARG, "anf_arrays_open: %s is NULL", !ctx ? "ctx" : !path ? "path" : "out");
    void *bytes;
    size_t n;
    TRY(file_read(ctx_allocator(ctx), path, &bytes, &n));
    anf_status st = open_bytes(ctx_allocator(ctx), path, bytes, n, out);
    return st == ANF_OK ? ANF_OK : status_prefix(st, "%s", path);
}

anf_status anf_arrays_open_memory(anf_ctx *ctx, const void *data, size_t n, anf_arrays **out)
{
    if (out)
        *out = NULL;
    if (!ctx || (!data && n) || !out)
        FAIL(ARG, "anf_arrays_open_memory: %s is NULL", !ctx ? "ctx" : !out ? "out" : "data");
    void *bytes = mem_alloc(ctx_allocator(ctx), n, ANF_CACHE_LINE);
    if (!bytes)
        return ANF_E_NOMEM;
    if (n)
        memcpy(bytes, data, n);
    return open_bytes(ctx_allocator(ctx), NULL, bytes, n, out);
}

/* ---- looking --------------------------------------------------------------------------------- */

int anf_arrays_count(const anf_arrays *a)
{
    return a ? (int)a->n : 0;
}

const char *anf_arrays_name(const anf_arrays *a, int i)
{
    return a && i >= 0 && (size_t)i < a->n ? a->entries[i].name : NULL;
}

anf_array anf_arrays_get(const anf_arrays *a, int i)
{
    return a && i >= 0 && (size_t)i < a->n ? a->entries[i].array : (anf_array){.data = NULL};
}

static int name_against_entry(const void *name, const void *entry)
{
    const struct array_entry *const *e = entry;
    return strcmp(name, (*e)->name);
}

/* As many names as a line holds, in the order of the file. */
static anf_status fail_absent(const anf_arrays *a, const char *name)
{
    char list[600];
    size_t at = 0, i = 0;
    list[0] = 0;
    for (; i < a->n; i++) {
        const char *s = shown(a->entries[i].name, strlen(a->entries[i].name));
        if (at + strlen(s) + 40 > sizeof list)
            break;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s'%s'", i ? ", " : "", s);
    }
    if (i < a->n)
        snprintf(list + at, sizeof list - at, " and %zu more", a->n - i);
    FAIL(ARG, "no array '%s', %s%s", shown(name, strlen(name)),
         a->n ? "there is " : "there is none", list);
}

anf_status anf_arrays_find(const anf_arrays *a, const char *name, anf_array *out)
{
    if (out)
        *out = (anf_array){.data = NULL};
    if (!a || !name || !out)
        FAIL(ARG, "anf_arrays_find: %s is NULL", !a ? "arrays" : !name ? "name" : "out");
    const struct array_entry **found = NULL;
    if (a->n)
        found = bsearch(name, a->by_name, a->n, sizeof *a->by_name, name_against_entry);
    anf_status st = ANF_OK;
    if (!found)
        st = fail_absent(a, name);
    else if ((*found)->refused != ANF_OK)
        st = status_fail((*found)->refused, "array '%s': %s", shown(name, strlen(name)),
                         (*found)->why);
    else
        *out = (*found)->array;
    return st != ANF_OK && a->file ? status_prefix(st, "%s", a->file) : st;
}

/* ---- writing --------------------------------------------------------------------------------- */

anf_status anf_npy_write(anf_ctx *ctx, const char *path, anf_array a)
{
    if (!ctx || !path)
        FAIL(ARG, "anf_npy_write: %s is NULL", !ctx ? "ctx" : "path");
    return npy_write(ctx_allocator(ctx), path, &a);
}

anf_status anf_npz_write(anf_ctx *ctx, const char *path, const anf_array *a,
                         const char *const *names, int n)
{
    if (!ctx || !path)
        FAIL(ARG, "anf_npz_write: %s is NULL", !ctx ? "ctx" : "path");
    if (n < 0 || (n && (!a || !names)))
        FAIL(ARG, "anf_npz_write: %s", n < 0 ? "n is negative" : "a or names is NULL");
    return npz_write(ctx_allocator(ctx), path, a, names, (size_t)n, NPZ_ZIP64_FROM);
}
