/* The container behind anf_arrays, and what its readers (npy.c, npz.c, safetensors.c) share.
 *
 * A reader walks `bytes`, checks all of it, and adds one entry for each array.  Data is lent
 * from `bytes` where the element alignment allows, and copied to a block of the entry otherwise,
 * so an array given out is always aligned to its element.  An array that the file states
 * correctly but that this library has no type for (complex numbers, rank 9, ...) is an entry
 * too: it is listed, and refused with its reason when somebody asks for it, so that one such
 * array does not hide the others.  A file that is wrong in itself is refused as a whole.
 *
 * Files and host are both little-endian. */
#ifndef ANF_IO_ARRAYS_H
#define ANF_IO_ARRAYS_H

#include "base/arena.h"
#include "base/sort.h"

struct array_entry {
    const char *name; /* UTF-8 without NUL inside, in the arena */
    anf_array array;  /* data NULL when refused */
    void *block;      /* of this entry alone; NULL: the data lies in the bytes of the file */
    size_t block_bytes;
    anf_status refused; /* ANF_OK, or why anf_arrays_find fails */
    const char *why;
};

struct anf_arrays {
    const anf_allocator *allocator;
    struct arena text;
    const char *file; /* for messages; NULL when the bytes came from memory */
    void *bytes;
    size_t n_bytes;
    struct array_entry *entries; /* in the order of the file */
    size_t n, cap;
    const struct array_entry **by_name; /* sorted, n long, made when all entries are there */
};

/* The new entry stays where it is until the next call. */
anf_status arrays_add(struct anf_arrays *a, const char *name, size_t name_len,
                      struct array_entry **out);

/* Lend or copy; `data` lies in the bytes of the file or in a block that the caller gives to `e`. */
anf_status arrays_set(struct anf_arrays *a, struct array_entry *e, anf_dtype dtype,
                      const anf_dims *shape, const void *data, size_t n_bytes);
anf_status arrays_refuse(struct anf_arrays *a, struct array_entry *e, anf_status code,
                         const char *why);

/* Bytes of a dense array; dimensions may be 0. false when one is negative or the count
 * overflows. */
bool shape_bytes(const anf_dims *shape, size_t element_bytes, size_t *n_bytes);

/* Text from a file made fit for a message: one line, valid UTF-8, at most 80 bytes.  Four texts can
 * stand in one message. */
const char *shown(const char *text, size_t len);

bool utf8_valid(const char *text, size_t len);

static inline uint32_t load_u16(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t load_u32(const unsigned char *p)
{
    return load_u16(p) | load_u16(p + 2) << 16;
}

static inline uint64_t load_u64(const unsigned char *p)
{
    return (uint64_t)load_u32(p) | (uint64_t)load_u32(p + 4) << 32;
}

#endif
