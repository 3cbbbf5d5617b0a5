/* Matrix multiplication, convolution and attention: every table against naive scalar chains,
 * with ==.
 *
 * The references below are written from the contracts of kern.h and the block headers alone.
 * Every driver runs for several thread counts, tasks last to first, with its scratch full of NaN
 * and guarded, and its output with untouched elements between the rows; the epilogue must meet
 * every output element once.  Inputs have their exact size on the heap, so that a sanitizer sees
 * a read past their end.  Large shapes are checked against a random vector in double. */
#include "plain.h"

#include "kernel_values.h"
#include "epilogue_seen.h"

#include "base/fp16.h"
#include "kernels/block_attention.h"
#include "kernels/block_conv.h"
#include "kernels/block_gemm.h"
#include "kernels/conv_way.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GUARD 64

/* Small, so that sums do not round. */
static f16 *integers(size_t n)
{
    f16 *x = fenced(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = f32_to_f16((float)(int)(next() % 7) - 3.0f);
    return x;
}

static void poison(f16 *x, size_t n)
{
    static const f16 bad[] = {0x7e00, 0x7c00, 0xfc00, 0xfe01, 0x8000, 0x7bff};
    for (size_t i = 0; i < 3 && n; i++)
        x[next() % n] = bad[next() % 6];
}

static void same(const struct kern *kern, const char *what, const f16 *got, const f16 *want,
                 size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s, %s: element %zu of %zu is %04x (%g), not %04x (%g)\n", kern->name, what,
                     i, n, got[i], (double)f16_to_f32(got[i]), want[i],
                     (double)f16_to_f32(want[i]));
}

/* ---- running a driver ------------------------------------------------------------------------ */
typedef void task_fn(const struct kern *kern, const void *job, size_t task, void *own);

static void gemm_one(const struct kern *kern, const void *job, size_t task, void *own)
{
    size_t kept = 0;
    gemm_task(kern, job, task, own, &kept);
}

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

static void attention_one(const struct kern *kern, const void *job, size_t task, void *own)
{
    attention_task(kern, job, task, own);
}

static void run(const struct kern *kern, task_fn *fn, const void *job, size_t n_tasks, size_t bytes)
{
    unsigned char *own = fenced((bytes + GUARD + 63) / 64 * 64);
    for (size_t task = n_tasks; task-- > 0;) {
        memset(own, 0xff, bytes);
        memset(own + bytes, 0xa5, GUARD);
        fn(kern, job, task, own);
        for (size_t i = 0; i < GUARD; i++)
            assert_int_equal(own[bytes + i], 0xa5);
    }
    unfence(own);
}

/* All tasks on one thread, which may find packed rows in its scratch. */
static void run_gemm_as_one(const struct kern *kern, const struct gemm_job *job)
{
    const size_t n_bytes = gemm_thread_bytes(kern, job), n_tasks = gemm_tasks(kern, job);
    unsigned char *own = fenced((n_bytes + 127) / 64 * 64);
    size_t kept = 0;
    memset(own, 0xff, n_bytes);
    for (size_t task = 0; task < n_tasks; task++)
        gemm_task(kern, job, task, own, &kept);
    unfence(own);
}

static void all_seen_once(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(s->count[i], 1);
    memset(s->count, 0, s->n);
}

static const size_t thread_counts[] = {1, 2, 3, 7};

/* ---- gemm ------------------------------------------------------------------------------------ */
static void gemm_naive(const struct gemm_job *job, const f16 *b, f16 *c)
{
    for (size_t z = 0; z < job->batch; z++)
        for (size_t i = 0; i < job->m; i++)
            for (size_t j = 0; j < job->n; j++) {
                float s = 0.0f;
                for (size_t k = 0; k < job->k; k++) {
                    const f16 *bz = b + (job->b_kind == GEMM_B_PACKED ? 0 : z * job->b_batch);
                    f16 w = job->b_kind == GEMM_B_COLS ? bz[j * job->b_row + k]
                                                       : bz[k * job->b_row + j];
                    s = fmaf(f16_to_f32(job->a[z * job->a_batch + i * job->a_row + k]),
                             f16_to_f32(w), s);
                }
                if (job->bias)
                    s += f16_to_f32(job->bias[j]);
                c[z * job->c_batch + i * job->c_row + j] = f32_to_f16(s);
            }
}

