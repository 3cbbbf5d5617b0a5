/* The text form of graphs against tests/golden/text and tests/golden/errors.
 *
 * A sample that begins with the header is in printed form: it must print as itself.  One that
 * begins with "# prints as NAME" is free form and must print as that sample.  Each file of errors
 * begins with "# error: " and the exact message.  Every sample is also cut at every byte and
 * damaged at every byte: it then parses or fails with a message, and the context's allocator ends
 * with nothing allocated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "aneforge.h"
#include "ir/graph.h"
#include "ops/op.h"

#include <dirent.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- fixture: a context that counts its memory ----------------------------------------------- */

struct world {
    anf_ctx *ctx;
    anf_allocator counting;
    size_t live, idle; /* bytes now, and with nothing but the context */
    long fail_in;      /* allocations until one fails; -1: none does */
};

static struct world w;

static void *counting_alloc(void *user, size_t n, size_t align)
{
    void *p = NULL;
    (void)user;
    if (w.fail_in == 0 || n > (size_t)64 << 20)
        return NULL;
    w.fail_in -= w.fail_in > 0;
    if (posix_memalign(&p, align < 16 ? 16 : align, n ? n : 1) != 0)
        return NULL;
    w.live += n;
    return p;
}

static void counting_free(void *user, void *p, size_t n)
{
    (void)user;
    w.live -= n;
    free(p);
}

static int setup(void **state)
{
    (void)state;
    w = (struct world){.counting = {NULL, counting_alloc, counting_free}, .fail_in = -1};
    anf_ctx_desc d = {.threads = 1, .allocator = &w.counting};
    if (anf_ctx_new(&d, &w.ctx) != ANF_OK)
        return -1;
    w.idle = w.live;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    anf_ctx_free(w.ctx);
    return w.live == 0 ? 0 : -1;
}

struct text {
    char *data;
    size_t n, cap;
};

static anf_status append(void *user, const char *data, size_t n)
{
    struct text *t = user;
    if (t->n + n + 1 > t->cap) {
        t->cap = (t->n + n + 1) * 2;
        t->data = realloc(t->data, t->cap);
        assert_non_null(t->data);
    }
    memcpy(t->data + t->n, data, n);
    t->n += n;
    t->data[t->n] = 0;
    return ANF_OK;
}

static struct text read_file(const char *folder, const char *name)
{
    char path[1024], chunk[4096];
    struct text t = {0};
    snprintf(path, sizeof path, "%s/golden/%s/%s", ANF_TEST_DIR, folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        append(&t, chunk, n);
    fclose(f);
    append(&t, "", 0);
    return t;
}

/* Call `visit` for each .graph file of the folder; returns how many there are. */
static int each_file(const char *folder, void (*visit)(const char *name, const struct text *t))
{
    char path[1024];
    int n = 0;
    snprintf(path, sizeof path, "%s/golden/%s", ANF_TEST_DIR, folder);
    DIR *d = opendir(path);
    if (!d)
        fail_msg("cannot open %s", path);
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 6 || strcmp(e->d_name + len - 6, ".graph") != 0)
            continue;
        struct text t = read_file(folder, e->d_name);
        visit(e->d_name, &t);
        free(t.data);
        n++;
    }
    closedir(d);
    return n;
}

static struct text print(const anf_graph *g, bool brief)
{
    struct text t = {0};
    assert_int_equal(anf_graph_print(g, brief, append, &t), ANF_OK);
    return t;
}

static anf_graph *parse(const char *text)
{
    anf_graph *g = NULL;
    if (anf_graph_parse(w.ctx, text, strlen(text), NULL, &g) != ANF_OK)
        fail_msg("%s", anf_last_error());
    return g;
}

/* ---- golden files ---------------------------------------------------------------------------- */

