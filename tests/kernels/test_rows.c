/* Row kernels and pooling: every table against the yardstick of row_yardstick.h, bit for bit.
 * Accuracy is a second question, asked against double with bounds derived where they are used. */
#include "row_yardstick.h"

enum { ROWS_MAX = 5 };

enum { L2, RMS, LAYER, NORMS };

static void slow_norm(int which, const float *x, f16 *y, size_t n, size_t r,
                      const struct norm_args *a)
{
    float *t = fenced(n * sizeof *t), m = 0;
    assert_non_null(t);
    if (which == LAYER)
        m = slow_reduce(ADD, x, n) / (float)n;
    for (size_t j = 0; j < n; j++)
        t[j] = which == LAYER ? (x[j] - m) * (x[j] - m) : x[j] * x[j];
    float q = slow_reduce(ADD, t, n);
    float inv = 1.0f / sqrtf((which == L2 ? q : q / (float)n) + a->eps);
    for (size_t j = 0; j < n; j++) {
        size_t k = (a->first_row + r) % a->row_period * a->per_row + j / a->run;
        float v = (which == LAYER ? x[j] - m : x[j]) * inv;
        if (a->gamma && a->beta)
            v = fmaf(v, f16_to_f32(a->gamma[k]), f16_to_f32(a->beta[k]));
        else if (a->gamma)
            v = v * f16_to_f32(a->gamma[k]);
        else if (a->beta)
            v = v + f16_to_f32(a->beta[k]);
        y[j] = f32_to_f16(v);
    }
    unfence(t);
}

/* ---- every table, every size ----------------------------------------------------------------- */
typedef void size_check(const struct kern *k, size_t rows, size_t n, enum kind kind);

/* Sizes past one block run on two kinds only: their order is in question, not their values. */
static void walk(size_check *check)
{
    open_regions();
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        if (!k->available())
            continue;
        for (size_t n = 1; n <= 200; n++)
            for (int kind = 0; kind < KINDS; kind++)
                check(k, 1 + n % ROWS_MAX, n, (enum kind)kind);
        for (size_t n = 4095; n <= 4200; n += n < 4100 ? 1 : 9)
            for (int kind = 0; kind < KINDS; kind++)
                check(k, 1 + n % 2, n, (enum kind)kind);
        for (int kind = 0; kind < KINDS; kind++)
            check(k, 150, 7, (enum kind)kind); /* more rows than are taken together */
        check(k, 100, 100, ORDINARY);
        check(k, 2, 10000, ORDINARY);
        check(k, 2, 10000, WIDE);
        check(k, 0, 7, ORDINARY);
        check(k, 2, 0, ORDINARY);
    }
    close_regions();
}

static float wide[ROWS_MAX * 10000];
static f16 want[ROWS_MAX * 10000];

static void check_reduce(const struct kern *k, size_t rows, size_t n, enum kind kind)
{
    reduce_fn *const fn[REDUCES] = {k->reduce_sum, k->reduce_mean, k->reduce_max, k->reduce_min};
    f16 *x = guarded(0, rows * n * sizeof *x), *y = guarded(1, rows * sizeof *y);
    make_rows(x, rows, n, kind);
    widen(x, wide, rows * n);
    for (int which = 0; which < REDUCES; which++) {
        fn[which](x, rows, n, y);
        for (size_t r = 0; r < rows; r++)
            assert_int_equal(y[r], slow_reduction(which, wide + r * n, n));
        assert_true(frame_intact(y));
    }
}

static void test_reductions(void **state)
{
    (void)state;
    walk(check_reduce);
}

