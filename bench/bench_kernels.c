/* Kernels alone: GFLOP/s and the share of this machine's multiply-add peak.
 *
 *     bench_kernels [table] [threads] [name]
 *
 * For every workload: the drivers of src/kernels/block_*.h on the pool that the engine has.  Before
 * each run the peak is measured with multiply-adds that touch registers only, in the vectors of the
 * table, on the same threads: a machine whose cores are shared with others is compared with itself.
 * Printed are the median time and rate, and the median and the best tenth of the shares.  One
 * thread is timed by its own CPU clock, which other processes disturb little; several need an idle
 * machine. */
#include "kernels/block_attention.h"
#include "kernels/block_conv.h"
#include "kernels/block_gemm.h"
#include "kernels/winograd.h"
#include "machine_peak.h"
#include "runtime/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 64, PEAK_STEPS = 100000 };

static struct pool *pool;
static size_t n_threads;

static double now(void)
{
    struct timespec t;
    clock_gettime(n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the peak -------------------------------------------------------------------------------- */
struct peak {
    rate_loop *loop;
    double flops; /* of the first task; the others do as many */
};

static void peak_task(void *arg, size_t task, size_t thread)
{
    struct peak *peak = arg;
    const double flops = peak->loop(PEAK_STEPS);
    (void)thread;
    if (task == 0)
        peak->flops = flops;
}

static double peak_flops(const struct kern *kern)
{
    struct peak peak = {.loop = peak_loop(kern->name)};
    const double start = now();
    pool_run(pool, n_threads, peak_task, &peak);
    return peak.flops * (double)n_threads / (now() - start);
}

/* ---- workloads ------------------------------------------------------------------------------- */
struct workload {
    const char *name;
    enum { GEMM, CONV, ATTENTION } kind;
    size_t s[9]; /* gemm: m k n; conv: images cin cout size kernel stride pad groups;
                    attention: heads rows d */
};

static const struct workload workloads[] = {
    {"gemm 128x384x1536", GEMM, {128, 384, 1536}},
    {"gemm 128x1536x384", GEMM, {128, 1536, 384}},
    {"gemm 16x384x1536", GEMM, {16, 384, 1536}},
    {"gemm 32x384x1536", GEMM, {32, 384, 1536}},
    {"gemm 512x512x512", GEMM, {512, 512, 512}},
    {"gemm 1024x1024x1024", GEMM, {1024, 1024, 1024}},
    {"gemv 1x4096x4096", GEMM, {1, 4096, 4096}},
    {"gemm 8x4096x4096", GEMM, {8, 4096, 4096}},
    {"conv3x3 64@56", CONV, {1, 64, 64, 56, 3, 1, 1, 1}},
    {"conv3x3 128@28", CONV, {1, 128, 128, 28, 3, 1, 1, 1}},
    {"conv3x3 256@14", CONV, {1, 256, 256, 14, 3, 1, 1, 1}},
    {"conv3x3 64@56 x8", CONV, {8, 64, 64, 56, 3, 1, 1, 1}},
    {"conv3x3 256@14 x8", CONV, {8, 256, 256, 14, 3, 1, 1, 1}},
    {"conv3x3 512@7", CONV, {1, 512, 512, 7, 3, 1, 1, 1}},
    {"conv3x3 512@7 x8", CONV, {8, 512, 512, 7, 3, 1, 1, 1}},
    {"conv7x7s2 3-64@224", CONV, {1, 3, 64, 224, 7, 2, 3, 1}},
    {"conv3x3s2 64-128@56", CONV, {1, 64, 128, 56, 3, 2, 1, 1}},
    {"conv3x3s2 128-256@28", CONV, {1, 128, 256, 28, 3, 2, 1, 1}},
    {"conv3x3s2 256-512@14", CONV, {1, 256, 512, 14, 3, 2, 1, 1}},
    {"conv1x1 256-64@56", CONV, {1, 256, 64, 56, 1, 1, 0, 1}},
    {"conv1x1s2 64-128@56", CONV, {1, 64, 128, 56, 1, 2, 0, 1}},
    {"conv1x1 256-256@28", CONV, {1, 256, 256, 28, 1, 1, 0, 1}},
    {"conv1x1s2 256-512@14", CONV, {1, 256, 512, 14, 1, 2, 0, 1}},
    {"depthwise3x3 144@56", CONV, {1, 1, 1, 56, 3, 1, 1, 144}},
    {"depthwise3x3 960@7", CONV, {1, 1, 1, 7, 3, 1, 1, 960}},
    {"attention 12x128x32", ATTENTION, {12, 128, 32}},
    {"attention 12x128x64", ATTENTION, {12, 128, 64}},
    {"attention 12x512x64", ATTENTION, {12, 512, 64}},
    {"attention 12x2048x64", ATTENTION, {12, 2048, 64}},
};

struct running {
    const struct kern *kern;
    const struct workload *w;
    struct gemm_job gemm;
    struct conv_job conv;
    struct attention_job attention;
    size_t tasks[CONV_PHASES], phase, bytes;
    unsigned char *own;
    void *shared;
    struct {
        _Alignas(ANF_CACHE_LINE) size_t part; /* as gemm_task and conv_task have it */
    } kept[MOST_THREADS];
};

static void workload_task(void *arg, size_t task, size_t thread)
{
    struct running *r = arg;
    void *own = r->own + thread * r->bytes;
    size_t *kept = &r->kept[thread].part;
    if (r->w->kind == GEMM)
        gemm_task(r->kern, &r->gemm, task, own, kept);
    else if (r->w->kind == CONV)
        conv_task(r->kern, &r->conv, r->phase, task, r->shared, own, kept);
    else
        attention_task(r->kern, &r->attention, task, own);
}

static void run_workload(struct running *r)
{
    memset(r->kept, 0, n_threads * sizeof *r->kept);
    for (r->phase = 0; r->phase < CONV_PHASES; r->phase++)
        pool_run(pool, r->tasks[r->phase], workload_task, r);
}

/* Random values in -1 .. 1, cache-line aligned. */
static f16 *values(size_t n)
{
    static uint32_t seed = 1;
    f16 *x = aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64);
    if (!x)
        exit(1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (f16)(0x2c00u + (seed >> 9) % 0x1000u) | (f16)(seed >> 31 << 15);
    }
    return x;
}

static double prepare(struct running *r)
{
    const size_t *s = r->w->s;
    if (r->w->kind == GEMM) {
        const size_t m = s[0], k = s[1], n = s[2];
        r->gemm = (struct gemm_job){.batch = 1, .m = m, .n = n, .k = k, .a = values(m * k),
                                    .a_row = k, .b = values(gemm_packed_size(k, n)),
                                    .c = values(m * n), .c_row = n, .n_threads = n_threads};
        r->tasks[0] = gemm_tasks(r->kern, &r->gemm);
        r->bytes = gemm_thread_bytes(r->kern, &r->gemm);
        return 2.0 * (double)m * (double)n * (double)k;
    }
    if (r->w->kind == ATTENTION) {
        const size_t heads = s[0], rows = s[1], d = s[2], n = heads * rows * d;
        r->attention = (struct attention_job){
            .heads = heads, .sq = rows, .skv = rows, .d = d, .dv = d, .q = values(n),
            .k = values(n), .v = values(n), .q_head = rows * d, .k_head = rows * d,
            .v_head = rows * d, .q_row = d, .k_row = d, .v_row = d, .out = values(n),
            .out_head = rows * d, .out_row = d, .has_scale = true, .scale = 0x3000,
            .n_threads = n_threads};
        r->tasks[0] = attention_tasks(r->kern, &r->attention);
        r->bytes = attention_thread_bytes(r->kern, &r->attention);
        return 4.0 * (double)heads * (double)rows * (double)rows * (double)d;
    }
    const size_t images = s[0], cin = s[1], cout = s[2], size = s[3], groups = s[7];
    const size_t out = (size + 2 * s[6] - s[4]) / s[5] + 1;
    r->conv = (struct conv_job){.images = images, .groups = groups, .cout = cout,
                                .geom = {.cin = cin, .in_h = size, .in_w = size, .out_h = out,
                                         .out_w = out, .kh = s[4], .kw = s[4], .stride_h = s[5],
                                         .stride_w = s[5], .dil_h = 1, .dil_w = 1,
                                         .pad_h = (ptrdiff_t)s[6],
                                         .pad_w = (ptrdiff_t)s[6]},
                                .up = 1, .n_threads = n_threads};
    r->conv.x = values(images * groups * cin * size * size);
    r->conv.winograd = winograd_chosen(&r->conv.geom, groups, cout);
    r->conv.weights = values(conv_packed_size(&r->conv.geom, groups, cout));
    r->conv.y = values(images * groups * cout * out * out);
    for (size_t phase = 0; phase < CONV_PHASES; phase++)
        r->tasks[phase] = conv_tasks(r->kern, &r->conv, phase);
    r->bytes = conv_thread_bytes(r->kern, &r->conv);
    r->shared = aligned_alloc(64, (conv_shared_bytes(r->kern, &r->conv) + 63) / 64 * 64 + 64);
    return 2.0 * (double)(images * groups * cin * cout) * (double)(out * out * s[4] * s[4]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct kern *kern, const struct workload *w)
{
    enum { MOST = 201 };
    double time[MOST], share[MOST], total = 0;
    size_t n = 0;
    struct running r = {.kern = kern, .w = w};
    const double flops = prepare(&r);
    r.bytes = (r.bytes + 64 + 4095) / 4096 * 4096;
    r.own = aligned_alloc(4096, r.bytes * n_threads);
    if (!r.own)
        exit(1);
    run_workload(&r);
    while (n < MOST && (n < 9 || total < 0.4)) {
        const double peak = peak_flops(kern), start = now();
        run_workload(&r);
        time[n] = now() - start;
        share[n] = 100 * flops / time[n] / peak;
        total += time[n++];
    }
    qsort(time, n, sizeof *time, by_value);
    qsort(share, n, sizeof *share, by_value);
    printf("%-22s %zu threads %9.1f us %7.1f GFLOP/s %5.1f %% of peak, best tenth %5.1f %%\n",
           w->name, n_threads, time[n / 2] * 1e6, flops / time[n / 2] * 1e-9, share[n / 2],
           share[n - 1 - n / 10]);
    if (w->kind == GEMM) {
        free((void *)(uintptr_t)r.gemm.a), free((void *)(uintptr_t)r.gemm.b), free(r.gemm.c);
    } else if (w->kind == CONV) {
        free((void *)(uintptr_t)r.conv.x), free((void *)(uintptr_t)r.conv.weights);
        free(r.conv.y);
    } else {
        free((void *)(uintptr_t)r.attention.q), free((void *)(uintptr_t)r.attention.k);
        free((void *)(uintptr_t)r.attention.v), free(r.attention.out);
    }
    free(r.own), free(r.shared);
}

int main(int argc, char **argv)
{
    const struct kern *kern = kern_select(argc > 1 && strcmp(argv[1], "-") ? argv[1] : NULL);
    n_threads = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 1;
    if (!kern || n_threads < 1 || n_threads > MOST_THREADS) {
        fprintf(stderr, "bench_kernels: no such table on this machine, or not 1 to %d threads\n",
                MOST_THREADS);
        return 1;
    }
    if (pool_new(&alloc_default, (int)n_threads, &pool) != ANF_OK)
        return 1;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (argc < 4 || strstr(workloads[i].name, argv[3]))
            measure(kern, &workloads[i]);
    pool_free(pool);
    return 0;
}