static void check_sample(const char *name, const struct text *t)
{
    static const char mark[] = "# prints as ";
    struct text expected = *t, other = {0};
    anf_graph *g, *again;
    if (anf_graph_parse(w.ctx, t->data, t->n, NULL, &g) != ANF_OK)
        fail_msg("%s: %s", name, anf_last_error());
    if (strncmp(t->data, mark, sizeof mark - 1) == 0) {
        char file[256];
        const char *from = t->data + sizeof mark - 1;
        snprintf(file, sizeof file, "%.*s", (int)strcspn(from, "\n"), from);
        expected = other = read_file("text", file);
    }
    struct text first = print(g, false);
    if (strcmp(first.data, expected.data) != 0)
        fail_msg("%s prints differently:\n%s", name, first.data);
    if (anf_graph_parse(w.ctx, first.data, first.n, NULL, &again) != ANF_OK)
        fail_msg("%s, printed: %s", name, anf_last_error());
    struct text second = print(again, false);
    assert_string_equal(first.data, second.data);
    struct text brief = print(g, true);
    assert_true(brief.n <= first.n);
    assert_int_equal(g->g.n_nodes, again->g.n_nodes);
    for (size_t id = 1; id < g->g.n_nodes; id++) {
        const struct node *a = &g->g.nodes[id], *b = &again->g.nodes[id];
        assert_int_equal(a->op, b->op);
        if (a->data)
            assert_memory_equal(a->data, b->data, node_count(a) * sizeof *a->data);
        if (node_op(a)->attrs_size)
            assert_memory_equal(a->attrs, b->attrs, node_op(a)->attrs_size);
    }
    anf_graph_free(g);
    anf_graph_free(again);
    free(first.data);
    free(second.data);
    free(brief.data);
    free(other.data);
    assert_int_equal(w.live, w.idle);
}

static void samples_print_as_themselves(void **state)
{
    (void)state;
    assert_true(each_file("text", check_sample) >= 9);
}

static struct text all_samples;

static void collect(const char *name, const struct text *t)
{
    (void)name;
    append(&all_samples, t->data, t->n);
}

static void every_operator_has_a_sample(void **state)
{
    (void)state;
    anf_op_info info;
    all_samples = (struct text){0};
    each_file("text", collect);
    for (int i = 0; anf_op_get(i, &info); i++) {
        char call[80];
        snprintf(call, sizeof call, info.n_operands ? "= %s(" : "= %s ", info.name);
        if (!strstr(all_samples.data, call))
            fail_msg("no sample uses %s", info.name);
    }
    free(all_samples.data);
}

static void check_error(const char *name, const struct text *t)
{
    static const char mark[] = "# error: ";
    char expected[2048];
    anf_graph *g = (anf_graph *)&w;
    assert_int_equal(strncmp(t->data, mark, sizeof mark - 1), 0);
    const char *from = t->data + sizeof mark - 1;
    snprintf(expected, sizeof expected, "%.*s", (int)strcspn(from, "\n"), from);
    if (anf_graph_parse(w.ctx, t->data, t->n, NULL, &g) == ANF_OK)
        fail_msg("%s parses", name);
    assert_null(g);
    if (strcmp(anf_last_error(), expected) != 0)
        fail_msg("%s: message is\n%s\nnot\n%s", name, anf_last_error(), expected);
    assert_int_equal(w.live, w.idle);
}

static void errors_have_their_message(void **state)
{
    (void)state;
    assert_true(each_file("errors", check_error) >= 90);
}

/* The text parses, or fails with the line of the fault and leaves no memory. */
static void check_survives(const char *data, size_t n)
{
    anf_graph *g;
    anf_status st = anf_graph_parse(w.ctx, data, n, NULL, &g);
    if (st == ANF_OK) {
        struct text t = print(g, false);
        free(t.data);
    } else if (st != ANF_E_NOMEM) {
        assert_int_equal(strncmp(anf_last_error(), "line ", 5), 0);
    }
    anf_graph_free(g);
    assert_int_equal(w.live, w.idle);
}

static void check_truncations(const char *name, const struct text *t)
{
    (void)name;
    for (size_t n = 0; n < t->n; n++) {
        /* A block of its own size, so that a read past the end is seen by the tools that look. */
        char *cut = malloc(n ? n : 1);
        assert_non_null(cut);
        memcpy(cut, t->data, n);
        check_survives(cut, n);
        free(cut);
    }
}

static void every_truncation_is_survived(void **state)
{
    (void)state;
    each_file("text", check_truncations);
}

static void check_damage(const char *name, const struct text *t)
{
    static const char other[] = "(])}\"%#=,9-.\n";
    (void)name;
    for (size_t i = 0; i < t->n; i++) {
        char old = t->data[i];
        t->data[i] = other[i % (sizeof other - 1)];
        check_survives(t->data, t->n);
        t->data[i] = old;
    }
}

static void every_damaged_byte_is_survived(void **state)
{
    (void)state;
    each_file("text", check_damage);
    each_file("errors", check_damage);
}

