/* Running: the memory of one execution, conversions at the ports, profiling.
 *
 * A run state owns one slab: the scratch of the largest instruction, a block per port and the
 * arena, in one piece because what is large has large pages, which are touched for the first
 * time in a tenth of the time.  Nothing is allocated after it exists (profiling allocates when
 * switched on).  Shared ports exchange their blocks after each execution. */
#include "model.h"

#include "base/fp16.h"
#include "runtime/clock.h"
#include "runtime/fpenv.h"

#include <inttypes.h>
#include <string.h>

enum { SLAB_ALIGN = 4096, ZERO_BYTES = 1 << 20 };

struct instr_time {
    uint64_t calls, total_ns, min_ns;
    uint64_t start_ns, end_ns; /* of the last call */
};

struct anf_run_state {
    anf_model *model;
    struct exec x;
    char *slab;
    char *arena;
    char **ports;      /* inputs, then outputs */
    int32_t *shared_with; /* by input: the output that feeds it, or -1 */
    size_t slab_bytes, shared_bytes, own_bytes;
    bool profiling;
    uint64_t epoch_ns;
    struct instr_time *times;
    char *texts;       /* of the instructions, for anf_profile_get; NUL-separated */
    size_t n_texts;
    uint32_t *text_at;
};

static size_t n_ports(const struct program *p)
{
    return p->n_inputs + p->n_outputs;
}

static const struct port *port_at(const struct program *p, size_t k)
{
    return k < p->n_inputs ? &p->inputs[k] : &p->outputs[k - p->n_inputs];
}

static size_t port_bytes(const struct program *p, size_t k)
{
    return size_round_up(p->buffers[port_at(p, k)->buf].n_bytes, ANF_CACHE_LINE);
}

static void bind_ports(struct anf_run_state *rs)
{
    const struct program *p = rs->x.p;
    for (size_t k = 0; k < n_ports(p); k++)
        rs->x.base[port_at(p, k)->buf] = rs->ports[k];
}

/* Constants are only ever read; base addresses are one table of writable pointers. */
static char *const_base(const void *data)
{
    union {
        const void *in;
        char *out;
    } p = {data};
    return p.out;
}

/* The next part of the slab; a size that no memory can have stays one. */
static char *add_part(char *slab, size_t *end, size_t n_bytes, size_t align)
{
    const size_t most = SIZE_MAX / 2 / SLAB_ALIGN * SLAB_ALIGN, at = size_round_up(*end, align);
    *end = n_bytes > most - at ? most : at + n_bytes;
    return slab && n_bytes ? slab + at : NULL;
}

static size_t kept_bytes(const struct anf_run_state *rs)
{
    return (size_t)pool_threads(rs->x.pool) * sizeof *rs->x.kept;
}

/* Its size; without memory nothing else is found out.  From `zeroed` on it is what a run may read
 * before it has written it: a loaded program shall find zeros there, not the host's memory.
 * Scratch comes first: with the first thread's scratch less than 150 KB behind results that another
 * thread stores, each row as far from the next as planes are, stores to it were up to four times
 * slower on AMD Zen 4, as if lines were fetched for writing past the end of the results. */
static size_t lay_out(struct anf_run_state *rs, char *slab, size_t *zeroed)
{
    const struct program *p = rs->x.p;
    size_t end = 0;
    rs->x.own = add_part(slab, &end, rs->own_bytes, SLAB_ALIGN);
    rs->x.shared = add_part(slab, &end, rs->shared_bytes, SLAB_ALIGN);
    *zeroed = end;
    for (size_t k = 0; k < n_ports(p); k++)
        rs->ports[k] = add_part(slab, &end, port_bytes(p, k), ANF_CACHE_LINE);
    rs->x.kept = (void *)add_part(slab, &end, kept_bytes(rs), ANF_CACHE_LINE);
    rs->arena = add_part(slab, &end, p->arena_bytes, SLAB_ALIGN);
    return end;
}

/* New memory is touched here for the first time, which costs more than the zeros: a task each. */
struct zeros {
    char *at;
    size_t n_bytes;
};

