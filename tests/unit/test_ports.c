/* Ports by the ten thousand: every one has its name, and names stay unique. */
#include "api_fixture.h"

#include <stdio.h>

/* A sum of `n` inputs, every partial sum of which is an output. */
static anf_graph *build(int n)
{
    anf_graph *g = new_graph();
    char name[32];
    anf_tensor sum = anf_input(g, "first", ANF_SHAPE(2));
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "port_%d", i);
        sum = anf_add(sum, anf_input(g, i % 2 ? name : NULL, ANF_SHAPE(2)));
        anf_output(sum, i % 2 ? NULL : name);
    }
    return g;
}

static void ports_keep_names_and_order(void **state)
{
    (void)state;
    enum { N = 24000 };
    char name[32];
    anf_model *m;
    anf_graph *g = build(N);
    ok(anf_compile_graph(g, NULL, &m));
    assert_int_equal(anf_model_n_inputs(m), N + 1);
    assert_int_equal(anf_model_n_outputs(m), N);
    assert_string_equal(anf_model_input(m, 0)->name, "first");
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, i % 2 ? "port_%d" : "x%d", i % 2 ? i : i + 1);
        assert_string_equal(anf_model_input(m, i + 1)->name, name);
        snprintf(name, sizeof name, i % 2 ? "y%d" : "port_%d", i);
        assert_string_equal(anf_model_output(m, i)->name, name);
    }
    anf_model_free(m);
    anf_graph_free(g);
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
    anf_graph *g = new_graph();
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
        cmocka_unit_test(ports_keep_names_and_order),
        cmocka_unit_test(names_are_taken_once),
        cmocka_unit_test(marked_outputs_are_set_aside),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
