/* Unstructured zeros: a bit per element, and the others as they are.  Loses nothing. */
#include "compress/encode.h"

#include <inttypes.h>
#include <stdio.h>

anf_status encode_sparse(const struct weight *w, const struct encode_opts *o,
                         struct encode_memory *m, struct encoded *out, char why[WHY_MAX])
{
    const size_t count = w->n * w->k;
    size_t left = 0; /* elements that are not zero, of either sign */
    (void)o, (void)m;
    for (size_t i = 0; i < count; i++)
        left += (w->w[i] & 0x7fff) != 0;
    *out = (struct encoded){.n = w->n, .k = w->k, .w = w->w};
    if (left == 0)
        snprintf(why, WHY_MAX, "all elements are zero, sparse needs some that are not");
    else if (left > count / 2)
        snprintf(why, WHY_MAX, "%zu of %zu elements are zero, sparse needs half of them",
                 count - left, count);
    else
        snprintf(why, WHY_MAX, "%zu of %zu elements are zero", count - left, count);
    if (left > 0 && left <= count / 2)
        out->encoding = ANF_ENCODING_SPARSE;
    out->n_bytes = (count + 7) / 8 + (uint64_t)left * sizeof(f16);
    return ANF_OK;
}
