/* program_check lets nothing through that a run could not do safely: a compiled program is damaged
 * in memory, one number at a time, and every message of instr_table.c stands here in full.
 *
 * One graph compiles to every instruction.  A damage names the instruction, the field and the
 * value it gets; after each one the program is put back and must be accepted again. */
#include "plain.h"

#include "api.h"
#include "compile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char source[] =
    "aneforge-graph 1\n"
    "x = input f16[2,4,6,6]\n"
    "image = input u8[2,8]\n"
    "w = const f16[8,4,3,3] random(seed=1, std=0.2)\n"
    "v = const f16[8] random(seed=2, std=0.5)\n"
    "wfc = const f16[8,8] random(seed=3, std=0.5)\n"
    "c = conv(x, w, bias=v, pad=1)\n"
    "r = relu(c)\n"
    "bn = batch_norm(r, v, v, v, v)\n"
    "p = max_pool(bn, k=2)\n"
    "m = mean(p, axes=[2,3])\n"
    "f = reshape(m, shape=[2,8])\n"
    "g = linear(f, wfc, bias=v)\n"
    "a = silu(g)\n"
    "s = softmax(a, axis=1)\n"
    "n = layer_norm(s, v, v)\n"
    "i = cast(image)\n"
    "e = exp(n)\n"
    "t = mul(e, i)\n"
    "t2 = sub(t, e)\n"
    "q = input f16[2,5,4]\n"
    "k = input f16[2,7,4]\n"
    "vv = input f16[2,7,3]\n"
    "mask = input f16[5,7]\n"
    "kt = transpose(k, perm=[0,2,1])\n"
    "s0 = bmm(q, kt)\n"
    "s1 = add(s0, mask)\n"
    "s2 = softmax(s1, axis=2)\n"
    "o = bmm(s2, vv)\n"
    "turned = transpose(x, perm=[3,1,2,0])\n"
    "wd = input f16[4,4,2,2]\n"
    "packed = conv(x, wd)\n"
    "b1 = input f16[2,3,4]\n"
    "b2 = input f16[2,4,5]\n"
    "rows = bmm(b1, b2)\n"
    "rowst = tanh(rows)\n"
    "return t2, o, turned, packed, rowst\n";

static anf_ctx *ctx;
static struct program p;

static int setup(void **state)
{
    (void)state;
    anf_graph *g;
    anf_compile_opts opts = {0};
    if (anf_ctx_new(&(anf_ctx_desc){.isa = "ref", .threads = 1}, &ctx) != ANF_OK ||
        anf_graph_parse(ctx, source, sizeof source - 1, NULL, &g) != ANF_OK ||
        compile_graph(&g->g, ctx->kern, ctx->pool, &opts, &p) != ANF_OK) {
        fprintf(stderr, "%s\n", anf_last_error());
        return -1;
    }
    anf_graph_free(g);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    program_free(&p);
    anf_ctx_free(ctx);
    return 0;
}

/* The only instruction of this kind, or the first that has an epilogue. */
static struct instr *find(enum instr_op op)
{
    struct instr *found = NULL;
    for (size_t i = 0; i < p.n_instrs; i++)
        if (p.instrs[i].op == (uint32_t)op && (!found || (!found->tile && p.instrs[i].tile)))
            found = &p.instrs[i];
    if (!found)
        fail_msg("the graph compiles to no %s", instr_info[op].name);
    return found;
}

static void refused(const char *message)
{
    anf_status st = program_check(&p);
    if (st != ANF_E_FORMAT || strcmp(anf_last_error(), message) != 0)
        fail_msg("status %d, '%s'\n  instead of '%s'", (int)st,
                 st == ANF_OK ? "" : anf_last_error(), message);
}

static void refused_at(const struct instr *i, const char *what)
{
    char message[400];
    snprintf(message, sizeof message, "program: instruction %zu (%s): %s", (size_t)(i - p.instrs),
             instr_info[i->op].name, what);
    refused(message);
}