static void gemm_case(size_t batch, size_t m, size_t n, size_t k, enum gemm_b kind, unsigned flags)
{
    const struct kern *kern[8];
    const size_t gap = flags & 1 ? 3 : 0;
    struct gemm_job job = {.batch = batch, .m = m, .n = n, .k = k, .b_kind = kind};
    job.a_row = k + gap;
    job.a_batch = m * job.a_row + gap;
    job.b_row = (kind == GEMM_B_COLS ? k : n) + (kind == GEMM_B_PACKED ? 0 : gap);
    job.b_batch = (kind == GEMM_B_COLS ? n : k) * job.b_row + gap;
    job.c_row = n + gap;
    job.c_batch = m * job.c_row + gap;
    f16 *a = values((batch - 1) * job.a_batch + (m - 1) * job.a_row + k);
    f16 *b = values(kind == GEMM_B_PACKED ? k * n : batch * job.b_batch);
    f16 *bias = values(n), *packed = fenced(gemm_packed_size(k, n) * sizeof *packed);
    const size_t n_c = batch * job.c_batch;
    f16 *want = untouched(n_c), *c = untouched(n_c);
    struct seen seen = {fenced(batch * m * n), batch * m * n};

    if (flags & 4) {
        poison(a, k);
        poison(b, k * n);
    }
    job.a = a;
    job.bias = flags & 2 ? bias : NULL;
    job.epilogue = see;
    job.epilogue_arg = &seen;
    gemm_naive(&job, b, want);
    gemm_pack_weights(b, k, n, false, packed);
    job.b = kind == GEMM_B_PACKED ? packed : b;
    for (size_t t = tables(kern); t-- > 0;)
        for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++) {
            memset(c, 0, n_c * sizeof *c);
            for (size_t e = 0; e < n_c; e++)
                c[e] = UNTOUCHED;
            job.c = c;
            job.n_threads = thread_counts[i];
            run(kern[t], gemm_one, &job, gemm_tasks(kern[t], &job),
                gemm_thread_bytes(kern[t], &job));
            same(kern[t], "gemm", c, want, n_c);
            all_seen_once(&seen);
            for (size_t e = 0; e < n_c; e++)
                c[e] = UNTOUCHED;
            run_gemm_as_one(kern[t], &job);
            same(kern[t], "gemm on one thread", c, want, n_c);
            all_seen_once(&seen);
        }
    unfence(a), unfence(b), unfence(bias), unfence(packed), unfence(want), unfence(c);
    unfence(seen.count);
}

static void test_gemm(void **state)
{
    static const size_t sizes[][4] = {
        {1, 1, 1, 1},    {1, 1, 17, 5},    {1, 1, 300, 70},  {1, 2, 33, 9},    {1, 5, 16, 200},
        {1, 6, 48, 193}, {1, 7, 100, 8},   {1, 8, 129, 33},  {1, 9, 15, 20},   {1, 13, 47, 385},
        {1, 16, 49, 16}, {1, 17, 208, 31}, {3, 4, 20, 6},    {5, 3, 7, 11},    {2, 25, 65, 50},
        {1, 97, 31, 40}, {1, 250, 20, 12}, {1, 100, 400, 9}, {1, 4, 18, 0},    {1, 20, 18, 0},
        {1, 33, 33, 33}, {1, 37, 1, 300},  {2, 110, 3, 20},   {1, 75, 385, 7},  {1, 150, 52, 70},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int kind = GEMM_B_PACKED; kind <= GEMM_B_COLS; kind++)
            gemm_case(sizes[i][0], sizes[i][1], sizes[i][2], sizes[i][3], (enum gemm_b)kind,
                      (unsigned)(i + (size_t)kind * 3));
    (void)state;
}

