/* The compiler as a whole, on graphs nobody wrote: random well-typed ones give the bits of the
 * reference at every opt level, on every instruction set available here, with 1 and 3 threads, from
 * fresh and from used memory; and in no program do two buffers that live at the same time share a
 * byte (lifetimes are found again here, from the operands).  A failure prints the seed and the
 * graph:
 *
 *     ANF_SEED=1234 ./test_passes      runs that graph alone
 *
 * One graph of three gets NaN, infinities and subnormals at its inputs. */
#include "plain.h"

#include "../ops/graph_reference.h"
#include "../ops/op_cases.h"
#include "model.h"
#include "random_graph.h"

#include <stdlib.h>

enum { MAX_ENGINES = 8, N_GRAPHS = 300, MAX_PORTS = 200 };

static struct {
    anf_ctx *ctx[MAX_ENGINES];
    int n;
} engines;

static int open_engines(void **state)
{
    (void)state;
    for (int i = 0; i < anf_isa_count(); i++)
        for (int threads = 1; threads <= 3 && anf_isa_available(i); threads += 2) {
            anf_ctx_desc d = {.isa = anf_isa_name(i), .threads = threads};
            if (anf_ctx_new(&d, &engines.ctx[engines.n++]) != ANF_OK)
                return -1;
        }
    return 0;
}

static int close_engines(void **state)
{
    (void)state;
    for (int i = 0; i < engines.n; i++)
        anf_ctx_free(engines.ctx[i]);
    return 0;
}

/* ---- the memory plan ------------------------------------------------------------------------- */
struct life {
    size_t first, last;
};

static struct life *lifetimes(const struct program *p)
{
    struct life *life = calloc(p->n_buffers, sizeof *life);
    assert_non_null(life);
    for (size_t b = 0; b < p->n_buffers; b++)
        life[b].first = SIZE_MAX;
    for (size_t i = 0; i < p->n_instrs; i++)
        for (uint32_t k = 0; k < p->instrs[i].n_operand; k++) {
            struct life *l = &life[p->operands[p->instrs[i].operand + k].buf];
            if (l->first == SIZE_MAX)
                l->first = i;
            l->last = i;
        }
    return life;
}

static void check_plan(const struct program *p)
{
    struct life *life = lifetimes(p);
    for (size_t i = 1; i < p->n_buffers; i++) {
        const struct buffer *a = &p->buffers[i];
        if (a->kind != BUF_ARENA || life[i].first == SIZE_MAX)
            continue;
        if (a->offset + a->n_bytes > p->arena_bytes)
            fail_msg("buffer %zu ends at %llu of an arena of %llu bytes", i,
                     (unsigned long long)(a->offset + a->n_bytes),
                     (unsigned long long)p->arena_bytes);
        for (size_t j = 1; j < i; j++) {
            const struct buffer *b = &p->buffers[j];
            if (b->kind != BUF_ARENA || life[j].first == SIZE_MAX ||
                life[i].first > life[j].last || life[j].first > life[i].last)
                continue;
            if (a->offset < b->offset + b->n_bytes && b->offset < a->offset + a->n_bytes)
                fail_msg("buffers %zu and %zu live at the same time and overlap", j, i);
        }
    }
    free(life);
}

/* ---- random graphs --------------------------------------------------------------------------- */
static uint64_t failing_seed; /* 0: a graph written here */
static anf_compress compress;
static int n_compressed;
static const struct graph *failing_graph;

static void report(void)
{
    struct buf text;
    buf_init(&text, failing_graph->allocator);
    if (graph_print(failing_graph, false, &text) == ANF_OK)
        print_message("seed %llu:\n%.*s", (unsigned long long)failing_seed, (int)text.len,
                      text.data);
    buf_free(&text);
}

static void fill_port(anf_array *port, const struct node *n, uint64_t *seed, bool special,
                      struct arena *a)
{
    size_t count = node_count(n);
    char *data = arena_alloc_array(a, count, sizeof(f16));
    assert_non_null(data);
    *port = (anf_array){data, n->type.dtype, n->type.shape};
    for (size_t i = 0; i < count; i++)
        if (n->type.dtype == ANF_U8)
            ((uint8_t *)port->data)[i] = (uint8_t)(case_random(seed) >> 56);
        else
            ((f16 *)port->data)[i] = case_value(seed, 0, special);
}