static void zero_task(void *arg, size_t task, size_t thread)
{
    const struct zeros *z = arg;
    const size_t from = task * ZERO_BYTES, left = z->n_bytes - from;
    (void)thread;
    memset(z->at + from, 0, left < ZERO_BYTES ? left : ZERO_BYTES);
}

static anf_status allocate(struct anf_run_state *rs)
{
    const anf_allocator *a = &rs->model->ctx->allocator;
    const struct program *p = rs->x.p;
    int threads = pool_threads(rs->x.pool);
    size_t own, zeroed;
    const struct scratch_bytes scratch = exec_scratch(p, rs->x.kern, (size_t)threads);
    rs->shared_bytes = scratch.shared;
    rs->x.own_bytes = scratch.own;
    if (!size_mul(rs->x.own_bytes, (size_t)threads, &own))
        FAIL(NOMEM, "out of memory: scratch of %d threads overflows", threads);
    rs->own_bytes = own;
    rs->x.base = mem_calloc(a, p->n_buffers, sizeof *rs->x.base);
    rs->ports = mem_calloc(a, n_ports(p), sizeof *rs->ports);
    rs->shared_with = mem_calloc(a, p->n_inputs + 1, sizeof *rs->shared_with);
    if (!rs->x.base || !rs->ports || !rs->shared_with)
        return ANF_E_NOMEM;
    for (size_t k = 0; k < p->n_inputs; k++)
        rs->shared_with[k] = -1;
    rs->slab_bytes = lay_out(rs, NULL, &zeroed);
    rs->slab = mem_alloc(a, rs->slab_bytes, SLAB_ALIGN);
    if (!rs->slab)
        return ANF_E_NOMEM;
    struct zeros zeros = {rs->slab + zeroed, rs->slab_bytes - zeroed};
    pool_run(rs->x.pool, zeros.n_bytes / ZERO_BYTES + 1, zero_task, &zeros);
    lay_out(rs, rs->slab, &zeroed);
    for (size_t b = 1; b < p->n_buffers; b++) {
        const struct buffer *buf = &p->buffers[b];
        if (buf->kind == BUF_CONST)
            rs->x.base[b] = const_base(buf->data);
        else if (buf->kind == BUF_ARENA && rs->arena)
            rs->x.base[b] = rs->arena + (buf->first == UINT32_MAX ? 0 : buf->offset);
    }
    bind_ports(rs);
    return ANF_OK;
}

static void free_profile(struct anf_run_state *rs)
{
    const anf_allocator *a = &rs->model->ctx->allocator;
    size_t n = rs->x.p->n_instrs;
    mem_free(a, rs->times, n * sizeof *rs->times);
    mem_free(a, rs->text_at, n * sizeof *rs->text_at);
    mem_free(a, rs->texts, rs->n_texts);
    rs->times = NULL;
    rs->text_at = NULL;
    rs->texts = NULL;
    rs->profiling = false;
}

void anf_run_state_free(anf_run_state *rs)
{
    if (!rs)
        return;
    const anf_allocator *a = &rs->model->ctx->allocator;
    const struct program *p = rs->x.p;
    free_profile(rs);
    mem_free(a, rs->x.base, p->n_buffers * sizeof *rs->x.base);
    mem_free(a, rs->ports, n_ports(p) * sizeof *rs->ports);
    mem_free(a, rs->shared_with, (p->n_inputs + 1) * sizeof *rs->shared_with);
    mem_free(a, rs->slab, rs->slab_bytes);
    mem_free(a, rs, sizeof *rs);
}

anf_status anf_run_state_new(anf_model *m, anf_run_state **out)
{
    if (!out)
        FAIL(ARG, "anf_run_state_new: out is NULL");
    *out = NULL;
    if (!m)
        FAIL(ARG, "anf_run_state_new: model is NULL");
    anf_run_state *rs = mem_calloc(&m->ctx->allocator, 1, sizeof *rs);
    if (!rs)
        return ANF_E_NOMEM;
    rs->model = m;
    rs->x.p = &m->program;
    rs->x.kern = m->ctx->kern;
    rs->x.pool = m->ctx->pool;
    anf_status st = allocate(rs);
    if (st != ANF_OK) {
        anf_run_state_free(rs);
        return st;
    }
    *out = rs;
    return ANF_OK;
}

