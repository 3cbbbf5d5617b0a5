/* The thread pool: every task runs exactly once, by as many threads as the pool has, whoever else
 * is calling and however long one task takes.
 *
 * Meant to be run under a thread sanitizer too; the tests write plain memory from tasks and read it
 * after pool_run, which is the visibility the pool promises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runtime/clock.h"
#include "runtime/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

enum { TASKS_MAX = 5000, SECTIONS = 2000, CALLERS = 4 };

/* ---- an allocator that counts and can fail --------------------------------------------------- */
struct ledger {
    size_t live, calls, fail_at; /* fail_at: 0 never, k the k-th call */
};

static void *ledger_alloc(void *user, size_t n_bytes, size_t align)
{
    struct ledger *l = user;
    void *p = NULL;
    if (++l->calls == l->fail_at)
        return NULL;
    align = align < sizeof(void *) ? sizeof(void *) : align;
    if (posix_memalign(&p, align, n_bytes ? n_bytes : 1) != 0)
        return NULL;
    memset(p, 0xab, n_bytes);
    l->live += n_bytes;
    return p;
}

static void ledger_free(void *user, void *p, size_t n_bytes)
{
    struct ledger *l = user;
    l->live -= n_bytes;
    free(p);
}

/* ---- tasks ----------------------------------------------------------------------------------- */
struct record {
    unsigned runs[TASKS_MAX];
    size_t thread[TASKS_MAX];
    pthread_t self[TASKS_MAX];
};

static void record_task(void *arg, size_t task, size_t thread)
{
    struct record *r = arg;
    r->runs[task]++;
    r->thread[task] = thread;
    r->self[task] = pthread_self();
}

/* Each task once; one pthread for each `thread`, the caller for 0. */
static void check_section(struct pool *p, struct record *r, size_t n)
{
    memset(r, 0, sizeof *r);
    pool_run(p, n, record_task, r);
    size_t threads = (size_t)pool_threads(p), first[16];
    for (size_t t = 0; t < threads; t++)
        first[t] = TASKS_MAX;
    for (size_t i = 0; i < n; i++) {
        const size_t t = r->thread[i];
        assert_int_equal(r->runs[i], 1);
        assert_in_range(t, 0, threads - 1);
        assert_int_equal(!!pthread_equal(r->self[i], pthread_self()), t == 0);
        if (first[t] == TASKS_MAX)
            first[t] = i;
        assert_true(pthread_equal(r->self[i], r->self[first[t]]));
    }
    for (size_t i = n; i < TASKS_MAX; i++)
        assert_int_equal(r->runs[i], 0);
}

static void test_every_task_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0,  1,  2,  3,  4,  5,   7,    8,
                                    15, 16, 17, 63, 64, 100, 1001, TASKS_MAX};
    static struct record r;
    for (int threads = 1; threads <= 9; threads++) {
        struct pool *p;
        assert_int_equal(pool_new(&alloc_default, threads, &p), ANF_OK);
        assert_int_equal(pool_threads(p), threads);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            check_section(p, &r, counts[i]);
        pool_free(p);
    }
}

/* More tasks than a share can count. */
static void count_task(void *arg, size_t task, size_t thread)
{
    (void)thread;
    ((uint8_t *)arg)[task]++;
}

static void test_very_many_tasks(void **state)
{
    (void)state;
    const size_t n = 1000003;
    uint8_t *runs = calloc(n, 1);
    struct pool *p;
    assert_non_null(runs);
    assert_int_equal(pool_new(&alloc_default, 3, &p), ANF_OK);
    pool_run(p, n, count_task, runs);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(runs[i], 1);
    pool_free(p);
    free(runs);
}

/* Thread 1 does not end its first task before all others have been run: by thread 0, since there is
 * nobody else.  Thread 0 in turn waits in its first task until thread 1 is there. */
struct held {
    atomic_int ran;
    atomic_bool there;
    bool in_time;
};

static void hold_task(void *arg, size_t task, size_t thread)
{
    struct held *h = arg;
    const uint64_t give_up = clock_ns() + 10000000000u;
    if (task == 0)
        while (!atomic_load(&h->there) && clock_ns() < give_up)
            ;
    if (thread == 1 && !atomic_exchange(&h->there, true)) {
        while (atomic_load(&h->ran) < 7 && clock_ns() < give_up)
            ;
        h->in_time = clock_ns() < give_up;
    }
    atomic_fetch_add(&h->ran, 1);
}

static void test_idle_threads_help(void **state)
{
    (void)state;
    struct pool *p;
    assert_int_equal(pool_new(&alloc_default, 2, &p), ANF_OK);
    for (int i = 0; i < 20; i++) {
        struct held h = {.in_time = false};
        pool_run(p, 8, hold_task, &h);
        assert_true(h.in_time);
        assert_int_equal(atomic_load(&h.ran), 8);
    }
    pool_free(p);
}

