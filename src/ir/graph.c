/* Nodes are appended, never changed; see graph.h for the invariants.  graph_add is the one door: it
 * copies, normalises and infers, so every graph - built, parsed, rewritten, loaded - is
 * well-typed. */
#include "ir/graph.h"

#include "base/cancel.h"
#include "ops/op.h"
#include "ops/op_attrs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NODE_WORK = 500, OUTPUT_WORK = 10 }; /* of a copy, for cancel_check */

void graph_init_bare(struct graph *g, const anf_allocator *allocator)
{
    memset(g, 0, sizeof *g);
    g->allocator = allocator;
    arena_init(&g->arena, allocator);
    names_init(&g->input_names, allocator);
    names_init(&g->output_names, allocator);
}

void graph_init(struct graph *g, anf_ctx *ctx)
{
    graph_init_bare(g, ctx_allocator(ctx));
    g->ctx = ctx;
}

void graph_free(struct graph *g)
{
    mem_free(g->allocator, g->nodes, g->cap_nodes * sizeof *g->nodes);
    mem_free(g->allocator, g->outputs, g->cap_outputs * sizeof *g->outputs);
    names_free(&g->input_names);
    names_free(&g->output_names);
    arena_free(&g->arena);
}

anf_status graph_error(const struct graph *g)
{
    return g->error == ANF_OK ? ANF_OK : status_set(g->error, g->message);
}

size_t node_count(const struct node *n)
{
    size_t count = 0;
    dims_count(&n->type.shape, &count);
    return count;
}

void graph_clear(struct graph *g)
{
    arena_reset(&g->arena);
    names_free(&g->input_names);
    names_free(&g->output_names);
    g->n_nodes = g->n_outputs = g->n_inputs = 0;
}

anf_status graph_reserve(struct graph *g, size_t n_nodes)
{
    void *p = g->nodes;
    TRY(mem_grow(g->allocator, &p, &g->cap_nodes, n_nodes, sizeof *g->nodes));
    g->nodes = p;
    return ANF_OK;
}

/* Room for one more node; nodes[0] exists from the first one on. */
static struct node *push(struct graph *g)
{
    size_t at = g->n_nodes ? g->n_nodes : 1;
    if (at >= UINT32_MAX - 1) {
        status_fail(ANF_E_UNSUPPORTED, "graph: more than %u nodes", UINT32_MAX - 2);
        return NULL;
    }
    if (graph_reserve(g, at + 1) != ANF_OK)
        return NULL;
    if (at == 1)
        memset(&g->nodes[0], 0, sizeof g->nodes[0]);
    memset(&g->nodes[at], 0, sizeof g->nodes[at]);
    return &g->nodes[at];
}

static node_id commit(struct graph *g)
{
    g->n_nodes = g->n_nodes ? g->n_nodes + 1 : 2;
    return (node_id)(g->n_nodes - 1);
}

static anf_status check_operands(const struct graph *g, const struct op *op, const node_id *in,
                                 int n_in)
{
    int n_named = op_n_operands(op);
    bool variadic = n_named > 0 && op_operand_variadic(op, n_named - 1);
    if (n_in > MAX_LIST)
        FAIL(ARG, "%s: %d operands given, at most %d are possible", op->name, n_in, MAX_LIST);
    if (!variadic && n_in > n_named)
        FAIL(ARG, "%s: %d operands given, it takes %d", op->name, n_in, n_named);
    for (int i = 0; i < n_in || i < n_named; i++) {
        int named = i < n_named ? i : n_named - 1;
        node_id id = i < n_in ? in[i] : 0;
        if (id >= (g->n_nodes ? g->n_nodes : 1))
            FAIL(ARG, "%s: operand '%s' is not a value of this graph", op->name,
                 op_operand_name(op, named));
        if (id == 0 && !op_operand_optional(op, named))
            FAIL(ARG, "%s: operand '%s' is missing", op->name, op_operand_name(op, named));
    }
    return ANF_OK;
}

