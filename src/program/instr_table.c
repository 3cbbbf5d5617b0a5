/* What may be run: the instruction table and the checks behind it.
 *
 * A loaded file may hold anything.  Every number is bounded first (LIMIT), so that the products
 * below cannot overflow; then each operand's extent is held against its buffer, and against the
 * memory of the destination: kernels copy with memcpy and threads share a destination, so nothing
 * else may lie in it.  After program_check nothing the executor does can leave a buffer, and every
 * result is defined by the program and its inputs as long as no buffer is read before it is
 * written. */
#include "base/encoding.h"
#include "kernels/block_conv.h"
#include "kernels/winograd.h"
#include "program/exec_table.h"
#include "program/pack.h"

#include <inttypes.h>
#include <math.h>

#define LIMIT ((int64_t)1 << 40)

/* ---- extents --------------------------------------------------------------------------------- */
/* The number of elements from an operand's first to its last touched one; sticky failure. */
struct extent {
    uint64_t n;
    bool bad;
};

static void extent_dim(struct extent *e, int64_t count, int64_t stride)
{
    if (count < 1 || count > LIMIT || stride < 0 || stride > LIMIT ||
        (stride && count - 1 > LIMIT / stride)) {
        e->bad = true;
        return;
    }
    e->n += (uint64_t)((count - 1) * stride);
    if (e->n > (uint64_t)LIMIT)
        e->bad = true;
}

static uint64_t product(const int64_t *v, int n, bool *bad)
{
    int64_t p = 1;
    for (int i = 0; i < n; i++) {
        if (v[i] < 1 || v[i] > LIMIT / p) {
            *bad = true;
            return 0;
        }
        p *= v[i];
    }
    return (uint64_t)p;
}
#define PRODUCT(bad, ...)                                                                          \
    product((const int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8), (bad))

static anf_status fail_instr(const struct program *p, const struct instr *i, const char *what)
{
    FAIL(FORMAT, "program: instruction %td (%s): %s", i - p->instrs, instr_info[i->op].name, what);
}

/* Where an operand's memory begins: a number that tells buffers apart, and bytes from there. */
static uint64_t address(const struct program *p, const struct operand *o, uint32_t *space)
{
    const struct buffer *b = &p->buffers[o->buf];
    *space = b->kind == BUF_ARENA ? 0 : o->buf;
    return (b->kind == BUF_ARENA ? b->offset : 0) + o->offset;
}

/* Rows that are read before they are written at the same place: `x` of these may be `y`. */
static bool may_be_in_place(const struct program *p, const struct instr *i, uint32_t k)
{
    if (i->op != INSTR_TILE)
        return k == 1 && (i->op == INSTR_SOFTMAX || i->op == INSTR_NORM || i->op == INSTR_AFFINE);
    const struct tile_prog *t = &p->tiles[i->tile - 1];
    for (uint32_t v = 0; v < t->n_operands; v++)
        if (t->operands[v].slot == k && !tile_operand_dense(t, &t->operands[v]))
            return false;
    return true;
}

/* Operand k holds at least n elements of `size` bytes from its offset on; none of them lies in the
 * destination's buffer from the destination on, unless it is the destination, where that is
 * allowed. */
static anf_status need(const struct program *p, const struct instr *i, uint32_t k, uint64_t n,
                       uint64_t size)
{
    const struct operand *y = &p->operands[i->operand], *o = y + k;
    if (k >= i->n_operand || o->buf == 0)
        FAIL(FORMAT, "program: instruction %td (%s): operand %u is missing", i - p->instrs,
             instr_info[i->op].name, k);
    const struct buffer *b = &p->buffers[o->buf];
    if (o->offset % size || o->offset > b->n_bytes || n > (b->n_bytes - o->offset) / size)
        FAIL(FORMAT,
             "program: instruction %td (%s): operand %u needs %" PRIu64 " elements at byte %" PRIu64
             ", its buffer has %" PRIu64 " bytes",
             i - p->instrs, instr_info[i->op].name, k, n, o->offset, b->n_bytes);
    uint32_t space, y_space;
    uint64_t at = address(p, o, &space), y_at = address(p, y, &y_space);
    uint64_t y_end = y_at - y->offset + p->buffers[y->buf].n_bytes;
    if (k == 0 || space != y_space || at >= y_end || at + n * size <= y_at ||
        (at == y_at && may_be_in_place(p, i, k)))
        return ANF_OK;
    FAIL(FORMAT, "program: instruction %td (%s): operand %u lies in the destination", i - p->instrs,
         instr_info[i->op].name, k);
}

