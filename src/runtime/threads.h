/* The thread pool: one parallel section at a time, split evenly, with idle threads helping others.
 *
 * Workers live as long as the pool.  After a section they spin for some tens of microseconds, so
 * that the sections of one program follow each other without a system call, and then sleep.  The
 * child of a fork may go on using its parent's pool: its first section starts workers there. */
#ifndef ANF_RUNTIME_THREADS_H
#define ANF_RUNTIME_THREADS_H

#include "base/alloc.h"

#include <stddef.h>

struct pool;

enum { POOL_MAX_THREADS = 1024 };

/* A pool of n_threads in 1 .. POOL_MAX_THREADS, the caller of pool_run being one of them. */
anf_status pool_new(const anf_allocator *a, int n_threads, struct pool **out);

/* Waits for the workers to end.  NULL is fine.  No pool_run may be under way. */
void pool_free(struct pool *p);

int pool_threads(const struct pool *p);

typedef void task_fn(void *arg, size_t task, size_t thread);

/* Run fn(arg, task, thread) once for every task < n_tasks; returns when all are done, and what they
 * wrote is then visible to the caller.  The caller is thread 0; `thread` < pool_threads.  Thread t
 * of T begins with task t*n_tasks/T, and what another thread has not begun when it is through it
 * takes over: more tasks than threads even out cores of unequal speed.
 *
 * May be called from several threads at once, and from inside a task: while one section has the
 * workers, any other caller runs all its tasks itself, as thread 0.  So `thread` tells the tasks of
 * one call apart, never those of two calls: scratch memory indexed by it must belong to `arg`. */
void pool_run(struct pool *p, size_t n_tasks, task_fn *fn, void *arg);

#endif
