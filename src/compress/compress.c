/* The weights of a graph: their names, which constants they are, and their encoding.
 *
 * Encoding a weight is one task, which writes the weight's entry, status and arena and nothing that
 * another task reads, so what is chosen does not depend on threads.  What an entry points at lies
 * in its own arena or in the graph, never in the scratch of a task. */
#include "compress/compress.h"

#include "runtime/threads.h"

#include <stdio.h>
#include <string.h>

/* Tasks for each thread between two calls of the step function. */
enum { TASKS_PER_THREAD = 2, TILE = 32 };

/* ---- names ----------------------------------------------------------------------------------- */

static const char *made_name(struct arena *keep, const struct op *op, uint32_t number, int operand)
{
    char text[160];
    int n_named = op_n_operands(op);
    const char *what = op_operand_name(op, operand < n_named ? operand : n_named - 1);
    if (op_operand_variadic(op, n_named - 1) && operand >= n_named - 1)
        snprintf(text, sizeof text, "%s_%u.%s.%d", op->name, number, what, operand - n_named + 1);
    else
        snprintf(text, sizeof text, "%s_%u.%s", op->name, number, what);
    return arena_strdup(keep, text);
}

/* Names what operators use that are products or made of them, or else what the others use. */
static anf_status name_operands(struct graph *g, bool products, bool *fixed, struct arena *keep)
{
    uint32_t seen[OP_COUNT] = {0};
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        const struct op *op = node_op(n);
        uint32_t number = seen[n->op]++;
        fixed[id] = n->op != OP_input;
        for (int i = 0; i < n->n_in; i++)
            fixed[id] = fixed[id] && (!n->in[i] || fixed[n->in[i]]);
        if (products != (op->weight != OP_WEIGHT_NONE || (op->traits & OP_COMPOSITE)))
            continue;
        for (int i = 0; i < n->n_in; i++) {
            struct node *x = &g->nodes[n->in[i]];
            if (!n->in[i] || !fixed[n->in[i]] || x->name)
                continue;
            x->name = made_name(keep, op, number, i);
            if (!x->name)
                return ANF_E_NOMEM;
        }
    }
    return ANF_OK;
}

anf_status compress_names(struct graph *g, struct arena *keep)
{
    struct arena scratch;
    arena_init(&scratch, g->allocator);
    bool *fixed = arena_alloc_array(&scratch, g->n_nodes + 1, sizeof *fixed);
    anf_status st = fixed ? name_operands(g, true, fixed, keep) : ANF_E_NOMEM;
    if (st == ANF_OK)
        st = name_operands(g, false, fixed, keep);
    arena_free(&scratch);
    return st;
}

/* A weight has a name of its own: "w", and where that is taken "w.2", "w.3", ... */
static const char *own_name(struct compression *c, const char *name)
{
    char text[256];
    const char *candidate = name ? name : "weight";
    for (unsigned k = 2;; k++) {
        bool taken = false;
        for (size_t i = 0; i < c->n && !taken; i++)
            taken = strcmp(c->weights[i].name, candidate) == 0;
        if (!taken)
            return arena_strdup(&c->arena, candidate);
        snprintf(text, sizeof text, "%.200s.%u", name ? name : "weight", k);
        candidate = text;
    }
}

/* ---- finding --------------------------------------------------------------------------------- */

static anf_status add_weight(struct compression *c, const struct graph *g, node_id id,
                             enum weight_axes axes)
{
    void *p = c->weights;
    if (c->at[axes][id])
        return ANF_OK;
    TRY(mem_grow(c->allocator, &p, &c->cap, c->n + 1, sizeof *c->weights));
    c->weights = p;
    struct compressed *w = &c->weights[c->n];
    *w = (struct compressed){.node = id, .axes = axes};
    w->name = own_name(c, graph_node(g, id)->name);
    if (!w->name)
        return ANF_E_NOMEM;
    arena_init(&w->keep, c->allocator);
    c->at[axes][id] = (uint32_t)++c->n;
    return ANF_OK;
}

static anf_status find_weights(struct compression *c, const struct graph *g)
{
    const uint32_t *uses = graph_use_counts(g, &c->arena);
    for (int axes = OP_WEIGHT_NONE; axes < OP_WEIGHT_AXES; axes++)
        c->at[axes] = arena_alloc_array(&c->arena, g->n_nodes + 1, sizeof *c->at[axes]);
    for (int axes = OP_WEIGHT_NONE; axes < OP_WEIGHT_AXES; axes++)
        if (!uses || !c->at[axes])
            return ANF_E_NOMEM;
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        enum weight_axes axes = node_op(n)->weight;
        if (uses[id] && axes != OP_WEIGHT_NONE && graph_node(g, n->in[1])->op == OP_const)
            TRY(add_weight(c, g, n->in[1], axes));
    }
    return ANF_OK;
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct section {
    const struct graph *g;
    const struct compress_opts *opts;
    struct compression *c;
    size_t first;
    anf_status *status; /* of each weight */
};

