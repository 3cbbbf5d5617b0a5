/* The thread pool.
 *
 * Everything waits on gates.  A gate is a counter that only grows, and a waiter that wants it to
 * reach a value: it spins on the counter first, then sleeps on the gate's condition variable.  The
 * counter and the `asleep` flag are sequentially consistent, so of a waiter that says it is asleep
 * and then looks at the counter, and a passer that raises the counter and then looks at `asleep`,
 * at least one sees the other; the mutex closes the gap between looking and sleeping.
 *
 * A section: the caller takes `busy`, writes the job, raises the gate of each worker that has a
 * share (the job is published by that), runs its own share, and waits until its own gate `done` has
 * been raised once by each of them.  A worker reads the job only between those two events, so the
 * next section may overwrite it without further locking.  Workers without a share are not
 * disturbed. */
#include "runtime/threads.h"

#include "runtime/clock.h"
#include "runtime/fpenv.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum {
    SPIN_NS = 50000,      /* a wake-up through the kernel costs about as much */
    SPIN_ALONE_NS = 2000, /* after which the waiter offers its core: the two may share one */
    SPIN_PAUSES = 32,     /* between two looks at the clock */
};

struct gate {
    _Alignas(ANF_CACHE_LINE) atomic_uint count;
    atomic_bool asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

struct worker {
    struct gate go;
    struct pool *pool;
    size_t index; /* its `thread`: 1 .. n_threads - 1 */
    pthread_t thread;
};

struct pool {
    struct gate done;
    const anf_allocator *allocator;
    size_t n_bytes;
    int n_threads;
    bool stop;
    atomic_flag busy;
    _Alignas(ANF_CACHE_LINE) task_fn *fn;
    void *arg;
    size_t n_tasks, n_shares;
    struct worker workers[];
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool gate_init(struct gate *g)
{
    atomic_init(&g->count, 0);
    atomic_init(&g->asleep, false);
    if (pthread_mutex_init(&g->lock, NULL) != 0)
        return false;
    if (pthread_cond_init(&g->wake, NULL) != 0) {
        pthread_mutex_destroy(&g->lock);
        return false;
    }
    return true;
}

static void gate_destroy(struct gate *g)
{
    pthread_cond_destroy(&g->wake);
    pthread_mutex_destroy(&g->lock);
}

static void gate_raise(struct gate *g)
{
    atomic_fetch_add(&g->count, 1);
    if (atomic_load(&g->asleep)) {
        pthread_mutex_lock(&g->lock);
        pthread_cond_signal(&g->wake);
        pthread_mutex_unlock(&g->lock);
    }
}

/* Only one thread waits at a gate. */
static void gate_wait(struct gate *g, unsigned target)
{
    if (atomic_load_explicit(&g->count, memory_order_acquire) == target)
        return;
    uint64_t start = clock_ns(), waited = 0;
    do {
        if (waited > SPIN_ALONE_NS)
            sched_yield();
        for (int i = 0; i < SPIN_PAUSES; i++) {
            cpu_relax();
            if (atomic_load_explicit(&g->count, memory_order_acquire) == target)
                return;
        }
        waited = clock_ns() - start;
    } while (waited < SPIN_NS);

    pthread_mutex_lock(&g->lock);
    atomic_store(&g->asleep, true);
    while (atomic_load(&g->count) != target)
        pthread_cond_wait(&g->wake, &g->lock);
    atomic_store(&g->asleep, false);
    pthread_mutex_unlock(&g->lock);
}

/* a*b/c without overflow for b <= c. */
static size_t share(size_t a, size_t b, size_t c)
{
    return a / c * b + a % c * b / c;
}

static void run_share(task_fn *fn, void *arg, size_t n_tasks, size_t n_shares, size_t thread)
{
    size_t end = share(n_tasks, thread + 1, n_shares);
    for (size_t i = share(n_tasks, thread, n_shares); i < end; i++)
        fn(arg, i, thread);
}

static void *worker_main(void *start)
{
    struct worker *w = start;
    struct fpenv inherited; /* of the thread that made the pool; a worker keeps its own for life */
    fpenv_enter(&inherited);
    struct pool *p = w->pool;
    for (unsigned section = 1;; section++) {
        gate_wait(&w->go, section);
        if (p->stop)
            return NULL;
        run_share(p->fn, p->arg, p->n_tasks, p->n_shares, w->index);
        gate_raise(&p->done);
    }
}

/* Ends the first n workers and destroys their gates. */
static void stop_workers(struct pool *p, size_t n)
{
    p->stop = true;
    for (size_t i = 0; i < n; i++)
        gate_raise(&p->workers[i].go);
    for (size_t i = 0; i < n; i++) {
        pthread_join(p->workers[i].thread, NULL);
        gate_destroy(&p->workers[i].go);
    }
}

static bool start_worker(struct pool *p, size_t i)
{
    struct worker *w = &p->workers[i];
    w->pool = p;
    w->index = i + 1;
    if (!gate_init(&w->go))
        return false;
    /* Signals are the application's business: none is delivered on a thread it does not know. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        gate_destroy(&w->go);
    return !failed;
}

anf_status pool_new(const anf_allocator *a, int n_threads, struct pool **out)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        FAIL(ARG, "threads: %d asked for, 1 to %d are possible", n_threads, POOL_MAX_THREADS);
    size_t n_workers = (size_t)n_threads - 1;
    size_t n_bytes = sizeof(struct pool) + n_workers * sizeof(struct worker);
    struct pool *p = mem_alloc(a, n_bytes, ANF_CACHE_LINE);
    if (!p)
        return ANF_E_NOMEM;
    memset(p, 0, n_bytes);
    p->allocator = a;
    p->n_bytes = n_bytes;
    p->n_threads = n_threads;
    atomic_flag_clear(&p->busy);

    size_t started = 0;
    bool ok = gate_init(&p->done);
    while (ok && started < n_workers && start_worker(p, started))
        started++;
    if (ok && started == n_workers) {
        *out = p;
        return ANF_OK;
    }
    stop_workers(p, started);
    if (ok)
        gate_destroy(&p->done);
    mem_free(a, p, n_bytes);
    FAIL(IO, "threads: the system started %zu of %zu worker threads", started, n_workers);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    stop_workers(p, (size_t)p->n_threads - 1);
    gate_destroy(&p->done);
    mem_free(p->allocator, p, p->n_bytes);
}

int pool_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, size_t n_tasks, task_fn *fn, void *arg)
{
    size_t n_shares = (size_t)p->n_threads < n_tasks ? (size_t)p->n_threads : n_tasks;
    if (n_shares <= 1 || atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire)) {
        for (size_t i = 0; i < n_tasks; i++)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    p->n_shares = n_shares;
    unsigned all_done = atomic_load(&p->done.count) + (unsigned)n_shares - 1;
    for (size_t i = 0; i + 1 < n_shares; i++)
        gate_raise(&p->workers[i].go);
    run_share(fn, arg, n_tasks, n_shares, 0);
    gate_wait(&p->done, all_done);
    atomic_flag_clear_explicit(&p->busy, memory_order_release);
}
