/* Lists that are longer than a node has operands: concat of any number of tensors. */
#include "api_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 2, MOST = 5000 };

/* Part i of the list has 1 to 3 columns. */
static int width(int i)
{
    return 1 + i % 3;
}

static anf_tensor make_list(anf_graph *g, int n, anf_tensor *parts)
{
    anf_tensor x = anf_input(g, "x", ANF_SHAPE(ROWS, 3));
    for (int i = 0; i < n; i++)
        parts[i] = anf_slice(anf_mul(x, anf_scalar(g, i % 97)), ANF_DIMS(0, 0),
                             ANF_DIMS(ROWS, width(i)));
    return anf_concat(parts, n, -1);
}

static void check_values(anf_model *m, int n)
{
    static const float x[ROWS * 3] = {1, 2, 3, 4, 5, 6};
    int64_t columns = anf_model_output(m, 0)->shape.dim[1], at = 0;
    float *y = calloc((size_t)(ROWS * columns), sizeof *y);
    assert_non_null(y);
    anf_array in = ANF_ARRAY_F32(x, ROWS, 3), out = ANF_ARRAY_F32(y, ROWS, columns);
    ok(anf_run(m, &in, &out));
    for (int i = 0; i < n; at += width(i++))
        for (int r = 0; r < ROWS; r++)
            for (int k = 0; k < width(i); k++)
                if (y[r * columns + at + k] != x[r * 3 + k] * (float)(i % 97))
                    fail_msg("%d tensors: part %d has %g in row %d", n, i,
                             (double)y[r * columns + at + k], r);
    assert_int_equal(at, columns);
    free(y);
}

static void parts_follow_each_other(void **state)
{
    (void)state;
    static const int counts[] = {1, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, MOST};
    static anf_tensor parts[MOST];
    for (size_t k = 0; k < sizeof counts / sizeof *counts; k++) {
        anf_graph *g;
        anf_model *m;
        g = new_graph();
        anf_tensor y = make_list(g, counts[k], parts);
        for (int opt = 0; opt < 2; opt++) {
            anf_compile_opts o = {.opt = (anf_opt)opt};
            ok(anf_compile(y, &o, &m));
            check_values(m, counts[k]);
            anf_model_free(m);
        }
        anf_graph_free(g);
    }
}

/* What does not fit is counted in the whole list. */
static void mistakes_are_told_of_the_list(void **state)
{
    (void)state;
    static anf_tensor parts[200];
    anf_graph *g;
    const char *message;
    g = new_graph();
    for (int i = 0; i < 200; i++)
        parts[i] = anf_input(g, NULL, i == 150 ? ANF_SHAPE(3, 1) : ANF_SHAPE(2, 1));
    assert_int_equal(anf_concat(parts, 200, 1).id, 0);
    assert_int_equal(anf_graph_error(g, &message), ANF_E_SHAPE);
    assert_string_equal(message,
                        "concat: tensor 150 [3,1] and tensor 0 [2,1] differ outside axis 1");
    anf_graph_free(g);
    g = new_graph();
    for (int i = 0; i < 200; i++)
        parts[i] = i ? parts[0] : anf_input(g, NULL, ANF_SHAPE(2, 1));
    anf_op(g, "relu", parts, 200, NULL, 0);
    assert_int_equal(anf_graph_error(g, &message), ANF_E_ARG);
    assert_string_equal(message, "relu: 200 operands given, it takes 1");
    anf_graph_free(g);
}

static char *text_of_list(int n)
{
    static const char head[] = "aneforge-graph 1\nx = input f16[1,1]\ny = concat([x";
    static const char tail[] = "], axis=0)\nreturn y\n";
    char *text = malloc(sizeof head + sizeof tail + 2 * (size_t)n);
    assert_non_null(text);
    char *at = text + sprintf(text, "%s", head);
    for (int i = 1; i < n; i++, at += 2)
        memcpy(at, ",x", 2);
    strcpy(at, tail);
    return text;
}

static anf_status parse(int n, anf_graph **g)
{
    char *text = text_of_list(n);
    anf_status st = anf_graph_parse(ctx, text, strlen(text), NULL, g);
    free(text);
    return st;
}

static anf_status keep_text(void *user, const char *text, size_t n)
{
    char **copy = user;
    *copy = calloc(n + 1, 1);
    if (*copy)
        memcpy(*copy, text, n);
    return ANF_OK;
}

/* A text takes as long a list; printed, it has the nodes that the list became. */
static void texts_take_lists(void **state)
{
    (void)state;
    anf_graph *g, *again;
    anf_model *m;
    char *first = NULL, *second = NULL;
    ok(parse(300, &g));
    ok(anf_graph_print(g, false, keep_text, &first));
    ok(anf_graph_parse(ctx, first, strlen(first), NULL, &again));
    ok(anf_graph_print(again, false, keep_text, &second));
    assert_string_equal(first, second);
    ok(anf_compile_graph(again, NULL, &m));
    assert_int_equal(anf_model_output(m, 0)->shape.dim[0], 300);
    free(first);
    free(second);
    anf_model_free(m);
    anf_graph_free(again);
    anf_graph_free(g);
    ok(parse(1 << 20, &g));
    anf_graph_free(g);
    assert_int_equal(parse((1 << 20) + 1, &g), ANF_E_FORMAT);
    assert_string_equal(anf_last_error(), "line 3: concat: more than 1048576 operands");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_follow_each_other),
        cmocka_unit_test(mistakes_are_told_of_the_list),
        cmocka_unit_test(texts_take_lists),
    };
    return cmocka_run_group_tests(tests, open_ctx, close_ctx);
}
