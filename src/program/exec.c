/* One function per instruction: parameters and addresses to a kernel job, tasks to the pool.
 *
 * No allocation and no failure while running: program_check has looked at every index and size,
 * and the run state has the scratch that exec_scratch asked for.  Splits never change a result, so
 * small instructions stay on the calling thread. */
#include "program/exec.h"

#include "kernels/block_attention.h"
#include "kernels/block_conv.h"
#include "kernels/block_pool.h"
#include "kernels/move.h"
#include "kernels/winograd.h"
#include "program/exec_table.h"
#include "program/pack.h"

#include <math.h>
#include <string.h>

/* Below this many multiply-adds or elements a fork and join costs more than it saves (about 1 us).
 * Row kernels go over a row at least twice. */
enum { SERIAL_FLOPS = 60000, SERIAL_ELEMENTS = 16384, SERIAL_ROW_ELEMENTS = SERIAL_ELEMENTS / 2 };

/* Behind the scratch of a thread: what it stores there in long strides would take lines from the
 * next thread's, as run.c tells where it lays out memory.  Nobody writes to the gap. */
enum { SCRATCH_GAP = 128 << 10 };

static const struct operand *operand(const struct exec *x, const struct instr *i, uint32_t k)
{
    return &x->p->operands[i->operand + k];
}

static void *at(const struct exec *x, const struct instr *i, uint32_t k)
{
    const struct operand *o = operand(x, i, k);
    return x->base[o->buf] + o->offset;
}

static size_t threads_for(const struct exec *x, uint64_t flops)
{
    return flops < SERIAL_FLOPS ? 1 : (size_t)pool_threads(x->pool);
}

static void run_tasks(struct exec *x, size_t n_threads, size_t n_tasks, task_fn *fn, void *arg)
{
    if (n_threads > 1 && n_tasks > 1) {
        pool_run(x->pool, n_tasks, fn, arg);
        return;
    }
    for (size_t t = 0; t < n_tasks; t++)
        fn(arg, t, 0);
}

/* Nothing where no instruction asked for any: 0 bytes past NULL is no address in C. */
static void *own_scratch(const struct exec *x, size_t thread)
{
    return x->own ? x->own + thread * x->own_bytes : NULL;
}

/* ---- elementwise ----------------------------------------------------------------------------- */
static void tile_setup(struct exec *x, const struct instr *i, struct tile_run *r)
{
    r->kern = x->kern;
    r->t = &x->p->tiles[i->tile - 1];
    r->dst = at(x, i, 0);
    for (uint32_t v = 0; v < r->t->n_operands; v++)
        r->base[v] = at(x, i, r->t->operands[v].slot);
    tile_prepare(r);
}

static void tile_epilogue(void *arg, size_t offset, size_t n)
{
    tile_run(arg, offset, n);
}

/* Of an epilogue: nothing but relu of what it is handed. */
static bool is_relu(const struct tile_run *r)
{
    const struct tile_prog *t = r->t;
    return t->n_operands == 1 && t->operands[0].slot == 0 && r->dense[0] && t->n_ops == 1 &&
           t->ops[0].uop == UOP_relu;
}

struct tile_call {
    struct tile_run r;
    size_t count, n_tasks;
};

static void tile_task(void *arg, size_t task, size_t thread)
{
    struct tile_call *c = arg;
    (void)thread;
    /* Shares are whole cache lines, so that threads do not write into one line. */
    size_t share = (c->count / c->n_tasks + 31) / 32 * 32, from = task * share;
    size_t to = task + 1 == c->n_tasks ? c->count : from + share;
    if (to > c->count)
        to = c->count;
    if (from < to)
        tile_run(&c->r, from, to - from);
}

void exec_tile(struct exec *x, const struct instr *i)
{
    struct tile_call c = {.count = 1, .n_tasks = 1};
    tile_setup(x, i, &c.r);
    for (uint32_t d = 0; d < c.r.t->rank; d++)
        c.count *= (size_t)c.r.t->dims[d];
    if (c.count * c.r.t->n_ops >= SERIAL_ELEMENTS)
        c.n_tasks = (size_t)pool_threads(x->pool);
    run_tasks(x, c.n_tasks, c.n_tasks, tile_task, &c);
}

