/* One answer: every operator and case of the table, alone and inside a fused chain, with constant
 * and with run-time weights, on ordinary and on special values, gives the bits of the reference on
 * every instruction set available here, with 1 and 3 threads, fused and unfused.  Nothing in this
 * file knows an operator; a new block in src/ops/ is tested by being there. */
#include "plain.h"

#include "graph_reference.h"
#include "op_cases.h"

#include "base/fp16.h"

enum { MAX_TABLES = 8 };

static struct {
    anf_ctx *ctx[MAX_TABLES][2];
    int n;
} engines;

static const int thread_counts[2] = {1, 3};

static int open_engines(void **state)
{
    (void)state;
    for (int i = 0; i < anf_isa_count(); i++) {
        if (!anf_isa_available(i))
            continue;
        for (int t = 0; t < 2; t++) {
            anf_ctx_desc d = {.isa = anf_isa_name(i), .threads = thread_counts[t]};
            need(anf_ctx_new(&d, &engines.ctx[engines.n][t]));
        }
        engines.n++;
    }
    return 0;
}

static int close_engines(void **state)
{
    (void)state;
    for (int i = 0; i < engines.n; i++)
        for (int t = 0; t < 2; t++)
            anf_ctx_free(engines.ctx[i][t]);
    return 0;
}

/* ---- building a case ------------------------------------------------------------------------- */
struct instance {
    const struct op *op;
    const struct op_case *c;
    bool dynamic; /* constants become inputs */
    bool special;
    bool chained; /* relu(y) + other, maximum with itself: something to fuse behind it */
};

static node_id must(node_id id)
{
    if (!id)
        fail_msg("%s", anf_last_error());
    return id;
}

static node_id make_operand(struct graph *g, const struct case_operand *o,
                            const struct instance *in, uint64_t *seed)
{
    size_t count = 0;
    if (o->absent)
        return 0;
    assert_true(dims_count(&o->shape, &count));
    if (o->is_const && !in->dynamic) {
        f16 *data = arena_alloc_array(&g->arena, count, sizeof *data);
        assert_non_null(data);
        for (size_t i = 0; i < count; i++)
            data[i] = case_value(seed, o->kind, in->special);
        return must(graph_add_const(g, &o->shape, data));
    }
    struct value_type t = {o->kind == 'u' ? ANF_U8 : ANF_F16, o->shape};
    node_id x = must(graph_add_input(g, NULL, &t));
    if (o->kind != 'b')
        return x;
    f16 *zero = arena_alloc(&g->arena, sizeof *zero);
    anf_dims scalar = ANF_SCALAR;
    node_id two[2] = {x, must(graph_add_const(g, &scalar, zero))};
    return must(graph_add(g, OP_not_equal, two, 2, NULL));
}

static void build_case(anf_graph *ag, const struct instance *in)
{
    struct graph *g = &ag->g;
    struct case_spec spec;
    node_id ids[MAX_OPERANDS];
    char attrs[sizeof(anf_dims) * 4] = {0};
    uint64_t seed = 88172645463325252u;
    case_parse(in->c->in, &spec);
    for (int i = 0; i < spec.n; i++)
        ids[i] = make_operand(g, &spec.operand[i], in, &seed);
    op_attrs_default(in->op, attrs);
    need(attrs_parse(in->op, in->c->attrs, strlen(in->c->attrs), attrs));
    node_id y = must(graph_add(g, op_id_of(in->op), ids, spec.n, attrs));
    if (graph_node(g, y)->type.dtype != ANF_F16)
        y = must(graph_add(g, OP_cast, &y, 1, NULL));
    if (in->chained) {
        struct value_type t = graph_node(g, y)->type;
        node_id r = must(graph_add(g, OP_relu, &y, 1, NULL));
        node_id add[2] = {r, must(graph_add_input(g, "other", &t))};
        node_id s = must(graph_add(g, OP_add, add, 2, NULL));
        node_id max[2] = {s, y};
        y = must(graph_add(g, OP_maximum, max, 2, NULL));
    }
    need(graph_add_output(g, y, NULL));
    need(graph_verify(g));
}

