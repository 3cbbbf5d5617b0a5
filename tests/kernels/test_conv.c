/* Convolution: every table against naive scalar chains, with ==.
 *
 * The references are written from the contract of block_conv.h, and for the transposed one from its
 * definition.  The epilogue must meet every output element once, or need not be called where it is
 * relu.  Large convolutions are checked against a random vector in double. */
#include "driver_run.h"

#include "kernels/block_conv.h"
#include "kernels/conv_way.h"

struct conv_phase {
    const struct conv_job *job;
    size_t phase;
    void *shared;
};

static void conv_one(const struct kern *kern, const void *phase, size_t task, void *own)
{
    const struct conv_phase *p = phase;
    size_t kept = 0;
    conv_task(kern, p->job, p->phase, task, p->shared, own, &kept);
}

/* False where a transposed convolution has no tap. */
static bool tap(const struct conv_geom *g, long up, const f16 *x, size_t k, size_t p, f16 *t)
{
    const size_t ci = k / (g->kh * g->kw), u = k / g->kw % g->kh, v = k % g->kw;
    const long y = (long)(p / g->out_w * g->stride_h + u * g->dil_h) - (long)g->pad_h;
    const long c = (long)(p % g->out_w * g->stride_w + v * g->dil_w) - (long)g->pad_w;
    const bool inside = y >= 0 && c >= 0 && y / up < (long)g->in_h && c / up < (long)g->in_w;
    *t = inside ? x[(ci * g->in_h + (size_t)(y / up)) * g->in_w + (size_t)(c / up)] : 0;
    return y % up == 0 && c % up == 0;
}

static void conv_naive(const struct conv_job *job, const f16 *w, f16 *y)
{
    const struct conv_geom *g = &job->geom;
    const size_t n_k = g->cin * g->kh * g->kw, pixels = g->out_h * g->out_w;
    for (size_t i = 0; i < job->images * job->groups; i++) {
        const f16 *x = job->x + i * g->cin * g->in_h * g->in_w;
        for (size_t c = 0; c < job->cout; c++) {
            const size_t channel = i % job->groups * job->cout + c;
            for (size_t p = 0; p < pixels; p++) {
                float s = 0.0f;
                f16 t;
                for (size_t k = 0; k < n_k; k++)
                    if (tap(g, (long)job->up, x, k, p, &t))
                        s = fmaf(f16_to_f32(w[channel * n_k + k]), f16_to_f32(t), s);
                if (job->bias)
                    s += f16_to_f32(job->bias[channel]);
                *y++ = f32_to_f16(s);
            }
        }
    }
}

struct conv_shape {
    size_t images, groups, cin, cout, h, w, kh, kw, stride;
    ptrdiff_t pad;
    size_t dil, up;
};

