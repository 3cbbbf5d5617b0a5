/* A packing by its parameters, the same function for a constant that is packed while compiling and
 * for a PACK instruction: panels are the same bytes either way.  Parameters are the compiler's or
 * have passed check_pack, so no product here overflows. */
#include "program/pack.h"

#include "kernels/block_conv.h"

static struct conv_geom geom_of(const struct pack_param *p)
{
    return (struct conv_geom){.cin = (size_t)p->cin, .kh = (size_t)p->kh, .kw = (size_t)p->kw};
}

size_t pack_elements(const struct pack_param *p)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T)
        return gemm_packed_size((size_t)p->k, (size_t)p->n);
    struct conv_geom g = geom_of(p);
    return conv_packed_size(&g, (size_t)p->groups, (size_t)p->cout);
}

size_t pack_source_elements(const struct pack_param *p)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T)
        return (size_t)p->k * (size_t)p->n;
    return (size_t)p->groups * (size_t)p->cout * (size_t)p->cin * (size_t)p->kh * (size_t)p->kw;
}

void pack_run(const struct pack_param *p, const f16 *w, f16 *panels)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T) {
        gemm_pack_weights(w, (size_t)p->k, (size_t)p->n, p->kind == PACK_GEMM_T, panels);
        return;
    }
    struct conv_geom g = geom_of(p);
    conv_pack_weights(&g, (size_t)p->groups, (size_t)p->cout,
                      p->kind == PACK_CONV_T ? CONV_WEIGHTS_TRANSPOSED : CONV_WEIGHTS,
                      conv_tap_step((size_t)p->up, (size_t)p->dil), w, panels);
}