void anf_model_free(anf_model *m)
{
    if (!m)
        return;
    const anf_allocator *a = &m->ctx->allocator;
    for (int i = 0; i < IDLE_STATES; i++)
        anf_run_state_free(atomic_load(&m->idle[i]));
    program_free(&m->program);
    os_unmap(&m->file);
    mem_free(a, m, sizeof *m);
}

void *anf_input_view(anf_run_state *rs, int i)
{
    return rs && i >= 0 && (size_t)i < rs->x.p->n_inputs ? rs->ports[i] : NULL;
}

const void *anf_output_view(anf_run_state *rs, int i)
{
    return rs && i >= 0 && (size_t)i < rs->x.p->n_outputs ? rs->ports[rs->x.p->n_inputs + (size_t)i]
                                                          : NULL;
}

size_t anf_run_state_bytes(const anf_run_state *rs)
{
    size_t n = 0;
    if (!rs)
        return 0;
    for (size_t k = 0; k < n_ports(rs->x.p); k++)
        n += port_bytes(rs->x.p, k);
    return n + kept_bytes(rs) + rs->x.p->arena_bytes + rs->shared_bytes + rs->own_bytes;
}

anf_status anf_share_buffer(anf_run_state *rs, int output, int input)
{
    if (!rs)
        FAIL(ARG, "anf_share_buffer: run state is NULL");
    const struct program *p = rs->x.p;
    if (output < 0 || (size_t)output >= p->n_outputs || input < 0 || (size_t)input >= p->n_inputs)
        FAIL(ARG, "anf_share_buffer: output %d of %zu, input %d of %zu", output, p->n_outputs,
             input, p->n_inputs);
    const anf_port *o = &p->outputs[output].info, *i = &p->inputs[input].info;
    if (o->dtype != i->dtype || !dims_equal(&o->shape, &i->shape))
        FAIL(SHAPE, "anf_share_buffer: output '%s' is %s %s, input '%s' is %s %s", o->name,
             dtype_info[o->dtype].name, dims_text(&o->shape), i->name, dtype_info[i->dtype].name,
             dims_text(&i->shape));
    if (rs->shared_with[input] >= 0)
        FAIL(STATE, "anf_share_buffer: input '%s' is shared with output '%s' already", i->name,
             p->outputs[rs->shared_with[input]].info.name);
    for (size_t k = 0; k < p->n_inputs; k++)
        if (rs->shared_with[k] == output)
            FAIL(STATE, "anf_share_buffer: output '%s' is shared with input '%s' already", o->name,
                 p->inputs[k].info.name);
    rs->shared_with[input] = output;
    return ANF_OK;
}

static void profile_hook(void *user, size_t instr, bool done)
{
    anf_run_state *rs = user;
    struct instr_time *t = &rs->times[instr];
    uint64_t now = clock_ns();
    if (!done) {
        t->start_ns = now;
        return;
    }
    t->end_ns = now;
    now -= t->start_ns;
    t->total_ns += now;
    if (t->calls == 0 || now < t->min_ns)
        t->min_ns = now;
    t->calls++;
}

anf_status anf_execute(anf_run_state *rs)
{
    if (!rs)
        FAIL(ARG, "anf_execute: run state is NULL");
    const struct program *p = rs->x.p;
    struct fpenv saved;
    fpenv_enter(&saved);
    if (rs->profiling)
        rs->epoch_ns = clock_ns();
    exec_run(&rs->x, rs->profiling ? profile_hook : NULL, rs);
    fpenv_leave(&saved);
    bool swapped = false;
    for (size_t k = 0; k < p->n_inputs; k++)
        if (rs->shared_with[k] >= 0) {
            size_t o = p->n_inputs + (size_t)rs->shared_with[k];
            char *t = rs->ports[k];
            rs->ports[k] = rs->ports[o];
            rs->ports[o] = t;
            swapped = true;
        }
    if (swapped)
        bind_ports(rs);
    return ANF_OK;
}

static anf_status check_array(const char *what, const anf_port *port, const anf_array *a)
{
    if (!dims_equal(&a->shape, &port->shape))
        FAIL(SHAPE, "run: %s '%s' has shape %s, given %s", what, port->name,
             dims_text(&port->shape), dims_text(&a->shape));
    if (!a->data)
        FAIL(ARG, "run: %s '%s' has no data", what, port->name);
    return ANF_OK;
}