static void accepted(void)
{
    if (program_check(&p) != ANF_OK)
        fail_msg("%s", anf_last_error());
}

/* ---- parameters ------------------------------------------------------------------------------ */
#define AT(S, field) offsetof(struct S, field) / sizeof(int64_t)
#define MUCH ((int64_t)1 << 41)

static const struct {
    enum instr_op op;
    size_t field;
    int64_t value;
    const char *what;
} params[] = {
    {INSTR_GEMM, AT(gemm_param, m), 0, "sizes out of range"},
    {INSTR_GEMM, AT(gemm_param, n), MUCH, "sizes out of range"},
    {INSTR_GEMM, AT(gemm_param, k), -1, "sizes out of range"},
    {INSTR_GEMM, AT(gemm_param, b_kind), GEMM_B_COUNT, "sizes out of range"},
    {INSTR_GEMM, AT(gemm_param, has_bias), 2, "sizes out of range"},
    {INSTR_GEMM, AT(gemm_param, y_row), 7, "rows of the destination overlap"},
    {INSTR_GEMM, AT(gemm_param, y_row), 9,
     "operand 0 needs 17 elements at byte 0, its buffer has 32 bytes"},
    {INSTR_GEMM, AT(gemm_param, batch), 2, "matrices of the destination overlap"},
    {INSTR_GEMM, AT(gemm_param, a_row), -1, "strides out of range"},
    {INSTR_GEMM, AT(gemm_param, a_row), 9,
     "operand 1 needs 17 elements at byte 0, its buffer has 32 bytes"},
    {INSTR_GEMM, AT(gemm_param, k), 9,
     "operand 1 needs 17 elements at byte 0, its buffer has 32 bytes"},
    {INSTR_CONV, AT(conv_param, stride_h), 0, "geometry out of range"},
    {INSTR_CONV, AT(conv_param, out_w), 7, "geometry out of range"},
    {INSTR_CONV, AT(conv_param, pad_h), MUCH, "geometry out of range"},
    {INSTR_CONV, AT(conv_param, has_bias), -1, "geometry out of range"},
    {INSTR_CONV, AT(conv_param, images), MUCH, "sizes out of range"},
    {INSTR_CONV, AT(conv_param, cout), 0, "sizes out of range"},
    {INSTR_CONV, AT(conv_param, images), 3,
     "operand 0 needs 864 elements at byte 0, its buffer has 1152 bytes"},
    {INSTR_ATTENTION, AT(attention_param, heads), 0, "sizes out of range"},
    {INSTR_ATTENTION, AT(attention_param, d), MUCH, "sizes out of range"},
    {INSTR_ATTENTION, AT(attention_param, has_mask), 7, "sizes out of range"},
    {INSTR_ATTENTION, AT(attention_param, scale_f16), 0x10000, "sizes out of range"},
    {INSTR_ATTENTION, AT(attention_param, y_row), 2, "rows of the destination overlap"},
    {INSTR_ATTENTION, AT(attention_param, y_head), 14, "rows of the destination overlap"},
    {INSTR_ATTENTION, AT(attention_param, k_row), -4, "strides out of range"},
    {INSTR_ATTENTION, AT(attention_param, mask_row), 8,
     "operand 4 needs 39 elements at byte 0, its buffer has 70 bytes"},
    {INSTR_REDUCE, AT(reduce_param, kind), REDUCE_KIND_COUNT, "sizes out of range"},
    {INSTR_REDUCE, AT(reduce_param, n), 0, "sizes out of range"},
    {INSTR_REDUCE, AT(reduce_param, inner), 0, "sizes out of range"},
    {INSTR_REDUCE, AT(reduce_param, inner), 3, "sizes out of range"},
    {INSTR_REDUCE, AT(reduce_param, rows), 17,
     "operand 0 needs 17 elements at byte 0, its buffer has 32 bytes"},
    {INSTR_SOFTMAX, AT(softmax_param, rows), -5, "sizes out of range"},
    {INSTR_SOFTMAX, AT(softmax_param, inner), -2, "sizes out of range"},
    {INSTR_SOFTMAX, AT(softmax_param, inner), 3, "sizes out of range"},
    {INSTR_SOFTMAX, AT(softmax_param, n), 9,
     "operand 0 needs 18 elements at byte 0, its buffer has 32 bytes"},
    {INSTR_NORM, AT(norm_param, kind), NORM_KIND_COUNT, "sizes out of range"},
    {INSTR_NORM, AT(norm_param, has_gamma), 0, "sizes out of range"},
    {INSTR_NORM, AT(norm_param, run), 0, "sizes out of range"},
    {INSTR_NORM, AT(norm_param, per_row), 7, "sizes out of range"},
    {INSTR_NORM, AT(norm_param, eps_f32), (int64_t)UINT32_MAX + 1, "sizes out of range"},
    {INSTR_NORM, AT(norm_param, row_period), 2,
     "operand 2 needs 16 elements at byte 0, its buffer has 16 bytes"},
    {INSTR_AFFINE, AT(affine_param, channels), MUCH, "sizes out of range"},
    {INSTR_AFFINE, AT(affine_param, eps_f32), -1, "sizes out of range"},
    {INSTR_AFFINE, AT(affine_param, run), 37,
     "operand 0 needs 592 elements at byte 0, its buffer has 1152 bytes"},
    {INSTR_POOL, AT(pool_param, kind), 2, "geometry out of range"},
    {INSTR_POOL, AT(pool_param, pad), 2, "geometry out of range"},
    {INSTR_POOL, AT(pool_param, out_h), 4, "geometry out of range"},
    {INSTR_POOL, AT(pool_param, planes), MUCH, "sizes out of range"},
    {INSTR_POOL, AT(pool_param, planes), 17,
     "operand 0 needs 153 elements at byte 0, its buffer has 288 bytes"},
    {INSTR_MOVE, AT(move_param, rank), 9, "rank out of range"},
    {INSTR_MOVE, AT(move_param, rank), -1, "rank out of range"},
    {INSTR_MOVE, AT(move_param, dims), 0, "strides out of range"},
    {INSTR_MOVE, AT(move_param, src), -1, "strides out of range"},
    {INSTR_MOVE, AT(move_param, dst), MUCH, "strides out of range"},
    {INSTR_MOVE, AT(move_param, dst), 1, "strides out of range"},
    {INSTR_MOVE, AT(move_param, src), 100,
     "operand 1 needs 783 elements at byte 0, its buffer has 576 bytes"},
    {INSTR_PACK, AT(pack_param, kind), 4, "sizes out of range"},
    {INSTR_PACK, AT(pack_param, cin), 0, "sizes out of range"},
    {INSTR_PACK, AT(pack_param, cin), 5,
     "operand 0 needs 320 elements at byte 0, its buffer has 512 bytes"},
};