static anf_status need_extent(const struct program *p, const struct instr *i, uint32_t k,
                              const struct extent *e)
{
    if (e->bad)
        return fail_instr(p, i, "strides out of range");
    return need(p, i, k, e->n + 1, sizeof(f16));
}

static bool is_flag(int64_t v)
{
    return v == 0 || v == 1;
}

/* ---- tile programs --------------------------------------------------------------------------- */
static anf_status check_tile_ops(const struct program *p, const struct instr *i,
                                 const struct tile_prog *t)
{
    uint32_t written = 0; /* a bit per register */
    for (uint32_t k = 0; k < t->n_ops; k++) {
        const struct tile_op *op = &t->ops[k];
        if (op->uop >= UOP_COUNT || op->n_src != uop_info[op->uop].n_in)
            return fail_instr(p, i, "unknown micro-op");
        for (int s = 0; s < op->n_src; s++) {
            uint32_t v = op->src[s];
            if (v >= t->n_operands &&
                (v - t->n_operands >= t->n_regs || !(written >> (v - t->n_operands) & 1)))
                return fail_instr(p, i, "a micro-op reads a value that is not there");
        }
        if (k + 1 < t->n_ops) {
            if (op->dst >= t->n_regs)
                return fail_instr(p, i, "a micro-op writes a register that is not there");
            written |= 1u << op->dst;
        }
    }
    return ANF_OK;
}

/* `count`: elements of the destination when the instruction has its own geometry, 0 for TILE. */
static anf_status check_tile(const struct program *p, const struct instr *i, uint64_t count)
{
    if (!i->tile)
        return fail_instr(p, i, "tile program is not there");
    const struct tile_prog *t = &p->tiles[i->tile - 1];
    bool bad = false;
    if (t->n_operands < 1 || t->n_operands > TILE_MAX_OPERANDS || t->n_ops < 1 ||
        t->n_ops > TILE_MAX_OPS || t->n_regs > TILE_MAX_REGS || t->rank > ANF_MAX_RANK)
        return fail_instr(p, i, "tile program out of limits");
    uint64_t total = product(t->dims, (int)t->rank, &bad);
    if (bad || (count && total != count))
        return fail_instr(p, i, "tile program has another size than the destination");
    for (uint32_t v = 0; v < t->n_operands; v++) {
        const struct tile_operand *o = &t->operands[v];
        struct extent e = {0};
        if (o->slot >= i->n_operand || !(o->is_u8 == 0 || o->is_u8 == 1))
            return fail_instr(p, i, "tile operand out of range");
        for (uint32_t d = 0; d < t->rank; d++)
            extent_dim(&e, t->dims[d], o->stride[d]);
        if (e.bad)
            return fail_instr(p, i, "tile strides out of range");
        /* The destination is read where it is written, or not at all. */
        if (o->slot == 0 && (!tile_operand_dense(t, o) || count == 0))
            return fail_instr(p, i, "tile operand overlaps the destination");
        TRY(need(p, i, o->slot, e.n + 1, o->is_u8 ? 1 : sizeof(f16)));
    }
    TRY(need(p, i, 0, total, sizeof(f16)));
    return check_tile_ops(p, i, t);
}

static anf_status check_tile_instr(const struct program *p, const struct instr *i)
{
    return check_tile(p, i, 0);
}

