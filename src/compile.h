/* The compiler, seen by the rest of the library. */
#ifndef ANF_COMPILE_H
#define ANF_COMPILE_H

#include "compress/choose.h"
#include "ir/graph.h"
#include "program/program.h"

struct pool;

/* The whole compiler: the outputs of `g` to a checked, planned program. `g` is not changed. */
anf_status compile_graph(const struct graph *g, const struct kern *kern, struct pool *pool,
                         const anf_compile_opts *opts, struct program *out);

#endif
