#include "program/pack.h"

#include "kernels/block_conv.h"
#include "kernels/winograd.h"

struct conv_geom conv_geom_of(const struct conv_param *c)
{
    return (struct conv_geom){
        .cin = (size_t)c->cin, .in_h = (size_t)c->in_h, .in_w = (size_t)c->in_w,
        .out_h = (size_t)c->out_h, .out_w = (size_t)c->out_w, .kh = (size_t)c->kh,
        .kw = (size_t)c->kw, .stride_h = (size_t)c->stride_h, .stride_w = (size_t)c->stride_w,
        .dil_h = (size_t)c->dil_h, .dil_w = (size_t)c->dil_w, .up_h = (size_t)c->up_h,
        .up_w = (size_t)c->up_w, .pad_h = (ptrdiff_t)c->pad_h, .pad_w = (ptrdiff_t)c->pad_w};
}

static struct conv_geom geom_of(const struct pack_param *p)
{
    return (struct conv_geom){.cin = (size_t)p->cin, .kh = (size_t)p->kh, .kw = (size_t)p->kw,
                              .up_h = (size_t)p->up, .up_w = (size_t)p->up};
}

bool pack_by_winograd(const struct conv_param *c)
{
    const struct conv_geom g = conv_geom_of(c);
    return winograd_chosen(&g, (size_t)c->groups, (size_t)c->cout);
}

size_t pack_bytes(const struct pack_param *p)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T)
        return gemm_packed_size((size_t)p->k, (size_t)p->n) * sizeof(f16);
    if (p->kind == PACK_WINOGRAD)
        return winograd_packed_floats((size_t)p->cin, (size_t)p->cout) * sizeof(float);
    struct conv_geom g = geom_of(p);
    return conv_packed_size(&g, (size_t)p->groups, (size_t)p->cout) * sizeof(f16);
}

size_t pack_source_elements(const struct pack_param *p)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T)
        return (size_t)p->k * (size_t)p->n;
    return (size_t)p->groups * (size_t)p->cout * (size_t)p->cin * (size_t)p->kh * (size_t)p->kw;
}

void pack_run(const struct pack_param *p, const f16 *w, void *panels)
{
    if (p->kind == PACK_GEMM || p->kind == PACK_GEMM_T) {
        gemm_pack_weights(w, (size_t)p->k, (size_t)p->n, p->kind == PACK_GEMM_T, panels);
        return;
    }
    if (p->kind == PACK_WINOGRAD) {
        winograd_pack_weights((size_t)p->cin, (size_t)p->cout, w, panels);
        return;
    }
    struct conv_geom g = geom_of(p);
    conv_pack_weights(&g, (size_t)p->groups, (size_t)p->cout,
                      p->kind == PACK_CONV_T ? CONV_WEIGHTS_TRANSPOSED : CONV_WEIGHTS, w, panels);
}