/* ---- the instructions ------------------------------------------------------------------------ */
/* Operands 2 and 3 of a matrix product with encoded weights. */
static anf_status check_weights(const struct program *p, const struct instr *i)
{
    const struct gemm_param *g = PARAM(p, i, gemm_param);
    const struct weight_form f = {.encoding = gemm_b_encoding((enum gemm_b)g->b_kind),
                                  .n = (size_t)g->n, .k = (size_t)g->k, .block = (size_t)g->b_row};
    if (f.encoding == WEIGHT_BLOCKWISE && (g->b_row < 1 || g->k % g->b_row))
        FAIL(FORMAT, "program: instruction %td (%s): blocks of %" PRId64 " in %" PRId64 " rows",
             i - p->instrs, instr_info[i->op].name, g->b_row, g->k);
    const bool lists = f.encoding == WEIGHT_LISTS;
    if (lists && g->m > 1)
        return fail_instr(p, i, "lists are for a single row");
    if (f.encoding != WEIGHT_SPARSE && f.encoding != WEIGHT_SPARSE_T && !lists) {
        const size_t words = f.encoding == WEIGHT_INT4 ? sizeof(uint32_t) : 1;
        TRY(need(p, i, 2, weight_panel_bytes(&f) / words, words));
        return need(p, i, 3, weight_side_bytes(&f) / sizeof(f16), sizeof(f16));
    }
    /* Where a row lies depends on the masks in front of it. */
    const size_t word = lists ? sizeof(uint32_t) : sizeof(f16);
    TRY(need(p, i, 2, WEIGHT_SLACK / word, word));
    TRY(need(p, i, 3, weight_side_bytes(&f) / sizeof(uint64_t), sizeof(uint64_t)));
    const struct operand *o = &p->operands[i->operand];
    const struct buffer *b = &p->buffers[o[2].buf], *side = &p->buffers[o[3].buf];
    if (b->kind != BUF_CONST || side->kind != BUF_CONST)
        return fail_instr(p, i, "sparse weights are not constant");
    if (!(lists ? weight_lists_ok : weight_sparse_ok)(
            &f, (const f16 *)b->data + o[2].offset / sizeof(f16),
            (b->n_bytes - o[2].offset) / sizeof(f16),
            (const uint64_t *)side->data + o[3].offset / sizeof(uint64_t)))
        return fail_instr(p, i, "sparse weights and where they begin do not agree");
    return ANF_OK;
}

static anf_status check_gemm(const struct program *p, const struct instr *i)
{
    const struct gemm_param *g = PARAM(p, i, gemm_param);
    struct extent a = {0}, b = {0}, y = {0};
    bool bad = false;
    uint64_t count = PRODUCT(&bad, g->batch, g->m, g->n);
    (void)PRODUCT(&bad, g->k, g->n, ANF_PANEL);
    (void)PRODUCT(&bad, g->m, g->k);
    if (bad || !is_flag(g->has_bias) || g->b_kind < GEMM_B_PACKED || g->b_kind >= GEMM_B_COUNT)
        return fail_instr(p, i, "sizes out of range");
    if (g->m > 1 && g->y_row < g->n)
        return fail_instr(p, i, "rows of the destination overlap");
    extent_dim(&y, g->m, g->y_row);
    extent_dim(&y, g->n, 1);
    if (y.bad || (g->batch > 1 && (uint64_t)g->y_batch < y.n + 1))
        return fail_instr(p, i, "matrices of the destination overlap");
    extent_dim(&y, g->batch, g->y_batch);
    extent_dim(&a, g->batch, g->a_batch);
    extent_dim(&a, g->m, g->a_row);
    extent_dim(&a, g->k, 1);
    TRY(need_extent(p, i, 0, &y));
    TRY(need_extent(p, i, 1, &a));
    const bool encoded = gemm_b_encoding((enum gemm_b)g->b_kind) != WEIGHT_F16;
    if (encoded) {
        TRY(check_weights(p, i));
    } else if (g->b_kind == GEMM_B_PACKED) {
        TRY(need(p, i, 2, gemm_packed_size((size_t)g->k, (size_t)g->n), sizeof(f16)));
    } else {
        bool rows = g->b_kind == GEMM_B_ROWS;
        extent_dim(&b, g->batch, g->b_batch);
        extent_dim(&b, rows ? g->k : g->n, g->b_row);
        extent_dim(&b, rows ? g->n : g->k, 1);
        TRY(need_extent(p, i, 2, &b));
    }
    if (g->has_bias)
        TRY(need(p, i, encoded ? 4 : 3, (uint64_t)g->n, sizeof(f16)));
    if (!i->tile)
        return ANF_OK;
    if ((g->m > 1 && g->y_row != g->n) || (g->batch > 1 && g->y_batch != g->m * g->n))
        return fail_instr(p, i, "an epilogue needs a dense destination");
    return check_tile(p, i, count);
}