static const struct conv_shape conv_shapes[] = {
    {1, 1, 2, 2, 3, 34, 1, 4, 3, -1, 1, 1},   {2, 5, 2, 2, 3, 34, 1, 4, 3, -1, 1, 1},
    {1, 1, 1, 2, 1, 20000, 1, 4, 3, 0, 1, 1}, {1, 1, 1, 2, 2, 14000, 2, 5, 2, 1, 1, 1},
    {1, 1, 3, 8, 9, 11, 3, 3, 1, 1, 1, 1},    {1, 1, 5, 17, 7, 7, 3, 3, 1, 1, 1, 1},
    {3, 1, 20, 33, 7, 7, 3, 3, 1, 1, 1, 1},   {2, 1, 4, 40, 14, 14, 3, 3, 1, 1, 1, 1},
    {1, 1, 3, 16, 33, 29, 7, 7, 2, 3, 1, 1},  {1, 1, 6, 10, 14, 15, 1, 1, 2, 0, 1, 1},
    {2, 1, 19, 7, 8, 8, 1, 1, 1, 0, 1, 1},    {1, 1, 4, 5, 12, 13, 3, 3, 1, 2, 2, 1},
    {1, 1, 2, 3, 17, 20, 4, 4, 4, 0, 1, 1},   {1, 1, 2, 3, 20, 17, 5, 2, 3, 1, 2, 1},
    {2, 3, 4, 6, 10, 9, 3, 3, 1, 1, 1, 1},    {1, 4, 2, 20, 6, 6, 3, 3, 2, 1, 1, 1},
    {2, 13, 1, 1, 9, 70, 3, 3, 1, 1, 1, 1},   {1, 5, 1, 1, 14, 14, 5, 5, 2, 2, 1, 1},
    {1, 3, 1, 1, 7, 7, 3, 3, 1, 1, 1, 1},     {1, 3, 1, 1, 30, 19, 3, 4, 3, 2, 2, 1},
    {1, 2, 1, 1, 40, 40, 17, 17, 1, 8, 1, 1}, {1, 4, 1, 2, 11, 5, 3, 3, 1, 1, 1, 1},
    {1, 1, 3, 4, 5, 6, 3, 3, 1, 1, 1, 2},     {1, 1, 2, 5, 4, 5, 4, 4, 1, -2, 1, 3},
    {1, 2, 3, 4, 5, 5, 2, 3, 1, 0, 1, 2},     {1, 1, 1, 3, 1, 300, 1, 5, 1, 2, 1, 1},
    {1, 1, 2, 3, 300, 1, 5, 1, 1, 2, 1, 1},   {1, 1, 1, 2, 91, 93, 90, 90, 1, 2, 1, 1},
    {1, 1, 30, 50, 5, 5, 3, 3, 1, 0, 1, 1},   {1, 1, 2, 3, 3, 3, 3, 3, 1, 9, 1, 1},
    {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},     {1, 1, 80, 24, 14, 14, 1, 1, 1, 0, 1, 1},
    {2, 1, 20, 17, 6, 7, 4, 4, 1, 2, 1, 2},   {1, 3, 1, 1, 5, 9, 3, 3, 1, 2, 2, 3},
    {1, 1, 7, 5, 3, 4, 2, 3, 1, 1, 1, 5},     {1, 2, 3, 2, 4, 4, 5, 4, 1, 7, 6, 4},
    {1, 1, 9, 18, 3, 3, 16, 16, 1, 15, 1, 16},
    /* Residues without any tap, in groups and in many channels: dilations and strides share a
     * divisor, or the stride exceeds the kernel. */
    {1, 2, 2, 2, 6, 6, 3, 3, 1, 4, 2, 2},     {2, 8, 1, 2, 8, 8, 3, 3, 1, 4, 2, 2},
    {1, 4, 1, 8, 16, 16, 3, 3, 1, 5, 3, 3},   {1, 1, 1, 400, 3, 3, 3, 3, 1, 2, 2, 2},
    {1, 1, 1, 33, 3, 3, 3, 3, 1, 2, 2, 2},    {1, 3, 2, 33, 3, 4, 3, 3, 1, 3, 2, 4},
    {1, 2, 3, 20, 5, 6, 3, 2, 1, 2, 4, 2},    {1, 2, 1, 40, 4, 4, 2, 2, 1, 1, 1, 5},
    {1, 1, 1, 200, 3, 6, 3, 3, 1, 2, 2, 2},   {1, 1, 40, 70, 7, 5, 1, 3, 1, 1, 6, 4},
    /* Few taps: more and fewer channels than a tile has, rows of several patches, groups. */
    {1, 1, 3, 29, 37, 64, 7, 7, 2, 3, 1, 1},  {2, 1, 3, 12, 17, 48, 3, 3, 1, 1, 1, 1},
    {1, 1, 1, 5, 3, 7000, 3, 3, 1, 1, 1, 1},  {1, 1, 4, 18, 20, 55, 8, 8, 1, 0, 1, 1},
    {2, 6, 4, 4, 16, 16, 3, 3, 1, 1, 1, 1},   {1, 2, 2, 17, 19, 95, 3, 3, 3, 1, 2, 1},
    {1, 70, 1, 1, 9, 9, 3, 3, 2, 1, 1, 1},    {1, 1, 100, 3, 6, 16, 1, 2, 1, 1, 1, 1},
    /* One tap: a tile over several images, blocks of channels whose weights are kept. */
    {3, 1, 40, 24, 4, 4, 1, 1, 1, 0, 1, 1},   {1, 1, 600, 512, 4, 4, 1, 1, 1, 0, 1, 1},
    {3, 2, 270, 33, 8, 12, 1, 1, 1, 0, 1, 1},
    /* Few pixels over: alone, behind panels, of several images and groups, in blocks of
     * channels. */
    {2, 1, 40, 300, 3, 3, 1, 1, 1, 0, 1, 1},  {3, 1, 30, 50, 5, 7, 1, 1, 1, 0, 1, 1},
    {1, 2, 70, 200, 6, 6, 1, 1, 1, 0, 1, 1},  {1, 1, 530, 600, 10, 10, 1, 1, 1, 0, 1, 1},
    /* Strips: slices of channels, blocks of rows and of channels, strides, pixels in panels. */
    {2, 1, 40, 70, 15, 13, 3, 3, 2, 1, 1, 1}, {1, 1, 34, 530, 7, 7, 3, 3, 2, 1, 1, 1},
    {2, 1, 300, 40, 7, 7, 1, 1, 1, 0, 1, 1},  {1, 2, 36, 40, 20, 30, 5, 5, 3, 2, 1, 1},
    {1, 1, 50, 33, 3, 200, 3, 3, 2, 0, 1, 1}, {3, 1, 130, 48, 5, 6, 1, 1, 2, 0, 1, 1},
    {1, 1, 29, 48, 60, 61, 3, 3, 2, 1, 1, 1}, {1, 1, 31, 16, 1, 1, 5, 5, 1, 2, 1, 1},
    {1, 1, 260, 70, 7, 7, 1, 1, 1, 0, 1, 1},  {2, 1, 150, 40, 14, 14, 1, 1, 1, 0, 1, 1},
    /* Panels that do not divide evenly among threads: in slices, with last pixels, in groups. */
    {1, 1, 300, 40, 28, 28, 1, 1, 1, 0, 1, 1}, {1, 2, 150, 100, 10, 18, 1, 1, 1, 0, 1, 1},
    {1, 1, 20, 600, 17, 19, 1, 1, 1, 0, 1, 1}, {1, 1, 520, 120, 15, 16, 1, 1, 1, 0, 1, 1},
    /* Sixteen planes as lanes: several images, planes left over, rows in bands. */
    {2, 36, 1, 1, 7, 7, 3, 3, 1, 1, 1, 1},    {1, 48, 1, 1, 14, 14, 5, 5, 2, 2, 1, 1},
    {3, 16, 1, 1, 60, 19, 3, 3, 1, 1, 1, 1},  {1, 31, 1, 1, 13, 40, 3, 2, 3, 1, 2, 1},
};

