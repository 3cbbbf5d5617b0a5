/* Tile programs from elementwise groups: members in graph order, registers by last use, operands
 * with strides over the destination's dims, dims merged where every operand allows. */
#include "lower/lower.h"

#include <string.h>

struct builder {
    struct lowering *lw;
    node_id root;
    node_id member[TILE_MAX_OPS];
    int n_members;
    node_id operand[TILE_MAX_OPERANDS];
    struct tile_prog t;
};

static bool is_member(const struct builder *b, node_id id)
{
    return id == b->root || (b->lw->fusion[id].role == FUSE_INSIDE &&
                             b->lw->fusion[id].root == b->root &&
                             (node_op(lower_node(b->lw, id))->traits & OP_ELEMENTWISE));
}

/* Members reachable from the root, in ascending (topological) order: insertion into a short
 * array. */
static void collect(struct builder *b)
{
    node_id stack[TILE_MAX_OPS * 3];
    int depth = 0;
    stack[depth++] = b->root;
    while (depth > 0) {
        node_id id = stack[--depth];
        int at = 0;
        while (at < b->n_members && b->member[at] < id)
            at++;
        if (at < b->n_members && b->member[at] == id)
            continue;
        memmove(b->member + at + 1, b->member + at,
                (size_t)(b->n_members - at) * sizeof b->member[0]);
        b->member[at] = id;
        b->n_members++;
        const struct node *n = lower_node(b->lw, id);
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && is_member(b, n->in[i]))
                stack[depth++] = n->in[i];
    }
}

/* Strides of an operand over the root's dims, aligned at the right; size-1 dims broadcast. */
static void broadcast_strides(const struct strided *s, const anf_dims *to, int64_t *stride)
{
    int shift = to->rank - s->dims.rank;
    for (int d = 0; d < to->rank; d++)
        stride[d] = d < shift || s->dims.dim[d - shift] == 1 ? 0 : s->stride[d - shift];
}

static anf_status add_operand(struct builder *b, node_id id, bool self, struct operand *operands,
                              int *n_operands)
{
    struct lowering *lw = b->lw;
    const struct node *n = lower_node(lw, id);
    struct tile_operand *o = &b->t.operands[b->t.n_operands];
    const anf_dims *to = &lower_node(lw, b->root)->type.shape;
    struct strided s;
    if (self) {
        /* The destination itself, just written: dense over the root's dims. */
        s = strided_dense(to);
        o->slot = 0;
    } else {
        struct operand at;
        TRY(lower_strided(lw, id, &at, &s));
        int inner = s.dims.rank - 1;
        /* Gathering columns one element at a time is slower than a blocked transpose first. */
        if (inner >= 0 && s.dims.dim[inner] != 1 && s.stride[inner] != 1 && s.stride[inner] != 0) {
            TRY(lower_dense(lw, id, &at));
            s = strided_dense(&s.dims);
        }
        o->slot = (uint32_t)*n_operands;
        o->is_u8 = n->type.dtype == ANF_U8;
        operands[(*n_operands)++] = at;
    }
    broadcast_strides(&s, to, o->stride);
    b->operand[b->t.n_operands++] = id;
    return ANF_OK;
}

static int find_operand(const struct builder *b, node_id id)
{
    for (uint32_t v = 0; v < b->t.n_operands; v++)
        if (b->operand[v] == id)
            return (int)v;
    return -1;
}

/* Registers: a member's value lives until its last use inside the group, and takes the lowest that
 * is free. */
static void emit_ops(struct builder *b)
{
    int8_t reg[TILE_MAX_OPS];
    int last[TILE_MAX_OPS];
    bool busy[TILE_MAX_REGS] = {false};
    for (int k = 0; k < b->n_members; k++)
        for (int j = k + 1; j < b->n_members; j++) {
            const struct node *n = lower_node(b->lw, b->member[j]);
            for (int i = 0; i < n->n_in; i++)
                if (n->in[i] == b->member[k])
                    last[k] = j;
        }
    for (int k = 0; k < b->n_members; k++) {
        const struct node *n = lower_node(b->lw, b->member[k]);
        const struct op *op = node_op(n);
        struct tile_op *t = &b->t.ops[b->t.n_ops++];
        t->uop = (uint8_t)op->uop;
        t->n_src = (uint8_t)n->n_in;
        if (op->uop_params)
            op->uop_params(n->attrs, t->p);
        for (int i = 0; i < n->n_in; i++) {
            int v = find_operand(b, n->in[i]);
            for (int j = 0; v < 0 && j < k; j++)
                if (b->member[j] == n->in[i])
                    v = (int)b->t.n_operands + reg[j];
            ANF_ASSERT(v >= 0);
            t->src[i] = (uint8_t)v;
        }
        for (int j = 0; j < k; j++)
            if (last[j] == k)
                busy[reg[j]] = false;
        int r = 0;
        while (k + 1 < b->n_members && busy[r])
            r++;
        reg[k] = (int8_t)r;
        t->dst = (uint8_t)r;
        if (k + 1 < b->n_members) {
            busy[r] = true;
            if ((uint32_t)r + 1 > b->t.n_regs)
                b->t.n_regs = (uint32_t)r + 1;
        }
    }
}

static void merge_dims(struct tile_prog *t)
{
    uint32_t n = 0;
    for (uint32_t d = 0; d < t->rank; d++) {
        bool merge = n > 0;
        if (t->dims[d] == 1)
            continue;
        for (uint32_t v = 0; v < t->n_operands && merge; v++)
            merge = t->operands[v].stride[n - 1] == t->operands[v].stride[d] * t->dims[d];
        if (merge) {
            t->dims[n - 1] *= t->dims[d];
        } else {
            t->dims[n] = t->dims[d];
            n++;
        }
        for (uint32_t v = 0; v < t->n_operands; v++)
            t->operands[v].stride[n - 1] = t->operands[v].stride[d];
    }
    for (uint32_t d = n; d < ANF_MAX_RANK; d++) {
        t->dims[d] = 0;
        for (uint32_t v = 0; v < t->n_operands; v++)
            t->operands[v].stride[d] = 0;
    }
    t->rank = n;
}

anf_status lower_tile(struct lowering *lw, node_id root, node_id self, struct operand *operands,
                      int *n_operands, uint32_t *tile)
{
    struct builder b = {.lw = lw, .root = root};
    const struct node *rn = lower_node(lw, root);
    b.t.rank = (uint32_t)rn->type.shape.rank;
    for (uint32_t d = 0; d < b.t.rank; d++)
        b.t.dims[d] = rn->type.shape.dim[d];
    collect(&b);
    for (int k = 0; k < b.n_members; k++) {
        const struct node *n = lower_node(lw, b.member[k]);
        for (int i = 0; i < n->n_in; i++) {
            node_id x = n->in[i];
            if (is_member(&b, x) || find_operand(&b, x) >= 0)
                continue;
            /* What the fusion plan absorbed but is no member is the producer's value. */
            bool is_self = self && lw->fusion[x].role == FUSE_INSIDE && lw->fusion[x].root == root;
            TRY(add_operand(&b, x, is_self, operands, n_operands));
        }
    }
    emit_ops(&b);
    merge_dims(&b.t);
    *tile = program_tile(lw->p, &b.t);
    return *tile ? ANF_OK : ANF_E_NOMEM;
}
