/* The walk over the graph: every node is lowered where it stands, except views (strides until
 * somebody needs them dense), constants (stored when first used, packed or plain) and nodes that
 * the fusion plan put inside another instruction. */
#include "lower/lower.h"

#include "base/cancel.h"
#include "program/pack.h"

#include <stdio.h>
#include <string.h>

/* A chain of views deeper than this is made dense on the way, which bounds the recursion. */
enum { MAX_VIEW_DEPTH = 32 };
enum { NODE_WORK = 1000 }; /* for cancel_check */
enum { MAX_NAMED = 12 };   /* operators of an instruction that explain lists by name */

bool strided_merge(const struct strided *s, int from, int to, int64_t *count, int64_t *stride)
{
    *count = 1;
    *stride = 0;
    for (int d = to - 1; d >= from; d--) {
        if (s->dims.dim[d] == 1)
            continue;
        if (*count == 1)
            *stride = s->stride[d];
        else if (s->stride[d] != *stride * *count)
            return false;
        *count *= s->dims.dim[d];
    }
    return true;
}

bool strided_is_dense(const struct strided *s)
{
    int64_t count, stride;
    return s->dims.rank == 0 || (strided_merge(s, 0, s->dims.rank, &count, &stride) &&
                                 (stride == 1 || count == 1));
}

struct move_param strided_move(const struct strided *from, const struct strided *to)
{
    struct move_param m = {.rank = from->dims.rank};
    for (int d = 0; d < from->dims.rank; d++) {
        m.dims[d] = from->dims.dim[d];
        m.src[d] = from->stride[d];
        m.dst[d] = to->stride[d];
    }
    return m;
}

/* Plain (unpacked) constant in the program's own memory. */
static anf_status store_const(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    size_t bytes = node_count(n) * sizeof(f16);
    f16 *copy = arena_alloc_raw(&lw->p->arena, bytes);
    if (!copy)
        return ANF_E_NOMEM;
    memcpy(copy, n->data, bytes);
    uint32_t buf = program_const(lw->p, copy, bytes);
    lw->value[id] = (struct operand){.buf = buf};
    return buf ? ANF_OK : ANF_E_NOMEM;
}

static bool is_lazy(const struct lowering *lw, node_id id)
{
    return node_op(lower_node(lw, id))->view && !lw->value[id].buf;
}

static int view_depth(const struct lowering *lw, node_id id)
{
    int depth = 0;
    for (; is_lazy(lw, id) && depth <= MAX_VIEW_DEPTH; depth++)
        id = lower_node(lw, id)->in[0];
    return depth;
}

static anf_status strided_of(struct lowering *lw, node_id id, struct operand *at, struct strided *s)
{
    const struct node *n = lower_node(lw, id);
    if (n->op == OP_const && !lw->value[id].buf)
        TRY(store_const(lw, id));
    if (lw->value[id].buf) {
        *at = lw->value[id];
        *s = strided_dense(&n->type.shape);
        return ANF_OK;
    }
    const struct op *op = node_op(n);
    if (!op->view)
        FAIL(INTERNAL, "lower: %s (node %u) is used before it is computed", op->name, id);
    const struct node *src = lower_node(lw, n->in[0]);
    struct op_call call = {op, 1, &src->type, n->attrs};
    TRY(strided_of(lw, n->in[0], at, s));
    if (op->view(&call, &n->type, s))
        return ANF_OK;
    TRY(lower_dense(lw, n->in[0], at));
    *s = strided_dense(&src->type.shape);
    if (!op->view(&call, &n->type, s))
        FAIL(INTERNAL, "lower: %s of a dense %s has no strides", op->name,
             dims_text(&src->type.shape));
    return ANF_OK;
}

anf_status lower_strided(struct lowering *lw, node_id id, struct operand *at, struct strided *s)
{
    TRY(strided_of(lw, id, at, s));
    const bool is_u8 = lower_node(lw, id)->type.dtype == ANF_U8;
    at->offset += (uint64_t)s->offset * (is_u8 ? sizeof(uint8_t) : sizeof(f16));
    s->offset = 0;
    return ANF_OK;
}

uint32_t lower_destination(struct lowering *lw, node_id id)
{
    if (lw->port[id])
        return lw->p->outputs[lw->port[id] - 1].buf;
    return program_buffer(lw->p, BUF_ARENA, node_count(lower_node(lw, id)) * sizeof(f16));
}

/* Dense `y` from `x` seen through `s`. */
static anf_status emit_move(struct lowering *lw, struct operand y, struct operand x,
                            const struct strided *s, const char *source)
{
    const struct strided dense = strided_dense(&s->dims);
    const struct move_param m = strided_move(s, &dense);
    const struct operand operands[2] = {y, x};
    return program_instr(lw->p, INSTR_MOVE, operands, 2, &m, sizeof m, 0, source, 0);
}