/* Ports of the model are the inputs its outputs reach. */
static int model_ports(const struct graph *g, const anf_array *all, struct arena *a, anf_array *out)
{
    unsigned char *reached = graph_reachable(g, a);
    int n = 0, port = 0;
    assert_non_null(reached);
    for (node_id id = 1; id < g->n_nodes; id++)
        if (graph_node(g, id)->op == OP_input) {
            if (reached[id])
                out[n++] = all[port];
            port++;
        }
    return n;
}

static anf_model *compile_for(anf_graph *g, anf_ctx *ctx, anf_opt opt)
{
    anf_compile_opts opts = {.opt = opt, .compress = compress, .compress_atol = 0.2};
    anf_model *m;
    anf_ctx *mine = g->g.ctx;
    g->g.ctx = ctx;
    anf_status st = anf_compile_graph(g, &opts, &m);
    g->g.ctx = mine;
    if (st != ANF_OK) {
        report();
        fail_msg("%s, %d threads, opt %d, compress %d: %s", anf_ctx_isa(ctx), anf_ctx_threads(ctx),
                 (int)opt, (int)compress, anf_last_error());
    }
    return m;
}

static void run_engine(anf_graph *g, anf_ctx *ctx, anf_opt opt, const anf_array *ports,
                       const f16 *const *want, struct arena *a)
{
    anf_array out[8];
    anf_model *m = compile_for(g, ctx, opt);
    check_plan(&m->program);
    for (size_t o = 0; o < g->g.n_outputs; o++) {
        const struct node *n = graph_node(&g->g, g->g.outputs[o].node);
        void *y = arena_alloc_array(a, node_count(n), sizeof(f16));
        assert_non_null(y);
        out[o] = (anf_array){y, ANF_F16, n->type.shape};
    }
    for (int call = 0; call < 2; call++) { /* the second time in memory that was used */
        need(anf_run(m, ports, out));
        for (size_t o = 0; o < g->g.n_outputs; o++) {
            const f16 *got = out[o].data;
            size_t count = node_count(graph_node(&g->g, g->g.outputs[o].node));
            for (size_t i = 0; i < count; i++)
                if (got[i] != want[o][i]) {
                    report();
                    fail_msg("seed %llu, %s, %d threads, opt %d, compress %d, call %d: output %zu, "
                             "element %zu is %04x, the reference has %04x",
                             (unsigned long long)failing_seed, anf_ctx_isa(ctx),
                             anf_ctx_threads(ctx), (int)opt, (int)compress, call + 1, o, i, got[i],
                             want[o][i]);
                }
        }
    }
    anf_model_free(m);
}

/* With compressed weights the engines have each other as references; tests/compress has the
 * oracle. */
static void run_compressed(anf_graph *g, const anf_array *ports, struct arena *a)
{
    anf_array out[8];
    const f16 *want[8];
    anf_model *m = compile_for(g, engines.ctx[0], ANF_OPT_NONE);
    for (size_t o = 0; o < g->g.n_outputs; o++) {
        const struct node *n = graph_node(&g->g, g->g.outputs[o].node);
        void *y = arena_alloc_array(a, node_count(n), sizeof(f16));
        assert_non_null(y);
        out[o] = (anf_array){y, ANF_F16, n->type.shape};
        want[o] = y;
    }
    need(anf_run(m, ports, out));
    if (anf_model_n_weights(m) > 0)
        for (int e = 0; e < engines.n; e++)
            for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++)
                run_engine(g, engines.ctx[e], opt, ports, want, a);
    n_compressed += anf_model_n_weights(m);
    anf_model_free(m);
}

static bool try_graph(uint64_t seed)
{
    anf_graph *g;
    anf_array all[MAX_PORTS], ports[MAX_PORTS];
    const f16 *want[8];
    struct arena a;
    uint64_t values = seed + 88172645463325252u;
    need(anf_graph_new(engines.ctx[0], &g));
    random_graph(&g->g, seed);
    need(graph_verify(&g->g));
    failing_seed = seed;
    failing_graph = &g->g;
    arena_init(&a, g->g.allocator);
    assert_true(g->g.n_inputs <= MAX_PORTS);
    int n = 0;
    for (node_id id = 1; id < g->g.n_nodes; id++)
        if (graph_node(&g->g, id)->op == OP_input)
            fill_port(&all[n++], graph_node(&g->g, id), &values, seed % 3 == 0, &a);
    n = model_ports(&g->g, all, &a, ports);
    if (n > 0) {
        const void **value = graph_reference(&g->g, all, &a);
        for (size_t o = 0; o < g->g.n_outputs; o++)
            want[o] = value[g->g.outputs[o].node];
        for (int e = 0; e < engines.n; e++)
            for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++)
                run_engine(g, engines.ctx[e], opt, ports, want, &a);
        compress = (anf_compress)(1 + seed % 5);
        run_compressed(g, ports, &a);
        compress = ANF_COMPRESS_NONE;
    }
    arena_free(&a);
    anf_graph_free(g);
    return n > 0;
}