static void test_pack_weights(void **state)
{
    f16 *w = values(37 * 21), *turned = values(37 * 21);
    for (size_t i = 0; i < 37; i++)
        for (size_t j = 0; j < 21; j++)
            turned[j * 37 + i] = w[i * 21 + j];
    assert_int_equal(gemm_packed_size(37, 21), 2 * 37 * 16);
    f16 *a = untouched(2 * 37 * 16), *b = untouched(2 * 37 * 16);
    gemm_pack_weights(w, 37, 21, false, a);
    gemm_pack_weights(turned, 37, 21, true, b);
    assert_memory_equal(a, b, 2 * 37 * 16 * sizeof *a);
    assert_int_equal(a[37 * 16 + 16 * 5 + 4], w[5 * 21 + 20]);
    assert_int_equal(a[37 * 16 + 16 * 5 + 5], 0);
    unfence(w), unfence(turned), unfence(a), unfence(b);
    (void)state;
}

/* ---- convolution ----------------------------------------------------------------------------- */
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

/* ---- attention ------------------------------------------------------------------------------- */
static void attention_naive(const struct kern *kern, const struct attention_job *job, f16 *out)
{
    float *s = fenced(job->skv * sizeof *s), top;
    f16 *score = fenced(job->skv * sizeof *score);
    for (size_t h = 0; h < job->heads; h++)
        for (size_t i = 0; i < job->sq; i++) {
            for (size_t j = 0; j < job->skv; j++) {
                s[j] = 0.0f;
                for (size_t e = 0; e < job->d; e++)
                    s[j] = fmaf(f16_to_f32(job->q[h * job->q_head + i * job->q_row + e]),
                                f16_to_f32(job->k[h * job->k_head + j * job->k_row + e]), s[j]);
            }
            for (size_t j = 0; j < job->skv; j++)
                score[j] = f32_to_f16(s[j]);
            kern->score_rows(
                score, job->skv, 1, job->skv, job->has_scale, f16_to_f32(job->scale),
                job->mask ? job->mask + h * job->mask_head + i * job->mask_row : NULL, 0, &top);
            struct softmax_rows softmax = {.s = score, .e = s, .ld = job->skv, .rows = 1,
                                           .n = job->skv, .shift = &top};
            kern->score_start(&softmax, false, 1.0f);
            kern->score_softmax(&softmax);
            for (size_t e = 0; e < job->dv; e++) {
                float sum = 0.0f;
                for (size_t j = 0; j < job->skv; j++)
                    sum = fmaf(s[j],
                               f16_to_f32(job->v[h * job->v_head + j * job->v_row + e]), sum);
                out[h * job->out_head + i * job->out_row + e] = f32_to_f16(sum);
            }
        }
    unfence(s), unfence(score);
}