/* One spatial dimension: the output size follows from the rest. */
static bool conv_axis_ok(int64_t in, int64_t out, int64_t k, int64_t stride, int64_t dil,
                         int64_t up, int64_t pad)
{
    const int64_t most = (int64_t)1 << 24;
    if (in < 1 || in > most || out < 1 || out > most || k < 1 || k > most || stride < 1 ||
        stride > most || dil < 1 || dil > most || up < 1 || up > most || pad < -most * 64 ||
        pad > most * 64)
        return false;
    int64_t room = (in - 1) * up + 1 + 2 * pad - dil * (k - 1) - 1;
    return room >= 0 && room / stride + 1 == out;
}

static anf_status check_conv(const struct program *p, const struct instr *i)
{
    const struct conv_param *c = PARAM(p, i, conv_param);
    bool bad = false;
    if (!is_flag(c->has_bias) ||
        !conv_axis_ok(c->in_h, c->out_h, c->kh, c->stride_h, c->dil_h, c->up, c->pad_h) ||
        !conv_axis_ok(c->in_w, c->out_w, c->kw, c->stride_w, c->dil_w, c->up, c->pad_w) ||
        (c->up > 1 && (c->stride_h > 1 || c->stride_w > 1)))
        return fail_instr(p, i, "geometry out of range");
    uint64_t count = PRODUCT(&bad, c->images, c->groups, c->cout, c->out_h, c->out_w);
    uint64_t x = PRODUCT(&bad, c->images, c->groups, c->cin, c->in_h, c->in_w);
    (void)PRODUCT(&bad, c->groups, c->cout, c->cin, c->kh, c->kw, ANF_PANEL);
    /* Scratch of Winograd's formula: a stride has no more phases than the kernel has taps. */
    (void)PRODUCT(&bad, c->images, c->cin, c->kh, c->kw, c->out_h, c->out_w, WINOGRAD_POSITIONS);
    (void)PRODUCT(&bad, c->images, c->groups, c->cout, c->out_h, c->out_w, 8);
    if (bad)
        return fail_instr(p, i, "sizes out of range");
    struct conv_geom g = {.cin = (size_t)c->cin, .kh = (size_t)c->kh, .kw = (size_t)c->kw};
    TRY(need(p, i, 0, count, sizeof(f16)));
    TRY(need(p, i, 1, x, sizeof(f16)));
    TRY(need(p, i, 2, conv_packed_size(&g, (size_t)c->groups, (size_t)c->cout), sizeof(f16)));
    if (c->has_bias)
        TRY(need(p, i, 3, (uint64_t)(c->groups * c->cout), sizeof(f16)));
    return i->tile ? check_tile(p, i, count) : ANF_OK;
}

