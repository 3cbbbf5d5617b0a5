/* Building a program: growing arrays, and lifetimes kept as instructions are appended. */
#include "program/program.h"

#include <string.h>

anf_status program_init(struct program *p, const anf_allocator *a)
{
    memset(p, 0, sizeof *p);
    p->allocator = a;
    arena_init(&p->arena, a);
    void *v = NULL;
    TRY(mem_grow(a, &v, &p->cap_buffers, 1, sizeof *p->buffers));
    p->buffers = v;
    memset(&p->buffers[0], 0, sizeof p->buffers[0]);
    p->n_buffers = 1;
    return ANF_OK;
}

void program_free(struct program *p)
{
    const anf_allocator *a = p->allocator;
    if (!a)
        return;
    mem_free(a, p->instrs, p->cap_instrs * sizeof *p->instrs);
    mem_free(a, p->operands, p->cap_operands * sizeof *p->operands);
    mem_free(a, p->buffers, p->cap_buffers * sizeof *p->buffers);
    mem_free(a, p->params, p->cap_params * sizeof *p->params);
    mem_free(a, p->tiles, p->cap_tiles * sizeof *p->tiles);
    mem_free(a, p->names, p->cap_names);
    mem_free(a, p->inputs, p->cap_inputs * sizeof *p->inputs);
    mem_free(a, p->outputs, p->cap_outputs * sizeof *p->outputs);
    mem_free(a, p->weights, p->cap_weights * sizeof *p->weights);
    arena_free(&p->arena);
    memset(p, 0, sizeof *p);
}

/* Grow one of the arrays; the cast dance keeps strict aliasing. */
#define GROW(p, array, extra)                                                                      \
    grow_array((p)->allocator, (void **)(void *)&(p)->array, &(p)->cap_##array,                    \
               (p)->n_##array + (extra), sizeof *(p)->array)

static anf_status grow_array(const anf_allocator *a, void **array, size_t *cap, size_t need,
                             size_t size)
{
    void *p;
    memcpy(&p, array, sizeof p);
    TRY(mem_grow(a, &p, cap, need, size));
    memcpy(array, &p, sizeof p);
    return ANF_OK;
}

uint32_t program_buffer(struct program *p, enum buffer_kind kind, uint64_t n_bytes)
{
    if (GROW(p, buffers, 1) != ANF_OK)
        return 0;
    struct buffer *b = &p->buffers[p->n_buffers];
    memset(b, 0, sizeof *b);
    b->kind = (uint32_t)kind;
    b->n_bytes = n_bytes;
    b->first = UINT32_MAX;
    return (uint32_t)p->n_buffers++;
}

uint32_t program_const(struct program *p, const void *data, uint64_t n_bytes)
{
    uint32_t id = program_buffer(p, BUF_CONST, n_bytes);
    if (id)
        p->buffers[id].data = data;
    return id;
}

static anf_status add_name(struct program *p, const char *s, uint32_t *offset)
{
    size_t n = strlen(s) + 1;
    TRY(GROW(p, names, n));
    memcpy(p->names + p->n_names, s, n);
    *offset = (uint32_t)p->n_names;
    p->n_names += n;
    return ANF_OK;
}

anf_status program_weight(struct program *p, const struct weight_record *w, const char *name,
                          const char *why)
{
    struct weight_record record = *w;
    TRY(GROW(p, weights, 1));
    TRY(add_name(p, name, &record.name));
    TRY(add_name(p, why, &record.why));
    p->weights[p->n_weights++] = record;
    return ANF_OK;
}

/* The most bytes that an instruction takes of an operand: a move may pick some from all over it. */
static uint64_t most_bytes(enum instr_op op, const void *param)
{
    const struct move_param *m = param;
    uint64_t n = sizeof(f16);
    if (op != INSTR_MOVE)
        return UINT64_MAX;
    for (int64_t d = 0; d < m->rank; d++)
        n *= (uint64_t)m->dims[d];
    return n;
}

anf_status program_instr(struct program *p, enum instr_op op, const struct operand *operands,
                         int n_operands, const void *param, size_t param_bytes, uint32_t tile,
                         const char *source, uint64_t flops)
{
    size_t n_param = param_bytes / sizeof(int64_t);
    if (!source)
        return ANF_E_NOMEM;
    TRY(GROW(p, instrs, 1));
    TRY(GROW(p, operands, (size_t)n_operands));
    TRY(GROW(p, params, n_param));
    struct instr in = {.op = (uint32_t)op,
                       .operand = (uint32_t)p->n_operands,
                       .n_operand = (uint32_t)n_operands,
                       .param = (uint32_t)p->n_params,
                       .tile = tile,
                       .flops = flops};
    TRY(add_name(p, source, &in.source));
    uint32_t at = (uint32_t)p->n_instrs;
    const uint64_t most = most_bytes(op, param);
    for (int i = 0; i < n_operands; i++) {
        struct buffer *b = &p->buffers[operands[i].buf];
        if (operands[i].buf && b->first == UINT32_MAX)
            b->first = at;
        b->last = at;
        const uint64_t behind = operands[i].buf ? b->n_bytes - operands[i].offset : 0;
        in.bytes += behind < most ? behind : most;
        p->operands[p->n_operands + (size_t)i] = operands[i];
    }
    if (n_param)
        memcpy(p->params + p->n_params, param, param_bytes);
    p->n_operands += (size_t)n_operands;
    p->n_params += n_param;
    p->instrs[p->n_instrs++] = in;
    return ANF_OK;
}

uint32_t program_tile(struct program *p, const struct tile_prog *t)
{
    if (GROW(p, tiles, 1) != ANF_OK)
        return 0;
    p->tiles[p->n_tiles++] = *t;
    return (uint32_t)p->n_tiles;
}

anf_status program_port(struct program *p, bool is_input, const char *name, anf_dtype dtype,
                        const anf_dims *shape, uint32_t *buf)
{
    size_t count = 0;
    dims_count(shape, &count);
    uint32_t id =
        program_buffer(p, is_input ? BUF_INPUT : BUF_OUTPUT, count * dtype_info[dtype].n_bytes);
    char *copy = arena_strdup(&p->arena, name);
    if (!id || !copy)
        return ANF_E_NOMEM;
    struct port port = {{copy, dtype, *shape, count}, id};
    if (is_input) {
        TRY(GROW(p, inputs, 1));
        p->buffers[id].port = (uint32_t)p->n_inputs;
        p->inputs[p->n_inputs++] = port;
    } else {
        TRY(GROW(p, outputs, 1));
        p->buffers[id].port = (uint32_t)p->n_outputs;
        p->outputs[p->n_outputs++] = port;
    }
    *buf = id;
    return ANF_OK;
}

void program_stats(const struct program *p, anf_model_stats *out)
{
    *out = (anf_model_stats){.n_instructions = (int)p->n_instrs,
                             .n_buffers = (int)p->n_buffers - 1,
                             .activation_bytes = p->arena_bytes};
    for (size_t i = 0; i < p->n_instrs; i++) {
        out->flops += p->instrs[i].flops;
        out->bytes += p->instrs[i].bytes;
    }
    for (size_t b = 1; b < p->n_buffers; b++)
        if (p->buffers[b].kind == BUF_CONST)
            out->weight_bytes += p->buffers[b].n_bytes;
}
