/* Encoded weights: panels for the kernels, and the record of what was chosen. */
#include "lower/lower.h"

static const struct {
    enum weight_encoding panels;
    enum gemm_b b_kind;
} forms[ENCODING_COUNT] = {
    [ANF_ENCODING_F16] = {WEIGHT_F16, GEMM_B_PACKED},
    [ANF_ENCODING_INT8] = {WEIGHT_INT8, GEMM_B_INT8},
    [ANF_ENCODING_INT4] = {WEIGHT_INT4, GEMM_B_INT4},
    [ANF_ENCODING_SPARSE] = {WEIGHT_SPARSE, GEMM_B_SPARSE},
    [ANF_ENCODING_BLOCKWISE] = {WEIGHT_BLOCKWISE, GEMM_B_BLOCKWISE},
};

static anf_status pack(struct lowering *lw, const struct encoded *e, struct operand *b,
                       struct operand *side)
{
    const struct weight_form f = {.encoding = forms[e->encoding].panels, .n = e->n, .k = e->k,
                                  .block = e->block, .w = e->w, .q = e->q, .scale = e->scale,
                                  .index = e->index, .codebook = e->codebook};
    size_t panel_bytes = weight_panel_bytes(&f), side_bytes = weight_side_bytes(&f);
    void *panels = arena_alloc(&lw->p->arena, panel_bytes);
    void *beside = panels ? arena_alloc(&lw->p->arena, side_bytes) : NULL;
    if (!beside)
        return ANF_E_NOMEM;
    weight_pack(&f, panels, beside);
    b->buf = program_const(lw->p, panels, panel_bytes);
    side->buf = b->buf ? program_const(lw->p, beside, side_bytes) : 0;
    return side->buf ? ANF_OK : ANF_E_NOMEM;
}

anf_status lower_encoded(struct lowering *lw, struct compressed *w, struct gemm_param *g,
                         struct operand *b, struct operand *side)
{
    struct operand *known = &lw->encoded[2 * (w - lw->compression->weights)];
    if (!known[0].buf) {
        TRY(pack(lw, &w->encoded, &known[0], &known[1]));
        arena_free(&w->keep);
    }
    *b = known[0];
    *side = known[1];
    g->b_kind = forms[w->encoded.encoding].b_kind;
    if (w->encoded.encoding == ANF_ENCODING_BLOCKWISE)
        g->b_row = (int64_t)w->encoded.block;
    return ANF_OK;
}

anf_status lower_weight_records(struct program *p, const struct graph *g,
                                const struct compression *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct compressed *w = &c->weights[i];
        const struct node *n = graph_node(g, w->node);
        const struct weight_record record = {
            .encoding = (uint32_t)w->encoded.encoding,
            .streams = w->streams,
            .dims = {(uint64_t)n->type.shape.dim[0], (uint64_t)n->type.shape.dim[1]},
            .bytes_before = node_count(n) * sizeof(f16),
            .bytes_after = w->encoded.n_bytes,
            .error = w->encoded.error};
        TRY(program_weight(p, &record, w->name, w->why));
    }
    return ANF_OK;
}
