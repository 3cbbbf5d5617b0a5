/* Which operands may share memory with the destination: program_check's rule, and that it is not
 * stricter than the kernels, which work in place where the header says so. */
#include "model.h"
#include "model_graphs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static anf_ctx *ctx;

static int set_up(void **state)
{
    (void)state;
    return anf_ctx_new(&(anf_ctx_desc){.threads = 1}, &ctx) != ANF_OK;
}

static int tear_down(void **state)
{
    (void)state;
    anf_ctx_free(ctx);
    return 0;
}

static anf_model *compile(const char *name)
{
    anf_graph *g;
    anf_model *m;
    int k = 0;
    while (strcmp(model_graphs[k].name, name) != 0)
        k++;
    assert_int_equal(anf_graph_new(ctx, &g), ANF_OK);
    model_graphs[k].build(g);
    assert_int_equal(anf_compile_graph(g, NULL, &m), ANF_OK);
    anf_graph_free(g);
    return m;
}

/* The instruction of a kind that has most micro-ops. */
static const struct instr *find(const struct program *p, enum instr_op op)
{
    const struct instr *best = NULL;
    for (const struct instr *i = p->instrs; i < p->instrs + p->n_instrs; i++)
        if (i->op == (uint32_t)op &&
            (!best || (i->tile && p->tiles[i->tile - 1].n_ops > p->tiles[best->tile - 1].n_ops)))
            best = i;
    assert_non_null(best);
    return best;
}

static void refused(const struct program *p, const struct instr *i, unsigned operand)
{
    char message[200];
    snprintf(message, sizeof message,
             "program: instruction %td (%s): operand %u lies in the destination", i - p->instrs,
             instr_info[i->op].name, operand);
    assert_int_equal(program_check(p), ANF_E_FORMAT);
    assert_string_equal(anf_last_error(), message);
}

/* Two buffers of the arena at one place, although both live. */
static void overlapping_buffers(void **state)
{
    (void)state;
    anf_model *m = compile("mlp");
    struct program *p = &m->program;
    const struct instr *s = find(p, INSTR_SOFTMAX);
    const struct instr *g = &p->instrs[p->buffers[p->operands[s->operand + 1].buf].first];
    const struct operand *y = &p->operands[g->operand], *a = y + 1;
    struct buffer *to = &p->buffers[y->buf];
    assert_int_equal(p->buffers[a->buf].kind, BUF_ARENA);
    to->offset = p->buffers[a->buf].offset;
    refused(p, g, 1);
    to->offset += 64; /* the destination begins inside the operand */
    refused(p, g, 1);
    to->offset += 64; /* and behind it */
    assert_int_equal(program_check(p), ANF_OK);
    anf_model_free(m);
}

static void rows_in_place(void **state)
{
    (void)state;
    anf_model *m = compile("mlp");
    struct program *p = &m->program;
    const struct instr *s = find(p, INSTR_SOFTMAX);
    struct operand *o = &p->operands[s->operand];
    o[0] = o[1];
    assert_int_equal(program_check(p), ANF_OK);
    p->buffers[o->buf].n_bytes = 40;
    o[1].offset = 10; /* one row further: read where it was written */
    refused(p, s, 1);
    anf_model_free(m);

    m = compile("encoder");
    p = &m->program;
    const struct instr *n = find(p, INSTR_NORM);
    o = &p->operands[n->operand];
    o[2] = o[0]; /* gamma */
    refused(p, n, 2);
    anf_model_free(m);
}

/* A chain may read what it writes, element by element, and nothing else. */
static void chains_in_place(void **state)
{
    (void)state;
    anf_model *m = compile("elementwise");
    struct program *p = &m->program;
    const struct instr *t = find(p, INSTR_TILE);
    const struct tile_prog *tile = &p->tiles[t->tile - 1];
    int dense = 0;
    for (uint32_t v = 0; v < tile->n_operands; v++) {
        struct operand *x = &p->operands[t->operand + tile->operands[v].slot], good = *x;
        *x = p->operands[t->operand];
        if (tile->operands[v].stride[0] == 20) {
            assert_int_equal(program_check(p), ANF_OK);
            dense++;
        } else {
            refused(p, t, tile->operands[v].slot);
        }
        *x = good;
    }
    assert_int_equal(dense, 1);
    anf_model_free(m);
}

/* An epilogue reads the result through operand 0; another operand in the same place was overwritten
 * before it runs. */
static void epilogues(void **state)
{
    (void)state;
    anf_model *m = compile("encoder");
    struct program *p = &m->program;
    const struct instr *last = &p->instrs[p->n_instrs - 1];
    struct operand *o = &p->operands[last->operand];
    assert_true(last->op == INSTR_GEMM && last->tile && last->n_operand == 4);
    o[3] = o[0];
    refused(p, last, 3);
    anf_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_buffers),
        cmocka_unit_test(rows_in_place),
        cmocka_unit_test(chains_in_place),
        cmocka_unit_test(epilogues),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
