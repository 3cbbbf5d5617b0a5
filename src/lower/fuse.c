/* The fusion plan: which nodes share an instruction.  It only groups; rounding is unchanged,
 * because a fused chain rounds between its operators like the separate ones.
 *
 *   - attention: bmm(softmax(bmm(q, k') * scale (+ mask)), v), every inner value used once, and the
 *     transpose behind it that merges the heads;
 *   - elementwise groups: a root and every elementwise operand, of the same shape, all of whose
 *     uses are inside the group;
 *   - epilogues: a group whose operand is a matmul or a convolution (seen through views that keep
 *     the element order), all of whose uses are inside the group, runs on that instruction's result
 *     while it is in cache.  The instruction is then emitted where the root stands, so every other
 *     operand exists by then.
 * Nodes are visited from the last to the first, so all uses of a node are decided before the
 * node. */
#include "lower/lower.h"
#include "ops/op_attrs.h"

struct planner {
    const struct graph *g;
    const uint32_t *uses;
    struct fusion *plan;
    uint32_t *inside;  /* uses of a node by the group being grown */
    uint32_t *stamp;   /* group the count belongs to */
};

static const struct node *node_at(const struct planner *pl, node_id id)
{
    return graph_node(pl->g, id);
}

static bool is_op(const struct planner *pl, node_id id, enum op_id op)
{
    return id && node_at(pl, id)->op == op;
}

static bool used_once(const struct planner *pl, node_id id)
{
    return pl->uses[id] == 1 && pl->plan[id].role == FUSE_NONE;
}

static bool is_scalar_const(const struct planner *pl, node_id id)
{
    return is_op(pl, id, OP_const) && node_count(node_at(pl, id)) == 1;
}

/* Batch dims equal, so that heads is one index for q, k and v. */
static bool same_batch(const struct node *a, const struct node *b)
{
    int r = a->type.shape.rank;
    if (r != b->type.shape.rank)
        return false;
    for (int i = 0; i + 2 < r; i++)
        if (a->type.shape.dim[i] != b->type.shape.dim[i])
            return false;
    return true;
}

/* A mask has a value for each key: the instruction reads rows. */
static bool mask_fits(const struct node *mask, const struct node *scores)
{
    const anf_dims *m = &mask->type.shape, *s = &scores->type.shape;
    return m->rank >= 1 && m->dim[m->rank - 1] == s->dim[s->rank - 1];
}

/* Nodes come from the last to the first, nearly always: their place is the front of the list. */
static void absorb(struct planner *pl, node_id id, node_id root)
{
    node_id *link = &pl->plan[root].first;
    while (*link < id)
        link = &pl->plan[*link].next;
    pl->plan[id] = (struct fusion){.role = FUSE_INSIDE, .root = root, .next = *link};
    *link = id;
}

/* Whether `id` is a product of two matrices, or that times a number, for nobody else. */
static bool is_scaled_product(const struct planner *pl, node_id id)
{
    if (!used_once(pl, id))
        return false;
    const struct node *n = node_at(pl, id);
    return n->op == OP_bmm || (n->op == OP_mul && (is_scalar_const(pl, n->in[0]) ||
                                                   is_scalar_const(pl, n->in[1])));
}

static void match_attention(struct planner *pl, node_id id)
{
    const struct node *out = node_at(pl, id);
    if (out->op != OP_bmm)
        return;
    node_id soft = out->in[0];
    if (!is_op(pl, soft, OP_softmax) || !used_once(pl, soft))
        return;
    const struct node *sn = node_at(pl, soft);
    if (((const struct axis_attrs *)sn->attrs)->axis != sn->type.shape.rank - 1)
        return;
    node_id at = sn->in[0], add = 0, mul = 0, mask = 0, scale = 0;
    if (is_op(pl, at, OP_add) && used_once(pl, at)) {
        const node_id *in = node_at(pl, at)->in;
        const int scores = is_scaled_product(pl, in[0]) ? 0 : 1;
        add = at;
        mask = in[1 - scores];
        at = in[scores];
    }
    if (is_op(pl, at, OP_mul) && is_scaled_product(pl, at)) {
        const node_id *in = node_at(pl, at)->in;
        const int product = is_scalar_const(pl, in[1]) ? 0 : 1;
        mul = at;
        scale = in[1 - product];
        at = in[product];
    }
    if (!is_op(pl, at, OP_bmm) || !used_once(pl, at))
        return;
    const struct node *scores = node_at(pl, at);
    if (add && (!dims_equal(&scores->type.shape, &node_at(pl, add)->type.shape) ||
                !mask_fits(node_at(pl, mask), scores)))
        return;
    if (mul && !dims_equal(&scores->type.shape, &node_at(pl, mul)->type.shape))
        return;
    if (!same_batch(out, node_at(pl, scores->in[0])) ||
        !same_batch(out, node_at(pl, scores->in[1])) || !same_batch(out, node_at(pl, out->in[1])))
        return;
    pl->plan[id] = (struct fusion){.role = FUSE_ATTENTION, .root = id, .producer = id, .first = id,
                                   .scores = at, .scale = scale, .mask = mask};
    node_id inside[4] = {soft, add, mul, at};
    for (int i = 0; i < 4; i++)
        if (inside[i])
            absorb(pl, inside[i], id);
}

/* [heads, rows, d] -> [rows, heads, d], as multi-head attention ends: the instruction writes its
 * rows in that order by strides. */