static size_t out_size(size_t in, size_t kernel, const struct conv_shape *s)
{
    const ptrdiff_t reach = (ptrdiff_t)((in - 1) * s->up) + 2 * s->pad;
    return ((size_t)reach - s->dil * (kernel - 1)) / s->stride + 1;
}

static struct conv_geom geometry(const struct conv_shape *s)
{
    struct conv_geom g = {.cin = s->cin, .in_h = s->h, .in_w = s->w, .kh = s->kh, .kw = s->kw};
    g.stride_h = g.stride_w = s->stride;
    g.dil_h = g.dil_w = s->dil;
    g.pad_h = g.pad_w = s->pad;
    g.out_h = out_size(s->h, s->kh, s);
    g.out_w = out_size(s->w, s->kw, s);
    return g;
}

static void conv_phases(const struct kern *kern, const struct conv_job *job)
{
    const size_t bytes = conv_shared_bytes(kern, job);
    unsigned char *shared = fenced((bytes + GUARD + 63) / 64 * 64);
    memset(shared, 0xff, bytes);
    memset(shared + bytes, 0xa5, GUARD);
    for (size_t phase = 0; phase < CONV_PHASES; phase++) {
        const struct conv_phase p = {job, phase, shared};
        run(kern, conv_one, &p, conv_tasks(kern, job, phase), conv_thread_bytes(kern, job));
    }
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(shared[bytes + i], 0xa5);
    unfence(shared);
}

static void conv_run(const struct kern *kern, struct conv_job *job, size_t n_threads,
                     const f16 *want)
{
    const size_t n = job->images * job->groups * job->cout * job->geom.out_h * job->geom.out_w;
    struct seen seen = {fenced(n), n};
    f16 *y = untouched(n);
    job->y = y;
    job->n_threads = n_threads;
    job->epilogue = see;
    job->epilogue_arg = &seen;
    conv_phases(kern, job);
    same(kern, "conv", y, want, n);
    all_seen_once(&seen);
    unfence(y), unfence(seen.count);
}