/* w[k][n] to t[n][k], a tile at a time so that both sides stay in cache. */
static void turn(const f16 *w, size_t k, size_t n, f16 *t)
{
    for (size_t i0 = 0; i0 < k; i0 += TILE)
        for (size_t j0 = 0; j0 < n; j0 += TILE)
            for (size_t j = j0; j < n && j < j0 + TILE; j++)
                for (size_t i = i0; i < k && i < i0 + TILE; i++)
                    t[j * k + i] = w[i * n + j];
}

static anf_status encode_one(const struct section *s, struct compressed *w,
                             struct encode_memory *m)
{
    const struct node *n = graph_node(s->g, w->node);
    const size_t rows = (size_t)n->type.shape.dim[0], columns = (size_t)n->type.shape.dim[1];
    struct weight seen = {n->data, rows, columns};
    if (w->axes == OP_WEIGHT_KN) {
        f16 *turned = arena_alloc_array(&m->scratch, rows * columns, sizeof *turned);
        if (!turned)
            return ANF_E_NOMEM;
        turn(n->data, rows, columns, turned);
        seen = (struct weight){turned, columns, rows};
    }
    TRY(choose_encoding(&seen, s->opts, m, &w->encoded, w->why));
    w->streams = compress_streams(s->opts, w->encoded.encoding);
    w->encoded.w = NULL;
    if (w->encoded.encoding != ANF_ENCODING_SPARSE)
        return ANF_OK;
    w->encoded.w = seen.w;
    if (w->axes == OP_WEIGHT_KN) { /* which lies in scratch */
        f16 *kept = arena_alloc_array(&m->keep, rows * columns, sizeof *kept);
        if (!kept)
            return ANF_E_NOMEM;
        memcpy(kept, seen.w, rows * columns * sizeof *kept);
        w->encoded.w = kept;
    }
    return ANF_OK;
}

static void encode_task(void *arg, size_t task, size_t thread)
{
    struct section *s = arg;
    struct compressed *w = &s->c->weights[s->first + task];
    struct encode_memory m;
    (void)thread;
    arena_init(&m.keep, s->c->allocator);
    arena_init(&m.scratch, s->c->allocator);
    s->status[s->first + task] = encode_one(s, w, &m);
    arena_free(&m.scratch);
    w->keep = m.keep;
}

static anf_status encode_all(struct compression *c, const struct graph *g,
                             const struct compress_opts *o, struct pool *pool,
                             compress_step_fn *step_done, void *user)
{
    size_t step = (size_t)pool_threads(pool) * TASKS_PER_THREAD;
    struct section s = {.g = g, .opts = o, .c = c};
    s.status = arena_alloc_array(&c->arena, c->n, sizeof *s.status);
    if (!s.status)
        return ANF_E_NOMEM;
    for (; s.first < c->n; s.first += step) {
        size_t n = c->n - s.first < step ? c->n - s.first : step;
        pool_run(pool, n, encode_task, &s);
        for (size_t i = 0; i < n; i++) /* memory is all that can be missing there */
            if (s.status[s.first + i] != ANF_OK)
                return status_fail(ANF_E_NOMEM, "out of memory: a weight of compress");
        TRY(step_done(user, s.first + n, c->n));
    }
    return ANF_OK;
}

anf_status compress_graph(const struct graph *g, const struct compress_opts *o, struct pool *pool,
                          compress_step_fn *step_done, void *user, struct compression *out)
{
    memset(out, 0, sizeof *out);
    out->allocator = g->allocator;
    arena_init(&out->arena, g->allocator);
    TRY(find_weights(out, g));
    return encode_all(out, g, o, pool, step_done, user);
}

void compression_free(struct compression *c)
{
    if (!c->allocator)
        return;
    for (size_t i = 0; i < c->n; i++)
        arena_free(&c->weights[i].keep);
    mem_free(c->allocator, c->weights, c->cap * sizeof *c->weights);
    arena_free(&c->arena);
    memset(c, 0, sizeof *c);
}

struct compressed *compression_find(const struct compression *c, node_id node,
                                    enum weight_axes axes)
{
    uint32_t at = c->at[axes] ? c->at[axes][node] : 0;
    struct compressed *w = at ? &c->weights[at - 1] : NULL;
    return w && w->encoded.encoding != ANF_ENCODING_F16 ? w : NULL;
}