static void check_softmax(const struct kern *k, size_t rows, size_t n, enum kind kind)
{
    size_t size = rows * n * sizeof(f16);
    f16 *x = guarded(0, size), *y = guarded(1, size);
    float *scratch = guarded(2, softmax_floats(n) * sizeof *scratch);
    make_rows(x, rows, n, kind);
    widen(x, wide, rows * n);
    for (size_t r = 0; r < rows; r++)
        slow_softmax(wide + r * n, want + r * n, n);
    k->softmax(x, y, rows, n, scratch);
    assert_memory_equal(y, want, size);
    k->softmax(x, x, rows, n, scratch);
    assert_memory_equal(x, want, size);
    assert_true(frame_intact(x) && frame_intact(y) && frame_intact(scratch));
    if (kind == NANS || kind == MINUS_INFS)
        for (size_t i = 0; i < rows * n; i++)
            assert_int_equal(y[i], F16_NAN);
}

static void test_softmax(void **state)
{
    (void)state;
    walk(check_softmax);
}

/* Scores far below the maximum have no share, and exponentials that stay normal numbers when they
 * are divided by a sum: CPUs are slow with subnormal ones, and masks make many. */
static void test_masked_softmax(void **state)
{
    (void)state;
    enum { N = 70 };
    f16 x[N], y[N];
    float *scratch = fenced(softmax_floats(N) * sizeof *scratch);
    assert_non_null(scratch);
    for (size_t i = 0; i < N; i++)
        x[i] = i % 3 == 0 ? 0x3c00 : i % 3 == 1 ? 0xfbff : 0xfc00; /* 1, -65504, -inf */
    for (size_t t = 0; kern_tables[t]; t++) {
        if (!kern_tables[t]->available())
            continue;
        kern_tables[t]->softmax(x, y, 1, N, scratch);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(y[i], i % 3 ? 0 : f32_to_f16(1.0f / 24));
            assert_true(isnormal(scratch[i] * 0x1p-32f));
        }
    }
    unfence(scratch);
}

static bool is_nan(f16 h)
{
    return (h & 0x7fff) > 0x7c00;
}

/* The softmax of rows of scores s, whose maxima are `top` where they are not scaled; top is used
 * up. */
static struct softmax_rows start(const struct kern *k, const f16 *s, float *e, size_t ld,
                                 size_t rows, size_t n, bool scaled, float scale, float *top)
{
    struct softmax_rows softmax = {.s = s, .e = e, .ld = ld, .rows = rows, .n = n, .shift = top};
    k->score_start(&softmax, scaled, scale);
    return softmax;
}

static void score_softmax(const struct kern *k, const f16 *s, float *e, size_t ld, size_t rows,
                          size_t n, bool scaled, float scale, float *top)
{
    struct softmax_rows softmax = start(k, s, e, ld, rows, n, scaled, scale, top);
    k->score_softmax(&softmax);
}

/* Gaps between rows must survive; so must the mask. */
static void check_scores(const struct kern *k, size_t rows, size_t n, enum kind kind)
{
    enum { GAP = 3 };
    size_t ld = n + GAP, size = rows ? rows * ld - GAP : 0;
    for (int variant = 0; variant < 4; variant++) {
        bool scaled = variant & 1, masked = variant & 2;
        float *e = guarded(0, size * sizeof *e), *top = guarded(3, rows * sizeof *top);
        float scale = f16_to_f32(f32_to_f16(0.125f + 0.3f));
        f16 *mask = guarded(1, rows * n * sizeof *mask), *s = guarded(2, size * sizeof *s);
        f16 *x = fenced(rows * n * sizeof *x), *scored = fenced(size * sizeof *scored);
        make_rows(x, rows, n, kind);
        make_rows(mask, rows, n, kind == EQUAL ? MINUS_INFS : ORDINARY);
        for (size_t i = 0; i < size; i++) {
            e[i] = -77.0f;
            s[i] = scored[i] = 0x1234;
        }
        for (size_t r = 0; r < rows; r++) {
            float *row = wide + r * n;
            for (size_t j = 0; j < n; j++) {
                s[r * ld + j] = x[r * n + j];
                float v = f16_to_f32(x[r * n + j]);
                v = scaled ? f16_to_f32(f32_to_f16(v * scale)) : v;
                row[j] = masked ? f16_to_f32(f32_to_f16(v + f16_to_f32(mask[r * n + j]))) : v;
                scored[r * ld + j] = f32_to_f16(row[j]);
            }
            slow_softmax(row, want + r * n, n);
        }
        k->score_rows(s, ld, rows, n, scaled, scale, masked ? mask : NULL, n, top);
        for (size_t i = 0; i < size; i++)
            assert_true(s[i] == scored[i] || (is_nan(s[i]) && is_nan(scored[i])));
        for (size_t r = 0; r < rows; r++) {
            float most = -INFINITY;
            bool nan = false;
            for (size_t j = 0; j < n; j++) {
                most = fmaxf(most, f16_to_f32(scored[r * ld + j]));
                nan |= is_nan(scored[r * ld + j]);
            }
            assert_true(nan || top[r] == most);
        }
        score_softmax(k, s, e, ld, rows, n, false, 1.0f, top);
        for (size_t r = 0; r < rows; r++) {
            for (size_t j = 0; j < n; j++) {
                const f16 half = f32_to_f16(e[r * ld + j]);
                assert_int_equal(half, want[r * n + j]);
                assert_true(half == F16_NAN || f16_to_f32(half) == e[r * ld + j]);
            }
            for (size_t j = n; j < ld && r + 1 < rows; j++)
                assert_true(e[r * ld + j] == -77.0f);
        }
        assert_true(frame_intact(e) && frame_intact(s) && frame_intact(top));
        unfence(x), unfence(scored);
    }
}