static void test_parameters(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof params / sizeof *params; k++) {
        struct instr *i = find(params[k].op);
        int64_t *field = p.params + i->param + params[k].field, was = *field;
        *field = params[k].value;
        refused_at(i, params[k].what);
        *field = was;
        accepted();
    }
}

/* ---- instructions and their operands --------------------------------------------------------- */
static const struct {
    enum instr_op op;
    size_t field; /* of struct instr */
    uint32_t value;
    const char *what;
} instrs[] = {
    {INSTR_GEMM, offsetof(struct instr, operand), UINT32_MAX, "an index is out of range"},
    {INSTR_GEMM, offsetof(struct instr, n_operand), UINT32_MAX, "an index is out of range"},
    {INSTR_GEMM, offsetof(struct instr, param), UINT32_MAX - 3, "an index is out of range"},
    {INSTR_GEMM, offsetof(struct instr, source), UINT32_MAX, "an index is out of range"},
    {INSTR_GEMM, offsetof(struct instr, tile), 1000, "an index is out of range"},
    {INSTR_GEMM, offsetof(struct instr, n_operand), 2, "wrong number of operands"},
    {INSTR_POOL, offsetof(struct instr, n_operand), 1, "wrong number of operands"},
    {INSTR_CONV, offsetof(struct instr, n_operand), 3, "operand 3 is missing"},
    {INSTR_SOFTMAX, offsetof(struct instr, tile), 1, "this instruction runs no epilogue"},
    {INSTR_TILE, offsetof(struct instr, tile), 0, "tile program is not there"},
};