static void match_merged_heads(struct planner *pl, node_id id)
{
    const struct node *n = node_at(pl, id);
    if (n->op != OP_transpose || n->type.shape.rank < 3)
        return;
    node_id from = n->in[0];
    const struct perm_attrs *a = n->attrs;
    int r = a->perm.rank;
    if (pl->plan[from].role != FUSE_ATTENTION || pl->uses[from] != 1 ||
        a->perm.dim[r - 3] != r - 2 || a->perm.dim[r - 2] != r - 3)
        return;
    for (int i = 0; i + 3 < r; i++)
        if (a->perm.dim[i] != i || n->type.shape.dim[i] != 1)
            return;
    struct fusion f = pl->plan[from];
    f.root = id;
    pl->plan[id] = f;
    for (node_id x = f.first; x != from; x = pl->plan[x].next)
        pl->plan[x].root = id;
    pl->plan[from] = (struct fusion){.role = FUSE_INSIDE, .root = id, .next = id};
}

struct group {
    node_id root;
    node_id member[TILE_MAX_OPS];
    int n_members;
    node_id external[TILE_MAX_OPERANDS + TILE_MAX_OPS * 3];
    int n_external;
};

static void count_uses(struct planner *pl, struct group *gr, node_id id)
{
    const struct node *n = node_at(pl, id);
    for (int i = 0; i < n->n_in; i++) {
        node_id x = n->in[i];
        if (pl->stamp[x] != gr->root) {
            pl->stamp[x] = gr->root;
            pl->inside[x] = 0;
            gr->external[gr->n_external++] = x;
        }
        pl->inside[x]++;
    }
}

static bool all_uses_inside(const struct planner *pl, node_id id)
{
    return pl->inside[id] == pl->uses[id] && pl->plan[id].role == FUSE_NONE;
}

/* Move the external operand with the largest id that may join into the group. */
static bool grow(struct planner *pl, struct group *gr)
{
    int best = -1;
    const struct node *root = node_at(pl, gr->root);
    for (int i = 0; i < gr->n_external; i++) {
        node_id x = gr->external[i];
        const struct node *n = node_at(pl, x);
        if (!(node_op(n)->traits & OP_ELEMENTWISE) || !all_uses_inside(pl, x) ||
            !dims_equal(&n->type.shape, &root->type.shape))
            continue;
        /* The operands it brings must still fit. */
        if (gr->n_external - 1 + n->n_in > TILE_MAX_OPERANDS)
            continue;
        if (best < 0 || x > gr->external[best])
            best = i;
    }
    if (best < 0 || gr->n_members == TILE_MAX_OPS)
        return false;
    node_id x = gr->external[best];
    gr->external[best] = gr->external[--gr->n_external];
    gr->member[gr->n_members++] = x;
    absorb(pl, x, gr->root);
    count_uses(pl, gr, x);
    return true;
}

/* The operator behind views that keep the element order, all used once. */
static node_id behind_views(const struct planner *pl, node_id id)
{
    while (node_op(node_at(pl, id))->traits & OP_VIEW) {
        node_id next = node_at(pl, id)->in[0];
        if (!next || !used_once(pl, next))
            return 0;
        id = next;
    }
    return id;
}

static void choose_producer(struct planner *pl, struct group *gr)
{
    node_id best = 0, best_external = 0;
    for (int i = 0; i < gr->n_external; i++) {
        node_id x = gr->external[i];
        if (!all_uses_inside(pl, x) ||
            !dims_equal(&node_at(pl, x)->type.shape, &node_at(pl, gr->root)->type.shape))
            continue;
        node_id p = behind_views(pl, x);
        if (p && (node_op(node_at(pl, p))->traits & OP_EPILOGUE) && pl->plan[p].role == FUSE_NONE &&
            p > best) {
            best = p;
            best_external = x;
        }
    }
    if (!best)
        return;
    for (node_id x = best_external;; x = node_at(pl, x)->in[0]) {
        absorb(pl, x, gr->root);
        if (x == best)
            break;
    }
    pl->plan[gr->root].producer = best;
}

struct fusion *plan_fusion(const struct graph *g, const uint32_t *uses, bool fuse,
                           struct arena *arena)
{
    struct planner pl = {g, uses, NULL, NULL, NULL};
    pl.plan = arena_alloc_array(arena, g->n_nodes + 1, sizeof *pl.plan);
    pl.inside = arena_alloc_array(arena, g->n_nodes + 1, sizeof *pl.inside);
    pl.stamp = arena_alloc_array(arena, g->n_nodes + 1, sizeof *pl.stamp);
    if (!pl.plan || !pl.inside || !pl.stamp)
        return NULL;
    if (fuse)
        for (node_id id = 1; id < g->n_nodes; id++)
            if (uses[id]) {
                match_attention(&pl, id);
                match_merged_heads(&pl, id);
            }
    for (node_id id = (node_id)(g->n_nodes ? g->n_nodes - 1 : 0); id >= 1; id--) {
        if (!uses[id] || pl.plan[id].role != FUSE_NONE ||
            !(node_op(graph_node(g, id))->traits & OP_ELEMENTWISE))
            continue;
        struct group gr = {.root = id, .member = {id}, .n_members = 1};
        pl.plan[id] = (struct fusion){.role = FUSE_TILE, .root = id, .first = id};
        if (!fuse)
            continue;
        count_uses(&pl, &gr, id);
        while (grow(&pl, &gr)) {
        }
        choose_producer(&pl, &gr);
    }
    return pl.plan;
}
