/* The kernels of convolutions that read their input in patches, or have planes as lanes, of every
 * table, with ==: shapes for which drivers gather too, more taps than they keep places for, some
 * rows of the output, around which nothing is written, and sums that others store as planes. */
#include "plain.h"

#include "kernel_values.h"
#include "kernels/block_conv.h"
#include "kernels/conv_patch.h"

#include <math.h>

enum { MOST_TABLES = 8 };

struct shape {
    size_t groups, cin, cout, h, w, kh, kw, stride, pad, dil;
};

static const struct shape shapes[] = {
    {1, 3, 29, 37, 64, 7, 7, 2, 3, 1},   {1, 3, 12, 17, 48, 3, 3, 1, 1, 1},
    {1, 1, 5, 3, 7000, 3, 3, 1, 1, 1},   {1, 4, 18, 20, 55, 8, 8, 1, 0, 1},
    {6, 4, 4, 16, 16, 3, 3, 1, 1, 1},    {2, 2, 17, 19, 95, 3, 3, 3, 1, 2},
    {70, 1, 1, 9, 9, 3, 3, 2, 1, 1},     {1, 100, 3, 6, 16, 1, 2, 1, 1, 1},
    {13, 1, 1, 9, 70, 3, 3, 1, 1, 1},    {3, 1, 1, 40, 40, 17, 17, 1, 8, 1}, /* 289 taps */
    {1, 2, 3, 16, 16, 12, 12, 1, 6, 1},  {1, 1, 2, 91, 93, 90, 90, 1, 2, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 1},      {1, 6, 10, 14, 15, 1, 1, 2, 0, 1},
    {1, 2, 3, 3, 3, 3, 3, 1, 9, 1},      {3, 1, 1, 30, 19, 3, 4, 3, 2, 2},
    {5, 1, 1, 19, 40, 3, 3, 2, 1, 1},    {4, 1, 1, 20, 21, 3, 3, 3, 1, 1},
    {4, 1, 1, 20, 21, 3, 3, 1, 2, 2},    {2, 1, 1, 23, 33, 3, 3, 1, 3, 1},
    {3, 1, 1, 12, 45, 3, 3, 1, 1, 1},    {2, 1, 1, 100, 120, 3, 3, 1, 1, 1}, /* two patches */
    {2, 1, 1, 3, 6200, 3, 3, 1, 1, 1},   {3, 1, 1, 21, 131, 3, 3, 2, 1, 1},
    {2, 1, 1, 9, 90, 3, 3, 2, 0, 1},     {2, 1, 1, 8, 7, 3, 3, 1, 0, 1},
    {3, 1, 1, 58, 56, 3, 3, 1, 1, 1},    {3, 1, 1, 7, 7, 3, 3, 1, 1, 1},
    {2, 1, 1, 60, 72, 3, 3, 1, 1, 1},    {2, 1, 1, 11, 5, 3, 3, 1, 1, 1},
    {3, 1, 1, 14, 113, 3, 3, 2, 2, 1},   {2, 1, 1, 31, 64, 3, 3, 2, 1, 1},
    {3, 1, 1, 12, 33, 3, 1, 2, 1, 1},    {2, 2, 3, 15, 31, 3, 2, 2, 1, 2},
    {3, 1, 1, 14, 14, 5, 5, 1, 2, 1},    {2, 1, 1, 28, 31, 5, 5, 1, 2, 1},
    {2, 1, 1, 17, 60, 5, 5, 1, 2, 1},    {2, 1, 1, 21, 130, 5, 5, 1, 4, 1},
    {3, 1, 1, 56, 56, 5, 5, 2, 2, 1},    {2, 1, 1, 30, 103, 5, 5, 2, 1, 1},
    {2, 1, 1, 13, 121, 5, 5, 2, 2, 1},   {2, 1, 1, 90, 100, 5, 5, 1, 0, 1}, /* two patches */
    {3, 1, 1, 14, 14, 7, 7, 1, 3, 1},    {2, 1, 1, 7, 7, 7, 7, 1, 3, 1},
    {2, 1, 1, 20, 29, 7, 7, 1, 3, 1},    {2, 1, 1, 56, 56, 7, 7, 1, 3, 1},
    {2, 1, 1, 19, 95, 7, 7, 1, 6, 1},    {2, 1, 1, 56, 57, 7, 7, 2, 3, 1},
    {2, 1, 1, 25, 100, 7, 7, 2, 3, 1},   {2, 1, 1, 23, 130, 7, 7, 2, 0, 1},
    {2, 1, 1, 3, 6300, 7, 7, 1, 3, 1},   {2, 1, 1, 20, 21, 5, 5, 1, 4, 2},
    {2, 1, 1, 9, 34, 5, 5, 2, 3, 1},     {1, 1, 1, 4, 3, 3, 3, 2, 4, 1},
};

