/* Model files.  The bytes are tried as they are, and again with size and checksums made right,
 * so that the tables behind them are reached.
 *
 * What loads is run, which is the proof that program_check lets nothing through: once
 * instruction by instruction with every buffer, constant and scratch block in memory of exactly
 * its size, so that the address sanitizer sees one element too many, and once through the public
 * API with every kernel set, from zeroed memory, which must give the same bits. */
#include "model.h"
#include "program/model_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed);
/* Absent when inputs are replayed without a fuzz engine. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t n, size_t max);

enum { MAX_ISA = 8 };
#define MAX_BYTES 1e6   /* of all buffers of a program that is run */
#define MAX_SCRATCH 1e7
#define MAX_WORK 2e6    /* multiply-adds, elements, micro-ops */

static void *zeroed(void *user, size_t n, size_t align)
{
    void *p = NULL;
    (void)user;
    if (posix_memalign(&p, align < sizeof p ? sizeof p : align, n ? n : 1) != 0)
        return NULL;
    return memset(p, 0, n);
}

static void release(void *user, void *p, size_t n)
{
    (void)user;
    (void)n;
    free(p);
}

/* One context for each kernel set this machine can run, then NULL. */
static anf_ctx **contexts(void)
{
    static anf_ctx *ctx[MAX_ISA + 1];
    static const anf_allocator allocator = {NULL, zeroed, release};
    if (ctx[0])
        return ctx;
    for (int i = 0, n = 0; i < anf_isa_count() && n < MAX_ISA; i++) {
        anf_ctx_desc desc = {.threads = 1, .isa = anf_isa_name(i), .allocator = &allocator};
        if (anf_isa_available(i) && anf_ctx_new(&desc, &ctx[n++]) != ANF_OK)
            abort();
    }
    return ctx;
}

/* ---- how much a run would cost --------------------------------------------------------------- */
static double work(const struct program *p, const struct instr *i)
{
    double v = 1;
    switch (i->op) {
    case INSTR_GEMM: {
        const struct gemm_param *g = PARAM(p, i, gemm_param);
        return (double)g->batch * (double)g->m * (double)(g->n + ANF_PANEL) * (double)g->k;
    }
    case INSTR_CONV: {
        const struct conv_param *c = PARAM(p, i, conv_param);
        return (double)c->images * (double)c->groups * (double)(c->cout + ANF_PANEL) *
               (double)c->cin * (double)(c->out_h * c->out_w) * (double)(c->kh * c->kw);
    }
    case INSTR_ATTENTION: {
        const struct attention_param *a = PARAM(p, i, attention_param);
        return (double)a->heads * (double)a->sq * (double)(a->skv + ANF_PANEL) *
               (double)(a->d + a->dv + ANF_PANEL);
    }
    case INSTR_REDUCE:
        return (double)PARAM(p, i, reduce_param)->rows * (double)PARAM(p, i, reduce_param)->n;
    case INSTR_SOFTMAX:
        return (double)PARAM(p, i, softmax_param)->rows * (double)PARAM(p, i, softmax_param)->n;
    case INSTR_NORM:
        return (double)PARAM(p, i, norm_param)->rows * (double)PARAM(p, i, norm_param)->n;
    case INSTR_POOL: {
        const struct pool_param *q = PARAM(p, i, pool_param);
        return (double)q->planes * (double)q->out_h * (double)q->out_w * (double)q->k *
               (double)q->k;
    }
    case INSTR_MOVE:
        for (int64_t d = 0; d < PARAM(p, i, move_param)->rank; d++)
            v *= (double)PARAM(p, i, move_param)->dims[d];
        return v;
    case INSTR_TILE:
        for (uint32_t d = 0; d < p->tiles[i->tile - 1].rank; d++)
            v *= (double)p->tiles[i->tile - 1].dims[d];
        return v * p->tiles[i->tile - 1].n_ops;
    default:
        return 0; /* no more than its buffers */
    }
}

static bool is_small(const struct program *p, const struct kern *kern)
{
    double bytes = (double)p->arena_bytes, total = 0;
    for (size_t b = 1; b < p->n_buffers; b++)
        bytes += (double)p->buffers[b].n_bytes;
    for (size_t i = 0; i < p->n_instrs; i++)
        total += work(p, &p->instrs[i]);
    if (bytes > MAX_BYTES || total > MAX_WORK)
        return false;
    const struct scratch_bytes scratch = exec_scratch(p, kern, 1);
    return (double)scratch.shared + (double)scratch.own < MAX_SCRATCH;
}

/* ---- running --------------------------------------------------------------------------------- */
/* A block of exactly n bytes. */
static char *exact(size_t n)
{
    char *p = calloc(n ? n : 1, 1);
    if (!p)
        abort();
    return p;
}

static void fill(void *data, size_t n)
{
    unsigned char *b = data;
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        b[i] = (unsigned char)(x >> 24);
        if (i % 2 && (b[i] & 0x78) == 0x78) /* large ones, infinities and NaN: one in eight */
            b[i] = (unsigned char)(b[i] & (i % 16 == 1 ? 0xff : 0xbf));
    }
}

