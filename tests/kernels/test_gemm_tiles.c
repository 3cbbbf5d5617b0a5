/* The slots of matrix multiplication: register tiles, columns by themselves, packing.  Every table
 * against scalar chains written from the contracts of kern.h, with ==. */
#include "plain.h"

#include "kernel_values.h"

#include <math.h>
#include <string.h>

enum tile { FLOATS, FLOATS_AHEAD, HALVES, WIDENING, IN_ROWS, TAPS, TAPS_WIDENING };

/* finish: results of a tile whose last columns and bias are missing or not. */
static void tile_case(const struct kern *kern, size_t mr, size_t nv, size_t kc, enum tile kind,
                      bool accumulate, bool finish)
{
    /* a[k*a_k + i*a_i], dense in i or, for rows, in k. */
    const size_t a_i = kind == IN_ROWS ? kc + next() % 3 : 1;
    const size_t a_k = kind == IN_ROWS ? 1 : mr + next() % 3;
    const size_t b_panel = kc * 16 + next() % 5, ldc = nv * 16 + next() % 4;
    const size_t n_a = kc ? (kc - 1) * a_k + (mr - 1) * a_i + 1 : 0;
    const size_t n_b = (nv - 1) * b_panel + kc * 16;
    float *a = fenced(n_a * sizeof *a), *b = fenced(n_b * sizeof *b);
    float *c = fenced(mr * ldc * sizeof *c), *want = fenced(mr * ldc * sizeof *want);
    f16 *b16 = values(n_b);
    for (size_t i = 0; i < n_a; i++)
        a[i] = f16_to_f32(any_value());
    for (size_t i = 0; i < n_b; i++)
        b[i] = f16_to_f32(b16[i]);
    for (size_t i = 0; i < mr * ldc; i++)
        c[i] = want[i] = (float)next() * 0x1p-20f;
    for (size_t i = 0; i < mr; i++)
        for (size_t j = 0; j < nv * 16; j++) {
            float s = accumulate ? c[i * ldc + j] : 0.0f;
            for (size_t k = 0; k < kc; k++)
                s = fmaf(a[k * a_k + i * a_i], b[j / 16 * b_panel + 16 * k + j % 16], s);
            want[i * ldc + j] = s;
        }
    const size_t cols = nv * 16 - next() % 16, ldy = cols + next() % 3;
    f16 *bias = next() % 2 ? values(cols) : NULL, *y = untouched(mr * ldy);
    const bool any_nan = kind == IN_ROWS && !bias; /* as there is none, nothing changes */
    f16 *scale = kind == FLOATS_AHEAD && next() % 2 ? values(nv * 16) : NULL;
    const bool biased_rows = next() % 2;
    const bool relu = kind == FLOATS && next() % 2;
    float row_bias[32];
    for (size_t i = 0; i < mr; i++)
        row_bias[i] = kind == FLOATS && biased_rows ? f16_to_f32(any_value()) : -0.0f;
    const struct gemm_out result = {y, ldy, bias, cols, any_nan, scale,
                                    biased_rows ? row_bias : NULL, relu};
    const struct gemm_out *out = finish ? &result : NULL;
    /* What a tile asks for may lie anywhere. */
    uint32_t *taps = fenced(kc * sizeof *taps); /* as if packed */
    for (size_t k = 0; k < kc; k++)
        taps[k] = (uint32_t)(k * a_k);
    const struct gemm_ahead ahead = {b16 + n_b, (size_t)1 << 40, 3};
    float *wide = fenced(nv * kc * 16 * sizeof *wide);
    const bool halves = kind == HALVES || kind == WIDENING || kind == TAPS_WIDENING;
    gemm_tile_fn *const tile[] = {
        [FLOATS] = kern->gemm_tile, [FLOATS_AHEAD] = kern->gemm_tile_ahead,
        [HALVES] = kern->gemm_tile_f16, [TAPS] = kern->gemm_tile_taps,
        [WIDENING] = kern->gemm_tile_widen, [TAPS_WIDENING] = kern->gemm_tile_taps_widen,
        [IN_ROWS] = kern->gemm_tile_rows};
    tile[kind](mr, nv, &(struct gemm_tile){
        .kc = kc, .a = a, .a_k = kind == IN_ROWS ? a_i : a_k, .b = halves ? (void *)b16 : b,
        .b_panel = b_panel, .c = c, .ldc = ldc, .accumulate = accumulate, .out = out, .wide = wide,
        .ahead = &ahead, .taps = taps});
    if (kind == WIDENING || kind == TAPS_WIDENING)
        for (size_t i = 0; i < nv * kc * 16; i++)
            if (wide[i] != b[i / (kc * 16) * b_panel + i % (kc * 16)])
                fail_msg("%s: widened panels differ at %zu\n", kern->name, i);
    for (size_t i = 0; i < mr * ldy; i++) {
        const size_t j = i % ldy;
        f16 expected = UNTOUCHED;
        if (finish && j < cols) {
            const float s = want[i / ldy * ldc + j] * (scale ? f16_to_f32(scale[j]) : 1.0f);
            const float column = bias ? f16_to_f32(bias[j]) : -0.0f; /* -0 adds nothing */
            expected = f32_to_f16(s + (kind == FLOATS ? row_bias[i / ldy] : column));
            if (relu && f16_to_f32(expected) < 0.0f) /* a zero keeps its sign, as in the micro-op */
                expected = 0;
        }
        assert_int_equal(y[i], expected);
    }
    if (!finish)
        assert_memory_equal(c, want, mr * ldc * sizeof *c);
    unfence(a), unfence(b), unfence(c), unfence(want), unfence(b16), unfence(wide), unfence(bias);
    unfence(y), unfence(taps);
    unfence(scale);
}

