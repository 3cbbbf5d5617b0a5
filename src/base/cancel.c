/* A thread computes for one caller at a time, the innermost compile, which is `current`: a compile
 * that a progress function starts sets its own and puts the outer one back.  Between two questions
 * lie at most ASK_AFTER nanoseconds of reported work and one report more. */
#include "base/cancel.h"

#include <stddef.h>

enum { ASK_AFTER = 1 << 22 }; /* 4 ms: nobody notices the wait, nor the work that it costs */

static _Thread_local struct cancel *current;

struct cancel *cancel_set(struct cancel *c)
{
    struct cancel *before = current;
    current = c;
    return before;
}

static anf_status ask(struct cancel *c)
{
    c->pending = 0;
    if (c->ask && !c->ask(c->user, c->done, c->total))
        FAIL(CANCELLED, "compile: cancelled by the progress callback after %s", c->after);
    return ANF_OK;
}

anf_status cancel_check(uint64_t amount)
{
    struct cancel *c = current;
    if (!c || (c->pending += amount) < ASK_AFTER)
        return ANF_OK;
    return ask(c);
}

anf_status cancel_step(struct cancel *c, const char *name)
{
    c->done++;
    c->after = name;
    return ask(c);
}