/* scale: 0 none.  mask: 0 none, 1 one row, 2 one matrix, 3 one matrix for each head. */
static void attention_case(size_t heads, size_t sq, size_t skv, size_t d, size_t dv, float scale,
                           int mask, bool poisoned)
{
    const struct kern *kern[8];
    const size_t gap = next() % 2 * 5, n_tables = tables(kern);
    struct attention_job job = {.heads = heads, .sq = sq, .skv = skv, .d = d, .dv = dv};
    job.q_row = d + gap, job.k_row = d + gap, job.v_row = dv + gap, job.out_row = dv + gap;
    job.q_head = sq * job.q_row, job.k_head = skv * job.k_row, job.v_head = skv * job.v_row;
    job.out_head = sq * job.out_row;
    job.has_scale = scale != 0.0f;
    job.scale = f32_to_f16(scale);
    job.mask_row = mask > 1 ? skv : 0;
    job.mask_head = mask > 2 ? sq * skv : 0;
    f16 *q = values(heads * job.q_head), *k = values(heads * job.k_head);
    f16 *v = values(heads * job.v_head), *m = values(heads * sq * skv);
    const size_t n_out = heads * job.out_head;
    f16 *want = untouched(n_out), *out = untouched(n_out);
    struct seen seen = {fenced(heads * sq * dv), heads * sq * dv};
    for (size_t i = 0; i < heads * sq * skv; i += 3)
        m[i] = 0xfc00; /* -inf: masked out */
    if (poisoned) {
        poison(q, heads * job.q_head);
        poison(v, heads * job.v_head);
    }
    job.q = q, job.k = k, job.v = v, job.mask = mask ? m : NULL;
    job.epilogue = see;
    job.epilogue_arg = &seen;
    attention_naive(kern[n_tables - 1], &job, want);
    for (size_t t = n_tables; t-- > 0;)
        for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++) {
            for (size_t e = 0; e < n_out; e++)
                out[e] = UNTOUCHED;
            job.out = out;
            job.n_threads = thread_counts[i];
            run(kern[t], attention_one, &job, attention_tasks(kern[t], &job),
                attention_thread_bytes(kern[t], &job));
            same(kern[t], "attention", out, want, n_out);
            all_seen_once(&seen);
        }
    unfence(q), unfence(k), unfence(v), unfence(m), unfence(want), unfence(out);
    unfence(seen.count);
}

static void test_attention(void **state)
{
    attention_case(1, 1, 1, 1, 1, 0.0f, 0, false);
    attention_case(2, 5, 7, 3, 3, 0.37f, 0, false);
    attention_case(3, 17, 33, 16, 16, 0.37f, 1, false);
    attention_case(1, 50, 40, 24, 20, 0.0f, 2, false);
    attention_case(2, 9, 300, 8, 33, 0.37f, 3, false);
    attention_case(1, 1, 210, 64, 64, 0.37f, 1, false);
    attention_case(2, 60, 60, 12, 12, 0.37f, 3, true);
    attention_case(1, 10, 2000, 4, 4, 0.37f, 0, false);
    /* Powers of two, some of which leave the scaling to the softmax: without a mask, at most 1. */
    attention_case(2, 19, 70, 16, 16, 0.25f, 0, false);
    attention_case(1, 7, 130, 8, 8, 0x1p-10f, 0, false);
    attention_case(2, 60, 60, 12, 12, 0.125f, 0, true);
    attention_case(1, 9, 40, 64, 16, 32768.0f, 0, false);
    attention_case(1, 9, 40, 64, 16, -32.0f, 0, false);
    attention_case(1, 9, 40, 16, 16, 0x1p-20f, 0, false);
    attention_case(2, 9, 40, 16, 16, 0.25f, 2, false);
    /* Blocks of query rows whose softmax is computed beside products, partly and as a whole. */
    attention_case(1, 110, 130, 64, 64, 0.125f, 0, false);
    attention_case(2, 61, 200, 16, 64, 0.37f, 2, false);
    attention_case(1, 75, 70, 64, 50, 0.125f, 0, true);
    attention_case(1, 49, 4100, 8, 64, 0.25f, 0, false);
    (void)state;
}

/* ---- large shapes ---------------------------------------------------------------------------- */
/* y = r (A B) against (r A) B for random r.  With e the error of an element,
 *     |e| <= 2^-11 |c| + 2^-25 + k 2^-24 (|A| |B|)
 * (final rounding, its subnormal case, k roundings of partial sums to first order; doubled). */
