/* Encoders against plain code in double, written from the words of docs/compression.md, and against
 * the simpler algorithms they have to be at least as good as. */
#include "plain.h"

#include "weights_fixture.h"

#include <stdio.h>

#define VALUE(h) ((double)f16_to_f32(h))

static struct encode_memory memory;
static char why[WHY_MAX];

static int setup(void **state)
{
    (void)state;
    wf_memory_init(&memory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wf_memory_free(&memory);
    return 0;
}

static struct encoded encode(encode_fn *encoder, const f16 *w, size_t n, size_t k, double atol,
                             size_t block)
{
    struct encoded e;
    const struct weight weight = {w, n, k};
    const struct encode_opts o = {atol, block};
    assert_int_equal(encoder(&weight, &o, &memory, &e, why), ANF_OK);
    return e;
}

/* The error an encoder reports is that of what it made. */
static void expect_error(const struct encoded *e, const f16 *w)
{
    size_t count = e->n * e->k;
    float *decoded = malloc(count * sizeof *decoded);
    double error = 0, norm = 0;
    encoded_decode(e, decoded);
    for (size_t i = 0; i < count; i++) {
        double d = (double)decoded[i] - VALUE(w[i]);
        error += d * d;
        norm += VALUE(w[i]) * VALUE(w[i]);
    }
    free(decoded);
    error = sqrt(error) / (sqrt(norm) + 1e-12);
    if (fabs(error - e->error) > 1e-12 + 1e-9 * error)
        fail_msg("error %g is reported as %g", error, e->error);
}

/* ---- int8 and blockwise ---------------------------------------------------------------------- */

/* The plain rule: the scale in binary32, at least 1e-8, and the nearest multiple of that; what is
 * decoded has the scale rounded to binary16. */
static double plain_distance(double w, double most)
{
    float scale = fmaxf((float)most / 127.0f, 1e-8f);
    double q = nearbyint(w / (double)scale);
    q = q > 127 ? 127 : q < -127 ? -127 : q;
    return fabs(w - q * VALUE(f32_to_f16(scale)));
}

static void expect_scaled(const struct encoded *e, const f16 *w, size_t block)
{
    size_t n_blocks = e->k / block;
    assert_int_equal(e->block, block);
    for (size_t i = 0; i < e->n; i++)
        for (size_t b = 0; b < n_blocks; b++) {
            const f16 *x = w + i * e->k + b * block;
            const int8_t *q = e->q + i * e->k + b * block;
            double most = 0, scale = VALUE(e->scale[i * n_blocks + b]);
            for (size_t j = 0; j < block; j++)
                most = fabs(VALUE(x[j])) > most ? fabs(VALUE(x[j])) : most;
            double want = VALUE(f64_to_f16(most / 127));
            assert_true(scale == want || (want == 0 && (most > 0) == (scale == 0x1p-24)));
            for (size_t j = 0; j < block; j++) {
                double d = fabs(VALUE(x[j]) - q[j] * scale), slack = 1e-6 * scale;
                assert_in_range(q[j] + 127, 0, 254);
                assert_true(d <= fabs(VALUE(x[j]) - (q[j] + 1) * scale) + slack || q[j] == 127);
                assert_true(d <= fabs(VALUE(x[j]) - (q[j] - 1) * scale) + slack || q[j] == -127);
                assert_true(d <= plain_distance(VALUE(x[j]), most) + slack);
            }
        }
    expect_error(e, w);
}

static void int8_is_the_nearest_multiple(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {5, 1}, {1, 300}, {17, 33}, {64, 96}};
    for (int kind = 0; kind < WF_KINDS; kind++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            size_t n = shapes[s][0], k = shapes[s][1];
            f16 *w = wf_weight(wf_kinds[kind], n * k, 7 * s + 1);
            struct encoded e = encode(encode_int8, w, n, k, 0, 0);
            assert_int_equal(e.encoding, ANF_ENCODING_INT8);
            assert_string_equal(why, "");
            assert_int_equal(e.n_bytes, n * k + 2 * n);
            expect_scaled(&e, w, k);
            free(w);
        }
}

