/* Probes of the machine.  Loops live in registers or do nothing but load, if anything, so that no
 * program can be faster at the same work; an empty asm keeps the compiler from folding them. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_setaffinity */
#endif
#include "machine_peak.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum {
    CHAINS = 12,         /* two units with a latency of 4 or 5 cycles need 8 to 10 */
    NOTHINGS = 24,
    STEPS = 400000,      /* of CHAINS multiply-adds or NOTHINGS: 1 to 2 ms */
    STREAMS = 8,         /* one stream a thread leaves half of a memory's rate unused */
    LINE_BYTES = 64,
    READ_BYTES = 1 << 26, /* small blocks are read again until this much has been */
};

static volatile float sink;

/* ---- multiply-adds --------------------------------------------------------------------------- */
#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double fma_avx512(long steps)
{
    __m512 sum[CHAINS], x = _mm512_set1_ps(0.25f);
    for (int i = 0; i < CHAINS; i++)
        sum[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < steps; k++) {
        __asm__ volatile("" : "+v"(x));
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++)
            sum[i] = _mm512_fmadd_ps(sum[i], x, x);
    }
    for (int i = 1; i < CHAINS; i++)
        sum[0] = _mm512_add_ps(sum[0], sum[i]);
    sink = _mm512_cvtss_f32(sum[0]);
    return 2.0 * 16 * CHAINS * (double)steps;
}

__attribute__((target("avx2,fma"))) static double fma_avx2(long steps)
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
static double fma_neon(long steps)
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