static size_t out_size(size_t in, size_t kernel, const struct shape *s)
{
    return (in + 2 * s->pad - s->dil * (kernel - 1) - 1) / s->stride + 1;
}

static float tap(const struct conv_geom *g, const f16 *x, size_t k, size_t p)
{
    const size_t ci = k / (g->kh * g->kw), u = k / g->kw % g->kh, v = k % g->kw;
    const long y = (long)(p / g->out_w * g->stride_h + u * g->dil_h) - (long)g->pad_h;
    const long c = (long)(p % g->out_w * g->stride_w + v * g->dil_w) - (long)g->pad_w;
    const bool inside = y >= 0 && c >= 0 && y < (long)g->in_h && c < (long)g->in_w;
    return inside ? f16_to_f32(x[(ci * g->in_h + (size_t)y) * g->in_w + (size_t)c]) : 0.0f;
}

/* Element i of y. */
static f16 expected(const struct conv_geom *g, size_t cout, const f16 *x, const f16 *w,
                    const f16 *bias, size_t i)
{
    const size_t n_k = g->cin * g->kh * g->kw, pixels = g->out_h * g->out_w, c = i / pixels;
    float s = 0.0f;
    for (size_t k = 0; k < n_k; k++)
        s = fmaf(f16_to_f32(w[c * n_k + k]),
                 tap(g, x + c / cout * g->cin * g->in_h * g->in_w, k, i % pixels), s);
    return f32_to_f16(bias ? s + f16_to_f32(bias[c]) : s);
}

static struct conv_geom geometry(const struct shape *s)
{
    return (struct conv_geom){
        .cin = s->cin, .in_h = s->h, .in_w = s->w, .out_h = out_size(s->h, s->kh, s),
        .out_w = out_size(s->w, s->kw, s), .kh = s->kh, .kw = s->kw, .stride_h = s->stride,
        .stride_w = s->stride, .dil_h = s->dil, .dil_w = s->dil, .pad_h = (ptrdiff_t)s->pad,
        .pad_w = (ptrdiff_t)s->pad};
}

/* As the micro-op: a zero keeps its sign. */
static f16 relu(f16 y)
{
    return f16_to_f32(y) < 0.0f ? 0 : y;
}