static void check_failed_allocations(const char *name, const struct text *t)
{
    anf_graph *g = NULL;
    (void)name;
    for (long k = 0; !g; k++) {
        assert_true(k < 10000);
        w.fail_in = k;
        anf_status st = anf_graph_parse(w.ctx, t->data, t->n, NULL, &g);
        w.fail_in = -1;
        assert_int_equal(st, g ? ANF_OK : ANF_E_NOMEM);
        if (!g)
            assert_int_equal(w.live, w.idle);
    }
    size_t parsed = w.live;
    struct text out = {0};
    anf_status st = ANF_E_NOMEM;
    for (long k = 0; st != ANF_OK; k++) {
        assert_true(k < 10000);
        out.n = 0;
        w.fail_in = k;
        st = anf_graph_print(g, false, append, &out);
        w.fail_in = -1;
        assert_int_equal(w.live, parsed);
        if (st != ANF_OK)
            assert_int_equal(st, ANF_E_NOMEM);
    }
    free(out.data);
    anf_graph_free(g);
}

static void every_failed_allocation_is_survived(void **state)
{
    (void)state;
    each_file("text", check_failed_allocations);
}

/* ---- files in constants ---------------------------------------------------------------------- */

static float floats[4] = {1.0f, 0.1f, -2.5f, 1e9f};
static uint16_t halves[4] = {0x3c00, 0x0001, 0xfc00, 0x7f01};
static double doubles[4] = {1.0, 2049.0000001, 1e-30, -0.0};

static char last_file[64];

static anf_status load(void *user, const char *file, const char *name, anf_array *out)
{
    *(int *)user += 1;
    snprintf(last_file, sizeof last_file, "%s", file);
    if (strcmp(file, "told") == 0)
        return anf_set_error(ANF_E_UNSUPPORTED, name);
    if (strcmp(file, "data \"1\".npz") != 0)
        return ANF_E_IO;
    *out = strcmp(name, "f") == 0   ? ANF_ARRAY_F32(floats, 2, 2)
           : strcmp(name, "h") == 0 ? ANF_ARRAY_F16(halves, 2, 2)
           : strcmp(name, "d") == 0 ? ANF_ARRAY_F64(doubles, 2, 2)
                                    : ANF_ARRAY_U8(floats, 2, 2);
    return ANF_OK;
}

static anf_status parse_with_loader(const char *text, anf_graph **g, int *calls)
{
    anf_parse_opts o = {.load = load, .load_user = calls};
    return anf_graph_parse(w.ctx, text, strlen(text), &o, g);
}

static void arrays_of_files_become_constants(void **state)
{
    (void)state;
    int calls = 0;
    anf_graph *g;
    assert_int_equal(parse_with_loader("aneforge-graph 1\n"
                                       "f = const f16[2,2] file(\"data \\\"1\\\".npz\", \"f\")\n"
                                       "h = const f16[2,2] file(\"data \\x221\\\".npz\",\n\"h\")\n"
                                       "d = const f16[2,2] file(\"data \\\"1\\\".npz\", \"d\")\n",
                                       &g, &calls), ANF_OK);
    assert_int_equal(calls, 3);
    struct text t = print(g, false);
    assert_string_equal(t.data, "aneforge-graph 1\n"
                                "f = const f16[2,2] {1, 0.1, -2.5, inf}\n"
                                "h = const f16[2,2] {1, 6e-08, -inf, nan}\n"
                                "d = const f16[2,2] {1, 2050, 0, -0}\n");
    free(t.data);
    anf_graph_free(g);
}

static void faults_of_files_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *statement, *message;
        anf_status st;
    } rows[] = {
        {"c = const f16[4] file(\"data \\\"1\\\".npz\", \"f\")",
         "line 2: file \"data \"1\".npz\": array 'f' has shape [2,2], the text says [4]",
         ANF_E_FORMAT},
        {"c = const f16[2,2] file(\"data \\\"1\\\".npz\", \"u\")",
         "line 2: file \"data \"1\".npz\": array 'u' is uint8, needs float16, float32 or float64",
         ANF_E_FORMAT},
        {"c = const f16[2,2] file(\"told\", \"the reason\")", "line 2: the reason",
         ANF_E_UNSUPPORTED},
        {"c = const f16[2,2] file(\"told\", \"\")",
         "line 2: file \"told\": array '' could not be loaded", ANF_E_UNSUPPORTED},
        {"c = const f16[2,2] file(\"a\\n\\t\\xe9\\xC3\\\\\", \"u\")",
         "line 2: file \"a\\x0a\\x09\xe9\xc3\\\": array 'u' could not be loaded", ANF_E_IO},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[256];
        int calls = 0;
        anf_graph *g;
        snprintf(text, sizeof text, "aneforge-graph 1\n%s\n", rows[i].statement);
        assert_int_equal(parse_with_loader(text, &g, &calls), rows[i].st);
        assert_null(g);
        assert_string_equal(anf_last_error(), rows[i].message);
    }
    assert_string_equal(last_file, "a\n\t\xe9\xc3\\");
}

/* ---- numbers and names ----------------------------------------------------------------------- */