/* ---- matrix products, convolutions, attention ------------------------------------------------ */
/* What a task of this number finds in the scratch of its thread. */
static size_t *kept_of(struct exec *x, uint64_t number, size_t thread)
{
    struct exec_kept *kept = &x->kept[thread];
    if (kept->job != number)
        *kept = (struct exec_kept){.job = number};
    return &kept->part;
}

struct gemm_call {
    struct exec *x;
    uint64_t number;
    struct gemm_job job;
    struct tile_run r;
};

static void gemm_worker(void *arg, size_t task, size_t thread)
{
    struct gemm_call *c = arg;
    gemm_task(c->x->kern, &c->job, task, own_scratch(c->x, thread),
              kept_of(c->x, c->number, thread));
}

static struct gemm_job gemm_job_of(const struct program *p, const struct instr *i)
{
    const struct gemm_param *g = PARAM(p, i, gemm_param);
    return (struct gemm_job){.batch = (size_t)g->batch, .m = (size_t)g->m, .n = (size_t)g->n,
                             .k = (size_t)g->k, .a_batch = (size_t)g->a_batch,
                             .a_row = (size_t)g->a_row, .b_batch = (size_t)g->b_batch,
                             .b_row = (size_t)g->b_row, .b_block = (size_t)g->b_row,
                             .b_kind = (enum gemm_b)g->b_kind,
                             .c_batch = (size_t)g->y_batch, .c_row = (size_t)g->y_row};
}

/* Whether the instruction before has left the rows of this one packed in the scratch of threads:
 * queries, keys and values are products of the same rows and of the same shape.  Its result must
 * lie apart from them; a program that was not planned here may do otherwise. */
static bool rows_are_packed(const struct exec *x, const struct instr *i)
{
    const struct program *p = x->p;
    const struct instr *before = i - 1;
    if (i == p->instrs || before->op != i->op || before->flops != i->flops)
        return false;
    const struct operand *a = operand(x, i, 1), *b = operand(x, before, 1);
    const struct operand *y = operand(x, before, 0);
    const char *rows = x->base[a->buf], *result = x->base[y->buf];
    const bool apart = rows + p->buffers[a->buf].n_bytes <= result ||
                       result + p->buffers[y->buf].n_bytes <= rows;
    return apart && a->buf == b->buf && a->offset == b->offset &&
           memcmp(PARAM(p, i, gemm_param), PARAM(p, before, gemm_param),
                  sizeof(struct gemm_param)) == 0;
}

void exec_gemm(struct exec *x, const struct instr *i)
{
    const struct gemm_param *g = PARAM(x->p, i, gemm_param);
    x->n_jobs += !rows_are_packed(x, i);
    struct gemm_call c = {.x = x, .number = x->n_jobs, .job = gemm_job_of(x->p, i)};
    c.job.a = at(x, i, 1);
    c.job.b = at(x, i, 2);
    const bool encoded = gemm_b_encoding(c.job.b_kind) != WEIGHT_F16;
    c.job.b_side = encoded ? at(x, i, 3) : NULL;
    c.job.bias = g->has_bias ? at(x, i, encoded ? 4 : 3) : NULL;
    c.job.c = at(x, i, 0);
    c.job.n_threads = threads_for(x, i->flops);
    if (i->tile) {
        tile_setup(x, i, &c.r);
        c.job.epilogue = tile_epilogue;
        c.job.epilogue_arg = &c.r;
    }
    run_tasks(x, c.job.n_threads, gemm_tasks(x->kern, &c.job), gemm_worker, &c);
}

struct scratch_bytes scratch_gemm(const struct program *p, const struct instr *i,
                                  const struct kern *k, size_t n_threads)
{
    struct gemm_job job = gemm_job_of(p, i);
    job.n_threads = n_threads;
    return (struct scratch_bytes){.own = gemm_thread_bytes(k, &job)};
}

