/* Long computations that the caller may stop.
 *
 * Whoever computes for long on behalf of a caller reports its work here, in steps of any size; the
 * caller's function is asked every few milliseconds.  It belongs to the thread, like the message of
 * an error, so that the loops of references and passes need not hand it down.  Where none is set
 * (while a program runs) reporting costs a comparison. */
#ifndef ANF_BASE_CANCEL_H
#define ANF_BASE_CANCEL_H

#include "base/status.h"

struct cancel {
    anf_progress_fn ask; /* NULL: never stopped */
    void *user;
    uint64_t done, total;
    const char *after; /* the last step done */
    uint64_t pending;  /* work since it was asked */
};

/* From now on `c` is asked on this thread; returns what was before. */
struct cancel *cancel_set(struct cancel *c);

/* `amount` in about nanoseconds.  ANF_E_CANCELLED once the caller wants to stop. */
anf_status cancel_check(uint64_t amount);

/* A step is done: the caller is asked now. */
anf_status cancel_step(struct cancel *c, const char *name);

#endif
