/* Encoded weights: every table against scalar code written from the words of weight_panels.h and
 * kern.h, with ==, and the drivers against sums in double.
 *
 * Panels and side arrays end at an inaccessible page, so that a kernel which reads an element too
 * many is seen.  An int4 or sparse product must have the bits of the binary16 product of the
 * weights that it stands for. */
#include "plain.h"

#include "kernel_values.h"
#include "epilogue_seen.h"

#include "base/fp16.h"
#include "kernels/block_gemm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GUARD 64
enum { REGION = 1 << 22, REGIONS = 2 };

static char *region[REGIONS];

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        region[i] = fenced(REGION);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < REGIONS; i++)
        unfence(region[i]);
    return 0;
}

/* n_bytes that end at the inaccessible page. */
static void *guarded(size_t i, size_t n_bytes)
{
    assert_true(n_bytes <= REGION);
    return region[i] + REGION - n_bytes;
}

/* ---- a weight in every form ------------------------------------------------------------------ */
struct weight {
    struct weight_form form;
    void *panels, *side; /* guarded */
    size_t panel_bytes;
};

/* `special`: infinities, NaN, subnormals and zeros of both signs among what is binary16. */
static struct weight make(enum weight_encoding encoding, size_t n, size_t k, size_t block,
                          bool special)
{
    static const f16 odd[] = {0x7c00, 0xfc00, 0x7e00, 0x0001, 0x83ff, 0x8000, 0x0000, 0x7bff};
    const size_t count = n * k, scales = encoding == WEIGHT_BLOCKWISE ? n * (k / block) : n;
    f16 *w = values(count), *scale = values(scales), *codebook = values(16);
    int8_t *q = fenced(count);
    uint8_t *index = fenced(count);
    const unsigned kept = next() % 9; /* eighths that are not zero, none and all among them */
    for (size_t i = 0; i < count; i++) {
        q[i] = (int8_t)(next() % 256);
        index[i] = (uint8_t)(next() % 16);
        if (next() % 8 >= kept)
            w[i] = next() % 2 ? 0x8000 : 0;
    }
    for (size_t i = 0; special && i < 3; i++) {
        w[next() % count] = odd[next() % 8];
        scale[next() % scales] = odd[next() % 8];
        codebook[next() % 16] = odd[next() % 8];
    }
    struct weight x = {.form = {encoding, n, k, block, w, q, scale, index, codebook}};
    x.panel_bytes = weight_panel_bytes(&x.form);
    x.panels = guarded(0, x.panel_bytes);
    x.side = guarded(1, weight_side_bytes(&x.form));
    weight_pack(&x.form, x.panels, x.side);
    return x;
}

static void release(struct weight *x)
{
    unfence((void *)(uintptr_t)x->form.w), unfence((void *)(uintptr_t)x->form.scale);
    unfence((void *)(uintptr_t)x->form.q), unfence((void *)(uintptr_t)x->form.index);
    unfence((void *)(uintptr_t)x->form.codebook);
}

/* The weight of row r and column j as kernels see it. */
static float weight_at(const struct weight_form *f, size_t r, size_t j)
{
    const size_t at = j * f->k + r;
    switch (f->encoding) {
    case WEIGHT_INT8:
        return (float)f->q[at];
    case WEIGHT_INT4:
        return f16_to_f32(f->codebook[f->index[at]]);
    case WEIGHT_BLOCKWISE:
        return (float)f->q[at] * f16_to_f32(f->scale[j * (f->k / f->block) + r / f->block]);
    default:
        return f16_to_f32(f->w[at]);
    }
}

static bool same_float(float x, float y)
{
    return x == y || (isnan(x) && isnan(y));
}

static const enum gemm_b kinds[] = {[WEIGHT_INT8] = GEMM_B_INT8,
                                    [WEIGHT_INT4] = GEMM_B_INT4,
                                    [WEIGHT_SPARSE] = GEMM_B_SPARSE,
                                    [WEIGHT_BLOCKWISE] = GEMM_B_BLOCKWISE,
                                    [WEIGHT_LISTS] = GEMM_B_LISTS,
                                    [WEIGHT_SPARSE_T] = GEMM_B_SPARSE_T};

/* ---- slots ----------------------------------------------------------------------------------- */
static widen_weights_fn *widen_of(const struct kern *kern, enum weight_encoding e)
{
    return e == WEIGHT_INT8     ? kern->widen_int8
           : e == WEIGHT_INT4   ? kern->widen_int4
           : e == WEIGHT_SPARSE ? kern->widen_sparse
                                : kern->widen_blockwise;
}