static void direct_case(const struct kern *kern, const struct shape *s, bool biased, bool with_relu)
{
    const struct conv_geom g = geometry(s);
    const size_t pixels = g.out_h * g.out_w, channels = s->groups * s->cout;
    const size_t n_y = channels * pixels, n_w = conv_packed_size(&g, s->groups, s->cout);
    f16 *x = values(s->groups * s->cin * s->h * s->w);
    f16 *w = values(channels * s->cin * s->kh * s->kw), *packed = values(n_w);
    f16 *bias = values(channels), *y = fenced(n_y * sizeof *y);
    float *wide = fenced(n_w * sizeof *wide), *adds = fenced(channels * sizeof *adds);
    float *scratch = fenced(ANF_DIRECT_FLOATS * sizeof *scratch);
    const size_t oy0 = next() % g.out_h, oy1 = oy0 + 1 + next() % (g.out_h - oy0);

    conv_pack_weights(&g, s->groups, s->cout, CONV_WEIGHTS, 1, w, packed);
    kern->f32_from_f16(packed, wide, n_w);
    kern->f32_from_f16(bias, adds, channels);
    for (size_t i = 0; i < n_y; i++)
        y[i] = UNTOUCHED;
    for (size_t i = 0; i < ANF_DIRECT_FLOATS; i++) /* patches bring their own zeros */
        scratch[i] = NAN;
    const struct conv_filters filters = {
        .w = wide, .bias = biased ? adds : NULL, .w_group = n_w / s->groups,
        .w_k = conv_depthwise(&g, s->cout) ? 1 : ANF_PANEL, .cout = s->cout,
        .n_groups = s->groups, .relu = with_relu};
    kern->conv_direct(&g, x, &filters, y, oy0, oy1, scratch);
    for (size_t i = 0; i < n_y; i++) {
        const size_t row = i % pixels / g.out_w;
        f16 want = UNTOUCHED;
        if (row >= oy0 && row < oy1) {
            want = expected(&g, s->cout, x, w, biased ? bias : NULL, i);
            want = with_relu ? relu(want) : want;
        }
        if (y[i] != want)
            fail_msg("%s: element %zu of %zu is %04x, not %04x\n", kern->name, i, n_y, y[i], want);
    }
    unfence(x), unfence(w), unfence(packed), unfence(bias), unfence(y);
    unfence(wide), unfence(adds), unfence(scratch);
}

static void test_direct(void **state)
{
    const struct kern *kern[MOST_TABLES];
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            direct_case(kern[t], &shapes[i], false, i % 2);
            direct_case(kern[t], &shapes[i], true, i % 2 == 0);
        }
    (void)state;
}

/* Depthwise with planes as lanes: n of them, whatever the number of groups. */
static size_t lanes_case(const struct kern *kern, const struct shape *s, size_t n, bool biased,
                         bool with_relu)
{
    const struct conv_geom g = geometry(s);
    const size_t pixels = g.out_h * g.out_w, taps = g.kh * g.kw, n_y = n * pixels;
    if (!conv_depthwise(&g, s->cout) || !conv_lanes_rows(&g))
        return 0;
    f16 *x = values(n * s->h * s->w), *w = values(n * taps), *bias = values(n);
    f16 *y = untouched(n_y);
    float *lanes = fenced(taps * ANF_PANEL * sizeof *lanes);
    float *scratch = fenced(ANF_LANES_PIXELS * ANF_PANEL * sizeof *scratch);
    for (size_t i = 0; i < ANF_LANES_PIXELS * ANF_PANEL; i++)
        scratch[i] = NAN;
    kern->pack_panels_t(w, taps, taps, n, lanes, taps * ANF_PANEL);
    kern->depthwise_lanes(&g, x, lanes, biased ? bias : NULL, with_relu, n, y, scratch);
    for (size_t i = 0; i < n_y; i++) {
        f16 want = expected(&g, 1, x, w, biased ? bias : NULL, i);
        want = with_relu ? relu(want) : want;
        if (y[i] != want)
            fail_msg("%s: element %zu of %zu is %04x, not %04x\n", kern->name, i, n_y, y[i], want);
    }
    unfence(x), unfence(w), unfence(bias), unfence(y), unfence(lanes), unfence(scratch);
    return 1;
}

static void test_lanes(void **state)
{
    const struct kern *kern[MOST_TABLES];
    for (size_t t = tables(kern); t-- > 0;) {
        size_t cases = 0;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (size_t n = 1 + i % 3; n <= ANF_PANEL; n += 5)
                cases += lanes_case(kern[t], &shapes[i], n, n % 2, i % 2) +
                         lanes_case(kern[t], &shapes[i], n, n % 2 == 0, i % 2);
        assert_true(cases > 100);
    }
    (void)state;
}