/* Scores with a power of two for a scale, which are not rounded on their own: as those that are.
 * Every binary16 number up to 16 in magnitude, many in a row and few. */
static void check_scaled_scores(const struct kern *k, float scale, size_t n)
{
    enum { MOST = 70 };
    f16 s[MOST], scaled[MOST];
    float e[MOST], want_e[MOST], top, want_top;
    const f16 last = f32_to_f16(16.0f);
    for (f16 first = 0; first + n <= last; first = (f16)(first + n)) {
        for (size_t i = 0; i < n; i++)
            s[i] = (f16)((first + i) | ((first ^ i) & 1 ? 0x8000u : 0));
        memcpy(scaled, s, sizeof scaled);
        k->score_rows(scaled, n, 1, n, true, scale, NULL, n, &want_top);
        score_softmax(k, scaled, want_e, n, 1, n, false, 1.0f, &want_top);
        score_softmax(k, s, e, n, 1, n, true, scale, &top);
        assert_memory_equal(e, want_e, n * sizeof *e);
    }
}

static void test_scaled_scores(void **state)
{
    (void)state;
    for (size_t t = 0; kern_tables[t]; t++)
        for (int power = 0; kern_tables[t]->available() && power <= 14; power++) {
            check_scaled_scores(kern_tables[t], ldexpf(1.0f, -power), 70);
            check_scaled_scores(kern_tables[t], ldexpf(1.0f, -power), 3);
        }
}

/* Infinities, NaN and large numbers among them. */
static void test_special_scaled_scores(void **state)
{
    (void)state;
    static const f16 special[] = {0x7c00, 0xfc00, 0x7e00, 0x7bff, 0xfbff, 0x8000, 0x0001};
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        for (size_t a = 0; k->available() && a < sizeof special / sizeof *special; a++)
            for (size_t b = 0; b < sizeof special / sizeof *special; b++) {
                f16 s[4] = {special[a], special[b], 0x3c00, special[a]}, scaled[4];
                float e[4], want_e[4], top, want_top;
                memcpy(scaled, s, sizeof s);
                k->score_rows(scaled, 4, 1, 4, true, 0.125f, NULL, 4, &want_top);
                score_softmax(k, scaled, want_e, 4, 1, 4, false, 1.0f, &want_top);
                score_softmax(k, s, e, 4, 1, 4, true, 0.125f, &top);
                for (size_t i = 0; i < 4; i++)
                    assert_true(e[i] == want_e[i] || (isnan(e[i]) && isnan(want_e[i])));
            }
    }
}

/* Softmax of rows beside the largest tile, `calls` times exponentials and then shares; the results
 * of both are those of each alone. */