static void test_instructions(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof instrs / sizeof *instrs; k++) {
        struct instr *i = find(instrs[k].op), was = *i;
        memcpy((char *)i + instrs[k].field, &instrs[k].value, sizeof(uint32_t));
        refused_at(i, instrs[k].what);
        *i = was;
        accepted();
    }
    struct instr *i = find(INSTR_POOL), was = *i;
    char message[80];
    i->op = INSTR_COUNT + 4;
    snprintf(message, sizeof message, "program: instruction %zu has unknown operation %u",
             (size_t)(i - p.instrs), i->op);
    refused(message);
    *i = was;
    accepted();
}

static void test_operands(void **state)
{
    (void)state;
    struct instr *pool = find(INSTR_POOL), *norm = find(INSTR_NORM), *soft = find(INSTR_SOFTMAX);
    struct operand *y = &p.operands[pool->operand], *x = y + 1, was = *x, y_was = *y;

    x->buf = (uint32_t)p.n_buffers;
    refused_at(pool, "an operand names no buffer");
    *x = was;
    x->offset = (uint64_t)MUCH + 2;
    refused_at(pool, "an operand names no buffer");
    *x = was;
    x->buf = 0;
    refused_at(pool, "operand 1 is missing");
    *x = was;
    x->offset = 1;
    refused_at(pool, "operand 1 needs 576 elements at byte 1, its buffer has 1152 bytes");
    x->offset = 2;
    refused_at(pool, "operand 1 needs 576 elements at byte 2, its buffer has 1152 bytes");
    x->offset = 1154;
    refused_at(pool, "operand 1 needs 576 elements at byte 1154, its buffer has 1152 bytes");
    *x = was;
    y->buf = p.inputs[0].buf;
    refused_at(pool, "the destination cannot be written");
    y->buf = 0;
    refused_at(pool, "the destination cannot be written");
    *y = y_was;
    y->buf = p.operands[norm->operand].buf;
    refused_at(pool, "an operand is used outside its buffer's lifetime");
    *y = y_was;
    accepted();

    /* A kernel that reads after it has written, unless it is one that works in place. */
    y->buf = was.buf;
    refused_at(pool, "operand 1 lies in the destination");
    *y = y_was;
    struct operand *in = &p.operands[soft->operand + 1], in_was = *in;
    *in = p.operands[soft->operand];
    accepted();
    *in = in_was;
}

/* ---- tile programs --------------------------------------------------------------------------- */
static struct tile_prog *tile_of(const struct instr *i)
{
    return &p.tiles[i->tile - 1];
}