static void check_product(const struct kern *kern, const char *what, size_t m, size_t n, size_t k,
                          const double *a, const double *b, const f16 *c)
{
    double *ra = fenced(k * sizeof *ra), *abs_ra = fenced(k * sizeof *abs_ra);
    double *r = fenced(m * sizeof *r);
    for (size_t i = 0; i < m; i++) {
        r[i] = (double)next() * 0x1p-23 - 1.0;
        for (size_t e = 0; e < k; e++) {
            ra[e] += r[i] * a[i * k + e];
            abs_ra[e] += fabs(r[i] * a[i * k + e]);
        }
    }
    for (size_t j = 0; j < n; j++) {
        double want = 0, got = 0, bound = 0;
        for (size_t e = 0; e < k; e++) {
            want += ra[e] * b[e * n + j];
            bound += abs_ra[e] * fabs(b[e * n + j]) * (double)k * 0x1p-23;
        }
        for (size_t i = 0; i < m; i++) {
            got += r[i] * (double)f16_to_f32(c[i * n + j]);
            bound += fabs(r[i]) * (fabs((double)f16_to_f32(c[i * n + j])) * 0x1p-10 + 0x1p-24);
        }
        if (!(fabs(got - want) <= bound))
            fail_msg("%s, %s: column %zu is off by %g, allowed %g\n", kern->name, what, j,
                     fabs(got - want), bound);
    }
    unfence(ra), unfence(abs_ra), unfence(r);
}

static double *widened(const f16 *x, size_t n)
{
    double *y = fenced(n * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (double)f16_to_f32(x[i]);
    return y;
}

static void large_gemm(size_t m, size_t n, size_t k)
{
    const struct kern *kern[8];
    f16 *a = values(m * k), *b = values(k * n), *c = untouched(m * n), *first = untouched(m * n);
    f16 *packed = untouched(gemm_packed_size(k, n));
    double *wide_a = widened(a, m * k), *wide_b = widened(b, k * n);
    struct gemm_job job = {.batch = 1, .m = m, .n = n, .k = k, .a = a, .a_row = k, .b = packed,
                           .c = c, .c_row = n, .n_threads = 2};
    gemm_pack_weights(b, k, n, false, packed);
    for (size_t n_tables = tables(kern), t = 0; t < n_tables; t++) {
        run(kern[t], gemm_one, &job, gemm_tasks(kern[t], &job),
            gemm_thread_bytes(kern[t], &job));
        if (t == 0) {
            check_product(kern[t], "large gemm", m, n, k, wide_a, wide_b, c);
            memcpy(first, c, m * n * sizeof *c);
        }
        same(kern[t], "large gemm", c, first, m * n);
    }
    unfence(a), unfence(b), unfence(c), unfence(first), unfence(packed), unfence(wide_a);
    unfence(wide_b);
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
    large_gemm(512, 512, 512);
    large_gemm(128, 768, 384);
    large_gemm(1, 2048, 2048);
    large_conv(&(struct conv_shape){1, 1, 64, 64, 56, 56, 3, 3, 1, 1, 1, 1});
    large_conv(&(struct conv_shape){1, 1, 128, 128, 7, 7, 3, 3, 1, 1, 1, 1});
    large_conv(&(struct conv_shape){1, 1, 3, 64, 112, 112, 7, 7, 2, 3, 1, 1});
    (void)state;
}

/* ---- tasks ----------------------------------------------------------------------------------- */
/* A product of one row is cut finely enough for a thread that is away to be helped, but not below
 * what is worth a task. */
static void test_tasks_of_one_row(void **state)
{
    static const struct { size_t k, n, n_threads, tasks; } cases[] = {
        {4096, 4096, 1, 1}, {4096, 4096, 2, 16}, {4096, 4096, 4, 16}, {1024, 1024, 2, 2},
        {4096, 16, 2, 1},   {64, 64, 2, 1},      {8192, 8192, 2, 16}, {8192, 8192, 8, 64},
    };
    const struct kern *kern[8];
    for (size_t n_tables = tables(kern), t = 0; t < n_tables; t++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const struct gemm_job job = {.batch = 1, .m = 1, .k = cases[i].k, .n = cases[i].n,
                                         .n_threads = cases[i].n_threads};
            assert_int_equal(gemm_tasks(kern[t], &job), cases[i].tasks);
        }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm),      cmocka_unit_test(test_pack_weights),
        cmocka_unit_test(test_gather),    cmocka_unit_test(test_conv),
        cmocka_unit_test(test_transposed_conv), cmocka_unit_test(test_attention),
        cmocka_unit_test(test_large),     cmocka_unit_test(test_tasks_of_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
