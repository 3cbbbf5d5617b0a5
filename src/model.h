/* Models and run states: what the public handles are. */
#ifndef ANF_MODEL_H
#define ANF_MODEL_H

#include "api.h"
#include "program/exec.h"
#include "runtime/os.h"

#include <stdatomic.h>

enum { IDLE_STATES = 64 }; /* calls that run at once and find memory of an earlier one */

struct anf_model {
    anf_ctx *ctx;
    struct program program;
    struct os_map file;   /* backs the constants of a loaded model */
    /* Run states of anf_run, for reuse.  No lock, which a fork could leave locked for ever. */
    _Atomic(struct anf_run_state *) idle[IDLE_STATES];
};

/* Takes the program (emptied). */
anf_status model_new(anf_ctx *ctx, struct program *p, struct anf_model **out);

#endif