static void test_tile_programs(void **state)
{
    (void)state;
    struct instr *tile = find(INSTR_TILE), *gemm = find(INSTR_GEMM);
    struct tile_prog *t = tile_of(tile), was = *t;
    assert_true(t->n_ops > 2 && t->n_operands == 2);
#define DAMAGED(change, what)                                                                      \
    change;                                                                                        \
    refused_at(tile, what);                                                                        \
    *t = was;                                                                                      \
    accepted()
    DAMAGED(t->n_operands = 0, "tile program out of limits");
    DAMAGED(t->n_operands = TILE_MAX_OPERANDS + 1, "tile program out of limits");
    DAMAGED(t->n_ops = 0, "tile program out of limits");
    DAMAGED(t->n_ops = TILE_MAX_OPS + 1, "tile program out of limits");
    DAMAGED(t->n_regs = TILE_MAX_REGS + 1, "tile program out of limits");
    DAMAGED(t->rank = ANF_MAX_RANK + 1, "tile program out of limits");
    DAMAGED(t->dims[0] = 0, "tile program has another size than the destination");
    DAMAGED(t->operands[0].slot = tile->n_operand, "tile operand out of range");
    DAMAGED(t->operands[0].is_u8 = 2, "tile operand out of range");
    DAMAGED(t->operands[0].stride[0] = -1, "tile strides out of range");
    DAMAGED(t->operands[0].stride[0] = MUCH, "tile strides out of range");
    DAMAGED(t->operands[0].slot = 0, "tile operand overlaps the destination");
    DAMAGED(t->operands[0].stride[0] = 2,
            "operand 1 needs 31 elements at byte 0, its buffer has 16 bytes");
    DAMAGED(t->dims[0] = 17, "operand 1 needs 17 elements at byte 0, its buffer has 16 bytes");
    DAMAGED(t->ops[0].uop = UOP_COUNT, "unknown micro-op");
    DAMAGED(t->ops[0].n_src = 3, "unknown micro-op");
    DAMAGED(t->ops[0].src[0] = 9, "a micro-op reads a value that is not there");
    DAMAGED(t->ops[0].src[0] = (uint8_t)t->n_operands,
            "a micro-op reads a value that is not there");
    DAMAGED(t->ops[0].dst = (uint8_t)t->n_regs, "a micro-op writes a register that is not there");
#undef DAMAGED
    t = tile_of(gemm);
    was = *t;
    t->dims[0] = 3;
    refused_at(gemm, "tile program has another size than the destination");
    *t = was;
    accepted();
}

/* The destination has room for rows further apart, but an epilogue runs over it as one block. */
static void test_epilogue_of_spaced_rows(void **state)
{
    (void)state;
    struct instr *gemm = find(INSTR_GEMM);
    struct buffer *b = &p.buffers[p.operands[gemm->operand].buf];
    int64_t *y_row = p.params + gemm->param + AT(gemm_param, y_row), was = *y_row;
    uint64_t arena = p.arena_bytes, bytes = b->n_bytes, offset = b->offset;
    b->offset = size_round_up(arena, ANF_CACHE_LINE);
    b->n_bytes = 4096;
    p.arena_bytes = b->offset + b->n_bytes;
    accepted();
    *y_row = was + 1;
    refused_at(gemm, "an epilogue needs a dense destination");
    *y_row = was;
    b->n_bytes = bytes;
    b->offset = offset;
    p.arena_bytes = arena;
    accepted();
}

/* ---- the rest of the program ----------------------------------------------------------------- */
static struct buffer *buffer_of_kind(enum buffer_kind kind, size_t *id)
{
    for (*id = 1; *id < p.n_buffers; ++*id)
        if (p.buffers[*id].kind == (uint32_t)kind)
            return &p.buffers[*id];
    fail_msg("no buffer of kind %d", (int)kind);
    return NULL;
}

static void refused_size(size_t id, const struct buffer *b)
{
    char message[120];
    snprintf(message, sizeof message, "program: buffer %zu has kind %u and %llu bytes", id, b->kind,
             (unsigned long long)b->n_bytes);
    refused(message);
}

static void refused_place(size_t id)
{
    char message[120];
    snprintf(message, sizeof message, "program: buffer %zu does not lie in the arena", id);
    refused(message);
}

static void test_buffers(void **state)
{
    (void)state;
    size_t id;
    struct buffer *b = buffer_of_kind(BUF_ARENA, &id), was = *b;
    char message[80];
    b->n_bytes = 0;
    refused_size(id, b);
    b->n_bytes = (uint64_t)MUCH + 64;
    refused_size(id, b);
    *b = was;
    b->kind = BUF_NONE;
    refused_size(id, b);
    b->kind = BUF_KIND_COUNT;
    refused_size(id, b);
    *b = was;
    b->offset += 2;
    refused_place(id);
    b->offset = p.arena_bytes + ANF_CACHE_LINE;
    refused_place(id);
    *b = was;
    b->first = b->last + 1;
    refused_place(id);
    *b = was;
    b = buffer_of_kind(BUF_CONST, &id);
    was = *b;
    b->data = NULL;
    snprintf(message, sizeof message, "program: constant buffer %zu has no data", id);
    refused(message);
    *b = was;
    accepted();
}