static void test_random_graphs(void **state)
{
    (void)state;
    const char *only = getenv("ANF_SEED"), *many = getenv("ANF_GRAPHS");
    int n_graphs = many ? atoi(many) : N_GRAPHS, tried = 0;
    if (only) {
        try_graph(strtoull(only, NULL, 10));
        return;
    }
    for (int i = 1; i <= n_graphs; i++)
        tried += try_graph((uint64_t)i);
    assert_true(tried > n_graphs * 9 / 10);
    assert_true(n_compressed > n_graphs / 10);
}

/* ---- one weight, several layouts ------------------------------------------------------------- */
/* Packing depends on more than the weight: the same constant in convolutions of 1 and 2 groups. */
static void test_weight_of_two_convolutions(void **state)
{
    (void)state;
    for (int e = 0; e < engines.n; e++) {
        anf_graph *g;
        struct arena a;
        uint64_t seed = 5;
        anf_array ports[2];
        const f16 *want[3];
        need(anf_graph_new(engines.ctx[e], &g));
        anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 2, 5, 5));
        anf_tensor z = anf_input(g, "z", ANF_SHAPE(1, 8, 4, 4));
        anf_tensor w = anf_random_weight(g, ANF_SHAPE(8, 2, 3, 3), 1, 0.3);
        anf_output(anf_conv(x, w, .pad = 1), "one");
        anf_output(anf_conv(anf_concat(ANF_TENSORS(x, x), 1), w, .pad = 1, .groups = 2), "two");
        anf_output(anf_conv_transpose(z, w, .stride = 2, .groups = 4), "turned");
        arena_init(&a, g->g.allocator);
        fill_port(&ports[0], graph_node(&g->g, x.id), &seed, false, &a);
        fill_port(&ports[1], graph_node(&g->g, z.id), &seed, false, &a);
        const void **value = graph_reference(&g->g, ports, &a);
        for (int o = 0; o < 3; o++)
            want[o] = value[g->g.outputs[o].node];
        failing_graph = &g->g;
        failing_seed = 0;
        for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++)
            run_engine(g, engines.ctx[e], opt, ports, want, &a);
        arena_free(&a);
        anf_graph_free(g);
    }
}

/* ---- identities ------------------------------------------------------------------------------ */
/* Every operator with each neutral constant on either side, on every value there is (with the one
 * NaN: docs/numerics.md): a rewrite that is wrong for one of them, as x + 0 = x is for -0, is found
 * here. */
static void test_identities(void **state)
{
    (void)state;
    static const enum op_id binary[] = {OP_add,     OP_sub,     OP_mul, OP_div,
                                        OP_maximum, OP_minimum, OP_pow};
    static const f16 neutral[] = {0x0000, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00};
    static const anf_dims all = {1, {65536}}, one = {0, {0}};
    static f16 values[65536];
    anf_array port = {values, ANF_F16, all};
    const f16 *want;
    for (int i = 0; i < 65536; i++)
        values[i] = (i & 0x7fff) > 0x7c00 ? F16_NAN : (f16)i;
    for (size_t k = 0; k < sizeof binary / sizeof *binary * 6 * 2; k++) {
        anf_graph *g;
        struct arena a;
        need(anf_graph_new(engines.ctx[engines.n - 2], &g));
        node_id x = graph_add_input(&g->g, NULL, &(struct value_type){ANF_F16, all});
        node_id c = graph_add_fill(&g->g, &one, neutral[k / 2 % 6]);
        node_id in[2] = {k % 2 ? x : c, k % 2 ? c : x};
        need(graph_add_output(&g->g, graph_add(&g->g, binary[k / 12], in, 2, NULL), NULL));
        arena_init(&a, g->g.allocator);
        want = graph_reference(&g->g, &port, &a)[g->g.outputs[0].node];
        failing_graph = &g->g;
        failing_seed = 0;
        run_engine(g, engines.ctx[engines.n - 2], ANF_OPT_DEFAULT, &port, &want, &a);
        arena_free(&a);
        anf_graph_free(g);
    }
}