static void all_float16_values_survive(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 65536; first += 16) {
        struct graph g;
        f16 data[16];
        anf_graph *back;
        struct buf b;
        for (unsigned i = 0; i < 16; i++) {
            data[i] = (f16)(first + i);
            if ((data[i] & 0x7fff) > F16_INF)
                data[i] = F16_NAN;
        }
        graph_init(&g, w.ctx);
        buf_init(&b, g.allocator);
        assert_int_not_equal(graph_add_const(&g, &ANF_SHAPE(16), data), 0);
        assert_int_equal(graph_print(&g, false, &b), ANF_OK);
        assert_int_equal(anf_graph_parse(w.ctx, b.data, b.len, NULL, &back), ANF_OK);
        assert_memory_equal(back->g.nodes[1].data, data, sizeof data);
        anf_graph_free(back);
        buf_free(&b);
        graph_free(&g);
    }
}

/* elu's alpha as the road of a double through the text. */
static void check_double(double x)
{
    char text[64];
    struct { double alpha; } in = {x}, out = {0};
    struct buf b;
    buf_init(&b, &alloc_default);
    attrs_print(op_find("elu"), &in, &b);
    assert_int_equal(attrs_parse(op_find("elu"), b.data ? b.data : "", b.len, &out), ANF_OK);
    if (memcmp(&in, &out, sizeof in) != 0)
        fail_msg("%.17g is printed as %s and read as %.17g", x, b.data, out.alpha);
    for (int digits = 1; x != 1 && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x) {
            /* As many digits as the shortest of the C library's. */
            size_t least = 0, ours = 0;
            for (char *p = text; *p && *p != 'e'; p++)
                least += *p > '0' && *p <= '9' ? 1 : 0;
            for (char *p = b.data + 6; *p && *p != 'e'; p++)
                ours += *p > '0' && *p <= '9' ? 1 : 0;
            assert_int_equal(ours, least);
            break;
        }
    }
    buf_free(&b);
}

static void doubles_survive(void **state)
{
    (void)state;
    static const double special[] = {0.0,
                                     -0.0,
                                     1.0,
                                     0.1,
                                     1e-5,
                                     123456789.0,
                                     1e15,
                                     1e16,
                                     1e22,
                                     1e23,
                                     5e-324,
                                     1.7976931348623157e308,
                                     0.0001,
                                     0.00001,
                                     2.2250738585072014e-308,
                                     9007199254740993.0,
                                     1.0 / 3};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        check_double(special[i]);
    uint64_t s = 1;
    for (int i = 0; i < 20000; i++) {
        double x;
        s ^= s << 13, s ^= s >> 7, s ^= s << 17;
        memcpy(&x, &s, sizeof x);
        if (isfinite(x))
            check_double(x);
    }
}

static double read_alpha(const char *number)
{
    double alpha = 0;
    char text[4096];
    snprintf(text, sizeof text, "alpha=%s", number);
    if (attrs_parse(op_find("elu"), text, strlen(text), &alpha) != ANF_OK)
        fail_msg("%s: %s", number, anf_last_error());
    return alpha;
}

static void long_numbers_are_read_exactly(void **state)
{
    (void)state;
    char number[3000];
    assert_true(read_alpha("1.5e3") == 1500);
    assert_true(read_alpha(".5") == 0.5);
    assert_true(read_alpha("2.") == 2);
    assert_true(read_alpha("1e-400") == 0);
    assert_true(read_alpha("0e999999999999999999999") == 0);
    assert_true(signbit(read_alpha("-0")));
    assert_true(isinf(read_alpha("-inf")));
    /* Half an ulp above 1, exactly, rounds to even; a digit 1000 places later rounds it up. */
    int n =
        snprintf(number, sizeof number, "1.00000000000000011102230246251565404236316680908203125");
    assert_true(read_alpha(number) == 1);
    memset(number + n, '0', 1000);
    snprintf(number + n + 1000, 8, "1");
    assert_true(read_alpha(number) == nextafter(1, 2));
    memset(number, '0', 2000);
    number[0] = '.';
    snprintf(number + 2000, 16, "1e2000");
    assert_true(read_alpha(number) == 1);
    memset(number, '0', 2000);
    number[0] = '1';
    snprintf(number + 2000, 16, "e-1999");
    assert_true(read_alpha(number) == 1);
}

static void the_locale_has_no_influence(void **state)
{
    (void)state;
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    bool found = false;
    for (size_t i = 0; i < 4 && !found; i++)
        found = setlocale(LC_ALL, comma[i]) != NULL;
    if (!found)
        skip();
    struct text t = read_file("text", "constants.graph");
    check_sample("constants.graph", &t);
    free(t.data);
    setlocale(LC_ALL, "C");
}