static void int8_of_zeros_and_extremes(void **state)
{
    (void)state;
    const f16 w[] = {0,      0x8000, 0,      0,       /* a row of zeros */
                     0x7bff, 0xfbff, 0x3c00, 0,       /* the largest there are */
                     0x0001, 0x8001, 0x0002, 0x007f}; /* the smallest there are */
    struct encoded e = encode(encode_int8, w, 3, 4, 0, 0);
    expect_scaled(&e, w, 4);
    assert_int_equal(e.scale[0], 0);
    assert_int_equal(e.q[4], 127);
    assert_int_equal(e.q[5], -127);
    assert_int_equal(e.scale[2], 1);
    assert_int_equal(e.q[8], 1);
    assert_int_equal(e.q[9], -1);
    assert_int_equal(e.q[11], 127);
}

static void halves_go_to_the_even_side(void **state)
{
    (void)state;
    const f16 w[] = {f32_to_f16(127), f32_to_f16(0.5f), f32_to_f16(1.5f), f32_to_f16(-2.5f)};
    const int8_t want[] = {127, 0, 2, -2};
    struct encoded e = encode(encode_int8, w, 1, 4, 0, 0);
    assert_memory_equal(e.q, want, sizeof want);
}

static void blockwise_blocks_divide_the_depth(void **state)
{
    (void)state;
    static const struct {
        size_t k, block_size, block;
    } cases[] = {{30, 32, 30}, {32, 32, 32}, {64, 32, 32}, {48, 32, 24}, {37, 32, 1},
                 {35, 32, 7},  {1, 32, 1},   {96, 16, 16}, {10, 1, 1},   {48, 48, 48}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int kind = 0; kind < WF_KINDS; kind++) {
            size_t n = 3, k = cases[c].k;
            f16 *w = wf_weight(wf_kinds[kind], n * k, c);
            struct encoded e = encode(encode_blockwise, w, n, k, 1, cases[c].block_size);
            assert_int_equal(e.encoding, ANF_ENCODING_BLOCKWISE);
            assert_int_equal(e.n_bytes, n * k + 2 * n * (k / cases[c].block));
            expect_scaled(&e, w, cases[c].block);
            free(w);
        }
    f16 *w = wf_weight("normal", 64 * 64, 3);
    assert_true(encode(encode_blockwise, w, 64, 64, 1, 16).error < 0.02);
    free(w);
}

static void blockwise_misses_its_gate(void **state)
{
    (void)state;
    f16 *w = wf_weight("normal", 4 * 64, 1);
    struct encoded e = encode(encode_blockwise, w, 4, 64, 1e-3, 32);
    assert_int_equal(e.encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "blockwise with 32 per scale has error 0.005125, more than 0.001");
    e = encode(encode_blockwise, w, 4, 64, e.error, 32);
    assert_int_equal(e.encoding, ANF_ENCODING_BLOCKWISE); /* as much as allowed is allowed */
    assert_string_equal(why, "blockwise with 32 per scale has error 0.005125, within 0.005125");
    free(w);
}

/* ---- int4 ------------------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
    float x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* k-means from the middles of 17 quantiles, 20 steps; the relative error with its entries
 * rounded. */
static double k_means_error(const f16 *w, size_t count)
{
    float *x = malloc(count * sizeof *x), edge[17], entry[16];
    for (size_t i = 0; i < count; i++)
        x[i] = f16_to_f32(w[i]);
    qsort(x, count, sizeof *x, by_value);
    for (int i = 0; i < 17; i++) {
        double at = (double)(count - 1) * i / 16;
        size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
        edge[i] = (float)((double)x[below] +
                          (at - (double)below) * ((double)x[above] - (double)x[below]));
    }
    for (int i = 0; i < 16; i++)
        entry[i] = (edge[i] + edge[i + 1]) / 2;
    double error = 0, norm = 0;
    for (int step = 0; step <= 20; step++) {
        double sum[16] = {0};
        size_t members[16] = {0};
        error = norm = 0;
        for (size_t i = 0; i < count; i++) {
            int near = 0;
            for (int c = 1; c < 16; c++)
                if (fabsf(x[i] - entry[c]) < fabsf(x[i] - entry[near]))
                    near = c;
            members[near]++;
            sum[near] += (double)x[i];
            double d = (double)x[i] - VALUE(f32_to_f16(entry[near]));
            error += d * d;
            norm += (double)x[i] * (double)x[i];
        }
        for (int c = 0; c < 16 && step < 20; c++)
            if (members[c])
                entry[c] = (float)(sum[c] / (double)members[c]);
    }
    free(x);
    return sqrt(error) / (sqrt(norm) + 1e-12);
}