static bool has_tile(const struct kern *kern, size_t mr, size_t nv, enum tile kind)
{
    if (kind == HALVES && mr == 1)
        return nv <= kern->row_nv;
    return (mr <= kern->mr && nv <= kern->nv) ||
           ((kind == FLOATS_AHEAD || kind == WIDENING) && mr <= kern->tall_mr &&
            nv <= kern->tall_nv);
}

static void test_tiles(void **state)
{
    const struct kern *kern[8];
    static const size_t depths[] = {0, 1, 2, 4, 7, 37}, n_depths = sizeof depths / sizeof *depths;
    static const enum tile finishing[] = {FLOATS, FLOATS_AHEAD, WIDENING};
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t mr = 1; mr <= kern[t]->tall_mr; mr++)
            for (size_t nv = 1; nv <= kern[t]->mr; nv++)
                for (size_t d = 0; d < n_depths; d++)
                    for (unsigned flags = 0; flags < 8; flags++)
                        if (has_tile(kern[t], mr, nv, flags / 2))
                            tile_case(kern[t], mr, nv, depths[d], flags / 2, flags & 1, false);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t mr = 1; mr <= kern[t]->few_rows; mr++)
            for (size_t nv = 1; mr * nv <= kern[t]->mr * kern[t]->nv && nv <= kern[t]->nv; nv++)
                for (size_t d = 0; d < n_depths; d++)
                    for (unsigned flags = 0; flags < 4; flags++)
                        tile_case(kern[t], mr, nv, depths[d], HALVES, flags & 1, flags & 2);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t mr = 1; mr <= kern[t]->rows_mr; mr++)
            for (size_t nv = 1; nv <= kern[t]->rows_nv; nv++)
                for (size_t d = 0; d < n_depths; d++)
                    for (unsigned flags = 0; flags < 4; flags++)
                        tile_case(kern[t], mr, nv, depths[d], IN_ROWS, flags & 1, flags & 2);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t mr = 1; mr <= kern[t]->tall_mr; mr++)
            for (size_t nv = 1; nv <= kern[t]->nv; nv++)
                for (size_t i = 0; i < sizeof finishing / sizeof *finishing; i++)
                    for (unsigned accumulate = 0; accumulate < 2; accumulate++)
                        if (has_tile(kern[t], mr, nv, finishing[i]))
                            tile_case(kern[t], mr, nv, 37, finishing[i], accumulate, true);
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t mr = 1; mr <= kern[t]->mr; mr++)
            for (size_t nv = 1; nv <= kern[t]->nv; nv++)
                for (size_t d = 0; d < n_depths; d++)
                    for (unsigned flags = 0; flags < 4; flags++)
                        tile_case(kern[t], mr, nv, depths[d], flags & 1 ? TAPS_WIDENING : TAPS,
                                  flags & 2, false);
    (void)state;
}

