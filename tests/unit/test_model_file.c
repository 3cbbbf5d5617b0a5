/* Model files: what was saved is what is loaded, on every kernel set; and what is not a model
 * file, is damaged, cut off, of another version or hostile is refused with a message and leaves
 * nothing. */
#include "model.h"
#include "model_graphs.h"
#include "program/model_file.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a context that counts its memory and fails on demand ------------------------------------ */
static struct {
    long live;
    int fail_at; /* 0: never; counts down */
    bool failed;
} mem;

static void *counting_alloc(void *user, size_t n, size_t align)
{
    void *p = NULL;
    (void)user;
    if (mem.fail_at && --mem.fail_at == 0) {
        mem.failed = true;
        return NULL;
    }
    if (posix_memalign(&p, align < sizeof p ? sizeof p : align, n ? n : 1) != 0)
        return NULL;
    memset(p, 0xab, n);
    mem.live++;
    return p;
}

static void counting_free(void *user, void *p, size_t n)
{
    (void)user;
    memset(p, 0xcd, n);
    mem.live--;
    free(p);
}

static anf_ctx *ctx;
static char dir[] = "/tmp/anf_model_XXXXXX";

static anf_ctx *new_ctx(const char *isa, int threads)
{
    static const anf_allocator a = {NULL, counting_alloc, counting_free};
    anf_ctx *c;
    anf_ctx_desc desc = {.threads = threads, .isa = isa, .allocator = &a};
    assert_int_equal(anf_ctx_new(&desc, &c), ANF_OK);
    return c;
}

static int set_up(void **state)
{
    (void)state;
    ctx = new_ctx(NULL, 1);
    return mkdtemp(dir) == NULL;
}