anf_status lower_copy(struct lowering *lw, struct strided *s, struct operand from,
                      struct operand *out)
{
    const size_t count = dims_product(&s->dims, 0, s->dims.rank);
    *out = (struct operand){.buf = program_buffer(lw->p, BUF_ARENA, count * sizeof(f16))};
    if (!out->buf)
        return ANF_E_NOMEM;
    TRY(emit_move(lw, *out, from, s, "copy"));
    *s = strided_dense(&s->dims);
    return ANF_OK;
}

anf_status lower_dense(struct lowering *lw, node_id id, struct operand *out)
{
    if (!lw->value[id].buf) {
        struct operand at;
        struct strided s;
        TRY(lower_strided(lw, id, &at, &s));
        if (!lw->value[id].buf) {
            if (strided_is_dense(&s) && !lw->port[id]) {
                lw->value[id] = at;
            } else {
                struct operand y = {.buf = lower_destination(lw, id)};
                if (!y.buf)
                    return ANF_E_NOMEM;
                TRY(emit_move(lw, y, at, &s, lower_source(lw, id)));
                lw->value[id] = y;
            }
        }
    }
    *out = lw->value[id];
    return ANF_OK;
}

anf_status lower_packed(struct lowering *lw, node_id id, const struct pack_param *pack,
                        struct operand *out)
{
    const struct node *n = lower_node(lw, id);
    size_t bytes = pack_elements(pack) * sizeof(f16);
    struct packed *known = lw->packed[id];
    if (known && memcmp(&known->as, pack, sizeof *pack) == 0) {
        *out = (struct operand){.buf = known->buf};
        return ANF_OK;
    }
    if (n->op == OP_const) {
        f16 *panels = arena_alloc_raw(&lw->p->arena, bytes);
        if (!panels)
            return ANF_E_NOMEM;
        pack_run(pack, n->data, panels);
        TRY(cancel_check(bytes));
        out->buf = program_const(lw->p, panels, bytes);
    } else {
        struct operand operands[2] = {{0}, {0}};
        TRY(lower_dense(lw, id, &operands[1]));
        operands[0].buf = program_buffer(lw->p, BUF_ARENA, bytes);
        if (!operands[0].buf)
            return ANF_E_NOMEM;
        TRY(program_instr(lw->p, INSTR_PACK, operands, 2, pack, sizeof *pack, 0, "pack", 0));
        out->buf = operands[0].buf;
    }
    out->offset = 0;
    known = arena_alloc(lw->scratch, sizeof *known);
    if (!known || !out->buf)
        return ANF_E_NOMEM;
    *known = (struct packed){*pack, out->buf};
    lw->packed[id] = known;
    return ANF_OK;
}

/* The nodes of the instruction that ends with `root`, in ascending order; 0 after the last. */
static node_id first_inside(const struct lowering *lw, node_id root)
{
    return lw->fusion[root].first ? lw->fusion[root].first : root;
}

static node_id next_inside(const struct lowering *lw, node_id x, node_id root)
{
    return x == root ? 0 : lw->fusion[x].next;
}

const char *lower_source(struct lowering *lw, node_id root)
{
    struct buf b;
    buf_init(&b, lw->p->allocator);
    int named = 0;
    for (node_id x = first_inside(lw, root); x; x = next_inside(lw, x, root), named++)
        if (named < MAX_NAMED) {
            buf_str(&b, named ? "+" : "");
            buf_str(&b, node_op(lower_node(lw, x))->name);
        }
    if (named > MAX_NAMED)
        buf_printf(&b, "+%d more", named - MAX_NAMED);
    char *s = b.failed ? NULL : arena_strdup(lw->scratch, b.data);
    buf_free(&b);
    return s;
}

static uint64_t node_flops(const struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const struct op *op = node_op(n);
    if (!op->flops)
        return op->view ? 0 : node_count(n);
    struct value_type types[MAX_OPERANDS];
    for (int i = 0; i < n->n_in; i++)
        types[i] = n->in[i] ? lower_node(lw, n->in[i])->type
                            : (struct value_type){ANF_F16, {-1, {0}}};
    struct op_call call = {op, n->n_in, types, n->attrs};
    return op->flops(&call, &n->type);
}

uint64_t lower_flops(struct lowering *lw, node_id root)
{
    uint64_t total = 0;
    for (node_id x = first_inside(lw, root); x; x = next_inside(lw, x, root))
        total += node_flops(lw, x);
    return total;
}