struct conv_call {
    struct exec *x;
    uint64_t number;
    struct conv_job job;
    size_t phase;
    struct tile_run r;
};

static void conv_worker(void *arg, size_t task, size_t thread)
{
    struct conv_call *c = arg;
    conv_task(c->x->kern, &c->job, c->phase, task, c->x->shared, own_scratch(c->x, thread),
              kept_of(c->x, c->number, thread));
}

static struct conv_job conv_job_of(const struct program *p, const struct instr *i)
{
    const struct conv_param *c = PARAM(p, i, conv_param);
    struct conv_job job = {
        .images = (size_t)c->images, .groups = (size_t)c->groups, .cout = (size_t)c->cout,
        .geom = {.cin = (size_t)c->cin, .in_h = (size_t)c->in_h, .in_w = (size_t)c->in_w,
                 .out_h = (size_t)c->out_h, .out_w = (size_t)c->out_w, .kh = (size_t)c->kh,
                 .kw = (size_t)c->kw, .stride_h = (size_t)c->stride_h,
                 .stride_w = (size_t)c->stride_w, .dil_h = (size_t)c->dil_h,
                 .dil_w = (size_t)c->dil_w, .pad_h = (ptrdiff_t)c->pad_h,
                 .pad_w = (ptrdiff_t)c->pad_w},
        .up = (size_t)c->up};
    job.winograd = job.up == 1 && winograd_chosen(&job.geom, job.groups, job.cout);
    return job;
}

void exec_conv(struct exec *x, const struct instr *i)
{
    struct conv_call c = {.x = x, .number = ++x->n_jobs, .job = conv_job_of(x->p, i)};
    c.job.x = at(x, i, 1);
    c.job.weights = at(x, i, 2);
    c.job.bias = PARAM(x->p, i, conv_param)->has_bias ? at(x, i, 3) : NULL;
    c.job.y = at(x, i, 0);
    c.job.n_threads = threads_for(x, i->flops);
    if (i->tile) {
        tile_setup(x, i, &c.r);
        c.job.epilogue = tile_epilogue;
        c.job.epilogue_arg = &c.r;
        c.job.relu = is_relu(&c.r);
    }
    for (; c.phase < CONV_PHASES; c.phase++)
        run_tasks(x, c.job.n_threads, conv_tasks(x->kern, &c.job, c.phase), conv_worker, &c);
}

struct scratch_bytes scratch_conv(const struct program *p, const struct instr *i,
                                  const struct kern *k, size_t n_threads)
{
    struct conv_job job = conv_job_of(p, i);
    job.n_threads = n_threads;
    return (struct scratch_bytes){.shared = conv_shared_bytes(k, &job),
                                  .own = conv_thread_bytes(k, &job)};
}

struct attention_call {
    struct exec *x;
    struct attention_job job;
};

static void attention_worker(void *arg, size_t task, size_t thread)
{
    struct attention_call *c = arg;
    attention_task(c->x->kern, &c->job, task, own_scratch(c->x, thread));
}

static struct attention_job attention_job_of(const struct program *p, const struct instr *i)
{
    const struct attention_param *a = PARAM(p, i, attention_param);
    return (struct attention_job){
        .heads = (size_t)a->heads, .sq = (size_t)a->sq, .skv = (size_t)a->skv, .d = (size_t)a->d,
        .dv = (size_t)a->dv, .q_head = (size_t)a->q_head, .q_row = (size_t)a->q_row,
        .k_head = (size_t)a->k_head, .k_row = (size_t)a->k_row, .v_head = (size_t)a->v_head,
        .v_row = (size_t)a->v_row, .out_head = (size_t)a->y_head, .out_row = (size_t)a->y_row,
        .has_scale = a->has_scale != 0, .scale = (f16)a->scale_f16,
        .mask_head = (size_t)a->mask_head, .mask_row = (size_t)a->mask_row};
}

