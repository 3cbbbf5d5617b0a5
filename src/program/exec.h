/* Executing a program: base addresses for its buffers, scratch, and the thread pool. */
#ifndef ANF_PROGRAM_EXEC_H
#define ANF_PROGRAM_EXEC_H

#include "program/program.h"
#include "runtime/threads.h"

struct exec {
    const struct program *p;
    const struct kern *kern;
    struct pool *pool;
    char **base;       /* by buffer */
    char *shared;      /* scratch of the instruction that runs */
    char *own;         /* scratch of thread t: own + t*own_bytes */
    size_t own_bytes;
    struct exec_kept *kept; /* of thread t: kept[t] */
    uint64_t n_jobs;        /* matrices of rows that were packed and convolutions, from 1 on */
};

/* What the scratch of a thread holds of job `job`. */
struct exec_kept {
    _Alignas(ANF_CACHE_LINE) uint64_t job;
    size_t part; /* as gemm_task and conv_task have it */
};

/* Scratch that any instruction of `p` needs with these kernels and threads. */
struct scratch_bytes exec_scratch(const struct program *p, const struct kern *kern,
                                  size_t n_threads);

/* Called before (done = false) and after each instruction; NULL: never. */
typedef void exec_hook(void *user, size_t instr, bool done);

void exec_run(struct exec *x, exec_hook *hook, void *user);

#endif