static void take_relu(void *arg, size_t offset, size_t n)
{
    const struct conv_job *job = arg;
    f16 *y = job->y + offset;
    for (size_t i = 0; i < n; i++)
        if (f16_to_f32(y[i]) < 0.0f) /* a zero keeps its sign, as in the micro-op */
            y[i] = 0;
}

/* An epilogue that is relu, which the driver calls or not; and all tasks of a phase on one thread,
 * which may find wide weights in its scratch. */
static void conv_relu_as_one(const struct kern *kern, struct conv_job *job, const f16 *sums)
{
    const size_t n = job->images * job->groups * job->cout * job->geom.out_h * job->geom.out_w;
    const size_t n_bytes = conv_thread_bytes(kern, job);
    unsigned char *own = fenced((n_bytes + 127) / 64 * 64);
    unsigned char *shared = fenced((conv_shared_bytes(kern, job) + 127) / 64 * 64);
    f16 *y = untouched(n), *want = fenced(n * sizeof *want);
    struct conv_job expected = {.y = want};
    size_t kept = 0;
    memcpy(want, sums, n * sizeof *want);
    take_relu(&expected, 0, n);
    job->y = y;
    job->epilogue = take_relu;
    job->epilogue_arg = job;
    job->relu = true;
    memset(own, 0xff, n_bytes);
    for (size_t phase = 0; phase < CONV_PHASES; phase++)
        for (size_t task = 0; task < conv_tasks(kern, job, phase); task++)
            conv_task(kern, job, phase, task, shared, own, &kept);
    job->relu = false;
    same(kern, "conv with relu", y, want, n);
    unfence(y), unfence(want), unfence(own), unfence(shared);
}

/* How many tables took strips. */
static size_t conv_case(const struct conv_shape *s, bool biased, bool poisoned)
{
    const struct kern *kern[8];
    struct conv_job job = {
        .images = s->images, .groups = s->groups, .cout = s->cout, .geom = geometry(s),
        .up = s->up};
    const size_t n_x = s->images * s->groups * s->cin * s->h * s->w;
    const size_t n_w = s->groups * s->cout * s->cin * s->kh * s->kw;
    const size_t n_y = s->images * s->groups * s->cout * job.geom.out_h * job.geom.out_w;
    f16 *x = values(n_x), *w = values(n_w), *bias = values(s->groups * s->cout);
    f16 *want = untouched(n_y);
    f16 *packed = untouched(conv_packed_size(&job.geom, s->groups, s->cout));
    if (poisoned) {
        poison(x, n_x);
        poison(w, n_w);
    }
    job.x = x;
    job.bias = biased ? bias : NULL;
    conv_naive(&job, w, want);
    conv_pack_weights(&job.geom, s->groups, s->cout, CONV_WEIGHTS, conv_tap_step(s->up, s->dil), w,
                      packed);
    job.weights = packed;
    size_t strips = 0;
    for (size_t t = tables(kern); t-- > 0;) {
        for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++)
            conv_run(kern[t], &job, thread_counts[i], want);
        conv_relu_as_one(kern[t], &job, want);
        strips += job.up == 1 && conv_strips.chosen(kern[t], &job);
    }
    unfence(x), unfence(w), unfence(bias), unfence(want), unfence(packed);
    return strips;
}

static void test_conv(void **state)
{
    const struct kern *kern[8];
    size_t strips = 0;
    for (size_t i = 0; i < sizeof conv_shapes / sizeof *conv_shapes; i++)
        strips += conv_case(&conv_shapes[i], i % 2, i % 3 == 1);
    assert_true(strips >= 6 * tables(kern));
    (void)state;
}