static anf_status check_attention(const struct program *p, const struct instr *i)
{
    const struct attention_param *a = PARAM(p, i, attention_param);
    struct extent q = {0}, k = {0}, v = {0}, y = {0}, m = {0};
    bool bad = false;
    (void)PRODUCT(&bad, a->heads, a->sq, a->skv);
    (void)PRODUCT(&bad, a->skv, a->d, a->dv);
    if (bad || !is_flag(a->has_scale) || !is_flag(a->has_mask) || a->scale_f16 < 0 ||
        a->scale_f16 > 0xffff)
        return fail_instr(p, i, "sizes out of range");
    extent_dim(&q, a->heads, a->q_head);
    extent_dim(&q, a->sq, a->q_row);
    extent_dim(&q, a->d, 1);
    extent_dim(&k, a->heads, a->k_head);
    extent_dim(&k, a->skv, a->k_row);
    extent_dim(&k, a->d, 1);
    extent_dim(&v, a->heads, a->v_head);
    extent_dim(&v, a->skv, a->v_row);
    extent_dim(&v, a->dv, 1);
    /* Heads and rows may interleave in the destination; either order must keep them apart. */
    extent_dim(&y, a->dv, 1);
    bool rows_inside = (a->sq == 1 || a->y_row >= a->dv) &&
                       (a->heads == 1 || a->y_head / a->sq >= a->y_row);
    bool heads_inside = (a->heads == 1 || a->y_head >= a->dv) &&
                        (a->sq == 1 || a->y_row / a->heads >= a->y_head);
    if (!rows_inside && !heads_inside)
        return fail_instr(p, i, "rows of the destination overlap");
    extent_dim(&y, a->sq, a->y_row);
    extent_dim(&y, a->heads, a->y_head);
    TRY(need_extent(p, i, 0, &y));
    TRY(need_extent(p, i, 1, &q));
    TRY(need_extent(p, i, 2, &k));
    TRY(need_extent(p, i, 3, &v));
    if (a->has_mask) {
        extent_dim(&m, a->heads, a->mask_head);
        extent_dim(&m, a->sq, a->mask_row);
        extent_dim(&m, a->skv, 1);
        TRY(need_extent(p, i, 4, &m));
    }
    return ANF_OK;
}

/* Rows come in groups of `inner`, whose elements lie between each other. */
static bool bad_inner(int64_t rows, int64_t inner)
{
    return inner < 1 || rows % inner != 0;
}

static anf_status check_reduce(const struct program *p, const struct instr *i)
{
    const struct reduce_param *r = PARAM(p, i, reduce_param);
    bool bad = false;
    uint64_t x = PRODUCT(&bad, r->rows, r->n);
    if (bad || bad_inner(r->rows, r->inner) || r->kind < 0 || r->kind >= REDUCE_KIND_COUNT)
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, (uint64_t)r->rows, sizeof(f16)));
    return need(p, i, 1, x, sizeof(f16));
}

static anf_status check_softmax(const struct program *p, const struct instr *i)
{
    const struct softmax_param *s = PARAM(p, i, softmax_param);
    bool bad = false;
    uint64_t x = PRODUCT(&bad, s->rows, s->n);
    if (bad || bad_inner(s->rows, s->inner) || (s->inner > 1 && s->n > ANF_COLUMN_MAX))
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, x, sizeof(f16)));
    return need(p, i, 1, x, sizeof(f16));
}

static anf_status check_norm(const struct program *p, const struct instr *i)
{
    const struct norm_param *n = PARAM(p, i, norm_param);
    bool bad = false;
    uint64_t x = PRODUCT(&bad, n->rows, n->n), affine = PRODUCT(&bad, n->per_row, n->row_period);
    uint64_t covered = PRODUCT(&bad, n->run, n->per_row);
    if (bad || n->kind < 0 || n->kind >= NORM_KIND_COUNT || covered < (uint64_t)n->n ||
        !is_flag(n->has_gamma) || !is_flag(n->has_beta) || (n->has_beta && !n->has_gamma) ||
        n->eps_f32 < 0 || n->eps_f32 > UINT32_MAX)
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, x, sizeof(f16)));
    TRY(need(p, i, 1, x, sizeof(f16)));
    if (n->has_gamma)
        TRY(need(p, i, 2, affine, sizeof(f16)));
    return n->has_beta ? need(p, i, 3, affine, sizeof(f16)) : ANF_OK;
}

