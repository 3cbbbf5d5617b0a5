/* Shared by the fuzz targets of array files: open the bytes as a user would, read every element
 * given out, ask for every name and for one that is absent. */
#ifndef ANF_FUZZ_ARRAYS_H
#define ANF_FUZZ_ARRAYS_H

#include "aneforge.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static inline anf_ctx *fuzz_ctx(void)
{
    static anf_ctx *ctx;
    if (!ctx && anf_ctx_new(&(anf_ctx_desc){.threads = 1}, &ctx) != ANF_OK)
        abort();
    return ctx;
}

static inline void fuzz_arrays(const uint8_t *data, size_t n)
{
    anf_arrays *a;
    anf_array x;
    static volatile unsigned sink;
    if (anf_arrays_open_memory(fuzz_ctx(), data, n, &a) != ANF_OK) {
        if (a || !*anf_last_error())
            abort();
        return;
    }
    for (int i = 0; i < anf_arrays_count(a); i++) {
        anf_array listed = anf_arrays_get(a, i);
        anf_status st = anf_arrays_find(a, anf_arrays_name(a, i), &x);
        if ((st == ANF_OK) != (listed.data != NULL) || x.data != listed.data)
            abort();
        if (!x.data)
            continue;
        size_t bytes = anf_dtype_size(x.dtype);
        if ((uintptr_t)x.data % bytes != 0)
            abort();
        for (int d = 0; d < x.shape.rank; d++)
            if (x.shape.dim[d] == 0)
                bytes = 0;
        for (int d = 0; bytes && d < x.shape.rank; d++)
            bytes *= (size_t)x.shape.dim[d];
        for (size_t b = 0; b < bytes; b++)
            sink = sink + ((const unsigned char *)x.data)[b];
    }
    if (anf_arrays_find(a, "no array is called \n this", &x) == ANF_OK || x.data)
        abort();
    anf_arrays_free(a);
}

#endif