/* ---- bursts, and sections after the workers went to sleep ------------------------------------ */
static void add_task(void *arg, size_t task, size_t thread)
{
    (void)thread;
    ((uint64_t *)arg)[task] += task + 1;
}

static void nap(long ns)
{
    nanosleep(&(struct timespec){0, ns}, NULL);
}

static void test_sections_in_a_row(void **state)
{
    (void)state;
    struct pool *p;
    uint64_t sums[64] = {0};
    assert_int_equal(pool_new(&alloc_default, 3, &p), ANF_OK);
    for (int i = 0; i < SECTIONS; i++)
        pool_run(p, 64, add_task, sums);
    for (int i = 0; i < 50; i++) {
        nap(20000 * (i % 10)); /* around the end of the spinning, before and after */
        pool_run(p, 64, add_task, sums);
    }
    for (size_t t = 0; t < 64; t++)
        assert_int_equal(sums[t], (SECTIONS + 50) * (t + 1));
    pool_free(p);
}

static void slow_task(void *arg, size_t task, size_t thread)
{
    (void)thread;
    if (task == 1)
        nap(2000000); /* long enough for the caller to stop spinning and sleep */
    ((uint64_t *)arg)[task]++;
}

static void test_caller_waits_asleep(void **state)
{
    (void)state;
    struct pool *p;
    uint64_t done[2] = {0};
    assert_int_equal(pool_new(&alloc_default, 2, &p), ANF_OK);
    for (int i = 0; i < 10; i++)
        pool_run(p, 2, slow_task, done);
    assert_int_equal(done[0], 10);
    assert_int_equal(done[1], 10);
    pool_free(p);
}

/* ---- several callers ------------------------------------------------------------------------- */
struct caller {
    struct pool *pool;
    uint64_t sums[64];
};

static void *call_often(void *arg)
{
    struct caller *c = arg;
    for (int i = 0; i < SECTIONS; i++)
        pool_run(c->pool, 64, add_task, c->sums);
    return NULL;
}

static void test_concurrent_callers(void **state)
{
    (void)state;
    struct pool *p;
    static struct caller callers[CALLERS];
    pthread_t threads[CALLERS];
    memset(callers, 0, sizeof callers);
    assert_int_equal(pool_new(&alloc_default, 3, &p), ANF_OK);
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i].pool = p;
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < CALLERS; i++)
        for (size_t t = 0; t < 64; t++)
            assert_int_equal(callers[i].sums[t], SECTIONS * (t + 1));
    pool_free(p);
}

struct nest {
    struct pool *pool;
    uint64_t sums[8][16];
    bool inner_on_zero[8];
};

struct inner {
    uint64_t *sums;
    bool on_zero;
};

static void inner_task(void *arg, size_t task, size_t thread)
{
    struct inner *in = arg;
    in->sums[task]++;
    in->on_zero = in->on_zero && thread == 0;
}

static void outer_task(void *arg, size_t task, size_t thread)
{
    struct nest *n = arg;
    struct inner in = {n->sums[task], true};
    (void)thread;
    pool_run(n->pool, 16, inner_task, &in);
    n->inner_on_zero[task] = in.on_zero;
}

static void test_nested(void **state)
{
    (void)state;
    struct nest n = {0};
    assert_int_equal(pool_new(&alloc_default, 4, &n.pool), ANF_OK);
    for (int i = 0; i < 100; i++)
        pool_run(n.pool, 8, outer_task, &n);
    for (size_t i = 0; i < 8; i++) {
        assert_true(n.inner_on_zero[i]);
        for (size_t j = 0; j < 16; j++)
            assert_int_equal(n.sums[i][j], 100);
    }
    pool_free(n.pool);
}