static void test_ports(void **state)
{
    (void)state;
    size_t id;
    struct buffer *b = buffer_of_kind(BUF_INPUT, &id);
    struct port was = p.inputs[1];
    b->kind = BUF_OUTPUT;
    refused("program: 9 ports for 8 port buffers");
    b->kind = BUF_INPUT;
    b->port = 5;
    refused("program: port 0 does not fit its buffer");
    b->port = 0;
    p.inputs[1].info.dtype = ANF_F32;
    refused("program: port 1 does not fit its buffer");
    p.inputs[1] = was;
    p.inputs[1].info.shape.dim[0]++;
    refused("program: port 1 does not fit its buffer");
    p.inputs[1] = was;
    p.inputs[1].buf = 0;
    refused("program: port 1 does not fit its buffer");
    p.inputs[1] = was;
    accepted();
}

static void test_program(void **state)
{
    (void)state;
    uint64_t arena = p.arena_bytes;
    p.arena_bytes = (uint64_t)MUCH + 1;
    refused("program: an arena of 2199023255553 bytes");
    p.arena_bytes = arena;
    p.names[p.n_names - 1] = 'x';
    refused("program: the name table does not end");
    p.names[p.n_names - 1] = 0;
    accepted();
}

/* ---- records of weights ---------------------------------------------------------------------- */
static void test_records(void **state)
{
    (void)state;
    const struct weight_record good = {.dims = {8, 4}, .encoding = ANF_ENCODING_INT8, .error = 0.5};
    assert_int_equal(program_weight(&p, &good, "w", "why"), ANF_OK);
    accepted();
    struct weight_record *w = &p.weights[0];
    const struct weight_record kept = *w;
    const struct weight_record bad[] = {
        {.name = (uint32_t)p.n_names, .why = kept.why, .dims = {8, 4}},
        {.name = kept.name, .why = UINT32_MAX, .dims = {8, 4}},
        {.encoding = ANF_ENCODING_BLOCKWISE + 1, .dims = {8, 4}},
        {.streams = 2, .dims = {8, 4}},
        {.dims = {0, 4}},
        {.dims = {8, (uint64_t)MUCH}},
        {.dims = {8, 4}, .error = -1},
        {.dims = {8, 4}, .error = INFINITY},
        {.dims = {8, 4}, .error = NAN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        *w = bad[i];
        refused("program: the record of weight 0 is impossible");
    }
    *w = kept;
    accepted();
    p.n_weights = 0;
}

/* ---- encoded weights ------------------------------------------------------------------------- */
/* Takes the place of the program of the other tests. */
static struct instr *compile_encoded(anf_compress compress, int rows)
{
    char text[400];
    anf_graph *g;
    const anf_compile_opts opts = {.compress = compress, .compress_atol = 1, .block_size = 13};
    const int length = snprintf(text, sizeof text,
                                "aneforge-graph 1\n"
                                "x = input f16[%d,130]\n"
                                "w = const f16[20,130] random(seed=4, std=0.5)\n"
                                "few = const f16[] fill(-0.3)\n"
                                "p = add(w, few)\n"
                                "v = relu(p)\n"
                                "b = const f16[20] random(seed=5, std=0.5)\n"
                                "y = linear(x, v, bias=b)\n"
                                "return y\n", rows);
    assert_int_equal(anf_graph_parse(ctx, text, (size_t)length, NULL, &g), ANF_OK);
    assert_int_equal(compile_graph(&g->g, ctx->kern, ctx->pool, &opts, &p), ANF_OK);
    anf_graph_free(g);
    accepted();
    return find(INSTR_GEMM);
}

/* Panels and side arrays of the size they need, and a constant in place of each. */
static void test_encoded_weights(void **state)
{
    static const struct {
        anf_compress compress;
        const char *panels, *side;
    } modes[] = {
        {ANF_COMPRESS_INT8, "operand 2 needs 4160 elements at byte 1, its buffer has 4160 bytes",
         "operand 3 needs 32 elements at byte 2, its buffer has 64 bytes"},
        {ANF_COMPRESS_INT4, "operand 2 needs 560 elements at byte 1, its buffer has 2240 bytes",
         "operand 3 needs 16 elements at byte 2, its buffer has 32 bytes"},
        {ANF_COMPRESS_BLOCKWISE,
         "operand 2 needs 4160 elements at byte 1, its buffer has 4160 bytes",
         "operand 3 needs 320 elements at byte 2, its buffer has 640 bytes"},
    };
    const struct program kept = p;
    (void)state;
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        struct instr *i = compile_encoded(modes[m].compress, 1);
        struct operand *o = &p.operands[i->operand];
        int64_t *block = p.params + i->param + AT(gemm_param, b_row), block_was = *block;
        o[2].offset = 1;
        refused_at(i, modes[m].panels);
        o[2].offset = 0;
        o[3].offset = 2;
        refused_at(i, modes[m].side);
        o[3].offset = 0;
        o[4].offset = 2;
        refused_at(i, "operand 4 needs 20 elements at byte 2, its buffer has 40 bytes");
        o[4].offset = 0;
        i->n_operand = 4;
        refused_at(i, "operand 4 is missing");
        i->n_operand = 5;
        if (modes[m].compress == ANF_COMPRESS_BLOCKWISE) {
            *block = 0;
            refused_at(i, "blocks of 0 in 130 rows");
            *block = -13;
            refused_at(i, "blocks of -13 in 130 rows");
            *block = 12;
            refused_at(i, "blocks of 12 in 130 rows");
            *block = 10; /* more scales than there are */
            refused_at(i, "operand 3 needs 416 elements at byte 0, its buffer has 640 bytes");
            *block = block_was;
        }
        accepted();
        program_free(&p);
    }
    p = kept;
}

