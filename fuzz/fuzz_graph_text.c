/* Any bytes as a graph text: they parse or are refused with a line; what parses prints, and the
 * print parses and prints the same.  A small graph is compiled both with and without optimisation
 * and run on inputs of a fixed pattern: the results are the same bits.
 *
 * The context's allocator refuses to hold more than MEMORY_LIMIT, so that a short text which asks
 * for a huge constant costs nothing, and an ANF_E_NOMEM is an accepted end everywhere. */
#include "aneforge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_LIMIT = 32 << 20, MAX_COMPILED_ELEMENTS = 4096, MAX_PORTS = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t held;

static void *limited_alloc(void *user, size_t n, size_t align)
{
    void *p = NULL;
    (void)user;
    if (n > MEMORY_LIMIT || held + n > MEMORY_LIMIT ||
        posix_memalign(&p, align < 16 ? 16 : align, n ? n : 1) != 0)
        return NULL;
    held += n;
    return p;
}

static void limited_free(void *user, void *p, size_t n)
{
    (void)user;
    held -= n;
    free(p);
}

static void check(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "%s: %s\n", what, anf_last_error());
        abort();
    }
}

struct text {
    char *data;
    size_t n;
};

static anf_status append(void *user, const char *data, size_t n)
{
    struct text *t = user;
    char *grown = realloc(t->data, t->n + n + 1);
    if (!grown)
        return ANF_E_NOMEM;
    memcpy(grown + t->n, data, n);
    t->data = grown;
    t->n += n;
    t->data[t->n] = 0;
    return ANF_OK;
}

/* Results of every output, one after another; 0 when memory ran out. */
static size_t run(anf_model *m, uint16_t *results, size_t cap)
{
    anf_array in[MAX_PORTS], out[MAX_PORTS];
    uint16_t *memory[MAX_PORTS] = {NULL};
    size_t used = 0;
    int n_in = anf_model_n_inputs(m), n_out = anf_model_n_outputs(m);
    for (int i = 0; i < n_in; i++) {
        const anf_port *p = anf_model_input(m, i);
        memory[i] = calloc(p->n_elements, sizeof *memory[i]);
        check(memory[i] != NULL, "calloc");
        for (size_t k = 0; k < p->n_elements; k++)
            memory[i][k] = (uint16_t)(0x3800 + 37 * k % 2048);
        in[i] = anf_array_of(memory[i], p->dtype, p->shape);
    }
    for (int i = 0; i < n_out; i++) {
        const anf_port *p = anf_model_output(m, i);
        check(used + p->n_elements <= cap, "outputs grew");
        out[i] = anf_array_of(results + used, ANF_F16, p->shape);
        used += p->n_elements;
    }
    anf_status st = anf_run(m, in, out);
    for (int i = 0; i < n_in; i++)
        free(memory[i]);
    check(st == ANF_OK || st == ANF_E_NOMEM, "run");
    return st == ANF_OK ? used : 0;
}

static void compile_and_compare(anf_graph *g)
{
    static uint16_t first[MAX_COMPILED_ELEMENTS], second[MAX_COMPILED_ELEMENTS];
    anf_compile_opts plain = {.opt = ANF_OPT_NONE};
    anf_model *fast = NULL, *slow = NULL;
    anf_status st = anf_compile_graph(g, NULL, &fast);
    if (st == ANF_OK)
        st = anf_compile_graph(g, &plain, &slow);
    /* ANF_E_STATE: no output depends on an input. */
    check(st == ANF_OK || st == ANF_E_NOMEM || st == ANF_E_STATE, "compile");
    bool small = st == ANF_OK && anf_model_n_inputs(fast) <= MAX_PORTS &&
                 anf_model_n_inputs(fast) == anf_model_n_inputs(slow) &&
                 anf_model_n_outputs(fast) <= MAX_PORTS;
    size_t total = 0;
    for (int i = 0; small && i < anf_model_n_outputs(fast); i++) {
        total += anf_model_output(fast, i)->n_elements;
        small = total <= MAX_COMPILED_ELEMENTS;
    }
    if (small) {
        anf_model_stats stats;
        anf_model_get_stats(slow, &stats);
        if (stats.flops < 10000000) {
            size_t n = run(fast, first, MAX_COMPILED_ELEMENTS);
            size_t k = run(slow, second, MAX_COMPILED_ELEMENTS);
            if (n && k) {
                check(n == k, "optimisation changes the outputs");
                check(memcmp(first, second, n * sizeof *first) == 0, "optimisation changes a bit");
            }
        }
    }
    anf_model_free(fast);
    anf_model_free(slow);
}

/* Every size that stands in the print: compiling allocates in proportion, folding computes. */
static bool is_small(const char *text)
{
    size_t lines = 0;
    for (const char *p = text; *p; p++) {
        lines += *p == '\n';
        if (*p != '[' || (p > text && p[-1] != '6' && p[-1] != '8' && p[-1] != 'l'))
            continue;
        double count = 1;
        for (p++; *p && *p != ']'; p++)
            if (*p >= '0' && *p <= '9') {
                char *end;
                count *= strtod(p, &end);
                p = end - 1;
            }
        if (count > MAX_COMPILED_ELEMENTS || !*p)
            return false;
    }
    return lines <= 64;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static anf_ctx *ctx;
    static const anf_allocator limited = {NULL, limited_alloc, limited_free};
    static size_t idle;
    if (!ctx) {
        anf_ctx_desc d = {.threads = 1, .allocator = &limited};
        check(anf_ctx_new(&d, &ctx) == ANF_OK, "context");
        idle = held;
    }
    anf_graph *g, *again = NULL;
    anf_status st = anf_graph_parse(ctx, (const char *)data, size, NULL, &g);
    if (st != ANF_OK) {
        check(g == NULL && held == idle, "a failed parse leaves something behind");
        check(st == ANF_E_NOMEM || strncmp(anf_last_error(), "line ", 5) == 0, "no line");
        return 0;
    }
    struct text one = {NULL, 0}, two = {NULL, 0};
    st = anf_graph_print(g, false, append, &one);
    if (st == ANF_OK)
        st = anf_graph_parse(ctx, one.data, one.n, NULL, &again);
    if (st == ANF_OK)
        st = anf_graph_print(again, false, append, &two);
    check(st == ANF_OK || st == ANF_E_NOMEM, "the print does not parse");
    if (st == ANF_OK)
        check(one.n == two.n && memcmp(one.data, two.data, one.n) == 0, "prints differ");
    if (st == ANF_OK && is_small(one.data) && strstr(one.data, "\nreturn "))
        compile_and_compare(g);
    free(one.data);
    free(two.data);
    anf_graph_free(g);
    anf_graph_free(again);
    check(held == idle, "memory is not given back");
    return 0;
}