static gemm_tile_weights_fn *tile_of(const struct kern *kern, enum weight_encoding e)
{
    return e == WEIGHT_INT8     ? kern->gemm_tile_int8
           : e == WEIGHT_INT4   ? kern->gemm_tile_int4
           : e == WEIGHT_SPARSE ? kern->gemm_tile_sparse
           : e == WEIGHT_LISTS  ? kern->gemm_tile_lists
                                : kern->gemm_tile_blockwise;
}

static void widen_case(enum weight_encoding e, size_t n, size_t k, size_t block)
{
    const struct kern *kern[8];
    struct weight x = make(e, n, k, block, true);
    float *b = fenced((k + 1) * 16 * sizeof *b);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t q = 0; q < (n + 15) / 16; q++)
            for (int cut = 0; cut < 12; cut++) {
                const size_t k0 = cut ? next() % (k + 1) : 0;
                const size_t kc = cut ? next() % (k - k0 + 1) : k;
                const struct weight_panel p = weight_panel_at(e, x.panels, x.side, k, block, q);
                for (size_t i = 0; i < (k + 1) * 16; i++)
                    b[i] = -77.0f;
                widen_of(kern[t], e)(&p, k0, kc, b);
                for (size_t i = 0; i < (k + 1) * 16; i++) {
                    const size_t r = k0 + i / 16, j = q * 16 + i % 16;
                    if (i >= kc * 16)
                        assert_true(b[i] == -77.0f);
                    else if (j < n && !same_float(b[i], weight_at(&x.form, r, j)))
                        fail_msg("%s, encoding %d, [%zu][%zu] row %zu column %zu: %g, not %g\n",
                                 kern[t]->name, (int)e, k, n, r, j, (double)b[i],
                                 (double)weight_at(&x.form, r, j));
                    else if (j >= n && e != WEIGHT_INT4 && e != WEIGHT_BLOCKWISE)
                        assert_true(b[i] == 0.0f);
                }
            }
    unfence(b);
    release(&x);
}

static void test_widen(void **state)
{
    (void)state;
    for (int e = WEIGHT_INT8; e < WEIGHT_LISTS; e++) {
        widen_case((enum weight_encoding)e, 1, 1, 1);
        widen_case((enum weight_encoding)e, 16, 64, 8);
        widen_case((enum weight_encoding)e, 15, 65, 13);
        widen_case((enum weight_encoding)e, 33, 63, 7);
        widen_case((enum weight_encoding)e, 20, 200, 50);
        widen_case((enum weight_encoding)e, 40, 129, 129);
    }
}

/* What is asked for ahead is where the weights are. */
static void test_rows_at(void **state)
{
    const size_t n = 33, k = 144;
    (void)state;
    for (int e = WEIGHT_F16; e < WEIGHT_LISTS; e++) {
        struct weight x = make((enum weight_encoding)e, n, k, 9, false);
        const char *end = (const char *)x.panels + x.panel_bytes;
        for (size_t q = 0; q < 3; q++)
            for (size_t k0 = 0; k0 < k; k0++) {
                const size_t first = e == WEIGHT_SPARSE ? k0 / WEIGHT_GROUP * WEIGHT_GROUP
                                                        : k0 / WEIGHT_PER_WORD * WEIGHT_PER_WORD;
                const size_t at = 16 * q * k + first; /* column 0 of the panel */
                const struct weight_panel p = weight_panel_at(x.form.encoding, x.panels, x.side, k,
                                                              9, q);
                const void *rows = weight_rows_at(x.form.encoding, &p, k0);
                assert_true((const char *)rows >= (const char *)x.panels &&
                            (const char *)rows + weight_row_bytes[e] <= end);
                if (e == WEIGHT_F16)
                    assert_int_equal(*(const f16 *)rows, x.form.w[at]);
                else if (e == WEIGHT_INT4)
                    assert_int_equal(*(const uint32_t *)rows & 15, x.form.index[at]);
                else if (e == WEIGHT_SPARSE)
                    assert_int_equal(*(const f16 *)rows & 1, (x.form.w[at] & 0x7fff) != 0);
                else
                    assert_int_equal(*(const int8_t *)rows, x.form.q[at]);
            }
        release(&x);
    }
}