static double fma_plain(long steps)
{
    float sum[CHAINS], x = 0.25f;
    for (int i = 0; i < CHAINS; i++)
        sum[i] = (float)i;
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

double peak_issue(long steps)
{
    for (long k = 0; k < steps; k++) {
#pragma GCC unroll 24
        for (int i = 0; i < NOTHINGS; i++)
            __asm__ volatile("nop");
    }
    return (double)NOTHINGS * (double)steps;
}

rate_loop *peak_loop(const char *isa)
{
#if defined(__x86_64__)
    if (isa ? strncmp(isa, "avx512", 6) == 0 : __builtin_cpu_supports("avx512f"))
        return fma_avx512;
    if (isa ? strcmp(isa, "avx2") == 0
            : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return fma_avx2;
#elif defined(__aarch64__)
    if (!isa || strcmp(isa, "neon") == 0)
        return fma_neon;
#endif
    (void)isa;
    return fma_plain;
}

/* ---- reads ----------------------------------------------------------------------------------- */
typedef uint64_t line __attribute__((vector_size(LINE_BYTES)));

/* Becomes the loads of whichever instruction set the caller is compiled for. */
static inline __attribute__((always_inline)) void read_streams(const line *data, size_t n_lines)
{
    const size_t n = n_lines / STREAMS;
    line sum[STREAMS] = {{0}};
    for (size_t i = 0; i < n; i++)
#pragma GCC unroll 8
        for (size_t s = 0; s < STREAMS; s++)
            sum[s] ^= data[s * n + i];
    for (size_t s = 1; s < STREAMS; s++)
        sum[0] ^= sum[s];
    sink = (float)sum[0][0];
}

typedef void read_loop(const line *data, size_t n_lines);

static void read_plain(const line *data, size_t n_lines)
{
    read_streams(data, n_lines);
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void read_avx512(const line *data, size_t n_lines)
{
    read_streams(data, n_lines);
}

__attribute__((target("avx2"))) static void read_avx2(const line *data, size_t n_lines)
{
    read_streams(data, n_lines);
}
#endif

static read_loop *widest_read(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f"))
        return read_avx512;
    if (__builtin_cpu_supports("avx2"))
        return read_avx2;
#endif
    return read_plain;
}

bool peak_memory_new(struct peak_memory *m, size_t bytes, int threads)
{
    const size_t part = (size_t)threads * STREAMS * LINE_BYTES;
    bytes = (bytes + part - 1) / part * part;
    *m = (struct peak_memory){aligned_alloc(LINE_BYTES, bytes), bytes, threads};
    if (m->data)
        memset(m->data, 1, bytes);
    return m->data != NULL;
}

void peak_memory_free(struct peak_memory *m)
{
    free(m->data);
    *m = (struct peak_memory){0};
}

/* ---- threads that start together ------------------------------------------------------------- */
enum { WAIT, GO, GIVE_UP };

/* A new thread begins on the processor of its parent, and may stay there for longer than a run
 * takes: each is told where to go.  Where it cannot be told, the system decides. */
#ifdef __linux__
typedef cpu_set_t processors;

static bool processors_of_this_thread(processors *all)
{
    return sched_getaffinity(0, sizeof *all, all) == 0;
}

static void move_to(const processors *these)
{
    (void)sched_setaffinity(0, sizeof *these, these); /* where it fails, as before */
}

/* The i'th of them alone, or all if they are fewer than `n`. */
static processors one_of(const processors *all, int i, int n)
{
    processors one;
    if (CPU_COUNT(all) < n)
        return *all;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, all) && i-- == 0)
            CPU_SET(cpu, &one);
    return one;
}
#else
typedef int processors;

static bool processors_of_this_thread(processors *all)
{
    (void)all;
    return false;
}

static void move_to(const processors *these)
{
    (void)these;
}

static processors one_of(const processors *all, int i, int n)
{
    (void)i, (void)n;
    return *all;
}
#endif

struct crew {
    atomic_int ready, order;
    bool moves;
};

struct job {
    struct crew *crew;
    processors where;
    rate_loop *loop;
    read_loop *read;
    const line *data;
    size_t n_lines, repeats;
    double units, begin, end;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void work(struct job *j)
{
    j->begin = now();
    if (j->loop)
        j->units = j->loop(STEPS);
    for (size_t i = 0; j->read && i < j->repeats; i++) {
        j->read(j->data, j->n_lines);
        j->units += (double)(j->n_lines * LINE_BYTES);
    }
    j->end = now();
}

static void *help(void *arg)
{
    struct job *j = arg;
    int order;
    if (j->crew->moves)
        move_to(&j->where);
    atomic_fetch_add(&j->crew->ready, 1);
    while ((order = atomic_load(&j->crew->order)) == WAIT)
        sched_yield();
    if (order == GO)
        work(j);
    return NULL;
}

/* Units of all jobs over the time from the first start to the last end; spoils the jobs. */
static double rate(struct job *jobs, int n)
{
    processors before = {0};
    struct crew crew = {.moves = n > 1 && processors_of_this_thread(&before)};
    pthread_t *helper = calloc((size_t)n, sizeof *helper);
    double units = 0, begin = INFINITY, end = 0;
    int started = 1;
    if (!helper)
        return 0;
    for (int i = 0; i < n; i++) {
        jobs[i].crew = &crew;
        jobs[i].where = one_of(&before, i, n);
    }
    while (started < n && pthread_create(&helper[started], NULL, help, &jobs[started]) == 0)
        started++;
    while (atomic_load(&crew.ready) < started - 1)
        sched_yield();
    if (crew.moves)
        move_to(&jobs[0].where);
    atomic_store(&crew.order, started == n ? GO : GIVE_UP);
    work(&jobs[0]);
    if (crew.moves)
        move_to(&before);
    for (int i = 1; i < started; i++)
        pthread_join(helper[i], NULL);
    free(helper);
    for (int i = 0; i < n; i++) {
        units += jobs[i].units;
        begin = fmin(begin, jobs[i].begin);
        end = fmax(end, jobs[i].end);
    }
    return started == n ? units / (end - begin) : 0;
}

double peak_rate(rate_loop *loop, int threads)
{
    struct job *jobs = calloc((size_t)threads, sizeof *jobs);
    if (!jobs)
        return 0;
    for (int i = 0; i < threads; i++)
        jobs[i].loop = loop;
    double operations = rate(jobs, threads);
    free(jobs);
    return operations;
}

double peak_read(const struct peak_memory *m)
{
    const size_t n = m->bytes / LINE_BYTES / (size_t)m->threads;
    struct job *jobs = calloc((size_t)m->threads, sizeof *jobs);
    if (!jobs)
        return 0;
    for (int i = 0; i < m->threads; i++)
        jobs[i] = (struct job){.read = widest_read(), .data = (const line *)m->data + (size_t)i * n,
                               .n_lines = n, .repeats = 1 + READ_BYTES / m->bytes};
    double read = rate(jobs, m->threads);
    free(jobs);
    return read;
}
