/* One .npy image in memory: what a .npy file is, and each entry of a .npz. */
#ifndef ANF_IO_NPY_H
#define ANF_IO_NPY_H

#include "io/arrays.h"

enum { NPY_HEADER_MAX = 384 }; /* 8 dimensions of 20 characters fit twice */

struct npy {
    anf_dtype dtype;
    anf_dims shape;
    bool fortran; /* column-major, and not the same bytes row-major */
    size_t data_offset, data_bytes;
    anf_status refused; /* ANF_OK, or ANF_E_DTYPE or ANF_E_SHAPE with `why`; only a valid header */
    char why[256];
};

bool npy_magic(const void *bytes, size_t n);
anf_status npy_parse(const void *bytes, size_t n, struct npy *out);

/* Parse, and add the array to `a` under this name, transposed to row-major if need be.  When the
 * entry's block stays NULL its data lies in `bytes`. */
anf_status npy_read(struct anf_arrays *a, const char *name, size_t name_len, const void *bytes,
                    size_t n, struct array_entry **out);

/* The version 1 header of an array, and the number of data bytes that follow it. */
anf_status npy_header(const anf_array *a, char header[NPY_HEADER_MAX], size_t *header_bytes,
                      size_t *data_bytes);

anf_status npy_write(const anf_allocator *allocator, const char *path, const anf_array *a);

#endif