/* Lists, which sparse weights become where they multiply one row. */
static void test_listed_weights(void **state)
{
    const struct program kept = p;
    const char *disagree = "sparse weights and where they begin do not agree";
    (void)state;
    struct instr *i = compile_encoded(ANF_COMPRESS_SPARSE, 1);
    struct operand *o = &p.operands[i->operand];
    struct buffer *panels = &p.buffers[o[2].buf], *side = &p.buffers[o[3].buf];
    uint64_t *starts = (uint64_t *)(uintptr_t)side->data;
    f16 *w = (f16 *)(uintptr_t)panels->data;
    assert_int_equal(p.params[i->param + AT(gemm_param, b_kind)], GEMM_B_LISTS);
    assert_int_equal(side->n_bytes, 2 * 2 * sizeof *starts);

    for (size_t s = 0; s < 4; s++) {
        starts[s]++; /* a panel that begins elsewhere, or has a block more */
        refused_at(i, disagree);
        starts[s] -= 2;
        refused_at(i, disagree);
        starts[s]++;
    }
    w[LIST_MASKS] ^= 0x20; /* a value more or less */
    refused_at(i, disagree);
    w[LIST_MASKS] ^= 0x20;
    w[LIST_ROWS] ^= 0x80; /* past the last row */
    refused_at(i, disagree);
    w[LIST_ROWS] ^= 0x80;
    accepted();
    panels->n_bytes -= sizeof(f16);
    refused_at(i, disagree);
    panels->n_bytes = 62;
    refused_at(i, "operand 2 needs 16 elements at byte 0, its buffer has 62 bytes");
    program_free(&p);

    i = compile_encoded(ANF_COMPRESS_SPARSE, 2);
    p.params[i->param + AT(gemm_param, b_kind)] = GEMM_B_LISTS;
    refused_at(i, "lists are for a single row");
    program_free(&p);
    p = kept;
}