/* ---- masks of attention ---------------------------------------------------------------------- */
/* Every way to give a mask to two sequences of three heads is part of the one instruction: for all,
 * for each head, for each sequence, for both, with one row or many, before the scores or behind. */
static void test_attention_masks(void **state)
{
    (void)state;
    static const anf_dims masks[] = {
        {1, {37}},          {2, {19, 37}},       {3, {3, 19, 37}},    {3, {3, 1, 37}},
        {4, {2, 1, 1, 37}}, {4, {2, 1, 19, 37}}, {4, {1, 3, 19, 37}}, {4, {2, 3, 1, 37}},
        {4, {2, 3, 19, 37}}};
    for (size_t k = 0; k < 2 * sizeof masks / sizeof *masks; k++) {
        anf_graph *g;
        struct arena a;
        uint64_t seed = k + 1;
        anf_array ports[4];
        const anf_dims mask = masks[k / 2], begin = {.rank = mask.rank};
        anf_dims larger = mask;
        need(anf_graph_new(engines.ctx[0], &g));
        anf_tensor in[4] = {anf_input(g, "q", ANF_SHAPE(2, 3, 19, 8)),
                            anf_input(g, "k", ANF_SHAPE(2, 3, 37, 8)),
                            anf_input(g, "v", ANF_SHAPE(2, 3, 37, 16))};
        for (int d = 0; d < larger.rank; d++)
            larger.dim[d] += k % 2 ? d + 2 : 0; /* and cut out of a larger one */
        in[3] = anf_input(g, "mask", larger);
        anf_tensor s = anf_bmm(in[0], anf_transpose(in[1], ANF_AXES(0, 1, 3, 2)));
        const anf_tensor part = anf_slice(in[3], begin, mask), scale = anf_scalar(g, 0.3);
        s = k % 3 ? anf_mul(s, scale) : anf_mul(scale, s);
        s = k / 2 % 2 ? anf_add(s, part) : anf_add(part, s);
        need(anf_output(anf_bmm(anf_softmax(s, -1), in[2]), NULL));
        arena_init(&a, g->g.allocator);
        for (int i = 0; i < 4; i++)
            fill_port(&ports[i], graph_node(&g->g, in[i].id), &seed, false, &a);
        const f16 *want = graph_reference(&g->g, ports, &a)[g->g.outputs[0].node];
        failing_graph = &g->g;
        failing_seed = 0;
        for (int e = 0; e < engines.n; e++) {
            anf_model *m = compile_for(g, engines.ctx[e], ANF_OPT_DEFAULT);
            const struct program *p = &m->program;
            assert_int_equal(p->instrs[p->n_instrs - 1].op, INSTR_ATTENTION);
            anf_model_free(m);
            for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++)
                run_engine(g, engines.ctx[e], opt, ports, &want, &a);
        }
        arena_free(&a);
        anf_graph_free(g);
    }
}

/* ---- registers ------------------------------------------------------------------------------- */
/* As many values alive at once as a tile program can have: sixteen of x, y and z, then selections,
 * each of three of them. */
static void test_most_registers(void **state)
{
    (void)state;
    anf_graph *g;
    struct arena a;
    uint64_t seed = 9;
    anf_array ports[3];
    need(anf_graph_new(engines.ctx[0], &g));
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(3, 700)), y = anf_input(g, "y", ANF_SHAPE(700));
    anf_tensor z = anf_input(g, "z", ANF_SHAPE(3, 1)), flag[7], number[9];
    flag[0] = anf_less(x, y);
    flag[1] = anf_less_equal(x, y);
    flag[2] = anf_greater(x, y);
    flag[3] = anf_greater_equal(x, y);
    flag[4] = anf_less(x, z);
    flag[5] = anf_less_equal(x, z);
    flag[6] = anf_greater(x, z);
    for (int i = 0; i < 9; i++)
        number[i] = anf_scale(x, 0.375 + i);
    anf_tensor v = number[0];
    for (int i = 0; i < 7; i++)
        v = anf_select(flag[i], number[i + 1], v);
    need(anf_output(anf_add(v, number[8]), NULL));
    arena_init(&a, g->g.allocator);
    fill_port(&ports[0], graph_node(&g->g, x.id), &seed, false, &a);
    fill_port(&ports[1], graph_node(&g->g, y.id), &seed, false, &a);
    fill_port(&ports[2], graph_node(&g->g, z.id), &seed, false, &a);
    const f16 *want = graph_reference(&g->g, ports, &a)[g->g.outputs[0].node];
    failing_graph = &g->g;
    failing_seed = 0;
    for (int e = 0; e < engines.n; e++) {
        anf_model *m = compile_for(g, engines.ctx[e], ANF_OPT_DEFAULT);
        assert_int_equal(m->program.n_instrs, 1);
        assert_int_equal(m->program.tiles[0].n_ops, TILE_MAX_OPS);
        assert_int_equal(m->program.tiles[0].n_regs, TILE_MAX_REGS);
        anf_model_free(m);
        run_engine(g, engines.ctx[e], ANF_OPT_DEFAULT, ports, &want, &a);
    }
    arena_free(&a);
    anf_graph_free(g);
}

