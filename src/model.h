/* Models and run states: what the public handles are. */
#ifndef ANF_MODEL_H
#define ANF_MODEL_H

#include "api.h"
#include "program/exec.h"
#include "runtime/os.h"

#include <pthread.h>

struct anf_model {
    anf_ctx *ctx;
    struct program program;
    struct os_map file;   /* backs the constants of a loaded model */
    pthread_mutex_t lock; /* of `idle` */
    struct anf_run_state *idle; /* run states of anf_run, for reuse */
};

/* Takes the program (emptied). */
anf_status model_new(anf_ctx *ctx, struct program *p, struct anf_model **out);

#endif