static anf_status check_affine(const struct program *p, const struct instr *i)
{
    const struct affine_param *a = PARAM(p, i, affine_param);
    bool bad = false;
    uint64_t x = PRODUCT(&bad, a->images, a->channels, a->run);
    if (bad || a->eps_f32 < 0 || a->eps_f32 > UINT32_MAX)
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, x, sizeof(f16)));
    TRY(need(p, i, 1, x, sizeof(f16)));
    for (uint32_t k = 2; k < 6; k++)
        TRY(need(p, i, k, (uint64_t)a->channels, sizeof(f16)));
    return ANF_OK;
}

static anf_status check_pool(const struct program *p, const struct instr *i)
{
    const struct pool_param *q = PARAM(p, i, pool_param);
    bool bad = false;
    if (!is_flag(q->kind) || q->pad < 0 || q->pad >= q->k ||
        !conv_axis_ok(q->in_h, q->out_h, q->k, q->stride, 1, 1, q->pad) ||
        !conv_axis_ok(q->in_w, q->out_w, q->k, q->stride, 1, 1, q->pad))
        return fail_instr(p, i, "geometry out of range");
    uint64_t y = PRODUCT(&bad, q->planes, q->out_h, q->out_w);
    uint64_t x = PRODUCT(&bad, q->planes, q->in_h, q->in_w);
    (void)PRODUCT(&bad, q->out_h, q->out_w, q->k);
    if (bad)
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, y, sizeof(f16)));
    return need(p, i, 1, x, sizeof(f16));
}

/* Different indices write different elements: sorted by stride, each dim lies above all smaller
 * ones. */
static bool destinations_distinct(const struct move_param *m)
{
    bool done[ANF_MAX_RANK] = {false};
    int64_t reach = 0;
    for (int round = 0; round < m->rank; round++) {
        int least = -1;
        for (int d = 0; d < m->rank; d++)
            if (!done[d] && m->dims[d] > 1 && (least < 0 || m->dst[d] < m->dst[least]))
                least = d;
        if (least < 0)
            return true;
        if (m->dst[least] <= reach)
            return false;
        reach += (m->dims[least] - 1) * m->dst[least];
        done[least] = true;
    }
    return true;
}

static anf_status check_move(const struct program *p, const struct instr *i)
{
    const struct move_param *m = PARAM(p, i, move_param);
    struct extent x = {0}, y = {0};
    bool bad = false;
    if (m->rank < 0 || m->rank > ANF_MAX_RANK)
        return fail_instr(p, i, "rank out of range");
    (void)product(m->dims, (int)m->rank, &bad);
    for (int64_t d = 0; d < m->rank; d++) {
        extent_dim(&x, m->dims[d], m->src[d]);
        extent_dim(&y, m->dims[d], m->dst[d]);
    }
    if (bad || x.bad || y.bad || !destinations_distinct(m))
        return fail_instr(p, i, "strides out of range");
    TRY(need_extent(p, i, 0, &y));
    return need_extent(p, i, 1, &x);
}

static anf_status check_pack(const struct program *p, const struct instr *i)
{
    const struct pack_param *q = PARAM(p, i, pack_param);
    bool bad = false;
    if (q->kind == PACK_GEMM || q->kind == PACK_GEMM_T) {
        (void)PRODUCT(&bad, q->k, q->n, ANF_PANEL);
    } else if (q->kind == PACK_CONV || q->kind == PACK_CONV_T) {
        (void)PRODUCT(&bad, q->groups, q->cout, q->cin, q->kh, q->kw, ANF_PANEL);
        (void)PRODUCT(&bad, q->up, q->dil);
    } else {
        bad = true;
    }
    if (bad)
        return fail_instr(p, i, "sizes out of range");
    TRY(need(p, i, 0, pack_elements(q), sizeof(f16)));
    return need(p, i, 1, pack_source_elements(q), sizeof(f16));
}