anf_status lower_emit(struct lowering *lw, node_id id, enum instr_op op,
                      const struct operand *operands, int n_operands, const void *param,
                      size_t param_bytes)
{
    node_id root = lw->group ? lw->group : id;
    struct operand all[INSTR_MAX_OPERANDS + TILE_MAX_OPERANDS];
    uint32_t tile = 0;
    ANF_ASSERT(n_operands <= INSTR_MAX_OPERANDS);
    memcpy(all, operands, (size_t)n_operands * sizeof *all);
    all[0] = (struct operand){0};
    if (lw->group)
        TRY(lower_tile(lw, root, id, all, &n_operands, &tile));
    all[0].buf = lower_destination(lw, root);
    if (!all[0].buf)
        return ANF_E_NOMEM;
    TRY(program_instr(lw->p, op, all, n_operands, param, param_bytes, tile,
                      lower_source(lw, root), lower_flops(lw, root)));
    lw->value[root] = all[0];
    return ANF_OK;
}

static anf_status lower_one(struct lowering *lw, node_id id)
{
    const struct node *n = lower_node(lw, id);
    const struct op *op = node_op(n);
    const struct fusion *f = &lw->fusion[id];
    if ((op->traits & OP_LEAF) || f->role == FUSE_INSIDE)
        return ANF_OK;
    if (f->role == FUSE_TILE) {
        struct operand y = {0};
        lw->group = id;
        anf_status st = f->producer
                            ? node_op(lower_node(lw, f->producer))->lower(lw, f->producer)
                            : lower_emit(lw, 0, INSTR_TILE, &y, 1, NULL, 0);
        lw->group = 0;
        return st;
    }
    if (f->role == FUSE_ATTENTION)
        return lower_attention(lw, id);
    if (op->view) {
        struct operand dense;
        if (lw->lazy && view_depth(lw, id) < MAX_VIEW_DEPTH)
            return ANF_OK;
        return lower_dense(lw, id, &dense);
    }
    if (!op->lower)
        FAIL(INTERNAL, "lower: %s (node %u) has no lowering and was not expanded", op->name, id);
    return op->lower(lw, id);
}

/* An output is written directly where the node that computes it has one port and memory of its
 * own. */
static anf_status plan_outputs(struct lowering *lw)
{
    const struct graph *g = lw->g;
    for (size_t i = 0; i < g->n_outputs; i++) {
        uint32_t buf;
        const struct graph_output *o = &g->outputs[i];
        const struct node *n = graph_node(g, o->node);
        TRY(program_port(lw->p, false, o->name, ANF_F16, &n->type.shape, &buf));
        if (!(node_op(n)->traits & OP_LEAF) && !node_op(n)->view && !lw->port[o->node])
            lw->port[o->node] = (uint32_t)i + 1;
    }
    return ANF_OK;
}

static anf_status copy_outputs(struct lowering *lw)
{
    for (size_t i = 0; i < lw->g->n_outputs; i++) {
        node_id id = lw->g->outputs[i].node;
        if (lw->port[id] == i + 1)
            continue;
        struct operand at, y = {.buf = lw->p->outputs[i].buf};
        struct strided s;
        TRY(lower_strided(lw, id, &at, &s));
        TRY(emit_move(lw, y, at, &s, lower_source(lw, id)));
    }
    return ANF_OK;
}

static anf_status run_lowering(struct lowering *lw)
{
    const struct graph *g = lw->g;
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        if (n->op != OP_input)
            continue;
        uint32_t buf;
        TRY(program_port(lw->p, true, n->name, n->type.dtype, &n->type.shape, &buf));
        lw->value[id].buf = buf;
    }
    TRY(plan_outputs(lw));
    for (node_id id = 1; id < g->n_nodes; id++) {
        if (!lw->uses[id])
            continue;
        if (!(node_op(graph_node(g, id))->traits & OP_LEAF))
            lw->p->n_ops++;
        TRY(cancel_check(NODE_WORK));
        TRY(lower_one(lw, id));
    }
    return copy_outputs(lw);
}

anf_status lower_graph(struct program *p, const struct graph *g, struct compression *c, bool fuse)
{
    struct arena scratch;
    arena_init(&scratch, p->allocator);
    size_t n = g->n_nodes + 1;
    struct lowering lw = {.g = g, .p = p, .scratch = &scratch, .lazy = fuse,
                          .compression = c};
    lw.uses = graph_use_counts(g, &scratch);
    lw.fusion = lw.uses ? plan_fusion(g, lw.uses, fuse, &scratch) : NULL;
    lw.value = arena_alloc_array(&scratch, n, sizeof *lw.value);
    lw.packed = arena_alloc_array(&scratch, n, sizeof *lw.packed);
    lw.port = arena_alloc_array(&scratch, n, sizeof *lw.port);
    lw.encoded = arena_alloc_array(&scratch, FORMS * c->n, sizeof *lw.encoded);
    anf_status st = ANF_E_NOMEM;
    if (lw.fusion && lw.value && lw.packed && lw.port && lw.encoded)
        st = run_lowering(&lw);
    arena_free(&scratch);
    return st;
}