static void columns_case(const struct kern *kern, size_t rows, size_t h, size_t k,
                         size_t kc, size_t cols)
{
    const size_t ldy = cols + next() % 3, n_a = rows * k;
    float *a = fenced((n_a + GEMM_SLACK) * sizeof *a);
    f16 *b = values(k * 16), *bias = next() % 2 ? values(cols) : NULL, *y = untouched(rows * ldy);
    for (size_t i = 0; i < n_a + GEMM_SLACK; i++)
        a[i] = f16_to_f32(any_value());
    const struct gemm_out out = {.y = y, .ldy = ldy, .bias = bias, .cols = cols};
    const struct gemm_rows packed = {a, rows, h, k, kc};
    kern->gemm_columns(&packed, b, &out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < ldy; j++) {
            const size_t strip = i / h * h, step = rows - strip < h ? rows - strip : h;
            float s = 0.0f;
            for (size_t e = 0; e < k && j < cols; e++) {
                const size_t k0 = e / kc * kc, nk = k - k0 < kc ? k - k0 : kc;
                const float *slice = a + k0 * rows + strip * nk;
                s = fmaf(slice[(e - k0) * step + i - strip], f16_to_f32(b[e * 16 + j]), s);
            }
            if (bias && j < cols)
                s += f16_to_f32(bias[j]);
            assert_int_equal(y[i * ldy + j], j < cols ? f32_to_f16(s) : UNTOUCHED);
        }
    unfence(a), unfence(b), unfence(bias), unfence(y);
}

static void test_columns(void **state)
{
    const struct kern *kern[8];
    static const size_t sizes[][4] = {{1, 1, 3, 3},     {12, 12, 0, 1},    {17, 17, 65, 65},
                                      {24, 24, 64, 64}, {33, 7, 33, 12},   {100, 8, 70, 66},
                                      {131, 6, 9, 3},   {50, 24, 130, 130}, {50, 24, 130, 128}};
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t cols = 1; cols <= 4; cols++)
                columns_case(kern[t], sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], cols);
    (void)state;
}

static void pack_case(const struct kern *kern, size_t m, size_t kc)
{
    const size_t ldx = kc + next() % 3, ldn = m + next() % 3, a_k = m + next() % 3;
    const size_t panels = (m + 15) / 16, b_panel = kc * 16 + next() % 2 * 16;
    const size_t n_out = panels * b_panel + kc * a_k + 1;
    f16 *x = values(m && kc ? (m - 1) * ldx + kc : 0);
    f16 *xt = values(m && kc ? (kc - 1) * ldn + m : 0);
    float *got = fenced(n_out * sizeof *got), *want = fenced(n_out * sizeof *want);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < n_out; i++)
            got[i] = want[i] = -77.0f;
        for (size_t k = 0; k < kc; k++)
            for (size_t i = 0; i < (kind == 0 ? m : panels * 16); i++) {
                const size_t to = kind == 0 ? k * a_k + i : i / 16 * b_panel + 16 * k + i % 16;
                want[to] = i >= m ? 0.0f : f16_to_f32(kind == 1 ? xt[k * ldn + i] : x[i * ldx + k]);
            }
        if (kind == 0)
            kern->pack_rows(x, ldx, m, kc, got, a_k);
        else if (kind == 1)
            kern->pack_panels(xt, ldn, kc, m, got, b_panel);
        else
            kern->pack_panels_t(x, ldx, kc, m, got, b_panel);
        assert_memory_equal(got, want, n_out * sizeof *got);
    }
    unfence(x), unfence(xt), unfence(got), unfence(want);
}

static void test_packing(void **state)
{
    const struct kern *kern[8];
    static const size_t depths[] = {0, 1, 3, 7, 8, 9, 16, 31, 33, 64, 65, 71, 72, 73, 130, 136};
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t m = 0; m < 36; m++)
            for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
                pack_case(kern[t], m, depths[d]);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_packing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
