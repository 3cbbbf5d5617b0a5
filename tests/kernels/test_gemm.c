/* Matrix multiplication: every table against naive scalar chains, with ==.
 *
 * The reference is written from the contract of block_gemm.h.  Outputs have untouched elements
 * between the rows; the epilogue must meet every element once.  Large products are checked against
 * a random vector in double. */
#include "driver_run.h"

#include "kernels/block_gemm.h"

static void gemm_one(const struct kern *kern, const void *job, size_t task, void *own)
{
    size_t kept = 0;
    gemm_task(kern, job, task, own, &kept);
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

static void test_random_gemm(void **state)
{
    for (int i = 0; i < 60; i++) {
        const size_t batch = draw(3), m = draw(130), n = draw(130), k = draw(200);
        const enum gemm_b kind = (enum gemm_b)(next() % (GEMM_B_COLS + 1));
        gemm_case(batch, m, n, k, kind, next() % 8);
    }
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

static void test_large(void **state)
{
    large_gemm(512, 512, 512);
    large_gemm(128, 768, 384);
    large_gemm(1, 2048, 2048);
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
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_random_gemm),
        cmocka_unit_test(test_pack_weights),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_tasks_of_one_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