static void attribute_lists_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *op, *text, *message;
    } rows[] = {
        {"softmax", "axes=1", "softmax has no attribute 'axes'; did you mean 'axis'?"},
        {"softmax", "temperature=1", "softmax has no attribute 'temperature'"},
        {"softmax", "axis", "found the end of the text where '=' is needed"},
        {"softmax", "axis=1 2", "found '2' where ',' is needed"},
        {"softmax", "3", "found '3' where the name of an attribute is needed"},
        {"mean", "", "mean: attribute 'axes' is missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        anf_dims room[4] = {{0}};
        assert_int_not_equal(
            attrs_parse(op_find(rows[i].op), rows[i].text, strlen(rows[i].text), room), ANF_OK);
        assert_string_equal(anf_last_error(), rows[i].message);
    }
}

static void names_of_the_api_are_kept(void **state)
{
    (void)state;
    anf_graph *g;
    assert_int_equal(anf_graph_new(w.ctx, &g), ANF_OK);
    anf_tensor r = anf_input(g, "return", ANF_SHAPE(2));
    anf_tensor x = anf_input(g, NULL, ANF_SHAPE(2));
    anf_tensor y = anf_add(r, x);
    assert_int_equal(anf_output(y, "x1"), ANF_OK);
    assert_int_equal(anf_output(y, NULL), ANF_OK);
    struct text t = print(g, false);
    assert_string_equal(t.data, "aneforge-graph 1\n"
                                "%1 = input f16[2] as \"return\"\n"
                                "x1 = input f16[2]\n"
                                "%3 = add(%1, x1)                                : f16[2]\n"
                                "return %3 as \"x1\", %3\n");
    anf_graph *again = parse(t.data);
    struct text second = print(again, false);
    assert_string_equal(t.data, second.data);
    anf_graph_free(again);
    anf_graph_free(g);
    free(t.data);
    free(second.data);
    /* A value may have the name that the library gives a port later. */
    g = parse("aneforge-graph 1\na = input f16[2]\nx1 = relu(a)\n%9 = input f16[2]\n");
    t = print(g, false);
    assert_string_equal(t.data, "aneforge-graph 1\n"
                                "a = input f16[2]\n"
                                "x1 = relu(a)                                    : f16[2]\n"
                                "%3 = input f16[2] as \"x1\"\n");
    free(t.data);
    anf_graph_free(g);
}

static void a_brief_print_shortens_constants(void **state)
{
    (void)state;
    anf_graph *g = parse("aneforge-graph 1\n"
                         "a = const f16[17] hex(0000000100020003000400050006000700080009000a000b"
                         "000c000d000e000f0010)\n"
                         "b = const f16[17] fill(2)\n");
    struct text t = print(g, true);
    assert_string_equal(t.data, "aneforge-graph 1\n"
                                "a = const f16[17] hex(... 17 elements)\n"
                                "b = const f16[17] fill(2)\n");
    free(t.data);
    anf_graph_free(g);
}

static void many_values_are_found_by_name(void **state)
{
    (void)state;
    struct text t = {0};
    char line[80];
    append(&t, "aneforge-graph 1\nv0 = input f16[2]\n", 35);
    for (int i = 1; i < 3000; i++) {
        int n = snprintf(line, sizeof line, "v%d = add(v%d, v%d)\n", i, i - 1, i / 2);
        append(&t, line, (size_t)n);
    }
    anf_graph *g = parse(t.data);
    assert_int_equal(g->g.n_nodes, 3001);
    for (node_id id = 2; id <= 3000; id++) {
        assert_int_equal(g->g.nodes[id].in[0], id - 1);
        assert_int_equal(g->g.nodes[id].in[1], (id - 1) / 2 + 1);
    }
    anf_graph_free(g);
    free(t.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_print_as_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(every_operator_has_a_sample, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_have_their_message, setup, teardown),
        cmocka_unit_test_setup_teardown(every_truncation_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(every_damaged_byte_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failed_allocation_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(arrays_of_files_become_constants, setup, teardown),
        cmocka_unit_test_setup_teardown(faults_of_files_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(all_float16_values_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(doubles_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(long_numbers_are_read_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(the_locale_has_no_influence, setup, teardown),
        cmocka_unit_test_setup_teardown(attribute_lists_are_checked, setup, teardown),
        cmocka_unit_test_setup_teardown(names_of_the_api_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(a_brief_print_shortens_constants, setup, teardown),
        cmocka_unit_test_setup_teardown(many_values_are_found_by_name, setup, teardown),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