static void operand_types(const struct graph *g, const node_id *in, int n_in,
                          struct value_type *types)
{
    for (int i = 0; i < n_in; i++)
        types[i] = in[i] ? graph_node(g, in[i])->type : (struct value_type){ANF_F16, {-1, {0}}};
}

static void copy_attrs(const struct op *op, const void *attrs, void *copy)
{
    if (attrs && op->attrs_size)
        memcpy(copy, attrs, op->attrs_size);
    else
        op_attrs_default(op, copy);
}

/* At most MAX_OPERANDS, which exist. */
static node_id add_node(struct graph *g, enum op_id op_id, const node_id *in, int n_in,
                        const void *attrs)
{
    const struct op *op = op_table[op_id];
    struct value_type types[MAX_OPERANDS], out;
    operand_types(g, in, n_in, types);
    /* Attributes and operands are one piece of memory: most nodes have a few bytes of each. */
    const size_t attrs_bytes = size_round_up(op->attrs_size, sizeof(node_id));
    char *kept = arena_alloc(&g->arena, attrs_bytes + (size_t)n_in * sizeof(node_id));
    if (!kept)
        return 0;
    void *copy = op->attrs_size ? kept : NULL;
    node_id *ids = (node_id *)(void *)(kept + attrs_bytes);
    copy_attrs(op, attrs, copy);
    struct op_call call = {op, n_in, types, copy};
    if (op_infer(&call, copy, &out) != ANF_OK)
        return 0;
    struct node *n = push(g);
    if (!n)
        return 0;
    if (n_in)
        memcpy(ids, in, (size_t)n_in * sizeof *ids);
    n->op = (uint16_t)op_id;
    n->n_in = (uint16_t)n_in;
    n->in = ids;
    n->type = out;
    n->attrs = copy;
    return commit(g);
}

/* What is wrong with a list is said of the whole, before its parts are made. */
static anf_status check_list(const struct graph *g, const struct op *op, const node_id *in,
                             int n_in, const void *attrs)
{
    _Alignas(16) char scratch[sizeof(anf_dims) * 4] = {0};
    struct value_type out;
    struct value_type *types = mem_calloc(g->allocator, (size_t)n_in, sizeof *types);
    if (!types)
        return ANF_E_NOMEM;
    operand_types(g, in, n_in, types);
    copy_attrs(op, attrs, scratch);
    struct op_call call = {op, n_in, types, scratch};
    anf_status st = op_infer(&call, scratch, &out);
    mem_free(g->allocator, types, (size_t)n_in * sizeof *types);
    return st;
}

/* Parts as long as they can be, so that a level of nodes more is made when the last one is full. */
static node_id add_parts(struct graph *g, enum op_id op, const node_id *in, int n_in,
                         const void *attrs)
{
    node_id parts[MAX_OPERANDS];
    int n = 0, most = 1;
    while (most * MAX_OPERANDS < n_in)
        most *= MAX_OPERANDS;
    for (int at = 0; at < n_in; at += most) {
        const int len = n_in - at < most ? n_in - at : most;
        parts[n] = len == 1 ? in[at] : add_parts(g, op, in + at, len, attrs);
        if (!parts[n++])
            return 0;
    }
    return add_node(g, op, parts, n, attrs);
}

node_id graph_add(struct graph *g, enum op_id op_id, const node_id *in, int n_in, const void *attrs)
{
    const struct op *op = op_table[op_id];
    while (n_in > 0 && in[n_in - 1] == 0)
        n_in--;
    if (check_operands(g, op, in, n_in) != ANF_OK)
        return 0;
    if (n_in <= MAX_OPERANDS)
        return add_node(g, op_id, in, n_in, attrs);
    return check_list(g, op, in, n_in, attrs) == ANF_OK ? add_parts(g, op_id, in, n_in, attrs) : 0;
}