/* ---- life and death -------------------------------------------------------------------------- */
static void test_many_pools(void **state)
{
    (void)state;
    struct ledger l = {0};
    const anf_allocator a = {&l, ledger_alloc, ledger_free};
    for (int i = 0; i < 200; i++) {
        struct pool *p;
        uint64_t sums[64] = {0};
        assert_int_equal(pool_new(&a, 1 + i % 5, &p), ANF_OK);
        if (i % 3)
            pool_run(p, 64, add_task, sums);
        pool_free(p);
        assert_int_equal(l.live, 0);
    }
    pool_free(NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct pool *p = (struct pool *)(void *)&p;
    struct ledger l = {.fail_at = 1};
    const anf_allocator a = {&l, ledger_alloc, ledger_free};
    assert_int_equal(pool_new(&a, 4, &p), ANF_E_NOMEM);
    assert_null(p);
    assert_int_equal(l.live, 0);
    assert_non_null(strstr(status_message(), "out of memory"));
    size_t needed = l.calls;
    l = (struct ledger){.fail_at = needed + 1};
    assert_int_equal(pool_new(&a, 4, &p), ANF_OK);
    pool_free(p);
    assert_int_equal(l.live, 0);
}

/* With no address space left for another stack, the workers that did start must end again. */
static void test_no_threads(void **state)
{
    (void)state;
#if SANITIZED
    skip(); /* a sanitizer's own memory would be refused too */
#else
    struct ledger l = {0};
    const anf_allocator a = {&l, ledger_alloc, ledger_free};
    struct pool *p;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight = before;
    tight.rlim_cur = 256u << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    anf_status st = pool_new(&a, POOL_MAX_THREADS, &p);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(st, ANF_E_IO);
    assert_null(p);
    assert_int_equal(l.live, 0);
    assert_non_null(strstr(status_message(), "of 1023 worker threads"));
#endif
}

/* ---- forks ----------------------------------------------------------------------------------- */
struct endless {
    atomic_bool begun, stop;
    struct pool *pool;
};

static void spin_task(void *arg, size_t task, size_t thread)
{
    struct endless *e = arg;
    (void)task, (void)thread;
    atomic_store(&e->begun, true);
    while (!atomic_load(&e->stop))
        nap(100000);
}

static void *spin_section(void *arg)
{
    struct endless *e = arg;
    pool_run(e->pool, 8, spin_task, e);
    return NULL;
}

static void meet_task(void *arg, size_t task, size_t thread)
{
    atomic_int *here = arg;
    (void)task, (void)thread;
    atomic_fetch_add(here, 1);
    while (atomic_load(here) < 2)
        nap(100000);
}

/* Ends the child: 0 if its sections were run, two of them by two threads, who wait for each
 * other. */
static void check_in_child(struct pool *p)
{
    static struct record r;
    atomic_int here = 0;
    alarm(60);
    pool_run(p, 2, meet_task, &here);
    for (int i = 0; i < 1000; i++) {
        memset(&r, 0, sizeof r);
        pool_run(p, 64, record_task, &r);
        for (size_t k = 0; k < 64; k++)
            if (r.runs[k] != 1)
                _exit(1);
    }
    atomic_store(&here, 0);
    pool_run(p, 2, meet_task, &here);
    pool_free(p);
    _exit(0);
}

static void expect_child(struct pool *p)
{
    int how;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        check_in_child(p);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
}

static void test_child_of_a_fork(void **state)
{
    (void)state;
#if SANITIZED
    skip(); /* a thread sanitizer refuses threads in the child of a process with threads */
#else
    struct endless e = {.pool = NULL};
    pthread_t other;
    uint64_t sums[64] = {0};
    assert_int_equal(pool_new(&alloc_default, 3, &e.pool), ANF_OK);
    expect_child(e.pool); /* workers spin */
    pool_run(e.pool, 64, add_task, sums);
    nap(20000000);
    expect_child(e.pool); /* workers sleep */
    assert_int_equal(pthread_create(&other, NULL, spin_section, &e), 0);
    while (!atomic_load(&e.begun))
        nap(100000);
    expect_child(e.pool); /* workers are busy with another thread's section */
    atomic_store(&e.stop, true);
    pthread_join(other, NULL);
    pid_t child = fork(); /* never used there, only freed */
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        pool_free(e.pool);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    pool_run(e.pool, 64, add_task, sums);
    pool_free(e.pool);
#endif
}

static void test_bad_counts(void **state)
{
    (void)state;
    struct pool *p;
    static const int bad[] = {0, -1, POOL_MAX_THREADS + 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pool_new(&alloc_default, bad[i], &p), ANF_E_ARG);
    assert_int_equal(pool_new(&alloc_default, 0, &p), ANF_E_ARG);
    assert_string_equal(status_message(), "threads: 0 asked for, 1 to 1024 are possible");
}

static void test_clock(void **state)
{
    (void)state;
    uint64_t a = clock_ns();
    nap(2000000);
    uint64_t b = clock_ns();
    assert_true(b - a >= 1900000 && b >= a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_task_once),
        cmocka_unit_test(test_very_many_tasks),
        cmocka_unit_test(test_idle_threads_help),
        cmocka_unit_test(test_sections_in_a_row),
        cmocka_unit_test(test_caller_waits_asleep),
        cmocka_unit_test(test_concurrent_callers),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_many_pools),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_threads),
        cmocka_unit_test(test_child_of_a_fork),
        cmocka_unit_test(test_bad_counts),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