static void check_beside(const struct kern *k, size_t rows, size_t n, size_t kc, bool scaled,
                         size_t calls)
{
    enum { GAP = 5, MR = 8, COLS = 64 };
    const size_t mr = k->rows_mr, nv = k->rows_nv, ld = n + GAP, size = rows * ld - GAP;
    float *e = fenced(size * sizeof *e), *want_e = fenced(size * sizeof *want_e);
    float *lanes = fenced(rows * ANF_REDUCE_LANES * sizeof *lanes);
    float *top = fenced(rows * sizeof *top);
    float *a = fenced(mr * kc * sizeof *a), *b = fenced(nv * kc * 16 * sizeof *b);
    float c[MR * COLS] = {0}, want_c[MR * COLS];
    f16 *s = fenced(size * sizeof *s);
    assert_true(mr <= MR && nv * 16 <= COLS);
    make_rows(s, 1, size, ORDINARY);
    for (size_t i = 0; i < mr * kc; i++)
        a[i] = (float)(i % 17) * 0.25f;
    for (size_t i = 0; i < nv * kc * 16; i++)
        b[i] = (float)(i % 13) * 0.5f;
    for (size_t i = 0; i < size; i++)
        e[i] = want_e[i] = -77.0f;
    struct gemm_tile tile = {.kc = kc, .a = a, .a_k = kc, .b = b, .b_panel = kc * 16, .c = want_c,
                             .ldc = nv * 16};
    k->gemm_tile_rows(mr, nv, &tile);
    k->score_rows(s, ld, rows, n, false, 1.0f, NULL, 0, top);
    score_softmax(k, s, want_e, ld, rows, n, scaled, 0.125f, top);

    k->score_rows(s, ld, rows, n, false, 1.0f, NULL, 0, top);
    struct softmax_rows softmax = start(k, s, e, ld, rows, n, scaled, 0.125f, top);
    softmax.lanes = lanes;
    tile.c = c;
    tile.beside = &softmax;
    for (size_t i = 0; i < rows * ANF_REDUCE_LANES; i++)
        lanes[i] = NAN;
    for (int phase = 0; phase < 2; phase++) {
        for (size_t i = 0; i < calls; i++) {
            k->gemm_tile_rows(mr, nv, &tile);
            assert_memory_equal(c, want_c, mr * nv * 16 * sizeof *c);
        }
        assert_true(softmax.row * softmax.groups + softmax.group <= rows * softmax.groups);
        if (k->rows_beside && calls && softmax.groups && kc >= 8)
            assert_true(softmax.row + softmax.group > 0);
        if (phase == 0)
            k->score_sums(&softmax);
    }
    k->score_softmax(&softmax);
    assert_memory_equal(e, want_e, size * sizeof *e);
    unfence(e), unfence(want_e), unfence(top), unfence(lanes), unfence(a), unfence(b), unfence(s);
}

static void test_softmax_beside(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 63, 64, 65, 200, 256, 4096, 4097};
    for (size_t t = 0; kern_tables[t]; t++)
        for (size_t l = 0; kern_tables[t]->available() && l < 8; l++)
            for (size_t rows = 1; rows <= 7; rows += 3)
                for (size_t calls = 0; calls <= 9; calls += 1 + 2 * calls)
                    for (size_t kc = 7; kc <= 39; kc += 16)
                        check_beside(kern_tables[t], rows, lengths[l], kc, calls & 1, calls);
}

static void test_attention_scores(void **state)
{
    (void)state;
    walk(check_scores);
}

