/* Encoded weights: panels for the kernels, and the record of what was chosen. */
#include "lower/lower.h"

/* What products take an encoding as, unless their rows are one or many. */
static const enum gemm_b kinds[ENCODING_COUNT] = {
    [ANF_ENCODING_F16] = GEMM_B_PACKED,
    [ANF_ENCODING_INT8] = GEMM_B_INT8,
    [ANF_ENCODING_INT4] = GEMM_B_INT4,
    [ANF_ENCODING_SPARSE] = GEMM_B_SPARSE,
    [ANF_ENCODING_BLOCKWISE] = GEMM_B_BLOCKWISE,
};

static anf_status pack(struct lowering *lw, const struct weight_form *f, struct encoded_at *to)
{
    size_t panel_bytes = weight_panel_bytes(f), side_bytes = weight_side_bytes(f);
    void *panels = arena_alloc(&lw->p->arena, panel_bytes);
    void *beside = panels ? arena_alloc(&lw->p->arena, side_bytes) : NULL;
    if (!beside)
        return ANF_E_NOMEM;
    weight_pack(f, panels, beside);
    to->panels.buf = program_const(lw->p, panels, panel_bytes);
    to->side.buf = to->panels.buf ? program_const(lw->p, beside, side_bytes) : 0;
    return to->side.buf ? ANF_OK : ANF_E_NOMEM;
}

anf_status lower_encoded(struct lowering *lw, struct compressed *w, struct gemm_param *g,
                         struct operand *b, struct operand *side)
{
    const struct encoded *e = &w->encoded;
    struct weight_form f = {.n = e->n, .k = e->k, .block = e->block, .w = e->w, .q = e->q,
                            .scale = e->scale, .index = e->index, .codebook = e->codebook};
    struct encoded_at *known = &lw->encoded[FORMS * (w - lw->compression->weights)];
    enum gemm_b b_kind = kinds[e->encoding];
    const bool sparse = e->encoding == ANF_ENCODING_SPARSE;
    if (sparse && g->m == 1 && (known[FORM_LISTS].panels.buf || weight_lists_suit(&f))) {
        b_kind = GEMM_B_LISTS;
        known += FORM_LISTS;
    } else if (sparse && g->m >= SPARSE_T_ROWS) {
        b_kind = GEMM_B_SPARSE_T;
        known += FORM_TURNED;
    }
    f.encoding = gemm_b_encoding(b_kind);
    if (!known->panels.buf) {
        TRY(pack(lw, &f, known));
        if (!sparse || lw->uses[w->node] == 1) /* another product may want the other form */
            arena_free(&w->keep);
    }
    *b = known->panels;
    *side = known->side;
    g->b_kind = b_kind;
    if (e->encoding == ANF_ENCODING_BLOCKWISE)
        g->b_row = (int64_t)e->block;
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