/* ---- the reference --------------------------------------------------------------------------- */
static void *input_data(const struct node *n, const struct instance *in,
                        const struct case_spec *spec, size_t port, struct arena *a)
{
    uint64_t seed = 0x9e3779b97f4a7c15u * (port + 1);
    size_t count = node_count(n), k = 0;
    char kind = 0;
    /* The port-th operand that is an input gives the kind of its values. */
    for (int i = 0; i < spec->n; i++) {
        const struct case_operand *o = &spec->operand[i];
        if (o->absent || (o->is_const && !in->dynamic))
            continue;
        if (k++ == port)
            kind = o->kind;
    }
    if (n->type.dtype == ANF_U8) {
        uint8_t *x = arena_alloc(a, count);
        assert_non_null(x);
        for (size_t i = 0; i < count; i++)
            x[i] = (uint8_t)(case_random(&seed) >> 56);
        return x;
    }
    f16 *x = arena_alloc_array(a, count, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = case_value(&seed, kind, in->special);
    return x;
}

/* Fills inputs[] (by port) and returns the output's values. */
static const f16 *reference(const struct graph *g, const struct instance *in, struct arena *a,
                            anf_array *inputs)
{
    struct case_spec spec;
    size_t port = 0;
    case_parse(in->c->in, &spec);
    for (node_id id = 1; id < g->n_nodes; id++) {
        const struct node *n = graph_node(g, id);
        if (n->op != OP_input)
            continue;
        void *x = input_data(n, in, &spec, port, a);
        inputs[port++] = (anf_array){x, n->type.dtype, n->type.shape};
    }
    return graph_reference(g, inputs, a)[g->outputs[0].node];
}

/* ---- comparing ------------------------------------------------------------------------------- */
static void compare(const struct instance *in, const char *isa, int threads, anf_opt opt,
                    const f16 *want, const f16 *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (want[i] != got[i])
            fail_msg("%s(%s; %s)%s%s%s on %s, %d threads, opt %d: element %zu is %04x (%g), the "
                     "reference has %04x (%g)",
                     in->op->name, in->c->in, in->c->attrs, in->dynamic ? ", run-time weights" : "",
                     in->special ? ", special values" : "", in->chained ? ", in a chain" : "", isa,
                     threads, (int)opt, i, got[i], (double)f16_to_f32(got[i]), want[i],
                     (double)f16_to_f32(want[i]));
}

static void run_instance(const struct instance *in)
{
    anf_graph *g;
    anf_array inputs[MAX_OPERANDS + 1];
    struct arena a;
    need(anf_graph_new(engines.ctx[0][0], &g));
    build_case(g, in);
    arena_init(&a, g->g.allocator);
    if (g->g.n_inputs == 0) { /* all constants: folding is tested with the passes */
        arena_free(&a);
        anf_graph_free(g);
        return;
    }
    const f16 *want = reference(&g->g, in, &a, inputs);
    const struct node *out = graph_node(&g->g, g->g.outputs[0].node);
    size_t n = node_count(out);
    f16 *got = arena_alloc_array(&a, n, sizeof *got);
    assert_non_null(got);
    anf_array output = {got, ANF_F16, out->type.shape};
    for (int e = 0; e < engines.n; e++)
        for (int t = 0; t < 2; t++)
            for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++) {
                anf_ctx *ctx = engines.ctx[e][t];
                anf_compile_opts o = {.opt = opt};
                anf_model *m;
                anf_ctx *mine = g->g.ctx;
                g->g.ctx = ctx;
                if (anf_compile_graph(g, &o, &m) != ANF_OK)
                    fail_msg("%s(%s; %s): %s", in->op->name, in->c->in, in->c->attrs,
                             anf_last_error());
                g->g.ctx = mine;
                memset(got, 0xee, n * sizeof *got);
                need(anf_run(m, inputs, &output));
                compare(in, anf_ctx_isa(ctx), thread_counts[t], opt, want, got, n);
                anf_model_free(m);
            }
    arena_free(&a);
    anf_graph_free(g);
}

static void each_case(bool dynamic, bool special, bool chained)
{
    for (int k = 0; k < OP_COUNT; k++)
        for (int c = 0; c < op_table[k]->n_cases; c++) {
            struct instance in = {op_table[k], &op_table[k]->cases[c], dynamic, special, chained};
            bool has_const = strchr(in.c->in, 'w') != NULL;
            if (!dynamic || has_const)
                run_instance(&in);
        }
}

static void test_alone(void **state)
{
    (void)state;
    each_case(false, false, false);
}

static void test_special_values(void **state)
{
    (void)state;
    each_case(false, true, false);
}

static void test_run_time_weights(void **state)
{
    (void)state;
    each_case(true, false, false);
}

static void test_in_a_chain(void **state)
{
    (void)state;
    each_case(false, false, true);
}

/* Every required field is there, and absences are of the allowed kinds. */
static void test_table_is_complete(void **state)
{
    (void)state;
    for (int k = 0; k < OP_COUNT; k++) {
        const struct op *op = op_table[k];
        if (!op->name || !op->doc || !op->category)
            fail_msg("operator %d lacks a name, a doc or a category", k);
        assert_ptr_equal(op_find(op->name), op);
        if (op->traits & OP_LEAF)
            continue;
        bool elementwise = op->traits & OP_ELEMENTWISE;
        if (op->n_cases < 3)
            fail_msg("%s has %d cases, at least 3 are needed", op->name, op->n_cases);
        if (!elementwise && !op->infer)
            fail_msg("%s has no shape rule", op->name);
        if (!elementwise && !op->ref && !op->view && !op->expand)
            fail_msg("%s has no reference", op->name);
        if (!elementwise && !op->lower && !op->view && !op->expand)
            fail_msg("%s has no lowering", op->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_complete), cmocka_unit_test(test_alone),
        cmocka_unit_test(test_special_values),    cmocka_unit_test(test_run_time_weights),
        cmocka_unit_test(test_in_a_chain),
    };
    return cmocka_run_group_tests(tests, open_engines, close_engines);
}