static void check_norms(const struct kern *k, size_t rows, size_t n, enum kind kind)
{
    norm_fn *const fn[NORMS] = {k->l2_norm, k->rms_norm, k->layer_norm};
    size_t size = rows * n * sizeof(f16);
    for (int variant = 0; variant < 8; variant++) {
        /* Long rows meet each affine form once, not every combination. */
        if (n > 200 && variant % 3 != (int)(n % 3))
            continue;
        static const size_t runs[] = {1, 2, 5, 16, 49};
        size_t run = variant & 4 ? runs[n % 5] : 1, period = 1 + n % 3, per_row = n / run + 1;
        f16 *x = guarded(0, size), *y = guarded(1, size);
        f16 *gamma = guarded(2, period * per_row * sizeof *gamma);
        f16 *beta = guarded(3, period * per_row * sizeof *beta);
        make_rows(gamma, period, per_row, ORDINARY);
        make_rows(beta, period, per_row, ORDINARY);
        const struct norm_args args = {
            .gamma = variant & 1 ? gamma : NULL,
            .beta = variant & 2 ? beta : NULL, .first_row = (size_t)variant, .run = run,
            .per_row = per_row, .row_period = period, .eps = n % 7 ? 1e-5f : 0.0f,
        };
        for (int which = 0; which < NORMS; which++) {
            make_rows(x, rows, n, kind);
            widen(x, wide, rows * n);
            for (size_t r = 0; r < rows; r++)
                slow_norm(which, wide + r * n, want + r * n, n, r, &args);
            fn[which](x, y, rows, n, &args);
            assert_memory_equal(y, want, size);
            fn[which](x, x, rows, n, &args);
            assert_memory_equal(x, want, size);
            assert_true(frame_intact(x) && frame_intact(y));
        }
    }
}

static void test_norms(void **state)
{
    (void)state;
    walk(check_norms);
}

static void check_affine(const struct kern *k, size_t rows, size_t n, enum kind kind)
{
    size_t count = rows * n;
    f16 *x = guarded(0, count * sizeof *x), *y = guarded(1, count * sizeof *y);
    float mean = uniform(), scale = uniform(), shift = uniform();
    make_rows(x, rows, n, kind);
    for (size_t i = 0; i < count; i++)
        want[i] = f32_to_f16(fmaf(f16_to_f32(x[i]) - mean, scale, shift));
    k->channel_affine(x, y, count, mean, scale, shift);
    assert_memory_equal(y, want, count * sizeof *y);
    k->channel_affine(x, x, count, mean, scale, shift);
    assert_memory_equal(x, want, count * sizeof *x);
    assert_true(frame_intact(x) && frame_intact(y));
}

static void test_channel_affine(void **state)
{
    (void)state;
    walk(check_affine);
}

/* ---- accuracy -------------------------------------------------------------------------------- */
/* u is half an ulp of float32; a sum of n terms in 64 lanes takes at most chain(n) additions on the
 * way of any term.  First-order bounds times 1.1 for what is of second order. */
static const double u = 0x1p-24;

static double chain(size_t n)
{
    return (double)(n / 64 + 1 + 6 + n / 4096);
}

/* Half a unit in the last place of the binary16 numbers around v. */
static double half_ulp(double v)
{
    int e;
    frexp(fmax(fabs(v), 0x1p-14), &e);
    return ldexp(0.5, e - 11);
}

static void assert_near(f16 got, double true_value, double bound)
{
    double reach = 1.1 * bound + half_ulp(fabs(true_value) + bound);
    assert_true(fabs((double)f16_to_f32(got) - true_value) <= reach);
}

/* e_j: x - m is rounded (|x - m| u of absolute error is relative in the exponential), the
 * polynomial adds 2^-21 = 8 u; the sum's error is relative because all terms are positive: the
 * worst term's plus one u per addition; the reciprocal and the product add u each. */
static void test_softmax_accuracy(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3000; n += 1 + n / 3) {
        f16 *x = fenced(n * sizeof *x), *y = fenced(n * sizeof *y);
        float *scratch = fenced(softmax_floats(n) * sizeof *scratch);
        assert_true(x && y && scratch);
        make_rows(x, 1, n, ORDINARY);
        kern_select(NULL)->softmax(x, y, 1, n, scratch);
        double m = -INFINITY, s = 0, widest = 0;
        for (size_t j = 0; j < n; j++)
            m = fmax(m, (double)f16_to_f32(x[j]));
        for (size_t j = 0; j < n; j++) {
            s += exp((double)f16_to_f32(x[j]) - m);
            widest = fmax(widest, m - (double)f16_to_f32(x[j]));
        }
        for (size_t j = 0; j < n; j++) {
            double v = exp((double)f16_to_f32(x[j]) - m) / s;
            assert_near(y[j], v, v * (2 * (widest + 8) + chain(n) + 2) * u);
        }
        unfence(x), unfence(y), unfence(scratch);
    }
}