/* What they become where they multiply many rows. */
static void test_turned_sparse_weights(void **state)
{
    const struct program kept = p;
    const char *disagree = "sparse weights and where they begin do not agree";
    (void)state;
    struct instr *i = compile_encoded(ANF_COMPRESS_SPARSE, SPARSE_T_ROWS);
    struct operand *o = &p.operands[i->operand];
    struct buffer *panels = &p.buffers[o[2].buf], *side = &p.buffers[o[3].buf];
    uint64_t *starts = (uint64_t *)(uintptr_t)side->data;
    f16 *w = (f16 *)(uintptr_t)panels->data;
    assert_int_equal(p.params[i->param + AT(gemm_param, b_kind)], GEMM_B_SPARSE_T);
    assert_int_equal(side->n_bytes, 2 * 3 * sizeof *starts);
    starts[1]++;
    refused_at(i, disagree);
    starts[1]--;
    w[7] ^= 0x10; /* a value more or less */
    refused_at(i, disagree);
    w[7] ^= 0x10;
    w[starts[2]] ^= 4; /* row 130, of which there are none, for another */
    w[starts[2]] ^= 1;
    refused_at(i, disagree);
    w[starts[2]] ^= 5;
    accepted();
    panels->n_bytes -= sizeof(f16);
    refused_at(i, disagree);
    program_free(&p);
    p = kept;
}

static void test_sparse_weights(void **state)
{
    const struct program kept = p;
    const char *disagree = "sparse weights and where they begin do not agree";
    (void)state;
    struct instr *i = compile_encoded(ANF_COMPRESS_SPARSE, 2);
    struct operand *o = &p.operands[i->operand];
    struct buffer *panels = &p.buffers[o[2].buf], *side = &p.buffers[o[3].buf];
    uint64_t *starts = (uint64_t *)(uintptr_t)side->data;
    f16 *w = (f16 *)(uintptr_t)panels->data;
    assert_int_equal(side->n_bytes, 2 * 3 * sizeof *starts);

    starts[1]++; /* a group that begins elsewhere */
    refused_at(i, disagree);
    starts[1] = UINT64_MAX / 2;
    refused_at(i, disagree);
    starts[1] = 0;
    refused_at(i, disagree);
    starts[1] = 64 + starts[0];
    for (size_t r = 0; r < 64; r++)
        starts[1] += (uint64_t)__builtin_popcount(w[r]);
    accepted();
    w[7] ^= 0x10; /* a mask with one value more or less */
    refused_at(i, disagree);
    w[7] ^= 0x10;
    panels->n_bytes -= sizeof(f16); /* values that end early, and too many */
    refused_at(i, disagree);
    panels->n_bytes = 62;
    refused_at(i, "operand 2 needs 32 elements at byte 0, its buffer has 62 bytes");
    program_free(&p);

    i = compile_encoded(ANF_COMPRESS_SPARSE, 2);
    o = &p.operands[i->operand];
    o[3].offset = 8;
    refused_at(i, "operand 3 needs 6 elements at byte 8, its buffer has 48 bytes");
    o[3].offset = 0;
    o[2].offset = 2;
    refused_at(i, disagree);
    o[2].offset = 0;
    const struct operand was = o[2];
    o[2] = (struct operand){.buf = p.inputs[0].buf};
    refused_at(i, "sparse weights are not constant");
    o[2] = was;
    accepted();
    program_free(&p);
    p = kept;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),    cmocka_unit_test(test_instructions),
        cmocka_unit_test(test_operands),      cmocka_unit_test(test_tile_programs),
        cmocka_unit_test(test_epilogue_of_spaced_rows),
        cmocka_unit_test(test_buffers),       cmocka_unit_test(test_ports),
        cmocka_unit_test(test_program),       cmocka_unit_test(test_records),
        cmocka_unit_test(test_encoded_weights),
        cmocka_unit_test(test_sparse_weights),
        cmocka_unit_test(test_listed_weights), cmocka_unit_test(test_turned_sparse_weights),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