static void run_exactly(const anf_model *m)
{
    const struct program *p = &m->program;
    struct exec_kept kept = {0};
    struct exec x = {.p = p, .kern = m->ctx->kern, .pool = m->ctx->pool, .kept = &kept};
    x.base = calloc(p->n_buffers, sizeof *x.base);
    for (size_t b = 1; b < p->n_buffers; b++) {
        x.base[b] = exact(p->buffers[b].n_bytes);
        if (p->buffers[b].kind == BUF_CONST)
            memcpy(x.base[b], p->buffers[b].data, p->buffers[b].n_bytes);
        else
            fill(x.base[b], p->buffers[b].n_bytes);
    }
    for (size_t i = 0; i < p->n_instrs; i++) {
        const struct instr_info *info = &instr_info[p->instrs[i].op];
        struct scratch_bytes scratch = {0};
        if (info->scratch)
            scratch = info->scratch(p, &p->instrs[i], x.kern, 1);
        x.shared = exact(scratch.shared);
        x.own = exact(scratch.own);
        x.own_bytes = scratch.own;
        kept = (struct exec_kept){0};
        info->run(&x, &p->instrs[i]);
        free(x.shared);
        free(x.own);
    }
    for (size_t b = 1; b < p->n_buffers; b++)
        free(x.base[b]);
    free(x.base);
}

/* Bytes of all outputs after a run, mixed. */
static uint64_t run_publicly(anf_model *m)
{
    uint64_t h = HASH_SEED;
    anf_run_state *rs;
    if (anf_run_state_new(m, &rs) != ANF_OK)
        return 0;
    for (int i = 0; i < anf_model_n_inputs(m); i++) {
        const anf_port *port = anf_model_input(m, i);
        fill(anf_input_view(rs, i), port->n_elements * anf_dtype_size(port->dtype));
    }
    if (anf_execute(rs) != ANF_OK)
        abort();
    for (int i = 0; i < anf_model_n_outputs(m); i++)
        h = hash_bytes(h, anf_output_view(rs, i), anf_model_output(m, i)->n_elements * 2);
    anf_run_state_free(rs);
    return h;
}

static anf_status ignore(void *user, const char *text, size_t n)
{
    (void)user;
    return text[n] ? ANF_E_INTERNAL : ANF_OK;
}

static void try_model(const void *data, size_t n)
{
    uint64_t want = 0;
    for (anf_ctx **ctx = contexts(); *ctx; ctx++) {
        anf_model *m;
        if (anf_model_load_memory(*ctx, data, n, &m) != ANF_OK) {
            if (m || !*anf_last_error() || ctx != contexts())
                abort();
            return;
        }
        if (!is_small(&m->program, m->ctx->kern)) {
            anf_model_free(m);
            return;
        }
        if (ctx == contexts() && anf_model_explain(m, ignore, NULL) != ANF_OK)
            abort();
        run_exactly(m);
        uint64_t got = run_publicly(m);
        if (ctx != contexts() && got != want)
            abort();
        want = got;
        anf_model_free(m);
    }
}

/* ---- the target ------------------------------------------------------------------------------ */
static void store(uint8_t *to, uint64_t v, size_t n)
{
    memcpy(to, &v, n);
}

static void repair(uint8_t *b, size_t n)
{
    struct contents_sum sum;
    uint64_t tables;
    memcpy(b, MODEL_MAGIC, MODEL_MAGIC_BYTES);
    store(b + 8, MODEL_VERSION, 4);
    store(b + 12, MODEL_BYTE_ORDER, 4);
    store(b + 16, n, 8);
    memcpy(&tables, b + 32, 8);
    store(b + 32, tables / MODEL_ALIGN * MODEL_ALIGN % (n - MODEL_HEADER_BYTES + MODEL_ALIGN), 8);
    contents_sum_init(&sum);
    contents_sum_put(&sum, b + MODEL_HEADER_BYTES, n - MODEL_HEADER_BYTES);
    store(b + 24, contents_sum_end(&sum), 8);
    store(b + MODEL_HEADER_SUM_AT, hash_bytes(HASH_SEED, b, MODEL_HEADER_SUM_AT), 8);
}

/* Half of the time a number in the tables gets a value that is likely to mean something: one
 * near it, a half, a double, or another number of the file. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t n, size_t max, unsigned seed)
{
    size_t bytes = seed & 2 ? 8 : 4, range = n < 4096 ? n : 4096;
    uint64_t v = 0, other = 0;
    if (seed & 1 || n < MODEL_HEADER_BYTES + 16)
        return LLVMFuzzerMutate ? LLVMFuzzerMutate(data, n, max) : n;
    seed >>= 2;
    for (unsigned times = 1 + seed % 3; times; times--) {
        seed = seed * 1664525u + 1013904223u;
        uint8_t *at = data + MODEL_HEADER_BYTES + (seed >> 8) % (range - MODEL_HEADER_BYTES - 8);
        memcpy(&v, at, bytes);
        seed = seed * 1664525u + 1013904223u;
        memcpy(&other, data + (seed >> 8) % (n - 8), bytes);
        const uint64_t values[8] = {v + 1,  v - 1,  v * 2, v / 2,
                                    v + 64, v - 64, other, other & 0xff};
        store(at, values[seed >> 29], bytes);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t whole = size_round_up(n, MODEL_ALIGN);
    void *copy = NULL;
    if (n == 0 || n > 1 << 16 || posix_memalign(&copy, MODEL_ALIGN, whole) != 0)
        return 0;
    memset(copy, 0, whole);
    memcpy(copy, data, n);
    try_model(copy, n);
    if (whole > MODEL_HEADER_BYTES) {
        repair(copy, whole);
        try_model(copy, whole);
    }
    free(copy);
    return 0;
}