/* Every cut of pixels and taps that a driver could ask for, and nothing written around it. */
static void test_gather(void **state)
{
    const struct kern *kern[8];
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t i = 0; i < sizeof conv_shapes / sizeof *conv_shapes; i++) {
            const struct conv_geom g = geometry(&conv_shapes[i]);
            const size_t n_k = g.cin * g.kh * g.kw, pixels = g.out_h * g.out_w;
            f16 *x = values(g.cin * g.in_h * g.in_w);
            for (int round = 0; round < 6; round++) {
                const size_t k0 = next() % n_k, kc = 1 + next() % (n_k - k0 < 40 ? n_k - k0 : 40);
                const size_t p0 = next() % pixels, most = pixels - p0 < 400 ? pixels - p0 : 400;
                const size_t np = 1 + next() % most, panels = (np + 15) / 16, b_panel = 16 * kc + 8;
                float *got = fenced(panels * b_panel * sizeof *got);
                for (size_t e = 0; e < panels * b_panel; e++)
                    got[e] = -77.0f;
                kern[t]->conv_gather(&g, x, k0, kc, p0, np, got, b_panel);
                for (size_t e = 0; e < panels * b_panel; e++) {
                    const size_t k = e % b_panel / 16, p = e / b_panel * 16 + e % b_panel % 16;
                    f16 h = 0;
                    if (k < kc && p < np)
                        tap(&g, 1, x, k0 + k, p0 + p, &h);
                    const float want = k >= kc ? -77.0f : f16_to_f32(h);
                    if (memcmp(&got[e], &want, sizeof want) != 0)
                        fail_msg("%s, gather %zu: %g at %zu, not %g\n", kern[t]->name, i,
                                 (double)got[e], e, (double)want);
                }
                unfence(got);
            }
            unfence(x);
        }
    (void)state;
}

/* Transposed convolution scattered straight from its definition, in exact integers. */
static void transposed_case(size_t groups, size_t cin, size_t cout, size_t h, size_t w, size_t n,
                            size_t stride, size_t pad, size_t dil, size_t extra)
{
    const struct kern *kern[8];
    struct conv_job job = {.images = 2, .groups = groups, .cout = cout, .up = stride};
    struct conv_geom *g = &job.geom;
    *g = (struct conv_geom){.cin = cin, .in_h = h, .in_w = w, .kh = n, .kw = n, .stride_h = 1,
                            .stride_w = 1, .dil_h = dil, .dil_w = dil};
    g->out_h = (h - 1) * stride + dil * (n - 1) + extra + 1 - 2 * pad;
    g->out_w = (w - 1) * stride + dil * (n - 1) + extra + 1 - 2 * pad;
    g->pad_h = g->pad_w = (ptrdiff_t)(dil * (n - 1)) - (ptrdiff_t)pad;
    const size_t n_y = job.images * groups * cout * g->out_h * g->out_w;
    f16 *x = integers(job.images * groups * cin * h * w);
    f16 *weights = integers(groups * cin * cout * n * n);
    f16 *packed = untouched(conv_packed_size(g, groups, cout)), *want = untouched(n_y);
    float *sum = fenced(n_y * sizeof *sum);
    for (size_t i = 0; i < job.images * groups * cin * h * w; i++)
        for (size_t e = 0; e < cout * n * n; e++) {
            const size_t channel = i / (h * w), group = channel / cin;
            const size_t y = i / w % h * stride + e / n % n * dil, c = i % w * stride + e % n * dil;
            if (y < pad || y - pad >= g->out_h || c < pad || c - pad >= g->out_w)
                continue;
            sum[((group * cout + e / (n * n)) * g->out_h + y - pad) * g->out_w + c - pad] +=
                f16_to_f32(x[i]) *
                f16_to_f32(weights[channel % (groups * cin) * cout * n * n + e]);
        }
    for (size_t i = 0; i < n_y; i++)
        want[i] = f32_to_f16(sum[i] + 0.0f);
    conv_pack_weights(g, groups, cout, CONV_WEIGHTS_TRANSPOSED, conv_tap_step(stride, dil), weights,
                      packed);
    job.x = x;
    job.weights = packed;
    for (size_t t = tables(kern); t-- > 0;)
        conv_run(kern[t], &job, 2, want);
    unfence(x), unfence(weights), unfence(packed), unfence(want), unfence(sum);
}

static void test_transposed_conv(void **state)
{
    transposed_case(1, 3, 4, 5, 6, 3, 2, 1, 1, 1);
    transposed_case(2, 2, 5, 4, 4, 4, 2, 1, 1, 0);
    transposed_case(1, 2, 3, 6, 5, 2, 3, 0, 1, 2);
    transposed_case(1, 2, 3, 5, 5, 3, 1, 3, 2, 0);
    transposed_case(3, 1, 1, 5, 5, 3, 1, 1, 1, 0);
    transposed_case(3, 1, 1, 5, 5, 3, 2, 1, 1, 1);
    transposed_case(1, 2, 3, 4, 5, 4, 4, 1, 2, 3);
    transposed_case(1, 5, 20, 3, 4, 2, 5, 0, 1, 4);
    (void)state;
}