/* Mean: |m' - m| <= chain u mean|x| + u |m|.  A deviation carries that and its own rounding: at
 * most delta = chain u mean|x| + u |m| + u max|d|.  By the triangle inequality for the root mean
 * square, the computed root differs from sigma by at most delta + (chain + 3)/2 u sigma, so t = d /
 * sigma is off by delta / sigma + |t| (delta / sigma + ((chain + 3)/2 + 4) u).  The affine scales
 * that by |gamma| and rounds once.  Without a mean, delta is 0. */
static void test_norm_accuracy(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 3000; n += 1 + n / 3)
        for (int which = 0; which < NORMS; which++) {
            norm_fn *const fn[NORMS] = {kern_select(NULL)->l2_norm, kern_select(NULL)->rms_norm,
                                        kern_select(NULL)->layer_norm};
            f16 *x = fenced(n * sizeof *x), *y = fenced(n * sizeof *y);
            f16 *gamma = fenced(n * sizeof *gamma), *beta = fenced(n * sizeof *beta);
            assert_true(x && y && gamma && beta);
            make_rows(x, 1, n, ORDINARY);
            make_rows(gamma, 1, n, ORDINARY);
            make_rows(beta, 1, n, ORDINARY);
            const struct norm_args args = {gamma, beta, 0, 1, n, 1, 1e-5f};
            fn[which](x, y, 1, n, &args);
            double m = 0, q = 0, size = 0, widest = 0, delta = 0;
            for (size_t j = 0; j < n; j++) {
                m += which == LAYER ? (double)f16_to_f32(x[j]) / (double)n : 0;
                size += fabs((double)f16_to_f32(x[j])) / (double)n;
            }
            for (size_t j = 0; j < n; j++) {
                double d = (double)f16_to_f32(x[j]) - m;
                q += d * d;
                widest = fmax(widest, fabs(d));
            }
            double sigma = sqrt((which == L2 ? q : q / (double)n) + (double)1e-5f);
            if (which == LAYER)
                delta = (chain(n) * size + fabs(m) + widest) * u;
            for (size_t j = 0; j < n; j++) {
                double g = (double)f16_to_f32(gamma[j]), b = (double)f16_to_f32(beta[j]);
                double t = ((double)f16_to_f32(x[j]) - m) / sigma, v = t * g + b;
                double off = delta / sigma
                           + fabs(t) * (delta / sigma + ((chain(n) + 3) / 2 + 4) * u);
                assert_near(y[j], v, fabs(g) * off + fabs(v) * u);
            }
            unfence(x), unfence(y), unfence(gamma), unfence(beta);
        }
}

/* ---- pooling --------------------------------------------------------------------------------- */
static f16 slow_pool(bool max, const struct conv_geom *g, const f16 *x, size_t oy, size_t ox)
{
    float acc = max ? -INFINITY : 0.0f;
    bool nan = false;
    for (size_t a = 0; a < g->kh; a++)
        for (size_t b = 0; b < g->kw; b++) {
            ptrdiff_t iy = (ptrdiff_t)(oy * g->stride_h + a) - g->pad_h;
            ptrdiff_t ix = (ptrdiff_t)(ox * g->stride_w + b) - g->pad_w;
            if (iy < 0 || ix < 0 || iy >= (ptrdiff_t)g->in_h || ix >= (ptrdiff_t)g->in_w) {
                acc = max ? acc : acc + 0.0f;
                continue;
            }
            float v = f16_to_f32(x[(size_t)iy * g->in_w + (size_t)ix]);
            nan = nan || isnan(v);
            if (max)
                acc = v > acc || (v == acc && !signbit(v)) ? v : acc;
            else
                acc += v;
        }
    if (max)
        return nan ? F16_NAN : f32_to_f16(acc);
    return f32_to_f16(acc / (float)(g->kh * g->kw));
}