static void expect_nearest_entries(const struct encoded *e, const f16 *w)
{
    for (size_t i = 0; i < e->n * e->k; i++) {
        double d = fabs(VALUE(w[i]) - VALUE(e->codebook[e->index[i]]));
        assert_in_range(e->index[i], 0, 15);
        for (int c = 0; c < 16; c++)
            assert_true(d <= fabs(VALUE(w[i]) - VALUE(e->codebook[c])));
    }
}

static void int4_is_never_worse_than_k_means(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 40}, {16, 64}, {100, 256}};
    for (int kind = 0; kind < WF_KINDS; kind++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            size_t n = shapes[s][0], k = shapes[s][1];
            f16 *w = wf_weight(wf_kinds[kind], n * k, 11 * s + 5);
            struct encoded e = encode(encode_int4, w, n, k, 1, 0);
            double plain = k_means_error(w, n * k);
            assert_int_equal(e.encoding, ANF_ENCODING_INT4);
            assert_int_equal(e.n_bytes, n * k / 2 + 32);
            expect_nearest_entries(&e, w);
            expect_error(&e, w);
            if (e.error > plain * (1 + 1e-12))
                fail_msg("%s [%zu,%zu]: error %.9g, k-means has %.9g", wf_kinds[kind], n, k,
                         e.error, plain);
            free(w);
        }
    f16 *w = wf_weight("normal", 256 * 256, 1);
    assert_true(encode(encode_int4, w, 256, 256, 1, 0).error < 0.1);
    free(w);
}

/* Squared error of sorted values cut at `cuts`, each run with the best binary16 entry. */
static double error_of_cuts(const double *x, const double *weight, const int *first, int n_runs,
                            int n)
{
    double error = 0;
    for (int r = 0; r < n_runs; r++) {
        int from = first[r], to = r + 1 < n_runs ? first[r + 1] : n;
        double count = 0, sum = 0;
        for (int i = from; i < to; i++) {
            count += weight[i];
            sum += weight[i] * x[i];
        }
        double entry = VALUE(f64_to_f16(sum / count));
        for (int i = from; i < to; i++)
            error += weight[i] * (x[i] - entry) * (x[i] - entry);
    }
    return error;
}

/* All ways to cut n values into 16 runs. */
static double least_error(const double *x, const double *weight, int n, int *first, int depth)
{
    if (depth == 16)
        return error_of_cuts(x, weight, first, 16, n);
    double least = INFINITY;
    for (first[depth] = first[depth - 1] + 1; first[depth] <= n - (16 - depth); first[depth]++) {
        double e = least_error(x, weight, n, first, depth + 1);
        least = e < least ? e : least;
    }
    return least;
}

static void int4_is_the_best_there_is(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (int trial = 0; trial < 60; trial++) {
        enum { MOST = 22 };
        int n = 17 + trial % 6, first[16] = {0};
        double x[MOST], weight[MOST], at = -3, norm = 0;
        size_t count = 0;
        f16 *w = malloc(MOST * 9 * sizeof *w);
        for (int i = 0; i < n; i++) {
            /* every third trial among large numbers, where rounding the entries matters */
            at += 0.01 + wf_uniform(&seed);
            f16 value = f64_to_f16(trial % 3 ? at : floor(at * 2) * 2 + 2048 + 4 * i);
            x[i] = VALUE(value);
            weight[i] = (double)(1 + (int)(8 * wf_uniform(&seed)));
            for (int c = 0; c < (int)weight[i]; c++)
                w[count++] = value;
            norm += weight[i] * x[i] * x[i];
        }
        if (count % 2)
            norm += x[0] * x[0], weight[0]++, w[count++] = f64_to_f16(x[0]);
        double best = sqrt(least_error(x, weight, n, first, 1) / norm);
        struct encoded e = encode(encode_int4, w, 1, count, 1, 0);
        if (fabs(e.error - best) > 1e-9 * best)
            fail_msg("trial %d: %d values, error %.12g, the best is %.12g", trial, n, e.error,
                     best);
        free(w);
    }
}

