/* .npz: a zip archive of .npy images. */
#ifndef ANF_IO_NPZ_H
#define ANF_IO_NPZ_H

#include "io/arrays.h"

/* Sizes and offsets from here on need the zip64 form. */
#define NPZ_ZIP64_FROM UINT64_C(0xffffffff)

bool npz_magic(const void *bytes, size_t n);

/* Add the entries of a->bytes. */
anf_status npz_read(struct anf_arrays *a);

/* `zip64_from` is NPZ_ZIP64_FROM; tests lower it to reach the zip64 form with small files. */
anf_status npz_write(const anf_allocator *allocator, const char *path, const anf_array *a,
                     const char *const *names, size_t n, uint64_t zip64_from);

#endif