static void check_pool(const struct kern *k, const struct conv_geom *g, enum kind kind)
{
    size_t in = g->in_h * g->in_w, out = g->out_h * g->out_w;
    f16 *x = guarded(0, in * sizeof *x), *y = guarded(1, out * sizeof *y);
    make_rows(x, g->in_h, g->in_w, kind);
    for (int max = g->stride_w > 2; max < 2; max++) { /* avg_pool takes no longer steps */
        pool_fn *fn = max ? k->max_pool : k->avg_pool;
        memset(y, 0xcd, out * sizeof *y);
        size_t cut = g->out_h / 2;
        fn(g, x, y, cut, g->out_h);
        for (size_t i = 0; i < cut * g->out_w; i++)
            assert_int_equal(y[i], 0xcdcd);
        fn(g, x, y, 0, cut);
        for (size_t i = 0; i < out; i++)
            assert_int_equal(y[i], slow_pool(max, g, x, i / g->out_w, i % g->out_w));
        assert_true(frame_intact(y));
    }
}

/* Results of windows that fit; false where none does. */
static bool pool_outputs(struct conv_geom *g)
{
    const size_t h = g->in_h + 2 * (size_t)g->pad_h, w = g->in_w + 2 * (size_t)g->pad_w;
    if (h < g->kh || w < g->kw)
        return false;
    g->out_h = (h - g->kh) / g->stride_h + 1;
    g->out_w = (w - g->kw) / g->stride_w + 1;
    return true;
}

static void test_pooling(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 33, 64, 65, 130, 201};
    open_regions();
    for (size_t t = 0; kern_tables[t]; t++) {
        if (!kern_tables[t]->available())
            continue;
        for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
            for (size_t kernel = 1; kernel <= 5; kernel++)
                for (size_t stride = 1; stride <= 4; stride++)
                    for (size_t pad = 0; pad <= kernel; pad++) {
                        struct conv_geom g = {.in_h = 1 + next_random() % 9, .in_w = widths[i]};
                        g.kw = kernel, g.kh = 1 + next_random() % 5;
                        g.stride_w = stride, g.stride_h = 1 + next_random() % 3;
                        g.pad_w = (ptrdiff_t)pad, g.pad_h = (ptrdiff_t)(next_random() % 3);
                        if (pool_outputs(&g))
                            check_pool(kern_tables[t], &g, (enum kind)(next_random() % KINDS));
                    }
        /* Windows wider than one strip, and strides wider than any vector. */
        check_pool(kern_tables[t], &(struct conv_geom){.in_h = 3, .in_w = 400, .kh = 2, .kw = 300,
                   .stride_h = 1, .stride_w = 2, .pad_w = 7, .out_h = 2, .out_w = 58}, WIDE);
        check_pool(kern_tables[t], &(struct conv_geom){.in_h = 3, .in_w = 900, .kh = 3, .kw = 70,
                   .stride_h = 1, .stride_w = 100, .out_h = 1, .out_w = 9}, ORDINARY);
    }
    close_regions();
}

/* n planes that begin x_plane apart: neighbours, or some that overlap or have gaps between them. */
static void check_pool_planes(const struct kern *k, const struct conv_geom *g, size_t n,
                              size_t x_plane, enum kind kind)
{
    const size_t out = g->out_h * g->out_w, cut = g->out_h / 2;
    const size_t n_x = (n - 1) * x_plane + g->in_h * g->in_w, n_y = n * out;
    f16 *x = guarded(0, n_x * sizeof *x), *y = guarded(1, n_y * sizeof *y);
    f16 *scratch = guarded(2, ANF_POOL_HALVES * sizeof *scratch);
    make_rows(x, 1, n_x, kind);
    memset(y, 0xcd, n_y * sizeof *y);
    memset(scratch, 0x7e, ANF_POOL_HALVES * sizeof *scratch); /* NaN everywhere */
    k->avg_pool_planes(g, x, x_plane, n, y, cut, g->out_h, scratch);
    for (size_t i = 0; i < n_y; i++)
        assert_true(i % out >= cut * g->out_w || y[i] == 0xcdcd);
    k->avg_pool_planes(g, x, x_plane, n, y, 0, cut, scratch);
    for (size_t i = 0; i < n_y; i++)
        assert_int_equal(y[i], slow_pool(false, g, x + i / out * x_plane, i % out / g->out_w,
                                         i % out % g->out_w));
    assert_true(frame_intact(y) && frame_intact(scratch));
}