static void tile_case(const struct kern *kern, const struct weight *x, size_t mr, size_t nv,
                      size_t q)
{
    const struct weight_form *f = &x->form;
    const size_t ldc = nv * 16 + next() % 4;
    struct weight_panel panels[16];
    float *a = fenced(f->k * mr * sizeof *a), *c = fenced(mr * ldc * sizeof *c);
    for (size_t i = 0; i < f->k * mr; i++)
        a[i] = f16_to_f32(any_value());
    for (size_t i = next() % 8; i < 3; i++) /* meets zeros of the weight */
        a[next() % (f->k * mr)] = i % 2 ? INFINITY : i ? NAN : -INFINITY;
    for (size_t i = 0; i < mr * ldc; i++)
        c[i] = -77.0f;
    for (size_t v = 0; v < nv; v++)
        panels[v] = weight_panel_at(f->encoding, x->panels, x->side, f->k, f->block, q + v);
    tile_of(kern, f->encoding)(mr, nv, a, panels, c, ldc);
    for (size_t i = 0; i < mr; i++)
        for (size_t j = 0; j < ldc; j++) {
            float s = 0.0f;
            if (j >= nv * 16) {
                assert_true(c[i * ldc + j] == -77.0f);
                continue;
            }
            if (q * 16 + j >= f->n)
                continue;
            for (size_t r = 0; r < f->k; r++)
                s = fmaf(a[r * mr + i], weight_at(f, r, q * 16 + j), s);
            if (!same_float(c[i * ldc + j], s))
                fail_msg("%s, encoding %d, tile %zu x %zu, k %zu: row %zu column %zu: %g, not %g\n",
                         kern->name, (int)f->encoding, mr, nv, f->k, i, j,
                         (double)c[i * ldc + j], (double)s);
        }
    unfence(a), unfence(c);
}

static size_t most_panels(const struct kern *kern, size_t mr, enum weight_encoding encoding)
{
    return mr > 1 ? kern->nv : weight_row_panels(kern, encoding);
}

static void test_tiles(void **state)
{
    const struct kern *kern[8];
    static const size_t depths[] = {1, 2, 7, 65, 130, 16, 700};
    (void)state;
    for (int e = WEIGHT_INT8; e < WEIGHT_SPARSE_T; e++) /* which has a kernel of its own */
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
            const size_t k = depths[d];
            if (e == WEIGHT_LISTS && k < LIST_WINDOW)
                continue;
            const enum weight_encoding encoding = (enum weight_encoding)e;
            struct weight x = make(encoding, 9 * 16 - 5, k, k % 5 ? k : k / 5, d % 2);
            for (size_t t = tables(kern); t-- > 0;)
                for (size_t mr = 1; mr <= (e == WEIGHT_LISTS ? 1 : kern[t]->mr); mr++)
                    for (size_t nv = 1; nv <= most_panels(kern[t], mr, encoding); nv++)
                        tile_case(kern[t], &x, mr, nv, next() % (9 - nv + 1));
            release(&x);
        }
    /* More rows than a kernel may keep on its stack. */
    struct weight deep = make(WEIGHT_LISTS, 17, 8200, 1, false);
    for (size_t t = tables(kern); t-- > 0;)
        tile_case(kern[t], &deep, 1, 2, 0);
    release(&deep);
}

/* ---- tiles that leave their panels in float32 ------------------------------------------------ */
struct widening {
    size_t mr, nv, q, k0, kc;
    bool accumulate, finish;
};