static const char *in_dir(const char *name)
{
    static char paths[4][300];
    static unsigned turn;
    char *p = paths[turn++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static int files_in_dir(void)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int tear_down(void **state)
{
    (void)state;
    anf_ctx_free(ctx);
    return rmdir(dir) != 0 || mem.live != 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */
static void expect(anf_status st, anf_status want, const char *message)
{
    assert_string_equal(st == ANF_OK ? "" : anf_last_error(), message);
    assert_int_equal(st, want);
}

/* 64-byte aligned, freed with free. */
static uint8_t *slurp(const char *path, size_t *n)
{
    void *p = NULL;
    struct stat st;
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    *n = (size_t)st.st_size;
    assert_int_equal(posix_memalign(&p, 64, *n ? *n : 1), 0);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

static uint8_t *copy_of(const uint8_t *b, size_t n)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, n) != 0)
        fail_msg("no memory");
    uint8_t *copy = p;
    memcpy(copy, b, n);
    return copy;
}

static anf_model *compile_in(anf_ctx *c, int k, anf_opt opt)
{
    anf_graph *g;
    anf_model *m;
    expect(anf_graph_new(c, &g), ANF_OK, "");
    model_graphs[k].build(g);
    const anf_compile_opts opts = {.opt = opt, .compress = model_graphs[k].compress,
                                   .compress_atol = model_graphs[k].atol};
    expect(anf_compile_graph(g, &opts, &m), ANF_OK, "");
    anf_graph_free(g);
    return m;
}

static uint8_t *save_bytes(const anf_model *m, size_t *n)
{
    const char *path = in_dir("bytes.anf");
    expect(anf_model_save(m, path), ANF_OK, "");
    uint8_t *b = slurp(path, n);
    unlink(path);
    return b;
}

/* The bytes of all outputs, one after the other; freed with free. */
static char *run_bytes(anf_model *m, size_t *n)
{
    anf_run_state *rs;
    char *all = NULL;
    uint32_t x = 1;
    expect(anf_run_state_new(m, &rs), ANF_OK, "");
    for (int i = 0; i < anf_model_n_inputs(m); i++) {
        const anf_port *p = anf_model_input(m, i);
        uint8_t *u = anf_input_view(rs, i);
        for (size_t k = 0; k < p->n_elements; k++) {
            x = x * 1664525u + 1013904223u;
            uint16_t h = anf_f16_from_f32((float)(x >> 20) / 1024.0f - 2.0f);
            if (p->dtype == ANF_U8)
                u[k] = (uint8_t)(x >> 24);
            else
                memcpy(u + 2 * k, &h, 2);
        }
    }
    expect(anf_execute(rs), ANF_OK, "");
    *n = 0;
    for (int i = 0; i < anf_model_n_outputs(m); i++) {
        size_t more = anf_model_output(m, i)->n_elements * 2;
        all = realloc(all, *n + more);
        memcpy(all + *n, anf_output_view(rs, i), more);
        *n += more;
    }
    anf_run_state_free(rs);
    return all;
}

static anf_status collect(void *user, const char *text, size_t n)
{
    buf_put(user, text, n);
    return ANF_OK;
}

static struct buf explain(const anf_model *m)
{
    struct buf b;
    buf_init(&b, &alloc_default);
    expect(anf_model_explain(m, collect, &b), ANF_OK, "");
    return b;
}

static struct buf report(const anf_model *m)
{
    struct buf b;
    buf_init(&b, &alloc_default);
    expect(anf_model_weights_print(m, true, collect, &b), ANF_OK, "");
    return b;
}

static void expect_same_results(anf_model *a, anf_model *b)
{
    size_t na, nb;
    char *ra = run_bytes(a, &na), *rb = run_bytes(b, &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(ra, rb, na);
    free(ra);
    free(rb);
}

static void expect_same_ports(const anf_port *a, const anf_port *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_true(dims_equal(&a->shape, &b->shape));
    assert_int_equal(a->n_elements, b->n_elements);
}

/* Size and checksums made right, so that what is behind them is looked at. */
static void seal(uint8_t *b, size_t n)
{
    struct contents_sum sum;
    contents_sum_init(&sum);
    contents_sum_put(&sum, b + MODEL_HEADER_BYTES, n - MODEL_HEADER_BYTES);
    uint64_t size = n, body = contents_sum_end(&sum), head;
    memcpy(b + 16, &size, 8);
    memcpy(b + 24, &body, 8);
    head = hash_bytes(HASH_SEED, b, MODEL_HEADER_SUM_AT);
    memcpy(b + MODEL_HEADER_SUM_AT, &head, 8);
}

static void refused(const uint8_t *b, size_t n, const char *message)
{
    anf_model *m = (anf_model *)&ctx;
    long live = mem.live;
    anf_status st = anf_model_load_memory(ctx, b, n, &m);
    if (message)
        expect(st, ANF_E_FORMAT, message);
    assert_int_equal(st, ANF_E_FORMAT);
    assert_true(anf_last_error()[0] != 0);
    assert_null(m);
    assert_int_equal(mem.live, live);
}

/* ---- round trips ----------------------------------------------------------------------------- */
static void round_trip(void **state)
{
    (void)state;
    for (int k = 0; k < N_MODEL_GRAPHS; k++)
        for (int none = 0; none < 2; none++) {
            const char *path = in_dir("model.anf");
            anf_model *m = compile_in(ctx, k, none ? ANF_OPT_NONE : ANF_OPT_DEFAULT), *l, *o;
            size_t n, n2;
            expect(anf_model_save(m, path), ANF_OK, "");
            expect(anf_model_load(ctx, path, &l), ANF_OK, "");
            uint8_t *bytes = slurp(path, &n), *again = save_bytes(l, &n2);
            assert_int_equal(n, n2);
            assert_memory_equal(bytes, again, n);
            free(again);

            assert_int_equal(anf_model_n_inputs(m), anf_model_n_inputs(l));
            assert_int_equal(anf_model_n_outputs(m), anf_model_n_outputs(l));
            assert_int_equal(anf_model_n_ops(m), anf_model_n_ops(l));
            for (int i = 0; i < anf_model_n_inputs(m); i++)
                expect_same_ports(anf_model_input(m, i), anf_model_input(l, i));
            for (int i = 0; i < anf_model_n_outputs(m); i++)
                expect_same_ports(anf_model_output(m, i), anf_model_output(l, i));
            struct buf text = explain(m), text2 = explain(l);
            assert_string_equal(text.data, text2.data);
            buf_free(&text);
            buf_free(&text2);
            assert_true((anf_model_n_weights(m) > 0) ==
                        (model_graphs[k].compress != ANF_COMPRESS_NONE));
            text = report(m);
            text2 = report(l);
            assert_string_equal(text.data, text2.data);
            buf_free(&text);
            buf_free(&text2);
            anf_model_stats s, s2;
            anf_model_get_stats(m, &s);
            anf_model_get_stats(l, &s2);
            assert_int_equal(s.weight_bytes, s2.weight_bytes);
            assert_int_equal(s.activation_bytes, s2.activation_bytes);
            assert_int_equal(s.flops, s2.flops);
            assert_int_equal(s.bytes, s2.bytes);
            expect_same_results(m, l);

            for (int i = 0; i < anf_isa_count(); i++) {
                if (!anf_isa_available(i))
                    continue;
                anf_ctx *other = new_ctx(anf_isa_name(i), 2);
                expect(anf_model_load_memory(other, bytes, n, &o), ANF_OK, "");
                expect_same_results(m, o);
                anf_model_free(o);
                anf_ctx_free(other);
            }
            free(bytes);
            anf_model_free(m);
            anf_model_free(l);
            unlink(path);
        }
}

static void every_instruction_is_saved(void **state)
{
    (void)state;
    bool seen[INSTR_COUNT] = {false}, epilogue = false, bytes = false;
    for (int k = 0; k < N_MODEL_GRAPHS; k++) {
        anf_model *m = compile_in(ctx, k, ANF_OPT_DEFAULT);
        const struct program *p = &m->program;
        for (size_t i = 0; i < p->n_instrs; i++) {
            seen[p->instrs[i].op] = true;
            epilogue = epilogue || (p->instrs[i].tile && p->instrs[i].op != INSTR_TILE);
        }
        for (size_t t = 0; t < p->n_tiles; t++)
            bytes = bytes || p->tiles[t].operands[0].is_u8;
        anf_model_free(m);
    }
    for (int i = 0; i < INSTR_COUNT; i++)
        if (!seen[i])
            fail_msg("no graph compiles to '%s'", instr_info[i].name);
    assert_true(epilogue);
    assert_true(bytes);
}

/* Nothing of the memory a program was made in reaches the file. */
static void same_model_same_bytes(void **state)
{
    (void)state;
    anf_ctx *plain;
    expect(anf_ctx_new(&(anf_ctx_desc){.threads = 1}, &plain), ANF_OK, "");
    for (int k = 0; k < N_MODEL_GRAPHS; k++) {
        size_t n, n2;
        anf_model *a = compile_in(ctx, k, ANF_OPT_DEFAULT);
        anf_model *b = compile_in(plain, k, ANF_OPT_DEFAULT);
        uint8_t *x = save_bytes(a, &n), *y = save_bytes(b, &n2);
        assert_int_equal(n, n2);
        assert_memory_equal(x, y, n);
        assert_int_equal(n % MODEL_ALIGN, 0);
        free(x);
        free(y);
        anf_model_free(a);
        anf_model_free(b);
    }
    anf_ctx_free(plain);
}

static void weights_are_stored_once(void **state)
{
    (void)state;
    size_t n;
    anf_model_stats s;
    anf_model *m = compile_in(ctx, N_MODEL_GRAPHS - 1, ANF_OPT_DEFAULT), *l;
    uint8_t *b = save_bytes(m, &n);
    uint64_t tables;
    memcpy(&tables, b + 32, 8);
    anf_model_get_stats(m, &s);
    assert_true(n - MODEL_HEADER_BYTES - tables < s.weight_bytes);
    expect(anf_model_load_memory(ctx, b, n, &l), ANF_OK, "");
    const struct program *p = &l->program;
    int shared = 0, inside = 0, constants = 0;
    for (size_t i = 1; i < p->n_buffers; i++) {
        const uint8_t *data = p->buffers[i].data;
        constants += p->buffers[i].kind == BUF_CONST;
        inside += data && data >= b && data + p->buffers[i].n_bytes <= b + n;
        for (size_t j = 1; j < i; j++)
            shared += data && data == p->buffers[j].data;
    }
    assert_true(shared > 0);
    assert_int_equal(inside, constants);
    anf_model_free(l);
    anf_model_free(m);
    free(b);
}

/* ---- refusals -------------------------------------------------------------------------------- */
static uint8_t *small_file(size_t *n)
{
    anf_model *m = compile_in(ctx, 4, ANF_OPT_DEFAULT);
    uint8_t *b = save_bytes(m, n);
    anf_model_free(m);
    return b;
}

static void every_flipped_bit_is_refused(void **state)
{
    (void)state;
    size_t n;
    uint8_t *b = small_file(&n);
    for (size_t i = 0; i < 8 * n; i++) {
        b[i / 8] ^= (uint8_t)(1 << i % 8);
        refused(b, n, NULL);
        b[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    free(b);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    size_t n;
    uint8_t *b = small_file(&n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *part = copy_of(b, i ? i : 1); /* a memory checker sees a read past the end */
        char message[80];
        if (i == 0)
            snprintf(message, sizeof message, "not an aneforge model");
        else if (i < MODEL_HEADER_BYTES)
            snprintf(message, sizeof message, "truncated: %zu bytes, the header alone has 64", i);
        else
            snprintf(message, sizeof message, "truncated: %zu bytes of %zu", i, n);
        refused(part, i, message);
        free(part);
    }
    free(b);
}

/* Several blocks of the checksum, checked by several threads. */
static void damage_in_every_block(void **state)
{
    anf_graph *g;
    anf_model *m;
    size_t n;
    (void)state;
    expect(anf_graph_new(ctx, &g), ANF_OK, "");
    anf_tensor w = anf_random_weight(g, ANF_SHAPE(700, 512), 1, 0.5);
    anf_output(anf_matmul(anf_input(g, "x", ANF_SHAPE(1, 700)), w), NULL);
    expect(anf_compile_graph(g, NULL, &m), ANF_OK, "");
    expect(anf_model_save(m, in_dir("large.anf")), ANF_OK, "");
    anf_model_free(m);
    anf_graph_free(g);
    uint8_t *b = slurp(in_dir("large.anf"), &n);
    assert_true(n > 2 * MODEL_SUM_BLOCK && n % MODEL_SUM_BLOCK != 0);
    uint8_t *sealed = copy_of(b, n);
    seal(sealed, n); /* saved in pieces, here in one */
    assert_memory_equal(sealed, b, n);
    anf_ctx *three = new_ctx(NULL, 3);
    for (size_t at = MODEL_HEADER_BYTES; at < n; at += MODEL_SUM_BLOCK / 2) {
        const char *damaged = "checksum of the contents does not match: the file is damaged";
        b[at] ^= 0x20;
        expect(anf_model_load_memory(three, b, n, &m), ANF_E_FORMAT, damaged);
        refused(b, n, damaged);
        b[at] ^= 0x20;
    }
    expect(anf_model_load_memory(three, b, n, &m), ANF_OK, "");
    anf_model_free(m);
    anf_ctx_free(three);
    unlink(in_dir("large.anf"));
    free(sealed);
    free(b);
}

static void header_messages(void **state)
{
    (void)state;
    size_t n;
    uint8_t *b = small_file(&n), *more = malloc(1);
    b[0] = 'B';
    refused(b, n, "not an aneforge model");
    refused(b, 1, "not an aneforge model");
    b[0] = 'A';
    b[8] = 7;
    refused(b, n, "format version 7, this library reads 4");
    b[8] = 0;
    refused(b, n, "format version 0, this library reads 4");
    b[8] = MODEL_VERSION;
    b[12] = 1;
    refused(b, n, "byte order mark 0x01020301, 0x01020304 is needed");
    b[12] = 4;
    b[16] ^= 1;
    refused(b, n, "checksum of the header does not match: the file is damaged");
    b[16] ^= 1;
    b[n - 1] ^= 1;
    refused(b, n, "checksum of the contents does not match: the file is damaged");
    b[n - 1] ^= 1;
    free(more);
    more = copy_of(b, n);
    more[48] = 255; /* n_ops */
    more[55] = 255;
    seal(more, n);
    refused(more, n, "18374686479671623935 operators");
    memcpy(more, b, n);
    more[32] ^= 1; /* table_bytes */
    seal(more, n);
    char message[120];
    uint64_t tables;
    memcpy(&tables, more + 32, 8);
    snprintf(message, sizeof message, "tables of %llu bytes do not fit a file of %zu",
             (unsigned long long)tables, n);
    refused(more, n, message);
    tables = UINT64_MAX / 64 * 64;
    memcpy(more + 32, &tables, 8);
    seal(more, n);
    refused(more, n, "tables of 18446744073709551552 bytes do not fit a file of 768");
    free(more);

    more = aligned_alloc(64, n + 64);
    memset(more, 0, n + 64);
    memcpy(more, b, n);
    refused(more, n + 64, "64 bytes follow the model of 768");
    free(more);
    free(b);
}

static void put32(uint8_t *b, size_t at, uint32_t v)
{
    memcpy(b + at, &v, 4);
}

static void hostile_tables(void **state)
{
    (void)state;
    size_t n;
    uint8_t *good = small_file(&n), *b = copy_of(good, n);
    static const uint32_t values[] = {0, 1, 2, 63, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};
    /* The counts, each with each value: refused, or read as the same program. */
    for (size_t at = MODEL_HEADER_BYTES; at < MODEL_HEADER_BYTES + 36; at += 4)
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            uint32_t now;
            memcpy(b, good, n);
            memcpy(&now, b + at, 4);
            if (now == values[v])
                continue;
            put32(b, at, values[v]);
            seal(b, n);
            refused(b, n, NULL);
        }
    const size_t counts = MODEL_HEADER_BYTES, port = counts + 36;
    const struct {
        size_t at;
        uint32_t value;
        const char *message;
    } cases[] = {
        {counts, 0, "tables: 0 inputs and 1 outputs, a model has both"},
        {counts + 4, 0, "tables: 4 inputs and 0 outputs, a model has both"},
        {counts, 0xffffffff, "tables: 4294967295 inputs do not fit the 668 bytes left"},
        {counts + 8, 0xffffffff, "tables: 4294967295 buffers do not fit the 467 bytes left"},
        {counts + 16, 1000, "tables: 1000 instrs do not fit the 227 bytes left"},
        {port, 99, "tables: port 'q' has dtype 99 and shape [2,7,4]"},
        {port + 4, 9, "tables: a port of rank 9 with a name of 1 bytes"},
        {port + 12, 201, "tables: a port of rank 3 with a name of 201 bytes"},
        {port + 16, 0, "tables: port 'q' has dtype 0 and shape [0,7,4]"},
        {port + 40, '"', "tables: a port has an impossible name"},
        {port, ANF_F32, "program: port 0 does not fit its buffer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memcpy(b, good, n);
        if (cases[i].at == port + 40)
            b[cases[i].at] = (uint8_t)cases[i].value;
        else
            put32(b, cases[i].at, cases[i].value);
        seal(b, n);
        refused(b, n, cases[i].message);
    }
    free(b);
    free(good);
}

/* Every word of the tables replaced: refused, or a program that runs without leaving its memory.
 * The messages listed must have been met on the way. */
static void any_word_is_harmless(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "tables: a port is cut off",
        "tables: constant 7 of 16 bytes at 64 does not lie in the file",
        "tables: a tile program of 127 operands, 1 micro-ops and rank 1",
        "tables: they end after 1088 bytes, in the middle of an item",
        "tables: an operator has an impossible name",
        "tables: 90 bytes are left over",
    };
    enum { N_WANTED = sizeof wanted / sizeof wanted[0] };
    bool met[N_WANTED] = {false};
    static const uint32_t values[] = {0, 1, 3, 64, 0x10000, 0x7fffffff, 0xffffffff};
    for (int k = 0; k < N_MODEL_GRAPHS; k++) {
        size_t n;
        anf_model *m = compile_in(ctx, k, ANF_OPT_DEFAULT);
        uint8_t *good = save_bytes(m, &n), *b = copy_of(good, n);
        uint64_t tables;
        memcpy(&tables, good + 32, 8);
        anf_model_free(m);
        /* Shorter tables in front of the same constants: every table may end in an item. */
        for (uint64_t cut = 64; cut < tables; cut += 64) {
            memcpy(b, good, n);
            memcpy(b + 32, &cut, 8);
            seal(b, n);
            assert_int_equal(anf_model_load_memory(ctx, b, n, &m), ANF_E_FORMAT);
            for (int i = 0; i < N_WANTED; i++)
                met[i] = met[i] || strcmp(anf_last_error(), wanted[i]) == 0;
        }
        for (size_t at = MODEL_HEADER_BYTES; at < MODEL_HEADER_BYTES + tables; at += 4)
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                memcpy(b, good, n);
                put32(b, at, values[v]);
                seal(b, n);
                if (anf_model_load_memory(ctx, b, n, &m) != ANF_OK) {
                    for (int i = 0; i < N_WANTED; i++)
                        met[i] = met[i] || strcmp(anf_last_error(), wanted[i]) == 0;
                    continue;
                }
                size_t bytes = m->program.arena_bytes, got;
                for (size_t i = 1; i < m->program.n_buffers; i++)
                    bytes += m->program.buffers[i].n_bytes;
                if (bytes < 1 << 20)
                    free(run_bytes(m, &got));
                anf_model_free(m);
            }
        free(b);
        free(good);
    }
    for (int i = 0; i < N_WANTED; i++)
        if (!met[i])
            fail_msg("never met: %s", wanted[i]);
}

/* ---- arguments, files, memory ---------------------------------------------------------------- */
static void arguments(void **state)
{
    (void)state;
    anf_model *m = compile_in(ctx, 0, ANF_OPT_DEFAULT), *l = m;
    uint8_t *b = aligned_alloc(64, 128);
    memset(b, 0, 128);
    expect(anf_model_save(NULL, "x"), ANF_E_ARG, "anf_model_save: model or path is NULL");
    expect(anf_model_save(m, NULL), ANF_E_ARG, "anf_model_save: model or path is NULL");
    expect(anf_model_load(ctx, "x", NULL), ANF_E_ARG, "anf_model_load: out is NULL");
    expect(anf_model_load(NULL, "x", &l), ANF_E_ARG, "anf_model_load: ctx or path is NULL");
    assert_null(l);
    expect(anf_model_load(ctx, NULL, &l), ANF_E_ARG, "anf_model_load: ctx or path is NULL");
    expect(anf_model_load_memory(ctx, b, 1, NULL), ANF_E_ARG, "anf_model_load_memory: out is NULL");
    expect(anf_model_load_memory(NULL, b, 1, &l), ANF_E_ARG,
           "anf_model_load_memory: ctx or data is NULL");
    expect(anf_model_load_memory(ctx, NULL, 1, &l), ANF_E_ARG,
           "anf_model_load_memory: ctx or data is NULL");
    expect(anf_model_load_memory(ctx, b + 8, 64, &l), ANF_E_ARG,
           "anf_model_load_memory: data must be aligned to 64 bytes");
    free(b);
    anf_model_free(m);
}

static void expect_path(anf_status st, anf_status want, const char *path, const char *rest)
{
    char message[400];
    snprintf(message, sizeof message, "%s: %s", path, rest);
    expect(st, want, message);
}

static void files(void **state)
{
    (void)state;
    anf_model *m = compile_in(ctx, 0, ANF_OPT_DEFAULT), *l;
    const char *path = in_dir("model.anf"), *absent = in_dir("absent/model.anf");
    expect_path(anf_model_save(m, absent), ANF_E_IO, absent,
                "cannot create a file beside it: No such file or directory");
    expect_path(anf_model_save(m, dir), ANF_E_IO, dir,
                "cannot be replaced, it is not a regular file");
    expect_path(anf_model_load(ctx, absent, &l), ANF_E_IO, absent,
                "cannot open: No such file or directory");
    FILE *f = fopen(path, "wb");
    fclose(f);
    expect_path(anf_model_load(ctx, path, &l), ANF_E_FORMAT, path, "the file is empty");
    f = fopen(path, "wb");
    fputs("something else", f);
    fclose(f);
    expect_path(anf_model_load(ctx, path, &l), ANF_E_FORMAT, path, "not an aneforge model");
    assert_null(l);

    /* A loaded model keeps the file it was loaded from while another one takes its name. */
    expect(anf_model_save(m, path), ANF_OK, "");
    expect(anf_model_load(ctx, path, &l), ANF_OK, "");
    anf_model *other = compile_in(ctx, 1, ANF_OPT_DEFAULT);
    expect(anf_model_save(other, path), ANF_OK, "");
    expect_same_results(m, l);
    assert_int_equal(files_in_dir(), 1);
    anf_model_free(l);
    expect(anf_model_load(ctx, path, &l), ANF_OK, "");
    expect_same_results(other, l);
    anf_model_free(l);
    anf_model_free(other);
    anf_model_free(m);
    unlink(path);
}

static void out_of_memory(void **state)
{
    (void)state;
    const char *path = in_dir("model.anf");
    for (int k = 0; k < N_MODEL_GRAPHS; k++) {
        anf_model *m = compile_in(ctx, k, ANF_OPT_DEFAULT), *l;
        anf_status st = ANF_E_NOMEM;
        long live = mem.live;
        for (int at = 1; st != ANF_OK; at++) {
            mem.fail_at = at;
            mem.failed = false;
            st = anf_model_save(m, path);
            mem.fail_at = 0;
            assert_int_equal(st, mem.failed ? ANF_E_NOMEM : ANF_OK);
            assert_int_equal(mem.live, live);
            assert_int_equal(files_in_dir(), st == ANF_OK);
        }
        st = ANF_E_NOMEM;
        for (int at = 1; st != ANF_OK; at++) {
            mem.fail_at = at;
            mem.failed = false;
            st = anf_model_load(ctx, path, &l);
            mem.fail_at = 0;
            assert_int_equal(st, mem.failed ? ANF_E_NOMEM : ANF_OK);
            if (st != ANF_OK) {
                assert_null(l);
                assert_int_equal(mem.live, live);
            }
        }
        anf_model_free(l);
        assert_int_equal(mem.live, live);
        anf_model_free(m);
        unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_instruction_is_saved),
        cmocka_unit_test(same_model_same_bytes),
        cmocka_unit_test(weights_are_stored_once),
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(damage_in_every_block),
        cmocka_unit_test(header_messages),
        cmocka_unit_test(hostile_tables),
        cmocka_unit_test(any_word_is_harmless),
        cmocka_unit_test(arguments),
        cmocka_unit_test(files),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