/* Shapes that nobody thought of: groups, strides, dilations, gaps, paddings that reach further than
 * the image, in a hundred thousand multiply-adds at most. */
static void test_random_conv(void **state)
{
    for (int done = 0; done < 120;) {
        struct conv_shape s = {.stride = 1, .up = 1};
        /* One by one: the order within an initialiser is the compiler's. */
        s.images = draw(3);
        s.groups = draw(20);
        s.cin = draw(40);
        s.cout = draw(80);
        s.h = draw(24);
        s.w = draw(40);
        s.kh = draw(6);
        s.kw = draw(6);
        s.dil = draw(3);
        if (next() % 2)
            s.up = draw(5);
        else
            s.stride = draw(4);
        s.pad = (ptrdiff_t)(next() % (s.dil * s.kh + 2));
        s.pad -= next() % 4 == 0;
        const ptrdiff_t h = (ptrdiff_t)((s.h - 1) * s.up) + 2 * s.pad;
        const ptrdiff_t w = (ptrdiff_t)((s.w - 1) * s.up) + 2 * s.pad;
        if (h < (ptrdiff_t)(s.dil * (s.kh - 1)) || w < (ptrdiff_t)(s.dil * (s.kw - 1)))
            continue;
        const struct conv_geom g = geometry(&s);
        if (s.images * s.groups * s.cin * s.cout * s.kh * s.kw * g.out_h * g.out_w > 100000)
            continue;
        const bool biased = next() % 2, poisoned = next() % 4 == 0;
        conv_case(&s, biased, poisoned);
        done++;
    }
    (void)state;
}

static void large_conv(const struct conv_shape *s)
{
    const struct kern *kern[8];
    struct conv_job job = {
        .images = 1, .groups = 1, .cout = s->cout, .geom = geometry(s), .n_threads = 2};
    const struct conv_geom *g = &job.geom;
    const size_t n_k = g->cin * g->kh * g->kw, pixels = g->out_h * g->out_w, n_y = s->cout * pixels;
    f16 *x = values(g->cin * g->in_h * g->in_w), *w = values(s->cout * n_k);
    f16 *packed = untouched(conv_packed_size(g, 1, s->cout)), *y = untouched(n_y);
    f16 *first = untouched(n_y);
    double *wide_w = widened(w, s->cout * n_k), *patches = fenced(n_k * pixels * sizeof *patches);
    for (size_t k = 0; k < n_k; k++)
        for (size_t p = 0; p < pixels; p++) {
            f16 t;
            tap(g, 1, x, k, p, &t);
            patches[k * pixels + p] = (double)f16_to_f32(t);
        }
    conv_pack_weights(g, 1, s->cout, CONV_WEIGHTS, 1, w, packed);
    job.x = x, job.weights = packed, job.y = y;
    for (size_t n_tables = tables(kern), t = 0; t < n_tables; t++) {
        conv_phases(kern[t], &job);
        if (t == 0) {
            check_product(kern[t], "large conv", s->cout, pixels, n_k, wide_w, patches, y);
            memcpy(first, y, n_y * sizeof *y);
        }
        same(kern[t], "large conv", y, first, n_y);
    }
    unfence(x), unfence(w), unfence(packed), unfence(y), unfence(first), unfence(wide_w);
    unfence(patches);
}

static void test_large(void **state)
{
    large_conv(&(struct conv_shape){1, 1, 64, 64, 56, 56, 3, 3, 1, 1, 1, 1});
    large_conv(&(struct conv_shape){1, 1, 128, 128, 7, 7, 3, 3, 1, 1, 1, 1});
    large_conv(&(struct conv_shape){1, 1, 3, 64, 112, 112, 7, 7, 2, 3, 1, 1});
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gather),
        cmocka_unit_test(test_conv),
        cmocka_unit_test(test_random_conv),
        cmocka_unit_test(test_transposed_conv),
        cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