static void widening_case(const struct kern *kern, const struct weight *x, const struct widening *w)
{
    const struct weight_form *f = &x->form;
    const size_t mr = w->mr, nv = w->nv, kc = w->kc, a_k = mr + next() % 3, j0 = w->q * 16;
    const size_t ldc = nv * 16 + next() % 4, cols = nv * 16 < f->n - j0 ? nv * 16 : f->n - j0;
    const bool scaled = w->finish && f->encoding == WEIGHT_INT8;
    float *a = fenced((kc + 1) * a_k * sizeof *a), *c = fenced(mr * ldc * sizeof *c);
    float *want = fenced(mr * ldc * sizeof *want), *wide = fenced(nv * kc * 16 * sizeof *wide);
    f16 *y = fenced(mr * cols * sizeof *y), *bias = next() % 2 ? values(cols) : NULL;
    f16 *scale = values(nv * 16);
    for (size_t i = 0; i < kc * a_k; i++)
        a[i] = f16_to_f32(any_value());
    for (size_t i = 0; i < mr * ldc; i++)
        c[i] = want[i] = (float)next() * 0x1p-20f;
    for (size_t i = 0; i < mr; i++)
        for (size_t j = 0; j < cols; j++) {
            float s = w->accumulate ? c[i * ldc + j] : 0.0f;
            for (size_t r = 0; r < kc; r++)
                s = fmaf(a[r * a_k + i], weight_at(f, w->k0 + r, j0 + j), s);
            want[i * ldc + j] = s;
        }
    const struct gemm_out out = {.y = y, .ldy = cols, .bias = bias, .cols = cols,
                                 .scale = scaled ? scale : NULL};
    const struct gemm_ahead ahead = {NULL, (size_t)1 << 40, 3};
    const struct weight_panel p = weight_panel_at(f->encoding, x->panels, x->side, f->k, 0, w->q);
    (f->encoding == WEIGHT_INT8 ? kern->gemm_tile_widen_int8 : kern->gemm_tile_widen_int4)(
        mr, nv, &(struct gemm_tile){.kc = kc, .a = a, .a_k = a_k, .c = c, .ldc = ldc,
                                    .accumulate = w->accumulate, .out = w->finish ? &out : NULL,
                                    .wide = wide, .ahead = &ahead, .weights = &p, .k0 = w->k0});
    for (size_t v = 0; v < nv; v++)
        for (size_t i = 0; i < kc * 16; i++)
            if (v * 16 + i % 16 < cols)
                assert_true(same_float(wide[v * kc * 16 + i],
                                       weight_at(f, w->k0 + i / 16, j0 + v * 16 + i % 16)));
    for (size_t i = 0; i < mr; i++)
        for (size_t j = 0; j < cols; j++) {
            const float s = want[i * ldc + j] * (scaled ? f16_to_f32(scale[j]) : 1.0f);
            const f16 result = f32_to_f16(bias ? s + f16_to_f32(bias[j]) : s);
            if (w->finish ? y[i * cols + j] != result : !same_float(c[i * ldc + j], s))
                fail_msg("%s, encoding %d, tile %zu x %zu, rows %zu + %zu: row %zu column %zu\n",
                         kern->name, (int)f->encoding, mr, nv, w->k0, kc, i, j);
        }
    unfence(a), unfence(c), unfence(want), unfence(wide), unfence(y), unfence(bias), unfence(scale);
}

static void test_widening_tiles(void **state)
{
    const struct kern *kern[8];
    const size_t panels = 5, k = 83; /* the last word of indices is not full */
    (void)state;
    for (int e = WEIGHT_INT8; e <= WEIGHT_INT4; e++) {
        struct weight x = make((enum weight_encoding)e, panels * 16 - 3, k, 1, false);
        for (size_t t = tables(kern); t-- > 0;)
            for (size_t mr = 1; mr <= kern[t]->tall_mr; mr++)
                for (size_t nv = 1; nv <= (mr > kern[t]->mr ? kern[t]->tall_nv : kern[t]->nv); nv++)
                    for (int i = 0; i < 4; i++) {
                        const size_t k0 = i ? next() % (k / 8) * 8 : 0;
                        widening_case(kern[t], &x,
                                      &(struct widening){.mr = mr, .nv = nv, .k0 = k0,
                                                         .kc = i ? next() % (k - k0 + 1) : k,
                                                         .q = next() % (panels - nv + 1),
                                                         .accumulate = i % 2, .finish = i / 2});
                    }
        release(&x);
    }
}

/* Groups of panels v0 .. v0+n_panels-1 one after the other; sums, then the results of the last. */
static void sparse_t_case(const struct kern *kern, const struct weight *x, size_t m, size_t v0,
                          size_t n_panels, bool with_bias)
{
    const struct weight_form *f = &x->form;
    const size_t j0 = v0 * 16, cols = n_panels * 16 < f->n - j0 ? n_panels * 16 : f->n - j0;
    const size_t a_k = m + next() % 3, ldc = (m + 15) / 16 * 16, ldy = cols + next() % 4;
    float *a = fenced((f->k * a_k + 16) * sizeof *a), *c = fenced(n_panels * 16 * ldc * sizeof *c);
    f16 *y = fenced(m * ldy * sizeof *y), *bias = guarded(1, cols * sizeof *bias);
    for (size_t i = 0; i < f->k * a_k + 16; i++)
        a[i] = f16_to_f32(any_value());
    for (size_t i = next() % 6; i < 3; i++) /* meets zeros of the weight, or nobody */
        a[next() % (f->k * a_k)] = i % 2 ? INFINITY : i ? NAN : -INFINITY;
    for (size_t i = 0; i < n_panels * 16 * ldc; i++)
        c[i] = -77.0f; /* taken for a sum by none of the first group */
    for (size_t i = 0; i < m * ldy; i++)
        y[i] = UNTOUCHED;
    for (size_t i = 0; i < cols; i++)
        bias[i] = any_value();
    const struct gemm_out out = {.y = y, .ldy = ldy, .cols = cols,
                                 .bias = with_bias ? bias : NULL};
    uint64_t *side = fenced(weight_side_bytes(f));
    memcpy(side, x->side, weight_side_bytes(f)); /* the bias has its place at the guarded page */
    const struct weight_panel panel = weight_panel_at(f->encoding, x->panels, side, f->k, 0, v0);
    struct sparse_slice s = {.a = a, .m = m, .a_k = a_k, .ldc = ldc};
    for (; s.k0 < f->k; s.k0 += s.kc, s.a += s.kc * a_k) {
        s.kc = f->k - s.k0 < WEIGHT_GROUP ? f->k - s.k0 : WEIGHT_GROUP;
        kern->gemm_sparse_t(&s, &panel, n_panels, c, s.k0 + s.kc < f->k ? NULL : &out);
    }
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < ldy; j++) {
            float sum = 0.0f;
            if (j >= cols) {
                assert_int_equal(y[i * ldy + j], UNTOUCHED);
                continue;
            }
            for (size_t r = 0; r < f->k; r++)
                sum = fmaf(a[r * a_k + i], weight_at(f, r, j0 + j), sum);
            const f16 want = f32_to_f16(with_bias ? sum + f16_to_f32(bias[j]) : sum);
            if (y[i * ldy + j] != want)
                fail_msg("%s, sparse_t, %zu rows, k %zu: row %zu column %zu: %04x, not %04x\n",
                         kern->name, m, f->k, i, j0 + j, y[i * ldy + j], want);
        }
    unfence(a), unfence(c), unfence(y), unfence(side);
}

