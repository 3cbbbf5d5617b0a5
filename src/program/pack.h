/* Weight panels from plain weights: while compiling for constants, in a PACK instruction
 * otherwise. */
#ifndef ANF_PROGRAM_PACK_H
#define ANF_PROGRAM_PACK_H

#include "kernels/kern.h"
#include "program/program.h"

/* The parameters of a convolution as its kernels take them. */
struct conv_geom conv_geom_of(const struct conv_param *c);

/* Is this convolution computed by Winograd's formula, and its weights packed for it? */
bool pack_by_winograd(const struct conv_param *c);

/* Bytes of the panels; binary16 elements of the plain weights they are made from. */
size_t pack_bytes(const struct pack_param *p);
size_t pack_source_elements(const struct pack_param *p);
void pack_run(const struct pack_param *p, const f16 *w, void *panels);

#endif