static void test_pooling_planes(void **state)
{
    (void)state;
    static const size_t sides[12] = {1, 2, 3, 4, 7, 8, 9, 15, 33, 57, 65, 90};
    /* Pieces of some rows, of parts of a row; more results than a block has; gaps. */
    static const struct conv_geom large[] = {
        {.in_h = 50, .in_w = 50, .kh = 50, .kw = 50, .stride_h = 50, .stride_w = 50},
        {.in_h = 47, .in_w = 70, .kh = 40, .kw = 33, .stride_h = 3, .stride_w = 3, .pad_h = 5,
         .pad_w = 9},
        {.in_h = 2, .in_w = 2500, .kh = 2, .kw = 2300, .stride_h = 1, .stride_w = 60},
        {.in_h = 2, .in_w = 3000, .kh = 3, .kw = 7, .stride_h = 2, .stride_w = 25, .pad_h = 1,
         .pad_w = 3},
        {.in_h = 7, .in_w = 400, .kh = 3, .kw = 3, .stride_h = 3, .stride_w = 3},
        {.in_h = 9, .in_w = 400, .kh = 2, .kw = 3, .stride_h = 7, .stride_w = 90, .pad_w = 2},
        {.in_h = 900, .in_w = 3, .kh = 5, .kw = 3, .stride_h = 2, .stride_w = 1, .pad_w = 1},
    };
    open_regions();
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        for (size_t round = 0; k->available() && round < 6000; round++) {
            struct conv_geom g = {.in_h = sides[next_random() % 12],
                                  .in_w = sides[next_random() % 12]};
            g.kh = 1 + next_random() % (next_random() % 4 ? 5 : 14);
            g.kw = 1 + next_random() % (next_random() % 4 ? 5 : 14);
            g.stride_h = 1 + next_random() % 9, g.stride_w = 1 + round % 9;
            g.pad_h = (ptrdiff_t)(next_random() % (g.kh + 1));
            g.pad_w = (ptrdiff_t)(next_random() % (g.kw + 1));
            const size_t plane = g.in_h * g.in_w, n = 1 + round % ANF_PANEL;
            const size_t apart = round % 3 == 0 ? 1 + next_random() % (2 * plane) : plane;
            if (pool_outputs(&g) && n * g.out_h * g.out_w <= 8000 && n * plane <= 40000)
                check_pool_planes(k, &g, n, apart, (enum kind)(next_random() % KINDS));
        }
        for (size_t i = 0; k->available() && i < 4 * (sizeof large / sizeof *large); i++) {
            struct conv_geom g = large[i / 4];
            assert_true(pool_outputs(&g));
            check_pool_planes(k, &g, 1 + i % 4 * 5, g.in_h * g.in_w, i % 4 ? ORDINARY : WIDE);
        }
    }
    close_regions();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reductions),       cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_softmax_beside),   cmocka_unit_test(test_attention_scores),
        cmocka_unit_test(test_scaled_scores),    cmocka_unit_test(test_special_scaled_scores),
        cmocka_unit_test(test_masked_softmax),
        cmocka_unit_test(test_norms),            cmocka_unit_test(test_channel_affine),
        cmocka_unit_test(test_softmax_accuracy), cmocka_unit_test(test_norm_accuracy),
        cmocka_unit_test(test_pooling),          cmocka_unit_test(test_pooling_planes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