static void test_sparse_t(void **state)
{
    const struct kern *kern[8];
    static const size_t depths[] = {1, 63, 64, 65, 200};
    (void)state;
    for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
        for (size_t n = 5; n < 60; n += 27) {
            struct weight x = make(WEIGHT_SPARSE_T, n, depths[d], 1, d % 2);
            void *side = fenced(weight_side_bytes(&x.form));
            memcpy(side, x.side, weight_side_bytes(&x.form));
            x.side = side;
            const size_t panels = (n + 15) / 16;
            for (size_t t = tables(kern); t-- > 0;)
                for (size_t m = 1; m <= kern[t]->sparse_rows; m += 1 + next() % 5) {
                    const size_t v0 = next() % panels;
                    sparse_t_case(kern[t], &x, m, v0, 1 + next() % (panels - v0), next() % 2);
                }
            unfence(side);
            release(&x);
        }
}

static void test_scale_columns(void **state)
{
    const struct kern *kern[8];
    (void)state;
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t n = 0; n < 40; n++) {
            float *x = guarded(0, n * sizeof *x), was[40];
            f16 *scale = guarded(1, n * sizeof *scale);
            for (size_t i = 0; i < n; i++) {
                was[i] = x[i] = (float)(int)(next() % 4001 - 2000) * 0x1p-7f;
                scale[i] = any_value();
            }
            kern[t]->scale_columns(x, scale, n);
            for (size_t i = 0; i < n; i++)
                assert_true(x[i] == was[i] * f16_to_f32(scale[i]));
        }
}

/* ---- the driver ------------------------------------------------------------------------------ */
static void run(const struct kern *kern, const struct gemm_job *job)
{
    const size_t bytes = gemm_thread_bytes(kern, job);
    unsigned char *own = fenced((bytes + GUARD + 63) / 64 * 64);
    for (size_t task = gemm_tasks(kern, job); task-- > 0;) {
        memset(own, 0xff, bytes);
        memset(own + bytes, 0xa5, GUARD);
        size_t kept = 0;
        gemm_task(kern, job, task, own, &kept);
        for (size_t i = 0; i < GUARD; i++)
            assert_int_equal(own[bytes + i], 0xa5);
    }
    unfence(own);
}

/* A sum in float32 as the contract has it, and in double with a bound on how far that may be. */
static f16 naive(const struct gemm_job *job, const struct weight_form *f, size_t z, size_t i,
                 size_t j)
{
    const f16 *a = job->a + z * job->a_batch + i * job->a_row;
    const float bias = job->bias ? f16_to_f32(job->bias[j]) : 0.0f;
    const float scale = f->encoding == WEIGHT_INT8 ? f16_to_f32(f->scale[j]) : 1.0f;
    float s = 0.0f;
    double exact = 0.0, size = 0.0;
    for (size_t r = 0; r < f->k; r++) {
        const float x = f16_to_f32(a[r]), w = weight_at(f, r, j);
        s = fmaf(x, w, s);
        exact += (double)x * (double)w;
        size += fabs((double)x * (double)w);
    }
    if (f->encoding == WEIGHT_INT8)
        s *= scale;
    exact = exact * (double)scale + (double)bias;
    size = size * fabs((double)scale) + fabs((double)bias);
    s = job->bias ? s + bias : s;
    /* k roundings of the chain, one each for scale and bias; to first order, and then doubled. */
    if (isfinite(exact) && isfinite(size))
        assert_true(fabs((double)s - exact) <= (double)(f->k + 2) * 0x1p-23 * size);
    return f32_to_f16(s);
}

