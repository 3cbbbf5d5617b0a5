/* The encoders: a weight in fewer bytes, and how far the decoded weight is from it.
 *
 * A weight is seen as dense [n][k] binary16: n output channels of depth k.  An encoder looks at it
 * alone and in a fixed order, so the same weight has the same encoding on every machine.  It either
 * fills `out` or finds that the weight does not suit it and says why. */
#ifndef ANF_COMPRESS_ENCODE_H
#define ANF_COMPRESS_ENCODE_H

#include "base/arena.h"
#include "base/encoding.h"
#include "base/fp16.h"

enum { INT4_ENTRIES = 16, INT8_MAX_Q = 127, WHY_MAX = 320 };

struct weight {
    const f16 *w;
    size_t n, k;
};

struct encode_opts {
    double atol;  /* largest relative error of INT4 and BLOCKWISE */
    size_t block; /* of BLOCKWISE: at most so many elements have one scale */
};

struct encode_memory {
    struct arena keep;    /* what `encoded` points at */
    struct arena scratch; /* free to reuse afterwards */
};

/* The logical form; kernels/weight_panels.h makes panels of it. */
struct encoded {
    anf_encoding encoding;
    size_t n, k;
    size_t block;         /* elements per scale: k of INT8 */
    int8_t *q;            /* [n][k]: INT8, BLOCKWISE; w is q * scale */
    f16 *scale;           /* [n][k / block] */
    uint8_t *index;       /* [n][k]: INT4; w is codebook[index] */
    f16 codebook[INT4_ENTRIES];
    const f16 *w;         /* [n][k], the weight itself: F16, SPARSE */
    double error;         /* |decoded - w| / |w|, both root sums of squares */
    uint64_t n_bytes;     /* without padding */
};

/* `why`: if the weight suits, what spoke for it, or nothing; else what spoke against it, and
 * out->encoding is ANF_ENCODING_F16. */
typedef anf_status encode_fn(const struct weight *w, const struct encode_opts *o,
                             struct encode_memory *m, struct encoded *out, char why[WHY_MAX]);
encode_fn encode_int8, encode_int4, encode_sparse, encode_blockwise;

/* The elements of the decoded weight as binary32, in order; for reports and tests. */
void encoded_decode(const struct encoded *e, float *w);

/* sqrt(squared_error) / |w|. */
double encode_error(double squared_error, double squared_weight);

#endif