void exec_attention(struct exec *x, const struct instr *i)
{
    struct attention_call c = {.x = x, .job = attention_job_of(x->p, i)};
    c.job.q = at(x, i, 1);
    c.job.k = at(x, i, 2);
    c.job.v = at(x, i, 3);
    c.job.mask = PARAM(x->p, i, attention_param)->has_mask ? at(x, i, 4) : NULL;
    c.job.out = at(x, i, 0);
    c.job.n_threads = threads_for(x, i->flops);
    run_tasks(x, c.job.n_threads, attention_tasks(x->kern, &c.job), attention_worker, &c);
}

struct scratch_bytes scratch_attention(const struct program *p, const struct instr *i,
                                       const struct kern *k, size_t n_threads)
{
    struct attention_job job = attention_job_of(p, i);
    job.n_threads = n_threads;
    return (struct scratch_bytes){.own = attention_thread_bytes(k, &job)};
}

/* ---- rows ------------------------------------------------------------------------------------ */
struct row_call {
    struct exec *x;
    const struct instr *i;
    size_t rows, n, n_tasks;
};

static void row_range(const struct row_call *c, size_t task, size_t *from, size_t *count)
{
    *from = c->rows * task / c->n_tasks;
    *count = c->rows * (task + 1) / c->n_tasks - *from;
}

static void run_rows(struct exec *x, const struct instr *i, size_t rows, size_t n, task_fn *fn)
{
    struct row_call c = {x, i, rows, n, 1};
    if (rows * n >= SERIAL_ROW_ELEMENTS)
        c.n_tasks = block_least(rows, (size_t)pool_threads(x->pool));
    run_tasks(x, c.n_tasks, c.n_tasks, fn, &c);
}

/* Of rows whose elements are `ld` apart, neighbouring ones: columns of one matrix. */
struct column_run {
    size_t first, cols; /* of all rows */
    size_t at, ld;      /* where the first one begins */
};

/* The next of `count` rows from `from` on, of n elements, which lie in matrices [n][inner]. */
static bool next_columns(struct column_run *r, size_t n, int64_t inner, size_t *from, size_t *count)
{
    const size_t ld = (size_t)inner, column = *from % ld;
    *r = (struct column_run){*from, block_least(ld - column, *count),
                             (*from - column) * n + column, ld};
    *from += r->cols;
    *count -= r->cols;
    return r->cols > 0;
}

static void reduce_task(void *arg, size_t task, size_t thread)
{
    const struct row_call *c = arg;
    size_t from, count;
    (void)thread;
    const struct {
        reduce_fn *rows;
        reduce_columns_fn *columns;
    } table[REDUCE_KIND_COUNT] = {
#define X(id, what) {c->x->kern->reduce_##what, c->x->kern->columns_##what},
        REDUCE_KINDS(X)
#undef X
    };
    const struct reduce_param *r = PARAM(c->x->p, c->i, reduce_param);
    const f16 *x = at(c->x, c->i, 1);
    f16 *y = at(c->x, c->i, 0);
    row_range(c, task, &from, &count);
    if (r->inner == 1)
        table[r->kind].rows(x + from * c->n, count, c->n, y + from);
    for (struct column_run k; r->inner > 1 && next_columns(&k, c->n, r->inner, &from, &count);)
        table[r->kind].columns(x + k.at, k.ld, c->n, k.cols, y + k.first);
}

void exec_reduce(struct exec *x, const struct instr *i)
{
    const struct reduce_param *r = PARAM(x->p, i, reduce_param);
    run_rows(x, i, (size_t)r->rows, (size_t)r->n, reduce_task);
}

static void softmax_task(void *arg, size_t task, size_t thread)
{
    const struct row_call *c = arg;
    size_t from, count;
    const int64_t inner = PARAM(c->x->p, c->i, softmax_param)->inner;
    const struct kern *kern = c->x->kern;
    const f16 *x = at(c->x, c->i, 1);
    f16 *y = at(c->x, c->i, 0);
    float *scratch = own_scratch(c->x, thread);
    row_range(c, task, &from, &count);
    if (inner == 1)
        kern->softmax(x + from * c->n, y + from * c->n, count, c->n, scratch);
    for (struct column_run k; inner > 1 && next_columns(&k, c->n, inner, &from, &count);)
        kern->softmax_columns(x + k.at, y + k.at, k.ld, c->n, k.cols, scratch);
}