static void gemm_case(enum weight_encoding e, const size_t *s, size_t block, unsigned flags)
{
    static const size_t thread_counts[] = {1, 2, 3, 7};
    const struct kern *kern[8];
    const size_t batch = s[0], m = s[1], n = s[2], k = s[3], gap = flags & 1 ? 3 : 0;
    struct weight x = make(e, n, k, block, flags & 4);
    struct gemm_job job = {.batch = batch, .m = m, .n = n, .k = k, .b = x.panels,
                           .b_kind = kinds[e], .b_side = x.side, .b_block = block,
                           .a_row = k + gap, .c_row = n + gap};
    job.a_batch = m * job.a_row + gap;
    job.c_batch = m * job.c_row + gap;
    const size_t n_c = batch * job.c_batch;
    f16 *a = values(batch * job.a_batch), *bias = values(n);
    f16 *want = fenced(n_c * sizeof *want), *c = fenced(n_c * sizeof *c);
    struct seen seen = {fenced(batch * m * n), batch * m * n};
    if (flags & 4)
        a[next() % k] = 0x7c00;
    job.a = a;
    job.bias = flags & 2 ? bias : NULL;
    job.epilogue = see;
    job.epilogue_arg = &seen;
    for (size_t i = 0; i < n_c; i++)
        want[i] = UNTOUCHED;
    for (size_t z = 0; z < batch; z++)
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++)
                want[z * job.c_batch + i * job.c_row + j] = naive(&job, &x.form, z, i, j);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++) {
            for (size_t at = 0; at < n_c; at++)
                c[at] = UNTOUCHED;
            job.c = c;
            job.n_threads = thread_counts[i];
            run(kern[t], &job);
            for (size_t at = 0; at < n_c; at++)
                if (c[at] != want[at])
                    fail_msg("%s, encoding %d, %zu x %zu x %zu: element %zu is %04x, not %04x\n",
                             kern[t]->name, (int)e, m, n, k, at, c[at], want[at]);
            for (size_t at = 0; at < seen.n; at++)
                assert_int_equal(seen.count[at], 1);
            memset(seen.count, 0, seen.n);
        }
    unfence(a), unfence(bias), unfence(want), unfence(c), unfence(seen.count);
    release(&x);
}

static void test_gemm(void **state)
{
    static const size_t sizes[][4] = {
        {1, 1, 1, 1},    {1, 1, 17, 5},    {1, 1, 300, 70},   {1, 2, 33, 9},   {1, 5, 16, 200},
        {1, 6, 48, 193}, {1, 7, 100, 8},   {1, 8, 129, 33},   {1, 9, 15, 20},  {1, 13, 47, 385},
        {3, 4, 20, 6},   {2, 25, 65, 50},  {1, 97, 31, 40},   {1, 3, 500, 64}, {1, 1, 900, 128},
        {1, 70, 30, 520}, {1, 1, 64, 2100}, {3, 1, 50, 310}, {1, 1, 210, 1000},
        {1, 300, 40, 150}, {2, 131, 420, 65},
    };
    (void)state;
    for (int e = WEIGHT_INT8; e < WEIGHT_ENCODING_COUNT; e++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            const size_t k = sizes[i][3], block = k % 10 ? k : 10;
            if (e == WEIGHT_LISTS && (k < LIST_WINDOW || sizes[i][1] > 1))
                continue;
            gemm_case((enum weight_encoding)e, sizes[i], block, (unsigned)i);
        }
}

/* The weights that int4 and sparse panels stand for, as binary16 panels. */
static void test_same_as_fp16(void **state)
{
    const struct kern *kern[8];
    const size_t n = 70, k = 150, m = 3;
    f16 *a = values(m * k), *y = fenced(m * n * sizeof *y), *z = fenced(m * n * sizeof *z);
    (void)state;
    for (size_t t = tables(kern); t-- > 0;)
        for (int e = WEIGHT_INT4; e < WEIGHT_ENCODING_COUNT; e++) {
            if (e == WEIGHT_BLOCKWISE || e == WEIGHT_LISTS)
                continue;
            struct weight x = make((enum weight_encoding)e, n, k, 1, true);
            f16 *dense = fenced(n * k * sizeof *dense), *panels;
            struct weight_form plain = {.encoding = WEIGHT_F16, .n = n, .k = k, .w = dense};
            for (size_t i = 0; i < n * k; i++)
                dense[i] = e == WEIGHT_INT4 ? x.form.codebook[x.form.index[i]] : x.form.w[i];
            panels = fenced(weight_panel_bytes(&plain));
            assert_int_equal(weight_panel_bytes(&plain), gemm_packed_size(k, n) * sizeof(f16));
            assert_int_equal(weight_side_bytes(&plain), 0);
            weight_pack(&plain, panels, NULL);
            struct gemm_job job = {.batch = 1, .m = m, .n = n, .k = k, .a = a, .a_row = k,
                                   .b = x.panels, .b_side = x.side, .b_kind = kinds[e], .c = y,
                                   .c_row = n};
            run(kern[t], &job);
            job.b = panels;
            job.b_kind = GEMM_B_PACKED;
            job.c = z;
            run(kern[t], &job);
            assert_memory_equal(y, z, m * n * sizeof *y);
            unfence(dense), unfence(panels);
            release(&x);
        }
    unfence(a), unfence(y), unfence(z);
}