static void sixteen_values_lose_nothing(void **state)
{
    (void)state;
    for (int n_values = 1; n_values <= 16; n_values++) {
        f16 w[96];
        float decoded[96];
        for (int i = 0; i < 96; i++)
            w[i] = f64_to_f16(sin(i % n_values) * 1000);
        w[95] = n_values == 16 ? w[95] : w[0];
        struct encoded e = encode(encode_int4, w, 2, 48, 5e-324, 0);
        assert_int_equal(e.encoding, ANF_ENCODING_INT4);
        assert_true(e.error == 0);
        encoded_decode(&e, decoded);
        for (int i = 0; i < 96; i++)
            assert_true((double)decoded[i] == VALUE(w[i]));
    }
    const f16 zeros[4] = {0, 0x8000, 0, 0x8000};
    struct encoded e = encode(encode_int4, zeros, 1, 4, 1, 0);
    assert_true(e.error == 0);
    assert_int_equal(e.codebook[e.index[1]], 0);
}

static void int4_refuses(void **state)
{
    (void)state;
    const f16 odd[3] = {0}, infinite[4] = {0x3c00, 0xfc00, 0, 0}, nan[4] = {0, 0, 0, 0x7e01};
    assert_int_equal(encode(encode_int4, odd, 1, 3, 1, 0).encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "int4 needs an even depth, this is 3");
    assert_int_equal(encode(encode_int4, infinite, 1, 4, 1, 0).encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "int4 needs finite elements");
    assert_int_equal(encode(encode_int4, nan, 1, 4, 1, 0).encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "int4 needs finite elements");
    assert_int_equal(encode(encode_int8, infinite, 1, 4, 1, 0).encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "int8 needs finite elements");
    assert_int_equal(encode(encode_blockwise, nan, 1, 4, 1, 2).encoding, ANF_ENCODING_F16);
    assert_string_equal(why, "blockwise needs finite elements");
}

/* ---- sparse ---------------------------------------------------------------------------------- */

static void sparse_needs_half_zeros(void **state)
{
    (void)state;
    static const struct {
        size_t count, left;
        anf_encoding want;
        const char *why;
    } cases[] = {
        {8, 4, ANF_ENCODING_SPARSE, "4 of 8 elements are zero"},
        {8, 5, ANF_ENCODING_F16, "3 of 8 elements are zero, sparse needs half of them"},
        {9, 4, ANF_ENCODING_SPARSE, "5 of 9 elements are zero"},
        {9, 5, ANF_ENCODING_F16, "4 of 9 elements are zero, sparse needs half of them"},
        {9, 1, ANF_ENCODING_SPARSE, "8 of 9 elements are zero"},
        {9, 0, ANF_ENCODING_F16, "all elements are zero, sparse needs some that are not"},
        {1, 1, ANF_ENCODING_F16, "0 of 1 elements are zero, sparse needs half of them"},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        f16 w[9];
        float decoded[9];
        for (size_t i = 0; i < 9; i++)
            w[i] = (f16)(i < cases[c].left ? 0x3c00 + i : i % 2 * 0x8000);
        struct encoded e = encode(encode_sparse, w, 1, cases[c].count, 0, 0);
        assert_int_equal(e.encoding, cases[c].want);
        assert_string_equal(why, cases[c].why);
        assert_int_equal(e.n_bytes, (cases[c].count + 7) / 8 + 2 * cases[c].left);
        assert_true(e.error == 0);
        encoded_decode(&e, decoded);
        for (size_t i = 0; i < cases[c].count; i++)
            assert_true((double)decoded[i] == VALUE(w[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(int8_is_the_nearest_multiple),
        cmocka_unit_test(int8_of_zeros_and_extremes),
        cmocka_unit_test(halves_go_to_the_even_side),
        cmocka_unit_test(blockwise_blocks_divide_the_depth),
        cmocka_unit_test(blockwise_misses_its_gate),
        cmocka_unit_test(int4_is_never_worse_than_k_means),
        cmocka_unit_test(int4_is_the_best_there_is),
        cmocka_unit_test(sixteen_values_lose_nothing),
        cmocka_unit_test(int4_refuses),
        cmocka_unit_test(sparse_needs_half_zeros),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