/* ---- size ------------------------------------------------------------------------------------ */
static void test_chain_of_ten_thousand(void **state)
{
    (void)state;
    for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++) {
        anf_graph *g;
        anf_model *m;
        anf_compile_opts opts = {.opt = opt};
        float data[4] = {1, 2, 3, 4}, got[4];
        anf_array in = ANF_ARRAY_F32(data, 4), out = ANF_ARRAY_F32(got, 4);
        need(anf_graph_new(engines.ctx[0], &g));
        anf_tensor x = anf_input(g, "x", ANF_SHAPE(4));
        for (int i = 0; i < 10000; i++)
            x = i % 10 == 9 ? anf_reshape(anf_neg(x), i % 20 == 9 ? ANF_SHAPE(2, 2) : ANF_SHAPE(4))
                            : anf_neg(x);
        x = anf_reshape(x, ANF_SHAPE(4));
        need(anf_compile(x, &opts, &m));
        need(anf_run(m, &in, &out));
        for (int i = 0; i < 4; i++)
            assert_true(got[i] == data[i]);
        check_plan(&m->program);
        anf_model_free(m);
        anf_graph_free(g);
    }
}

/* Views alone, each of the one before. */
static void test_chain_of_views(void **state)
{
    (void)state;
    for (anf_opt opt = ANF_OPT_DEFAULT; opt <= ANF_OPT_NONE; opt++) {
        anf_graph *g;
        anf_model *m;
        anf_compile_opts opts = {.opt = opt};
        float data[6] = {1, 2, 3, 4, 5, 6}, got[6];
        anf_array in = ANF_ARRAY_F32(data, 2, 3), out = ANF_ARRAY_F32(got, 2, 3);
        need(anf_graph_new(engines.ctx[0], &g));
        anf_tensor x = anf_input(g, "x", ANF_SHAPE(2, 3));
        for (int i = 0; i < 4000; i++) {
            x = anf_transpose(x, ANF_AXES(1, 0));
            x = anf_slice(x, ANF_DIMS(0, 0), ANF_DIMS(3, 2));
            x = anf_transpose(x, ANF_AXES(1, 0));
        }
        need(anf_compile(x, &opts, &m));
        need(anf_run(m, &in, &out));
        for (int i = 0; i < 6; i++)
            assert_true(got[i] == data[i]);
        anf_model_free(m);
        anf_graph_free(g);
    }
}

static void test_five_hundred_layers(void **state)
{
    (void)state;
    anf_graph *g;
    anf_model *m;
    float data[16], got[16];
    anf_array in = ANF_ARRAY_F32(data, 1, 16), out = ANF_ARRAY_F32(got, 1, 16);
    for (int i = 0; i < 16; i++)
        data[i] = (float)i / 16;
    need(anf_graph_new(engines.ctx[0], &g));
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 16));
    for (uint64_t layer = 0; layer < 500; layer++) {
        anf_tensor w = anf_random_weight(g, ANF_SHAPE(16, 16), layer % 7, 0.2);
        x = anf_add(x, anf_tanh(anf_linear(x, w)));
    }
    need(anf_compile(x, NULL, &m));
    need(anf_run(m, &in, &out));
    anf_model_stats stats;
    anf_model_get_stats(m, &stats);
    assert_int_equal(stats.n_instructions, 500); /* one for each layer */
    check_plan(&m->program);
    anf_model_free(m);
    anf_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_weight_of_two_convolutions),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_attention_masks),
        cmocka_unit_test(test_most_registers),
        cmocka_unit_test(test_chain_of_ten_thousand),
        cmocka_unit_test(test_chain_of_views),
        cmocka_unit_test(test_five_hundred_layers),
    };
    return cmocka_run_group_tests(tests, open_engines, close_engines);
}