static bool is_identifier(const char *s)
{
    if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_'))
        return false;
    for (; *s; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' || *s == '.' ||
              (*s >= '0' && *s <= '9')))
            return false;
    return true;
}

static anf_status check_port_name(const char *what, const char *name)
{
    if (!is_identifier(name) || strlen(name) > 200)
        FAIL(ARG, "%s: name '%.220s' must be a letter or _ followed by letters, digits, _ or . "
                  "(at most 200 characters)", what, name);
    return ANF_OK;
}

static bool is_taken(const struct name_table *names, const char *name)
{
    return names_find(names, (struct span){name, strlen(name)}) != NULL;
}

/* A copy that lives as long as the graph, taken from now on. NULL on failure. */
static const char *keep_name(struct graph *g, struct name_table *names, const char *name)
{
    const char *copy = arena_strdup(&g->arena, name);
    if (!copy || names_add(names, (struct span){copy, strlen(copy)}, 0, 0) != ANF_OK)
        return NULL;
    return copy;
}

/* Without a check; the name lives as long as the graph. */
static node_id push_input(struct graph *g, const char *name, const struct value_type *type)
{
    struct node *n = push(g);
    if (!n)
        return 0;
    n->op = OP_input;
    n->type = *type;
    n->name = name;
    g->n_inputs++;
    return commit(g);
}

node_id graph_add_input(struct graph *g, const char *name, const struct value_type *type)
{
    char made[32];
    size_t count;
    if (!name) {
        snprintf(made, sizeof made, "x%zu", g->n_inputs);
        name = made;
    }
    if (check_port_name("input", name) != ANF_OK)
        return 0;
    if (is_taken(&g->input_names, name)) {
        status_fail(ANF_E_ARG, "input: the name '%s' is taken by another input", name);
        return 0;
    }
    if (!dims_count(&type->shape, &count)) {
        status_fail(ANF_E_SHAPE, "input: shape %s of '%s' needs %s", dims_text(&type->shape), name,
                    dims_need(&type->shape));
        return 0;
    }
    const char *copy = keep_name(g, &g->input_names, name);
    return copy ? push_input(g, copy, type) : 0;
}

static bool check_const(const anf_dims *shape, size_t *count)
{
    if (dims_count(shape, count))
        return true;
    status_fail(ANF_E_SHAPE, "constant: shape %s needs %s", dims_text(shape), dims_need(shape));
    return false;
}

node_id graph_add_const(struct graph *g, const anf_dims *shape, const f16 *data)
{
    size_t count;
    if (!check_const(shape, &count))
        return 0;
    struct node *n = push(g);
    if (!n)
        return 0;
    n->op = OP_const;
    n->type = (struct value_type){ANF_F16, *shape};
    n->data = data;
    return commit(g);
}

f16 *graph_const_data(struct graph *g, size_t count)
{
    return arena_alloc_array(g->keep ? g->keep : &g->arena, count, sizeof(f16));
}

static f16 *const_storage(struct graph *g, const anf_dims *shape, size_t *count)
{
    if (!check_const(shape, count))
        return NULL;
    return graph_const_data(g, *count);
}

node_id graph_add_fill(struct graph *g, const anf_dims *shape, f16 value)
{
    size_t count;
    f16 *data = const_storage(g, shape, &count);
    if (!data)
        return 0;
    for (size_t i = 0; i < count; i++)
        data[i] = value;
    node_id id = graph_add_const(g, shape, data);
    if (id)
        g->nodes[id].const_kind = CONST_FILL;
    return id;
}