static anf_status check_input(const anf_port *port, const anf_array *a)
{
    TRY(check_array("input", port, a));
    if (port->dtype == ANF_U8) {
        if (a->dtype != ANF_U8)
            FAIL(DTYPE, "run: input '%s' takes uint8, given %s", port->name,
                 anf_dtype_name(a->dtype));
    } else if (a->dtype != ANF_F16 && a->dtype != ANF_F32 && a->dtype != ANF_F64) {
        FAIL(DTYPE, "run: input '%s' takes float16, float32 or float64, given %s", port->name,
             anf_dtype_name(a->dtype));
    }
    return ANF_OK;
}

static anf_status check_output(const anf_port *port, const anf_array *a)
{
    TRY(check_array("output", port, a));
    if (a->dtype != ANF_F32 && a->dtype != ANF_F16)
        FAIL(DTYPE, "run: output '%s' is given as float32 or float16, not %s", port->name,
             anf_dtype_name(a->dtype));
    return ANF_OK;
}

static void put_input(const anf_run_state *rs, size_t i, const anf_array *a)
{
    const size_t n = rs->x.p->inputs[i].info.n_elements;
    f16 *y = (f16 *)(void *)rs->ports[i];
    if (a->dtype == ANF_F32) {
        rs->x.kern->f16_from_f32(a->data, y, n);
    } else if (a->dtype == ANF_F64) {
        const double *x = a->data;
        for (size_t k = 0; k < n; k++)
            y[k] = f64_to_f16(x[k]);
    } else { /* the port's own */
        memcpy(y, a->data, n * dtype_info[a->dtype].n_bytes);
    }
}

static void get_output(const anf_run_state *rs, size_t i, const anf_array *a)
{
    const size_t n = rs->x.p->outputs[i].info.n_elements;
    /* After an exchange the result lies in the input's block. */
    const char *from = rs->ports[rs->x.p->n_inputs + i];
    for (size_t k = 0; k < rs->x.p->n_inputs; k++)
        if (rs->shared_with[k] == (int32_t)i)
            from = rs->ports[k];
    const f16 *x = (const f16 *)(const void *)from;
    if (a->dtype == ANF_F32)
        rs->x.kern->f32_from_f16(x, a->data, n);
    else
        memcpy(a->data, x, n * sizeof *x);
}

static anf_status run_arrays(anf_run_state *rs, const anf_array *inputs, const anf_array *outputs)
{
    const struct program *p = rs->x.p;
    /* Everything is checked before anything is written. */
    for (size_t i = 0; i < p->n_outputs; i++)
        TRY(check_output(&p->outputs[i].info, &outputs[i]));
    for (size_t i = 0; i < p->n_inputs; i++)
        TRY(check_input(&p->inputs[i].info, &inputs[i]));
    for (size_t i = 0; i < p->n_inputs; i++)
        put_input(rs, i, &inputs[i]);
    TRY(anf_execute(rs));
    for (size_t i = 0; i < p->n_outputs; i++)
        get_output(rs, i, &outputs[i]);
    return ANF_OK;
}

anf_status anf_run_state_run(anf_run_state *rs, const anf_array *inputs, const anf_array *outputs)
{
    struct fpenv saved;
    if (!rs || !inputs || !outputs)
        FAIL(ARG, "run: run state, inputs or outputs is NULL");
    fpenv_enter(&saved); /* the conversions at the ports are part of the result */
    anf_status st = run_arrays(rs, inputs, outputs);
    fpenv_leave(&saved);
    return st;
}

static anf_run_state *take_idle(anf_model *m)
{
    anf_run_state *rs = NULL;
    for (int i = 0; i < IDLE_STATES && !rs; i++)
        if (atomic_load_explicit(&m->idle[i], memory_order_relaxed))
            rs = atomic_exchange_explicit(&m->idle[i], NULL, memory_order_acquire);
    return rs;
}