/* ---- the table ------------------------------------------------------------------------------- */
#define COUNT(S) (sizeof(struct S) / sizeof(int64_t))

/* What is not in instr.def. */
#define INFO_GEMM .param_count = COUNT(gemm_param), .check = check_gemm, \
                  .scratch = scratch_gemm, .run = exec_gemm, .text = text_gemm
#define INFO_CONV .param_count = COUNT(conv_param), .check = check_conv, \
                  .scratch = scratch_conv, .run = exec_conv, .text = text_conv
#define INFO_ATTENTION .param_count = COUNT(attention_param), .check = check_attention, \
                       .scratch = scratch_attention, .run = exec_attention, .text = text_attention
#define INFO_REDUCE .param_count = COUNT(reduce_param), .check = check_reduce, \
                    .run = exec_reduce, .text = text_reduce
#define INFO_SOFTMAX .param_count = COUNT(softmax_param), .check = check_softmax, \
                     .scratch = scratch_softmax, .run = exec_softmax, .text = text_softmax
#define INFO_NORM .param_count = COUNT(norm_param), .check = check_norm, .run = exec_norm, \
                  .text = text_norm
#define INFO_AFFINE .param_count = COUNT(affine_param), .check = check_affine, \
                    .run = exec_affine, .text = text_affine
#define INFO_POOL .param_count = COUNT(pool_param), .check = check_pool, \
                  .scratch = scratch_pool, .run = exec_pool, .text = text_pool
#define INFO_TILE .param_count = 0, .check = check_tile_instr, .run = exec_tile
#define INFO_MOVE .param_count = COUNT(move_param), .check = check_move, .run = exec_move, \
                  .text = text_move
#define INFO_PACK .param_count = COUNT(pack_param), .check = check_pack, .run = exec_pack