/* ---- sparse panels that are not what they say ------------------------------------------------ */
static void sparse_damage(enum weight_encoding e)
{
    const size_t n = 20, k = 130, groups = 3;
    struct weight x = make(e, n, k, 1, false);
    const size_t elements = x.panel_bytes / sizeof(f16);
    f16 *w = x.panels;
    uint64_t *starts = x.side;
    assert_int_equal(weight_side_bytes(&x.form), 2 * groups * sizeof *starts);
    assert_true(weight_sparse_ok(&x.form, w, elements, starts));
    assert_false(weight_sparse_ok(&x.form, w, elements - 1, starts));
    assert_false(weight_sparse_ok(&x.form, w + 1, elements - 1, starts));
    assert_false(weight_sparse_ok(&x.form, w, 3, starts));
    assert_false(weight_sparse_ok(&x.form, w, 0, starts));
    for (size_t g = 0; g < 2 * groups; g++) {
        const uint64_t was = starts[g];
        const uint64_t bad[] = {was + 1, was - 1, UINT64_MAX, elements};
        for (size_t i = 0; i < 4; i++) {
            starts[g] = bad[i];
            assert_false(weight_sparse_ok(&x.form, w, elements, starts));
        }
        starts[g] = was;
        const size_t masks = e == WEIGHT_SPARSE_T ? MASKS_T : g % groups == 2 ? 2 : 64;
        for (size_t r = 0; r < masks; r++) { /* a bit more, a bit less */
            w[was + r] ^= 0x80;
            assert_false(weight_sparse_ok(&x.form, w, elements, starts));
            w[was + r] ^= 0x80;
        }
    }
    assert_true(weight_sparse_ok(&x.form, w, elements, starts));
    for (size_t i = 0; i < elements; i++) /* full masks lead past the end */
        w[i] = 0xffff;
    assert_false(weight_sparse_ok(&x.form, w, elements, starts));
    release(&x);
}

static void test_sparse_damage(void **state)
{
    (void)state;
    sparse_damage(WEIGHT_SPARSE);
    sparse_damage(WEIGHT_SPARSE_T);
}

/* A mask may name none but the rows of its group, although as many values are there. */
static void test_sparse_t_rows(void **state)
{
    f16 w[70];
    const struct weight_form f = {.encoding = WEIGHT_SPARSE_T, .n = 1, .k = 70, .w = w};
    f16 panels[2 * MASKS_T + 70 + WEIGHT_SLACK / 2];
    uint64_t side[2];
    (void)state;
    for (size_t i = 0; i < 70; i++)
        w[i] = 1;
    assert_int_equal(weight_panel_bytes(&f), sizeof panels);
    weight_pack(&f, panels, side);
    assert_true(weight_sparse_ok(&f, panels, sizeof panels / 2, side));
    f16 *last = panels + side[1];
    assert_int_equal(last[0], 0x3f);
    last[0] = 0x5f; /* row 70 for row 69 */
    assert_false(weight_sparse_ok(&f, panels, sizeof panels / 2, side));
    last[0] = 0x1f;
    last[3] = 0x8000; /* row 127 */
    assert_false(weight_sparse_ok(&f, panels, sizeof panels / 2, side));
    const struct weight_form none = {.encoding = WEIGHT_SPARSE_T, .n = 1, .k = 0};
    assert_false(weight_sparse_ok(&none, panels, WEIGHT_SLACK / 2, side));
}