static void put_idle(anf_model *m, anf_run_state *rs)
{
    for (int i = 0; i < IDLE_STATES; i++) {
        anf_run_state *none = NULL;
        if (atomic_compare_exchange_strong_explicit(&m->idle[i], &none, rs, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    anf_run_state_free(rs);
}

anf_status anf_run(anf_model *m, const anf_array *inputs, const anf_array *outputs)
{
    if (!m)
        FAIL(ARG, "anf_run: model is NULL");
    anf_run_state *rs = take_idle(m);
    if (!rs)
        TRY(anf_run_state_new(m, &rs));
    anf_status st = anf_run_state_run(rs, inputs, outputs);
    put_idle(m, rs);
    return st;
}

/* ---- profiling ------------------------------------------------------------------------------- */
static anf_status profile_start(anf_run_state *rs)
{
    const anf_allocator *a = &rs->model->ctx->allocator;
    const struct program *p = rs->x.p;
    struct buf text;
    buf_init(&text, a);
    rs->times = mem_calloc(a, p->n_instrs, sizeof *rs->times);
    rs->text_at = mem_calloc(a, p->n_instrs, sizeof *rs->text_at);
    if (!rs->times || !rs->text_at)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < p->n_instrs; i++) {
        rs->text_at[i] = (uint32_t)text.len;
        struct buf line;
        buf_init(&line, a);
        explain_instr(p, &p->instrs[i], &line);
        if (line.failed)
            text.failed = true;
        else
            buf_put(&text, line.data, line.len + 1);
        buf_free(&line);
    }
    if (text.failed) {
        buf_free(&text);
        return ANF_E_NOMEM;
    }
    rs->texts = text.data; /* ownership moves here, freed with its capacity */
    rs->n_texts = text.cap;
    rs->profiling = true;
    return ANF_OK;
}

anf_status anf_profile(anf_run_state *rs, bool on)
{
    if (!rs)
        FAIL(ARG, "anf_profile: run state is NULL");
    free_profile(rs);
    if (!on)
        return ANF_OK;
    anf_status st = profile_start(rs);
    if (st != ANF_OK)
        free_profile(rs);
    return st;
}

int anf_profile_count(const anf_run_state *rs)
{
    return rs && rs->profiling ? (int)rs->x.p->n_instrs : 0;
}

anf_status anf_profile_get(const anf_run_state *rs, int i, anf_timing *out)
{
    if (!rs || !out)
        FAIL(ARG, "anf_profile_get: run state or out is NULL");
    if (i < 0 || i >= anf_profile_count(rs))
        FAIL(ARG, "anf_profile_get: instruction %d of %d", i, anf_profile_count(rs));
    const struct instr_time *t = &rs->times[i];
    const struct instr *in = &rs->x.p->instrs[i];
    *out = (anf_timing){rs->texts + rs->text_at[i], t->calls, t->total_ns, t->min_ns, in->flops,
                        in->bytes};
    return ANF_OK;
}

anf_status anf_profile_trace(const anf_run_state *rs, anf_sink sink, void *user)
{
    if (!rs || !sink)
        FAIL(ARG, "anf_profile_trace: run state or sink is NULL");
    if (!rs->profiling)
        FAIL(STATE, "anf_profile_trace: profiling is off (anf_profile)");
    const struct program *p = rs->x.p;
    struct buf b;
    buf_init(&b, &rs->model->ctx->allocator);
    buf_str(&b, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n");
    for (size_t i = 0; i < p->n_instrs; i++) {
        const struct instr_time *t = &rs->times[i];
        buf_printf(&b,
                   "{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,"
                   "\"dur\":%.3f,\"args\":{\"instruction\":%zu,\"text\":\"%s\",\"flops\":%" PRIu64
                   ",\"bytes\":%" PRIu64 "}}%s\n",
                   p->names + p->instrs[i].source, instr_info[p->instrs[i].op].name,
                   t->calls ? (double)(t->start_ns - rs->epoch_ns) / 1e3 : 0.0,
                   (double)(t->end_ns - t->start_ns) / 1e3, i, rs->texts + rs->text_at[i],
                   p->instrs[i].flops, p->instrs[i].bytes, i + 1 < p->n_instrs ? "," : "");
    }
    buf_str(&b, "]}\n");
    return buf_finish(&b, sink, user);
}