node_id graph_add_random(struct graph *g, const anf_dims *shape, uint64_t seed, double std)
{
    if (!(std >= 0) || std > F16_MAX) {
        status_fail(ANF_E_ARG, "random weight: std %g must lie in 0..65504", std);
        return 0;
    }
    size_t count;
    f16 *data = const_storage(g, shape, &count);
    if (!data)
        return 0;
    /* xorshift64* (Vigna 2016); the seed is spread so that small seeds differ at once. */
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    if (s == 0)
        s = 1;
    for (size_t i = 0; i < count; i++) {
        s ^= s >> 12;
        s ^= s << 25;
        s ^= s >> 27;
        double u = (double)((s * 0x2545f4914f6cdd1du) >> 11) * 0x1p-53; /* [0, 1) */
        data[i] = f64_to_f16((2 * u - 1) * std * 1.7320508075688772);
    }
    node_id id = graph_add_const(g, shape, data);
    if (id) {
        g->nodes[id].const_kind = CONST_RANDOM;
        g->nodes[id].seed = seed;
        g->nodes[id].std = std;
    }
    return id;
}

anf_status graph_check_output(const struct graph *g, node_id node, const char *name)
{
    if (node == 0 || node >= g->n_nodes)
        FAIL(ARG, "output: not a value of this graph");
    TRY(check_port_name("output", name));
    if (graph_node(g, node)->type.dtype != ANF_F16)
        FAIL(DTYPE, "output: '%s' is %s, an output must be float16 (use cast)", name,
             dtype_info[graph_node(g, node)->type.dtype].name);
    return ANF_OK;
}

/* Without a check; the name lives as long as the graph. */
static anf_status push_output(struct graph *g, node_id node, const char *name)
{
    void *p = g->outputs;
    TRY(mem_grow(g->allocator, &p, &g->cap_outputs, g->n_outputs + 1, sizeof *g->outputs));
    g->outputs = p;
    g->outputs[g->n_outputs++] = (struct graph_output){node, name};
    return ANF_OK;
}

anf_status graph_add_output(struct graph *g, node_id node, const char *name)
{
    char made[32];
    if (!name) {
        snprintf(made, sizeof made, "y%zu", g->n_outputs);
        name = made;
    }
    TRY(graph_check_output(g, node, name));
    if (is_taken(&g->output_names, name))
        FAIL(ARG, "output: the name '%s' is taken by another output", name);
    const char *copy = keep_name(g, &g->output_names, name);
    return copy ? push_output(g, node, copy) : ANF_E_NOMEM;
}

anf_status graph_verify(const struct graph *g)
{
    _Alignas(16) char scratch[sizeof(anf_dims) * 4];
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        if (n->op >= OP_COUNT)
            FAIL(INTERNAL, "verify: node %u has no operator", id);
        const struct op *op = node_op(n);
        size_t count;
        if (!dims_count(&n->type.shape, &count))
            FAIL(INTERNAL, "verify: %s (node %u) has shape %s", op->name, id,
                 dims_text(&n->type.shape));
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] >= id)
                FAIL(INTERNAL, "verify: %s (node %u) uses node %u before it exists", op->name, id,
                     n->in[i]);
        if (op->traits & OP_LEAF) {
            if (n->op == OP_const && !n->data)
                FAIL(INTERNAL, "verify: constant (node %u) has no data", id);
            continue;
        }
        struct value_type types[MAX_OPERANDS], out;
        for (int i = 0; i < n->n_in; i++)
            types[i] = n->in[i] ? graph_node(g, n->in[i])->type
                                : (struct value_type){ANF_F16, {-1, {0}}};
        ANF_ASSERT(op->attrs_size <= sizeof scratch);
        if (op->attrs_size)
            memcpy(scratch, n->attrs, op->attrs_size);
        struct op_call call = {op, n->n_in, types, scratch};
        if (op_infer(&call, scratch, &out) != ANF_OK)
            return status_prefix(ANF_E_INTERNAL, "verify: node %u", id);
        if (out.dtype != n->type.dtype || !dims_equal(&out.shape, &n->type.shape))
            FAIL(INTERNAL, "verify: %s (node %u) is %s, its operands give %s", op->name, id,
                 dims_text(&n->type.shape), dims_text(&out.shape));
        if (op->attrs_size && memcmp(scratch, n->attrs, op->attrs_size) != 0)
            FAIL(INTERNAL, "verify: attributes of %s (node %u) are not in normal form", op->name,
                 id);
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        if (g->outputs[i].node == 0 || g->outputs[i].node >= g->n_nodes)
            FAIL(INTERNAL, "verify: output '%s' names no node", g->outputs[i].name);
    return ANF_OK;
}