/* ---- lists ----------------------------------------------------------------------------------- */
/* The sixteen columns of a panel at different speeds, with gaps that take steps of nobody. */
static void test_lists_layout(void **state)
{
    enum { N = 18, K = 1500 };
    const struct kern *kern[8];
    static f16 w[N * K];
    const struct weight_form f = {.encoding = WEIGHT_LISTS, .n = N, .k = K, .w = w};
    (void)state;
    for (size_t i = 0; i < K; i++) {
        w[i] = i % 3 ? any_value() : 0x8000;                      /* column 0: most */
        w[5 * K + i] = i % 7 == 0 || i > 900 ? any_value() : 0;   /* slow, then fast */
        w[16 * K + i] = i == 3 || i == 900 || i == K - 1 ? 1 : 0; /* column 0 of the second panel */
    }
    struct weight x = {.form = f, .panel_bytes = weight_panel_bytes(&f)};
    x.panels = guarded(0, x.panel_bytes);
    x.side = guarded(1, weight_side_bytes(&f));
    weight_pack(&f, x.panels, x.side);
    for (size_t t = tables(kern); t-- > 0;) {
        tile_case(kern[t], &x, 1, 1, 0);
        tile_case(kern[t], &x, 1, 2, 0);
    }
    const uint64_t *side = x.side;
    const f16 *block = (const f16 *)x.panels + side[2];
    const uint8_t *rows = (const uint8_t *)(block + LIST_ROWS);
    const uint32_t *index = (const void *)block;
    assert_int_equal(side[3], 1);
    assert_true(memcmp(block + LIST_MASKS, (const f16[8]){1, 0, 0, 0, 1, 0, 0, 1}, 16) == 0);
    assert_memory_equal(rows, ((const uint8_t[8]){3, 255, 255, 255, 132, 255, 255, 74}), 8);
    assert_int_equal(index[0], 0xfu << 28); /* the last step would begin at the last row */
    assert_true(weight_lists_ok(&f, x.panels, x.panel_bytes / sizeof(f16), side));
}

static void test_lists_suit(void **state)
{
    enum { N = 16, K = 400 };
    static f16 w[N * K];
    struct weight_form f = {.encoding = WEIGHT_LISTS, .n = N, .k = K, .w = w};
    (void)state;
    assert_true(weight_lists_suit(&f));
    for (size_t i = 0; i < N * K; i++)
        w[i] = next() % 10 < 3;
    assert_true(weight_lists_suit(&f));
    for (size_t i = 0; i < K; i++) /* one full column takes a step for every row */
        w[i] = 1;
    assert_false(weight_lists_suit(&f));
    f.k = LIST_WINDOW - 1;
    memset(w, 0, sizeof w);
    assert_false(weight_lists_suit(&f));
}

static void test_lists_damage(void **state)
{
    const size_t n = 20, k = 130;
    struct weight x = make(WEIGHT_LISTS, n, k, 1, false);
    const size_t elements = x.panel_bytes / sizeof(f16);
    f16 *w = x.panels;
    uint64_t *side = x.side;
    (void)state;
    assert_true(weight_lists_ok(&x.form, w, elements, side));
    assert_false(weight_lists_ok(&x.form, w, elements - 2, side));
    assert_false(weight_lists_ok(&x.form, w, elements + 2, side));
    assert_false(weight_lists_ok(&x.form, w, 3, side));
    assert_false(weight_lists_ok(&x.form, w, 0, side));
    x.form.k = LIST_WINDOW - 1;
    assert_false(weight_lists_ok(&x.form, w, elements, side));
    x.form.k = k;
    for (size_t i = 0; i < 4; i++) {
        const uint64_t was = side[i], bad[] = {was + 1, was - 1, UINT64_MAX, elements};
        for (size_t b = 0; b < 4; b++) {
            side[i] = bad[b];
            assert_false(weight_lists_ok(&x.form, w, elements, side));
        }
        side[i] = was;
    }
    for (size_t t = 0; t < LIST_STEPS / 2; t++) {
        w[LIST_ROWS + t] ^= 0x8080; /* leads past the last row */
        assert_false(weight_lists_ok(&x.form, w, elements, side));
        w[LIST_ROWS + t] ^= 0x8080;
    }
    assert_true(weight_lists_ok(&x.form, w, elements, side));
    for (size_t i = 0; i < elements; i++) /* full masks lead past the end */
        w[i] = 0xffff;
    assert_false(weight_lists_ok(&x.form, w, elements, side));
    release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_widen),         cmocka_unit_test(test_rows_at),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_widening_tiles),
        cmocka_unit_test(test_sparse_t),
        cmocka_unit_test(test_scale_columns), cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_same_as_fp16),  cmocka_unit_test(test_sparse_damage),
        cmocka_unit_test(test_lists_layout),  cmocka_unit_test(test_lists_suit),
        cmocka_unit_test(test_lists_damage),  cmocka_unit_test(test_sparse_t_rows),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