const struct instr_info instr_info[INSTR_COUNT] = {
#define I(id, instr, least, most, tile, doc)                                                       \
    [INSTR_##id] = {.name = instr, .min_operands = least, .max_operands = most, .runs_tile = tile, \
                    INFO_##id},
#include "program/instr.def"
#undef I
};
#define I(id, instr, least, most, tile, doc)                                                       \
    _Static_assert(INSTR_##id == INSTR_TILE || (most) <= INSTR_MAX_OPERANDS, instr);
#include "program/instr.def"
#undef I

/* ---- the whole program ----------------------------------------------------------------------- */
static anf_status check_buffers(const struct program *p)
{
    for (size_t b = 1; b < p->n_buffers; b++) {
        const struct buffer *buf = &p->buffers[b];
        if (buf->kind == BUF_NONE || buf->kind >= BUF_KIND_COUNT || buf->n_bytes == 0 ||
            buf->n_bytes > (uint64_t)LIMIT * 2)
            FAIL(FORMAT, "program: buffer %zu has kind %u and %" PRIu64 " bytes", b, buf->kind,
                 buf->n_bytes);
        if (buf->kind == BUF_ARENA && buf->first != UINT32_MAX &&
            (buf->offset % ANF_CACHE_LINE || buf->offset > p->arena_bytes ||
             buf->n_bytes > p->arena_bytes - buf->offset || buf->last < buf->first))
            FAIL(FORMAT, "program: buffer %zu does not lie in the arena", b);
        if (buf->kind == BUF_CONST && !buf->data)
            FAIL(FORMAT, "program: constant buffer %zu has no data", b);
    }
    return ANF_OK;
}

static anf_status check_ports(const struct program *p, const struct port *ports, size_t n,
                              enum buffer_kind kind)
{
    size_t of_kind = 0;
    for (size_t b = 1; b < p->n_buffers; b++)
        of_kind += p->buffers[b].kind == (uint32_t)kind;
    if (of_kind != n)
        FAIL(FORMAT, "program: %zu ports for %zu port buffers", n, of_kind);
    for (size_t i = 0; i < n; i++) {
        const struct port *port = &ports[i];
        size_t count;
        bool dtype_ok = port->info.dtype == ANF_F16 ||
                        (kind == BUF_INPUT && port->info.dtype == ANF_U8);
        if (port->buf == 0 || port->buf >= p->n_buffers ||
            p->buffers[port->buf].kind != (uint32_t)kind || p->buffers[port->buf].port != i ||
            !dtype_ok || !dims_count(&port->info.shape, &count) ||
            count != port->info.n_elements ||
            count * dtype_info[port->info.dtype].n_bytes != p->buffers[port->buf].n_bytes)
            FAIL(FORMAT, "program: port %zu does not fit its buffer", i);
    }
    return ANF_OK;
}

static anf_status check_instr(const struct program *p, size_t at)
{
    const struct instr *i = &p->instrs[at];
    if (i->op >= INSTR_COUNT)
        FAIL(FORMAT, "program: instruction %zu has unknown operation %u", at, i->op);
    const struct instr_info *info = &instr_info[i->op];
    if (i->operand > p->n_operands || i->n_operand > p->n_operands - i->operand ||
        i->param > p->n_params || info->param_count > p->n_params - i->param ||
        i->source >= p->n_names || i->tile > p->n_tiles)
        return fail_instr(p, i, "an index is out of range");
    size_t most = (size_t)info->max_operands + (i->tile ? TILE_MAX_OPERANDS : 0);
    if (i->n_operand < (uint32_t)info->min_operands || i->n_operand > most)
        return fail_instr(p, i, "wrong number of operands");
    for (uint32_t k = 0; k < i->n_operand; k++) {
        const struct operand *o = &p->operands[i->operand + k];
        if (o->buf >= p->n_buffers || o->offset > (uint64_t)LIMIT * 2)
            return fail_instr(p, i, "an operand names no buffer");
        const struct buffer *b = &p->buffers[o->buf];
        if (b->kind == BUF_ARENA && (b->first > at || b->last < at))
            return fail_instr(p, i, "an operand is used outside its buffer's lifetime");
    }
    uint32_t kind = p->buffers[p->operands[i->operand].buf].kind;
    if (kind != BUF_ARENA && kind != BUF_OUTPUT)
        return fail_instr(p, i, "the destination cannot be written");
    if (i->tile && !info->runs_tile)
        return fail_instr(p, i, "this instruction runs no epilogue");
    return info->check(p, i);
}

static anf_status check_records(const struct program *p)
{
    for (size_t i = 0; i < p->n_weights; i++) {
        const struct weight_record *w = &p->weights[i];
        bool shape_ok = w->dims[0] >= 1 && w->dims[0] <= (uint64_t)LIMIT && w->dims[1] >= 1 &&
                        w->dims[1] <= (uint64_t)LIMIT;
        if (w->name >= p->n_names || w->why >= p->n_names || w->encoding >= ENCODING_COUNT ||
            w->streams > 1 || !shape_ok || !(w->error >= 0 && w->error < INFINITY))
            FAIL(FORMAT, "program: the record of weight %zu is impossible", i);
    }
    return ANF_OK;
}

anf_status program_check(const struct program *p)
{
    if (p->n_names && p->names[p->n_names - 1] != 0)
        FAIL(FORMAT, "program: the name table does not end");
    if (p->arena_bytes > (uint64_t)LIMIT * 2)
        FAIL(FORMAT, "program: an arena of %" PRIu64 " bytes", p->arena_bytes);
    TRY(check_buffers(p));
    TRY(check_ports(p, p->inputs, p->n_inputs, BUF_INPUT));
    TRY(check_ports(p, p->outputs, p->n_outputs, BUF_OUTPUT));
    for (size_t i = 0; i < p->n_instrs; i++)
        TRY(check_instr(p, i));
    return check_records(p);
}
