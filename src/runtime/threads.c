/* The thread pool.
 *
 * A section gives every thread a share of consecutive tasks, the same share each time, so that what
 * one section leaves in a core's cache is there in the next.  A thread takes tasks from the front
 * of its own share and then from the backs of the others: a core that the system lends to somebody
 * else for a while delays one task, not a share.
 *
 * A share is one atomic word: the section's number, the next task and the end.  Taking is a
 * compare-and-swap of it; who has taken a task knows that its section has not ended, because
 * `left` counts unfinished tasks and the caller waits for zero.  The job is therefore read after
 * taking, and a worker that comes late finds empty shares, or those of a later section, and is
 * never waited for.
 *
 * Everything waits on gates.  A gate is a counter that only grows, and a waiter that wants it to
 * leave a value: it spins on the counter first, then sleeps on the gate's condition variable.  The
 * counter and the `asleep` flag are sequentially consistent, so of a waiter that says it is asleep
 * and then looks at the counter, and a passer that raises the counter and then looks at `asleep`,
 * at least one sees the other; the mutex closes the gap between looking and sleeping.
 *
 * A fork leaves the child with one thread, the pool's memory as it was and maybe another thread's
 * section half done in it.  The child's first section starts the workers anew: `era` tells that it
 * is the first, and that it alone does so. */
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
    MOST_STEPS = 0xffff,  /* of a section: what fits into a share */
};