unsigned char *graph_reachable(const struct graph *g, struct arena *arena)
{
    unsigned char *live = arena_alloc(arena, g->n_nodes + 1);
    if (!live)
        return NULL;
    for (size_t i = 0; i < g->n_outputs; i++)
        live[g->outputs[i].node] = 1;
    /* Operands have smaller ids, so one backward sweep is enough. */
    for (size_t id = g->n_nodes; id-- > 1;)
        if (live[id])
            for (int i = 0; i < g->nodes[id].n_in; i++)
                live[g->nodes[id].in[i]] = 1;
    live[0] = 0;
    return live;
}

uint32_t *graph_use_counts(const struct graph *g, struct arena *arena)
{
    unsigned char *live = graph_reachable(g, arena);
    uint32_t *uses = arena_alloc_array(arena, g->n_nodes + 1, sizeof *uses);
    if (!live || !uses)
        return NULL;
    for (size_t id = 1; id < g->n_nodes; id++)
        if (live[id])
            for (int i = 0; i < g->nodes[id].n_in; i++)
                uses[g->nodes[id].in[i]]++;
    for (size_t i = 0; i < g->n_outputs; i++)
        uses[g->outputs[i].node]++;
    return uses;
}

node_id graph_copy_node(struct graph *to, const struct graph *from, node_id id,
                        const node_id *mapped_in)
{
    const struct node *n = graph_node(from, id);
    if (n->op == OP_input)
        return push_input(to, n->name, &n->type);
    if (n->op == OP_const) {
        node_id c = graph_add_const(to, &n->type.shape, n->data);
        if (c) {
            to->nodes[c].type = n->type;
            to->nodes[c].const_kind = n->const_kind;
            to->nodes[c].seed = n->seed;
            to->nodes[c].std = n->std;
            to->nodes[c].name = n->name;
        }
        return c;
    }
    node_id copy = graph_add(to, (enum op_id)n->op, mapped_in, n->n_in, n->attrs);
    if (copy)
        to->nodes[copy].name = n->name;
    return copy;
}

anf_status graph_rewrite(struct graph *to, const struct graph *from, graph_visit_fn visit,
                         void *user)
{
    struct arena scratch;
    arena_init(&scratch, from->allocator);
    anf_status st = ANF_E_NOMEM;
    unsigned char *live = graph_reachable(from, &scratch);
    node_id *map = arena_alloc_array(&scratch, from->n_nodes + 1, sizeof *map);
    if (!live || !map || graph_reserve(to, from->n_nodes) != ANF_OK)
        goto done;
    for (node_id id = 1; id < from->n_nodes; id++) {
        if (!live[id])
            continue;
        const struct node *n = graph_node(from, id);
        node_id in[MAX_OPERANDS];
        for (int i = 0; i < n->n_in; i++)
            in[i] = n->in[i] ? map[n->in[i]] : 0;
        st = cancel_check(NODE_WORK);
        if (st != ANF_OK)
            goto done;
        status_forget();
        map[id] = visit(user, to, from, id, in);
        if (map[id] == 0) {
            /* Want of memory and of the caller may happen; else a pass has made a bad node. */
            st = status_last();
            if (st != ANF_E_NOMEM && st != ANF_E_CANCELLED)
                st = ANF_E_INTERNAL;
            goto done;
        }
    }
    st = ANF_OK;
    for (size_t i = 0; i < from->n_outputs && st == ANF_OK; i++) {
        st = cancel_check(OUTPUT_WORK);
        if (st == ANF_OK)
            st = push_output(to, map[from->outputs[i].node], from->outputs[i].name);
    }
done:
    arena_free(&scratch);
    return st;
}
