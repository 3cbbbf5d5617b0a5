/* int8 with a scale per output channel, or per block of one.
 *
 * The scale is binary16 of the largest magnitude / 127, and an element becomes the nearest multiple
 * of the scale as it is stored, not as it was before rounding: that is the grid it is decoded
 * from. */
#include "compress/encode.h"

#include "base/buf.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

double encode_error(double squared_error, double squared_weight)
{
    return sqrt(squared_error) / (sqrt(squared_weight) + 1e-12);
}

/* To the nearest integer, ties to even, for |x| < 2^22: the sum has no bits behind the point. */
static inline float nearest(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

/* A scale that binary16 would round to zero becomes the smallest there is, whose multiples are all
 * the values such a block can hold. */
static f16 scale_of(const float *w, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    f16 scale = f32_to_f16(most / INT8_MAX_Q);
    return scale == 0 && most > 0 ? 1 : scale;
}

static void quantize(const float *w, size_t n, f16 scale, int8_t *q)
{
    float s = scale ? f16_to_f32(scale) : 1.0f;
    for (size_t i = 0; i < n; i++) {
        float x = nearest(w[i] / s);
        x = x > INT8_MAX_Q ? INT8_MAX_Q : x < -INT8_MAX_Q ? -INT8_MAX_Q : x;
        q[i] = (int8_t)x;
    }
}

static bool is_finite(const f16 *w, size_t n)
{
    f16 most = 0;
    for (size_t i = 0; i < n; i++)
        most = (w[i] & 0x7fff) > most ? w[i] & 0x7fff : most;
    return most < F16_INF;
}

/* Leaves encoding F16 where an element is not finite. */
static anf_status encode_scaled(const struct weight *w, size_t block, anf_encoding encoding,
                                struct encode_memory *m, struct encoded *out)
{
    const size_t n = w->n, k = w->k, n_blocks = k / block;
    double squared_error = 0, squared = 0;
    *out = (struct encoded){.n = n, .k = k, .block = block};
    if (!is_finite(w->w, n * k))
        return ANF_OK;
    float *row = arena_alloc_array(&m->scratch, k, sizeof *row);
    out->q = arena_alloc_array(&m->keep, n * k, sizeof *out->q);
    out->scale = arena_alloc_array(&m->keep, n * n_blocks, sizeof *out->scale);
    if (!row || !out->q || !out->scale)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++)
            row[j] = f16_to_f32(w->w[i * k + j]);
        for (size_t b = 0; b < n_blocks; b++) {
            int8_t *q = out->q + i * k + b * block;
            const float *x = row + b * block;
            f16 scale = out->scale[i * n_blocks + b] = scale_of(x, block);
            quantize(x, block, scale, q);
            double s = (double)f16_to_f32(scale);
            for (size_t j = 0; j < block; j++) {
                double e = (double)x[j] - s * q[j];
                squared_error += e * e;
                squared += (double)x[j] * (double)x[j];
            }
        }
    }
    out->encoding = encoding;
    out->error = encode_error(squared_error, squared);
    out->n_bytes = (uint64_t)n * k + (uint64_t)n * n_blocks * sizeof(f16);
    return ANF_OK;
}

anf_status encode_int8(const struct weight *w, const struct encode_opts *o,
                       struct encode_memory *m, struct encoded *out, char why[WHY_MAX])
{
    (void)o;
    TRY(encode_scaled(w, w->k, ANF_ENCODING_INT8, m, out));
    snprintf(why, WHY_MAX, "%s",
             out->encoding == ANF_ENCODING_F16 ? "int8 needs finite elements" : "");
    return ANF_OK;
}

anf_status encode_blockwise(const struct weight *w, const struct encode_opts *o,
                            struct encode_memory *m, struct encoded *out, char why[WHY_MAX])
{
    size_t block = o->block < w->k ? o->block : w->k;
    while (w->k % block)
        block--;
    TRY(encode_scaled(w, block, ANF_ENCODING_BLOCKWISE, m, out));
    bool fits = out->encoding != ANF_ENCODING_F16 && out->error <= o->atol;
    if (out->encoding == ANF_ENCODING_F16)
        snprintf(why, WHY_MAX, "blockwise needs finite elements");
    else
        snprintf(why, WHY_MAX, "blockwise with %zu per scale has error %s, %s %s", block,
                 decimal_text(out->error, 4).s, fits ? "within" : "more than",
                 decimal_text(o->atol, 4).s);
    if (!fits)
        out->encoding = ANF_ENCODING_F16;
    return ANF_OK;
}

static void decode_scaled(const struct encoded *e, float *w)
{
    for (size_t i = 0; i < e->n * e->k; i++)
        w[i] = (float)e->q[i] * f16_to_f32(e->scale[i / e->block]);
}

void encoded_decode(const struct encoded *e, float *w)
{
    if (e->q) {
        decode_scaled(e, w);
        return;
    }
    for (size_t i = 0; i < e->n * e->k; i++)
        w[i] = f16_to_f32(e->index ? e->codebook[e->index[i]] : e->w[i]);
}