void exec_softmax(struct exec *x, const struct instr *i)
{
    const struct softmax_param *s = PARAM(x->p, i, softmax_param);
    run_rows(x, i, (size_t)s->rows, (size_t)s->n, softmax_task);
}

struct scratch_bytes scratch_softmax(const struct program *p, const struct instr *i,
                                     const struct kern *k, size_t n_threads)
{
    (void)k;
    (void)n_threads;
    const struct softmax_param *s = PARAM(p, i, softmax_param);
    const size_t n = (size_t)s->n;
    return (struct scratch_bytes){
        .own = (s->inner == 1 ? softmax_floats(n) : softmax_columns_floats(n)) * sizeof(float)};
}

static float f32_of_bits(int64_t bits)
{
    uint32_t u = (uint32_t)bits;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static void norm_task(void *arg, size_t task, size_t thread)
{
    const struct row_call *c = arg;
    const struct norm_param *p = PARAM(c->x->p, c->i, norm_param);
    size_t from, count;
    (void)thread;
    norm_fn *const table[NORM_KIND_COUNT] = {
#define X(id, slot) c->x->kern->slot,
        NORM_KINDS(X)
#undef X
    };
    struct norm_args a = {.run = (size_t)p->run, .per_row = (size_t)p->per_row,
                          .row_period = (size_t)p->row_period, .eps = f32_of_bits(p->eps_f32)};
    if (p->has_gamma)
        a.gamma = at(c->x, c->i, 2);
    if (p->has_beta)
        a.beta = at(c->x, c->i, 3);
    row_range(c, task, &from, &count);
    a.first_row = from;
    table[p->kind]((const f16 *)at(c->x, c->i, 1) + from * c->n,
                   (f16 *)at(c->x, c->i, 0) + from * c->n, count, c->n, &a);
}

void exec_norm(struct exec *x, const struct instr *i)
{
    const struct norm_param *p = PARAM(x->p, i, norm_param);
    run_rows(x, i, (size_t)p->rows, (size_t)p->n, norm_task);
}

static void affine_task(void *arg, size_t task, size_t thread)
{
    const struct row_call *c = arg;
    const struct affine_param *p = PARAM(c->x->p, c->i, affine_param);
    const f16 *x = at(c->x, c->i, 1), *gamma = at(c->x, c->i, 2), *beta = at(c->x, c->i, 3);
    const f16 *mean = at(c->x, c->i, 4), *var = at(c->x, c->i, 5);
    f16 *y = at(c->x, c->i, 0);
    float v[4], eps = f32_of_bits(p->eps_f32);
    size_t from, count;
    (void)thread;
    row_range(c, task, &from, &count);
    for (size_t r = from; r < from + count; r++) {
        size_t ch = r % (size_t)p->channels;
        f16 four[4] = {gamma[ch], beta[ch], mean[ch], var[ch]};
        c->x->kern->f32_from_f16(four, v, 4);
        float scale = v[0] * (1.0f / sqrtf(v[3] + eps));
        c->x->kern->channel_affine(x + r * c->n, y + r * c->n, c->n, v[2], scale, v[1]);
    }
}

void exec_affine(struct exec *x, const struct instr *i)
{
    const struct affine_param *p = PARAM(x->p, i, affine_param);
    run_rows(x, i, (size_t)(p->images * p->channels), (size_t)p->run, affine_task);
}

/* ---- pools ----------------------------------------------------------------------------------- */
struct pool_call {
    struct exec *x;
    struct pool_job job;
};

static void pool_worker(void *arg, size_t task, size_t thread)
{
    struct pool_call *c = arg;
    pool_task(c->x->kern, &c->job, task, own_scratch(c->x, thread));
}

static struct pool_job pool_job_of(const struct program *p, const struct instr *i)
{
    const struct pool_param *q = PARAM(p, i, pool_param);
    const size_t k = (size_t)q->k, stride = (size_t)q->stride;
    const ptrdiff_t pad = (ptrdiff_t)q->pad;
    return (struct pool_job){
        .planes = (size_t)q->planes, .mean = q->kind == POOL_AVG, .n_threads = 1,
        .geom = {.cin = 1, .in_h = (size_t)q->in_h, .in_w = (size_t)q->in_w,
                 .out_h = (size_t)q->out_h, .out_w = (size_t)q->out_w, .kh = k, .kw = k,
                 .stride_h = stride, .stride_w = stride, .dil_h = 1, .dil_w = 1, .pad_h = pad,
                 .pad_w = pad}};
}

void exec_pool(struct exec *x, const struct instr *i)
{
    struct pool_call c = {.x = x, .job = pool_job_of(x->p, i)};
    c.job.x = at(x, i, 1);
    c.job.y = at(x, i, 0);
    if (pool_work(&c.job) >= SERIAL_ROW_ELEMENTS)
        c.job.n_threads = (size_t)pool_threads(x->pool);
    run_tasks(x, c.job.n_threads, pool_tasks(x->kern, &c.job), pool_worker, &c);
}

struct scratch_bytes scratch_pool(const struct program *p, const struct instr *i,
                                  const struct kern *k, size_t n_threads)
{
    struct pool_job job = pool_job_of(p, i);
    job.n_threads = n_threads;
    return (struct scratch_bytes){.own = pool_thread_bytes(k, &job)};
}

/* ---- moves ----------------------------------------------------------------------------------- */
struct move_call {
    struct exec *x;
    const struct instr *i;
    struct move_geom g;
    size_t n_tasks;
};

static void move_worker(void *arg, size_t task, size_t thread)
{
    struct move_call *c = arg;
    (void)thread;
    move_task(c->x->kern, &c->g, at(c->x, c->i, 1), at(c->x, c->i, 0), task, c->n_tasks);
}

void exec_move(struct exec *x, const struct instr *i)
{
    const struct move_param *p = PARAM(x->p, i, move_param);
    struct move_call c = {.x = x, .i = i, .g = {.rank = (int)p->rank}};
    size_t count = 1;
    for (int d = 0; d < c.g.rank; d++) {
        c.g.dims[d] = (size_t)p->dims[d];
        c.g.src_stride[d] = (ptrdiff_t)p->src[d];
        c.g.dst_stride[d] = (ptrdiff_t)p->dst[d];
        count *= c.g.dims[d];
    }
    size_t n_threads = count < SERIAL_ELEMENTS ? 1 : (size_t)pool_threads(x->pool);
    move_prepare(&c.g);
    c.n_tasks = move_tasks(&c.g, n_threads);
    run_tasks(x, n_threads, c.n_tasks, move_worker, &c);
}

void exec_pack(struct exec *x, const struct instr *i)
{
    pack_run(PARAM(x->p, i, pack_param), at(x, i, 1), at(x, i, 0));
}

/* ---- the loop -------------------------------------------------------------------------------- */
struct scratch_bytes exec_scratch(const struct program *p, const struct kern *kern,
                                  size_t n_threads)
{
    struct scratch_bytes most = {0};
    for (size_t i = 0; i < p->n_instrs; i++) {
        scratch_fn *const scratch = instr_info[p->instrs[i].op].scratch;
        for (int alone = 0; scratch && alone < 2; alone++) { /* as threads_for decides */
            const struct scratch_bytes n = scratch(p, &p->instrs[i], kern, alone ? 1 : n_threads);
            most.shared = n.shared > most.shared ? n.shared : most.shared;
            most.own = n.own > most.own ? n.own : most.own;
        }
    }
    most.shared = size_round_up(most.shared, ANF_CACHE_LINE);
    most.own = size_round_up(most.own, 4096);
    most.own += most.own && n_threads > 1 ? SCRATCH_GAP : 0;
    return most;
}

void exec_run(struct exec *x, exec_hook *hook, void *user)
{
    for (size_t i = 0; i < x->p->n_instrs; i++) {
        const struct instr *in = &x->p->instrs[i];
        if (hook)
            hook(user, i, false);
        instr_info[in->op].run(x, in);
        if (hook)
            hook(user, i, true);
    }
}