struct gate {
    _Alignas(ANF_CACHE_LINE) atomic_uint count;
    atomic_bool asleep;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

/* Of one thread; the first is the caller's and has no thread of its own. */
struct worker {
    struct gate go;
    /* section << 32 | next << 16 | end, in steps */
    _Alignas(ANF_CACHE_LINE) _Atomic uint64_t share;
    struct pool *pool;
    size_t index; /* its `thread` */
    bool started;
    pthread_t thread;
};

struct pool {
    struct gate done;
    const anf_allocator *allocator;
    size_t n_bytes;
    int n_threads;
    atomic_bool stop;
    atomic_uint era; /* 2 * forks when the workers were started; odd while they are being started */
    atomic_flag busy;
    uint32_t section;
    _Alignas(ANF_CACHE_LINE) atomic_size_t left; /* steps of the section that are not finished */
    _Alignas(ANF_CACHE_LINE) task_fn *fn;
    void *arg;
    size_t n_tasks, step; /* a share counts in steps of `step` tasks */
    struct worker workers[];
};

static atomic_uint forks; /* between the process that loaded the library and this one */

static void count_fork(void)
{
    atomic_fetch_add(&forks, 1);
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}

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

/* Waits until the gate has been raised since it stood at `seen`; only one thread waits at a gate.
 * The count it found. */
static unsigned gate_wait(struct gate *g, unsigned seen)
{
    unsigned count = atomic_load_explicit(&g->count, memory_order_acquire);
    if (count != seen)
        return count;
    uint64_t start = clock_ns(), waited = 0;
    do {
        if (waited > SPIN_ALONE_NS)
            sched_yield();
        for (int i = 0; i < SPIN_PAUSES; i++) {
            cpu_relax();
            count = atomic_load_explicit(&g->count, memory_order_acquire);
            if (count != seen)
                return count;
        }
        waited = clock_ns() - start;
    } while (waited < SPIN_NS);

    pthread_mutex_lock(&g->lock);
    atomic_store(&g->asleep, true);
    while ((count = atomic_load(&g->count)) == seen)
        pthread_cond_wait(&g->wake, &g->lock);
    atomic_store(&g->asleep, false);
    pthread_mutex_unlock(&g->lock);
    return count;
}

static uint64_t share_word(uint32_t section, size_t next, size_t end)
{
    return (uint64_t)section << 32 | (uint64_t)next << 16 | end;
}

/* Takes a step from the front or the back of a share; false when it is empty. */
static bool share_take(_Atomic uint64_t *s, bool front, size_t *step)
{
    uint64_t word = atomic_load_explicit(s, memory_order_relaxed), less;
    do {
        const size_t next = word >> 16 & 0xffff, end = word & 0xffff;
        if (next >= end)
            return false;
        *step = front ? next : end - 1;
        less = front ? word + (1u << 16) : word - 1;
    } while (!atomic_compare_exchange_weak_explicit(s, &word, less, memory_order_acquire,
                                                    memory_order_relaxed));
    return true;
}

/* Runs tasks until there are none to take.  True if the last one of the section was among them.
 * They are of one section, which does not end before all of them are counted as finished. */
static bool run_tasks(struct pool *p, size_t thread)
{
    size_t step, finished = 0;
    for (size_t i = 0, n = (size_t)p->n_threads; i < n; i++) {
        const size_t victim = (thread + i) % n;
        while (share_take(&p->workers[victim].share, i == 0, &step)) {
            const size_t begin = step * p->step;
            const size_t end = begin + p->step < p->n_tasks ? begin + p->step : p->n_tasks;
            for (size_t task = begin; task < end; task++)
                p->fn(p->arg, task, thread);
            finished++;
        }
    }
    return finished &&
           atomic_fetch_sub_explicit(&p->left, finished, memory_order_acq_rel) == finished;
}

static void *worker_main(void *start)
{
    struct worker *w = start;
    struct fpenv inherited; /* of the thread that made the pool; a worker keeps its own for life */
    fpenv_enter(&inherited);
    struct pool *p = w->pool;
    for (unsigned seen = 0;;) {
        seen = gate_wait(&w->go, seen);
        if (p->stop)
            return NULL;
        if (run_tasks(p, w->index))
            gate_raise(&p->done);
    }
}

static bool start_worker(struct pool *p, size_t i)
{
    struct worker *w = &p->workers[i];
    w->pool = p;
    w->index = i;
    w->started = false;
    atomic_store(&w->share, 0);
    if (!gate_init(&w->go))
        return false;
    /* Signals are the application's business: none is delivered on a thread it does not know. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->started = pthread_create(&w->thread, NULL, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!w->started)
        gate_destroy(&w->go);
    return w->started;
}

static void stop_workers(struct pool *p)
{
    const size_t n = (size_t)p->n_threads;
    atomic_store(&p->stop, true);
    for (size_t i = 1; i < n; i++)
        if (p->workers[i].started)
            gate_raise(&p->workers[i].go);
    for (size_t i = 1; i < n; i++)
        if (p->workers[i].started) {
            pthread_join(p->workers[i].thread, NULL);
            gate_destroy(&p->workers[i].go);
        }
}

/* In the child of a fork.  Locks are made anew: who held or awaited them is not here.  A worker the
 * system does not start leaves its share to the others. */
static void restart_workers(struct pool *p)
{
    atomic_store(&p->left, 0);
    gate_init(&p->done);
    for (size_t i = 1; i < (size_t)p->n_threads; i++)
        start_worker(p, i);
    atomic_flag_clear(&p->busy);
}

/* False where another thread is about to start them. */
static bool workers_here(struct pool *p)
{
    const unsigned now = 2 * atomic_load_explicit(&forks, memory_order_relaxed);
    unsigned era = atomic_load_explicit(&p->era, memory_order_acquire);
    if (era == now)
        return true;
    if (era == now + 1 || !atomic_compare_exchange_strong(&p->era, &era, now + 1))
        return false;
    restart_workers(p);
    atomic_store_explicit(&p->era, now, memory_order_release);
    return true;
}

anf_status pool_new(const anf_allocator *a, int n_threads, struct pool **out)
{
    static pthread_once_t watched = PTHREAD_ONCE_INIT;
    *out = NULL;
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        FAIL(ARG, "threads: %d asked for, 1 to %d are possible", n_threads, POOL_MAX_THREADS);
    size_t n = (size_t)n_threads, n_bytes = sizeof(struct pool) + n * sizeof(struct worker);
    struct pool *p = mem_alloc(a, n_bytes, ANF_CACHE_LINE);
    if (!p)
        return ANF_E_NOMEM;
    memset(p, 0, n_bytes);
    p->allocator = a;
    p->n_bytes = n_bytes;
    p->n_threads = n_threads;
    atomic_flag_clear(&p->busy);
    pthread_once(&watched, watch_forks);
    atomic_init(&p->era, 2 * atomic_load(&forks));

    atomic_init(&p->stop, false);
    atomic_init(&p->left, 0);
    for (size_t i = 0; i < n; i++)
        atomic_init(&p->workers[i].share, 0);

    size_t started = 1;
    bool ok = gate_init(&p->done);
    while (ok && started < n && start_worker(p, started))
        started++;
    if (ok && started == n) {
        *out = p;
        return ANF_OK;
    }
    stop_workers(p);
    if (ok)
        gate_destroy(&p->done);
    mem_free(a, p, n_bytes);
    FAIL(IO, "threads: the system started %zu of %zu worker threads", started - 1,
         n - 1);
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    if (atomic_load(&p->era) == 2 * atomic_load(&forks)) { /* else its threads are elsewhere */
        stop_workers(p);
        gate_destroy(&p->done);
    }
    mem_free(p->allocator, p, p->n_bytes);
}

int pool_threads(const struct pool *p)
{
    return p->n_threads;
}

void pool_run(struct pool *p, size_t n_tasks, task_fn *fn, void *arg)
{
    size_t n_shares = (size_t)p->n_threads < n_tasks ? (size_t)p->n_threads : n_tasks;
    if (n_shares <= 1 || !workers_here(p) ||
        atomic_flag_test_and_set_explicit(&p->busy, memory_order_acquire)) {
        for (size_t i = 0; i < n_tasks; i++)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_tasks = n_tasks;
    p->step = (n_tasks + MOST_STEPS - 1) / MOST_STEPS;
    p->section++;
    const size_t steps = (n_tasks + p->step - 1) / p->step;
    unsigned seen = atomic_load(&p->done.count);
    atomic_store_explicit(&p->left, steps, memory_order_relaxed);
    for (size_t i = 0; i < n_shares; i++)
        atomic_store_explicit(&p->workers[i].share,
                              share_word(p->section, i * steps / n_shares,
                                         (i + 1) * steps / n_shares),
                              memory_order_release);
    for (size_t i = 1; i < n_shares; i++)
        gate_raise(&p->workers[i].go);
    if (!run_tasks(p, 0))
        gate_wait(&p->done, seen);
    atomic_flag_clear_explicit(&p->busy, memory_order_release);
}
