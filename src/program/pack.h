/* Weight panels from plain weights: while compiling for constants, in a PACK instruction
 * otherwise. */
#ifndef ANF_PROGRAM_PACK_H
#define ANF_PROGRAM_PACK_H

#include "program/program.h"

/* binary16 elements of the panels, and of the plain weights they are made from. */
size_t pack_elements(const struct pack_param *p);
size_t pack_source_elements(const struct pack_param *p);
void pack_run(const struct pack_param *p, const f16 *w, f16 *panels);

#endif
