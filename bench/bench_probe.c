/* What the machine gives at this moment: the yardstick of bench/compare.py.
 *
 *     bench_probe            measure peak, cores and bandwidth once and print them
 *     bench_probe -          commands on stdin, one line of JSON each
 *
 *     cores                  multiply-add rate of one thread and of two at once, some 4 ms each
 *     peak SECONDS           the same for the best of many, and the read bandwidth of memory
 *     quit
 *
 * The rate counts float32 multiply-adds on registers only, in the widest vectors the CPU has; no
 * float32 program is faster.  Virtual cores may share one physical core, or be taken away: then two
 * threads are not twice as fast as one, and a sample taken at that time says nothing. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    CHAINS = 12,          /* two units with a latency of 4 or 5 cycles need 8 to 10 */
    STEPS = 400000,       /* of CHAINS multiply-adds: 1 to 2 ms */
    FMA_TRIES = 20,
    READ_BYTES = 1 << 28, /* beyond any last-level cache share */
};

static volatile float sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- multiply-adds: each returns the floating-point operations of its steps ------------------ */
typedef double peak_fn(long steps);

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double wide_avx512(long steps)
{
    __m512 sum[CHAINS], x = _mm512_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < steps; k++) {
        __asm__ volatile("" : "+v"(x)); /* the compiler may not fold the loop */
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, x);
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    sink = _mm512_cvtss_f32(sum[0]);
    return 2.0 * 16 * CHAINS * (double)steps;
}

__attribute__((target("avx2,fma"))) static double wide_avx2(long steps)
{
    __m256 sum[CHAINS], x = _mm256_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < steps; k++) {
        __asm__ volatile("" : "+x"(x));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm256_fmadd_ps(sum[i], x, x);
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm256_add_ps(sum[0], sum[i]);
    sink = _mm256_cvtss_f32(sum[0]);
    return 2.0 * 8 * CHAINS * (double)steps;
}
#elif defined(__aarch64__)
static double wide_neon(long steps)
{
    float32x4_t sum[2 * CHAINS], x = vdupq_n_f32(0.25f);
    for (int i = 0; i < 2 * CHAINS; i++)
        sum[i] = vdupq_n_f32((float)i);
    for (long k = 0; k < steps; k++) {
        __asm__ volatile("" : "+w"(x));
#pragma GCC unroll 24
        for (int i = 0; i < 2 * CHAINS; i++)
            sum[i] = vfmaq_f32(x, sum[i], x);
    }
    for (int i = 1; i < 2 * CHAINS; i++)
        sum[0] = vaddq_f32(sum[0], sum[i]);
    sink = vgetq_lane_f32(sum[0], 0);
    return 2.0 * 4 * 2 * CHAINS * (double)steps;
}
#endif

static double plain(long steps)
{
    float sum[CHAINS] = {0}, x = 0.25f;
    for (long k = 0; k < steps; k++) {
        __asm__ volatile("" : "+g"(x));
        for (int i = 0; i < CHAINS; i++)
            sum[i] = sum[i] * x + x;
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] += sum[i];
    sink = sum[0];
    return 2.0 * CHAINS * (double)steps;
}

static peak_fn *widest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return wide_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return wide_avx2;
#elif defined(__aarch64__)
    return wide_neon;
#endif
    return plain;
}

/* ---- two threads ----------------------------------------------------------------------------- */
/* `work` returns units done; both threads start together, the rate is over the time until both
 * end. */
struct job {
    double (*work)(struct job *);
    pthread_barrier_t *start;
    long steps;
    const uint64_t *data;
    size_t n_words;
    double units, begin, end;
};

static void *run_job(void *arg)
{
    struct job *j = arg;
    pthread_barrier_wait(j->start);
    j->begin = now();
    j->units = j->work(j);
    j->end = now();
    return NULL;
}

static double rate(struct job *jobs, int n)
{
    pthread_barrier_t start;
    pthread_t helper;
    pthread_barrier_init(&start, NULL, (unsigned)n);
    for (int i = 0; i < n; i++)
        jobs[i].start = &start;
    bool helped = n > 1 && pthread_create(&helper, NULL, run_job, &jobs[1]) == 0;
    if (n > 1 && !helped) {
        pthread_barrier_destroy(&start);
        return 0;
    }
    run_job(&jobs[0]);
    if (helped)
        pthread_join(helper, NULL);
    pthread_barrier_destroy(&start);
    double units = jobs[0].units, begin = jobs[0].begin, end = jobs[0].end;
    if (n > 1) {
        units += jobs[1].units;
        begin = jobs[1].begin < begin ? jobs[1].begin : begin;
        end = jobs[1].end > end ? jobs[1].end : end;
    }
    return units / (end - begin);
}

static double fma_work(struct job *j)
{
    return widest()(j->steps);
}

static double fma_rate(int n)
{
    struct job jobs[2] = {{.work = fma_work, .steps = STEPS}, {.work = fma_work, .steps = STEPS}};
    return rate(jobs, n) * 1e-9;
}

/* ---- memory ---------------------------------------------------------------------------------- */
static double read_work(struct job *j)
{
    uint64_t sum[8] = {0};
    for (size_t i = 0; i + 8 <= j->n_words; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] ^= j->data[i + k];
    for (int k = 1; k < 8; k++)
        sum[0] ^= sum[k];
    sink = (float)sum[0];
    return (double)(j->n_words * sizeof *j->data);
}

static double read_rate(const uint64_t *data, int n)
{
    size_t n_words = READ_BYTES / sizeof *data / (size_t)n;
    struct job jobs[2] = {{.work = read_work, .data = data, .n_words = n_words},
                          {.work = read_work, .data = data + n_words, .n_words = n_words}};
    return rate(jobs, n) * 1e-9;
}

/* ---- commands -------------------------------------------------------------------------------- */
static void print_cores(void)
{
    double one = fma_rate(1), two = fma_rate(2);
    printf("{\"ok\":true,\"one\":%.1f,\"two\":%.1f,\"ratio\":%.3f}\n", one, two, two / one);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void print_peak(double seconds)
{
    double fma[2] = {0}, read[2] = {0}, end = now() + seconds;
    uint64_t *data = malloc(READ_BYTES);
    if (data)
        memset(data, 1, READ_BYTES);
    do {
        for (int n = 1; n <= 2; n++) {
            for (int i = 0; i < FMA_TRIES; i++) /* much shorter than a read of the memory */
                fma[n - 1] = larger(fma[n - 1], fma_rate(n));
            if (data)
                read[n - 1] = larger(read[n - 1], read_rate(data, n));
        }
    } while (now() < end);
    free(data);
    printf("{\"ok\":true,\"fma_one\":%.1f,\"fma_two\":%.1f,\"read_one\":%.1f,\"read_two\":%.1f}\n",
           fma[0], fma[1], read[0], read[1]);
}

int main(int argc, char **argv)
{
    char line[256];
    if (argc < 2) {
        print_peak(1);
        print_cores();
        return 0;
    }
    if (strcmp(argv[1], "-") != 0) {
        fprintf(stderr, "usage: bench_probe [-]\n");
        return 2;
    }
    while (fgets(line, sizeof line, stdin) && strcmp(line, "quit\n") != 0) {
        double seconds = strncmp(line, "peak ", 5) == 0 ? strtod(line + 5, NULL) : 0;
        if (strcmp(line, "cores\n") == 0)
            print_cores();
        else if (seconds > 0 && seconds < 600)
            print_peak(seconds);
        else
            printf("{\"ok\":false,\"error\":\"cores, peak SECONDS and quit exist\"}\n");
        fflush(stdout);
    }
    return 0;
}
