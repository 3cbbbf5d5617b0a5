/* Ports by the ten thousand: their names stay unique, and a compile takes time in proportion. */
#include "plain.h"

#include <aneforge.h>

#include <stdio.h>
#include <time.h>

static anf_ctx *ctx;

static int open_ctx(void **state)
{
    (void)state;
    anf_ctx_desc d = {.threads = 1};
    return anf_ctx_new(&d, &ctx) == ANF_OK ? 0 : -1;
}

static int close_ctx(void **state)
{
    (void)state;
    anf_ctx_free(ctx);
    return 0;
}

/* A sum of `n` inputs, every partial sum of which is an output. */
static anf_graph *build(int n)
{
    anf_graph *g;
    char name[32];
    assert_int_equal(anf_graph_new(ctx, &g), ANF_OK);
    anf_tensor sum = anf_input(g, "first", ANF_SHAPE(2));
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "port_%d", i);
        sum = anf_add(sum, anf_input(g, i % 2 ? name : NULL, ANF_SHAPE(2)));
        anf_output(sum, i % 2 ? NULL : name);
    }
    return g;
}

static double seconds_of(int n)
{
    anf_model *m;
    clock_t start = clock();
    anf_graph *g = build(n);
    if (anf_compile_graph(g, NULL, &m) != ANF_OK)
        fail_msg("%s", anf_last_error());
    double s = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(anf_model_n_inputs(m), n + 1);
    assert_int_equal(anf_model_n_outputs(m), n);
    assert_string_equal(anf_model_input(m, 0)->name, "first");
    anf_model_free(m);
    anf_graph_free(g);
    return s;
}

/* Twelve times as many ports: with a scan per name 144 times as long. */
static void time_grows_with_their_number(void **state)
{
    (void)state;
    double few = seconds_of(2000), many = seconds_of(24000);
    if (many > 40 * few + 0.2)
        fail_msg("2000 ports take %g s, 24000 take %g s", few, many);
}

static void names_are_taken_once(void **state)
{
    (void)state;
    const char *message;
    anf_graph *g = build(1000);
    anf_input(g, "port_999", ANF_SHAPE(2));
    assert_int_equal(anf_graph_error(g, &message), ANF_E_ARG);
    assert_string_equal(message, "input: the name 'port_999' is taken by another input");
    anf_graph_free(g);
    g = build(1000);
    anf_tensor x = anf_input(g, "port_998", ANF_SHAPE(2)); /* the name of an output */
    assert_int_equal(anf_output(x, "port_998"), ANF_E_ARG);
    assert_string_equal(anf_last_error(), "output: the name 'port_998' is taken by another output");
    anf_graph_free(g);
}

/* The program of one tensor has the output y0, whatever is marked, and leaves what is marked. */
static void marked_outputs_are_set_aside(void **state)
{
    (void)state;
    anf_model *m;
    anf_graph *g;
    assert_int_equal(anf_graph_new(ctx, &g), ANF_OK);
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(2)), y = anf_relu(x);
    assert_int_equal(anf_output(x, "y0"), ANF_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(anf_compile(y, NULL, &m), ANF_OK);
        assert_int_equal(anf_model_n_outputs(m), 1);
        assert_string_equal(anf_model_output(m, 0)->name, "y0");
        anf_model_free(m);
    }
    assert_int_equal(anf_output(y, "y0"), ANF_E_ARG);
    anf_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_grows_with_their_number),
        cmocka_unit_test(names_are_taken_once),
        cmocka_unit_test(marked_outputs_are_set_aside),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