/* Gaps between the planes must survive. */
static void store_case(const struct kern *kern, size_t n, size_t channels, bool biased,
                       bool with_relu)
{
    const size_t lanes = (channels + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    const size_t ld = lanes + next() % 2 * ANF_PANEL, plane = n + next() % 20;
    const size_t n_s = (n - 1) * ld + lanes, n_y = (channels - 1) * plane + n;
    float *s = fenced(n_s * sizeof *s);
    f16 *bias = values(channels), *y = untouched(n_y);
    for (size_t i = 0; i < n_s; i++)
        s[i] = i % 97 == 5 ? NAN : i % 89 == 3 ? -0.0f : (float)(int)(next() % 40001 - 20000) / 3;
    kern->store_planes(s, ld, n, biased ? bias : NULL, channels, with_relu, y, plane);
    for (size_t i = 0; i < n_y; i++) {
        const size_t c = i / plane, p = i % plane;
        f16 want = UNTOUCHED;
        if (p < n) {
            want = f32_to_f16(biased ? s[p * ld + c] + f16_to_f32(bias[c]) : s[p * ld + c]);
            want = with_relu ? relu(want) : want;
        }
        if (y[i] != want)
            fail_msg("%s: %zu pixels of %zu channels: element %zu is %04x, not %04x\n", kern->name,
                     n, channels, i, y[i], want);
    }
    unfence(s), unfence(bias), unfence(y);
}

static void test_store_planes(void **state)
{
    const struct kern *kern[MOST_TABLES];
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t n = 1; n <= 150; n += n < 40 ? 1 : 7)
            for (size_t channels = 1 + n % 2; channels <= 40; channels += 2 + n % 5)
                store_case(kern[t], n, channels, channels % 3, n % 3 == 1);
    (void)state;
}

/* Every tap of every pixel of some rows is where the plan says, plane by plane. */
static bool planes_case(const struct kern *kern, const struct shape *s)
{
    const struct conv_geom g = geometry(s);
    const size_t oy0 = next() % g.out_h, n_oy = 1 + next() % (g.out_h - oy0);
    const size_t taps = g.kh * g.kw;
    struct conv_patch p;
    if (!conv_patch_plan(&g, oy0, n_oy, 0, g.out_w, &p))
        return false;
    const size_t room = conv_patch_room(&p);
    f16 *x = values(g.cin * g.in_h * g.in_w);
    float *planes = fenced(g.cin * room * sizeof *planes);
    for (size_t i = 0; i < g.cin * room; i++)
        planes[i] = NAN;
    kern->conv_planes(&g, x, g.cin, oy0, n_oy, planes);
    for (size_t k = 0; k < g.cin * taps; k++)
        for (size_t i = 0; i < n_oy * g.out_w; i++) {
            const size_t at = k / taps * room + conv_patch_tap(&g, &p, k / g.kw % g.kh, k % g.kw);
            const float got = planes[at + i / g.out_w * p.down + i % g.out_w];
            const float want = tap(&g, x, k, oy0 * g.out_w + i);
            if (got != want && (!isnan(got) || !isnan(want)))
                fail_msg("%s: tap %zu of pixel %zu is %g, not %g\n", kern->name, k, i, (double)got,
                         (double)want);
        }
    unfence(x), unfence(planes);
    return true;
}

static void test_planes(void **state)
{
    const struct kern *kern[MOST_TABLES];
    for (size_t t = tables(kern); t-- > 0;) {
        size_t fit = 0;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int round = 0; round < 4; round++)
                fit += planes_case(kern[t], &shapes[i]);
        assert_true(fit > 40);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_direct),
                                       cmocka_unit_test(test_lanes),
                                       cmocka_unit_test(test_store_planes),
                                       cmocka_unit_test(test_planes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
