/* A program from the bytes of a model file, which may hold anything.
 *
 * Three walls, in this order: the header (what this is, whether this library reads it, whether
 * all of it is here), the checksum (whether it is what was written), and the tables, where every
 * count is held against the bytes that are left before memory is asked for and every index that
 * memory safety needs is left to program_check.  The checksum is no protection against malice;
 * the third wall is.
 *
 * Tables are copied into the program's own arrays, so that it is freed like a compiled
 * one.  Constants stay where they are. */
#include "program/model_file.h"

#include <inttypes.h>

/* Takes bytes from the front; past the end it gives zeros and remembers. */
struct reader {
    const unsigned char *p;
    size_t n;
    bool failed;
};

static const void *take(struct reader *r, size_t n)
{
    static const unsigned char zeros[8];
    const unsigned char *p = r->p;
    if (n > r->n) {
        r->failed = true;
        return n <= sizeof zeros ? zeros : NULL;
    }
    r->p += n;
    r->n -= n;
    return p;
}

static uint8_t get_8(struct reader *r)
{
    uint8_t v;
    memcpy(&v, take(r, sizeof v), sizeof v);
    return v;
}

static uint32_t get_32(struct reader *r)
{
    uint32_t v;
    memcpy(&v, take(r, sizeof v), sizeof v);
    return v;
}

static uint64_t get_64(struct reader *r)
{
    uint64_t v;
    memcpy(&v, take(r, sizeof v), sizeof v);
    return v;
}

static void get_dims(struct reader *r, int64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (int64_t)get_64(r);
}

static float get_float(struct reader *r)
{
    float v;
    uint32_t bits = get_32(r);
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Reads the fields of `s`, a pointer to a struct, in the order of a list of model_file.h. */
#define F(bits, field) s->field = get_##bits(r);

/* ---- the header ------------------------------------------------------------------------------ */
static anf_status read_header(const unsigned char *data, size_t n, struct model_header *h)
{
    struct model_header *s = h;
    struct reader reader = {data, n, false}, *r = &reader;
    size_t known = n < MODEL_MAGIC_BYTES ? n : MODEL_MAGIC_BYTES;
    if (n == 0 || memcmp(data, MODEL_MAGIC, known) != 0)
        FAIL(FORMAT, "not an aneforge model");
    if (n < MODEL_HEADER_BYTES)
        FAIL(FORMAT, "truncated: %zu bytes, the header alone has %d", n, (int)MODEL_HEADER_BYTES);
    take(r, MODEL_MAGIC_BYTES);
    MODEL_HEADER_FIELDS(F)
    if (h->version != MODEL_VERSION)
        FAIL(FORMAT, "format version %" PRIu32 ", this library reads %d", h->version,
             (int)MODEL_VERSION);
    if (h->byte_order != MODEL_BYTE_ORDER)
        FAIL(FORMAT, "byte order mark 0x%08" PRIx32 ", 0x%08x is needed", h->byte_order,
             MODEL_BYTE_ORDER);
    if (get_64(r) != hash_bytes(HASH_SEED, data, MODEL_HEADER_SUM_AT))
        FAIL(FORMAT, "checksum of the header does not match: the file is damaged");
    if (h->file_bytes > n)
        FAIL(FORMAT, "truncated: %zu bytes of %" PRIu64, n, h->file_bytes);
    if (h->file_bytes < n)
        FAIL(FORMAT, "%" PRIu64 " bytes follow the model of %" PRIu64, n - h->file_bytes,
             h->file_bytes);
    if (n % MODEL_ALIGN || h->table_bytes % MODEL_ALIGN || h->table_bytes > n - MODEL_HEADER_BYTES)
        FAIL(FORMAT, "tables of %" PRIu64 " bytes do not fit a file of %zu", h->table_bytes, n);
    if (h->n_ops > INT32_MAX)
        FAIL(FORMAT, "%" PRIu64 " operators", h->n_ops);
    return ANF_OK;
}

struct contents {
    const unsigned char *data;
    size_t n;
    uint64_t *sums; /* of the blocks */
};

static void sum_block(void *arg, size_t task, size_t thread)
{
    const struct contents *c = arg;
    const size_t from = task * MODEL_SUM_BLOCK, left = c->n - from;
    struct checksum sum;
    (void)thread;
    checksum_init(&sum);
    checksum_put(&sum, c->data + from, left < MODEL_SUM_BLOCK ? left : MODEL_SUM_BLOCK);
    c->sums[task] = checksum_end(&sum);
}

/* Reads every page of the file: the threads of a pool do that in half the time, too. */
static anf_status check_contents(const anf_allocator *a, struct pool *pool,
                                 const unsigned char *data, size_t n, const struct model_header *h)
{
    struct contents c = {data + MODEL_HEADER_BYTES, n - MODEL_HEADER_BYTES, NULL};
    const size_t n_blocks = c.n / MODEL_SUM_BLOCK + (c.n % MODEL_SUM_BLOCK > 0);
    uint64_t sum = HASH_SEED;
    c.sums = mem_calloc(a, n_blocks, sizeof *c.sums);
    if (!c.sums)
        return ANF_E_NOMEM;
    pool_run(pool, n_blocks, sum_block, &c);
    for (size_t i = 0; i < n_blocks; i++)
        sum = hash_word(sum, c.sums[i]);
    mem_free(a, c.sums, n_blocks * sizeof *c.sums);
    if (sum != h->checksum)
        FAIL(FORMAT, "checksum of the contents does not match: the file is damaged");
    return ANF_OK;
}

/* ---- tables ---------------------------------------------------------------------------------- */
/* Memory for `count` items of which each takes at least `least` bytes of what is left to read. */
static anf_status table(const struct program *p, const struct reader *r, const char *what,
                        uint32_t count, size_t least, size_t size, void **array, size_t *cap)
{
    *array = NULL;
    if (count > INT32_MAX || count > r->n / least)
        FAIL(FORMAT, "tables: %" PRIu32 " %s do not fit the %zu bytes left", count, what, r->n);
    if (!count)
        return ANF_OK;
    *array = mem_calloc(p->allocator, count, size);
    if (!*array)
        return ANF_E_NOMEM;
    *cap = count;
    return ANF_OK;
}

#define TABLE(p, r, array, count, least)                                                           \
    do {                                                                                           \
        void *table_;                                                                              \
        TRY(table(p, r, #array, count, least, sizeof *(p)->array, &table_, &(p)->cap_##array));    \
        (p)->array = table_;                                                                       \
        (p)->n_##array = count;                                                                    \
    } while (0)

/* Names are printed, and put into JSON: letters, digits, _ and . for ports, as the builders
 * demand. */
static bool is_port_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
        bool other = (s[i] >= '0' && s[i] <= '9') || s[i] == '.';
        if (!letter && (i == 0 || !other))
            return false;
    }
    return n > 0;
}

static bool are_texts(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] && (s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\'))
            return false;
    return true;
}

static anf_status read_port(struct program *p, struct reader *r, struct port *port)
{
    struct model_port record, *s = &record;
    MODEL_PORT_FIELDS(F)
    if (s->rank > ANF_MAX_RANK || s->name_bytes > MODEL_NAME_MAX)
        FAIL(FORMAT, "tables: a port of rank %" PRIu32 " with a name of %" PRIu32 " bytes", s->rank,
             s->name_bytes);
    anf_dims *dims = &port->info.shape;
    dims->rank = (int32_t)s->rank;
    get_dims(r, dims->dim, s->rank);
    const char *name = take(r, s->name_bytes);
    if (r->failed)
        FAIL(FORMAT, "tables: a port is cut off");
    if (!is_port_name(name, s->name_bytes))
        FAIL(FORMAT, "tables: a port has an impossible name");
    if (s->dtype >= DTYPE_COUNT || !dims_count(dims, &port->info.n_elements))
        FAIL(FORMAT, "tables: port '%.*s' has dtype %" PRIu32 " and shape %s", (int)s->name_bytes,
             name, s->dtype, dims_text(dims));
    port->info.dtype = (anf_dtype)s->dtype;
    port->buf = s->buf;
    port->info.name = arena_strndup(&p->arena, name, s->name_bytes);
    return port->info.name ? ANF_OK : ANF_E_NOMEM;
}

static anf_status read_buffers(struct program *p, struct reader *r, uint32_t count,
                               const unsigned char *data, size_t n, size_t first_const)
{
    size_t least = MODEL_BYTES(MODEL_BUFFER_FIELDS);
    if (count >= INT32_MAX || count > r->n / least)
        FAIL(FORMAT, "tables: %" PRIu32 " buffers do not fit the %zu bytes left", count, r->n);
    p->buffers = mem_calloc(p->allocator, (size_t)count + 1, sizeof *p->buffers);
    if (!p->buffers)
        return ANF_E_NOMEM;
    p->n_buffers = p->cap_buffers = (size_t)count + 1;
    for (size_t i = 1; i < p->n_buffers; i++) {
        struct buffer *s = &p->buffers[i];
        MODEL_BUFFER_FIELDS(F)
        if (s->kind != BUF_CONST)
            continue;
        if (s->offset % MODEL_ALIGN || s->offset < first_const || s->offset > n ||
            s->n_bytes > n - s->offset)
            FAIL(FORMAT, "tables: constant %zu of %" PRIu64 " bytes at %" PRIu64
                         " does not lie in the file", i, s->n_bytes, s->offset);
        s->data = data + s->offset;
        s->offset = 0;
    }
    return ANF_OK;
}

static anf_status read_tile(struct reader *r, struct tile_prog *t)
{
    {
        struct tile_prog *s = t;
        MODEL_TILE_FIELDS(F)
    }
    if (t->n_operands > TILE_MAX_OPERANDS || t->n_ops > TILE_MAX_OPS || t->rank > ANF_MAX_RANK)
        FAIL(FORMAT, "tables: a tile program of %" PRIu32 " operands, %" PRIu32
                     " micro-ops and rank %" PRIu32, t->n_operands, t->n_ops, t->rank);
    get_dims(r, t->dims, t->rank);
    for (uint32_t i = 0; i < t->n_operands; i++) {
        struct tile_operand *s = &t->operands[i];
        MODEL_TILE_OPERAND_FIELDS(F)
        get_dims(r, s->stride, t->rank);
    }
    for (uint32_t i = 0; i < t->n_ops; i++) {
        struct tile_op *s = &t->ops[i];
        MODEL_TILE_OP_FIELDS(F)
        s->p[0] = get_float(r);
        s->p[1] = get_float(r);
    }
    return ANF_OK;
}

static anf_status read_instrs(struct program *p, struct reader *r, const struct model_counts *n)
{
    TABLE(p, r, operands, n->operands, MODEL_BYTES(MODEL_OPERAND_FIELDS));
    for (size_t i = 0; i < p->n_operands; i++) {
        struct operand *s = &p->operands[i];
        MODEL_OPERAND_FIELDS(F)
    }
    TABLE(p, r, instrs, n->instrs, MODEL_BYTES(MODEL_INSTR_FIELDS));
    for (size_t i = 0; i < p->n_instrs; i++) {
        struct instr *s = &p->instrs[i];
        MODEL_INSTR_FIELDS(F)
    }
    TABLE(p, r, params, n->params, sizeof *p->params);
    get_dims(r, p->params, p->n_params);
    TABLE(p, r, tiles, n->tiles, MODEL_BYTES(MODEL_TILE_FIELDS));
    for (size_t i = 0; i < p->n_tiles; i++)
        TRY(read_tile(r, &p->tiles[i]));
    return ANF_OK;
}

static void read_weight(struct reader *r, struct weight_record *w)
{
    struct weight_record *s = w;
    MODEL_WEIGHT_FIELDS(F)
    uint64_t bits = get_64(r);
    memcpy(&w->error, &bits, sizeof bits);
}

static anf_status read_tables(struct program *p, const unsigned char *data, size_t n,
                              const struct model_header *h)
{
    struct model_counts counts, *s = &counts;
    struct reader reader = {data + MODEL_HEADER_BYTES, h->table_bytes, false}, *r = &reader;
    MODEL_COUNT_FIELDS(F)
    if (counts.inputs == 0 || counts.outputs == 0)
        FAIL(FORMAT, "tables: %" PRIu32 " inputs and %" PRIu32 " outputs, a model has both",
             counts.inputs, counts.outputs);
    TABLE(p, r, inputs, counts.inputs, MODEL_BYTES(MODEL_PORT_FIELDS));
    for (size_t i = 0; i < p->n_inputs; i++)
        TRY(read_port(p, r, &p->inputs[i]));
    TABLE(p, r, outputs, counts.outputs, MODEL_BYTES(MODEL_PORT_FIELDS));
    for (size_t i = 0; i < p->n_outputs; i++)
        TRY(read_port(p, r, &p->outputs[i]));
    TRY(read_buffers(p, r, counts.buffers, data, n, MODEL_HEADER_BYTES + h->table_bytes));
    TRY(read_instrs(p, r, &counts));
    TABLE(p, r, weights, counts.weights, MODEL_BYTES(MODEL_WEIGHT_FIELDS));
    for (size_t i = 0; i < p->n_weights; i++)
        read_weight(r, &p->weights[i]);
    if (r->failed)
        FAIL(FORMAT, "tables: they end after %" PRIu64 " bytes, in the middle of an item",
             h->table_bytes);
    TABLE(p, r, names, counts.names, 1);
    if (counts.names)
        memcpy(p->names, take(r, counts.names), counts.names);
    if (!are_texts(p->names, p->n_names))
        FAIL(FORMAT, "tables: an operator has an impossible name");
    if (r->n >= MODEL_ALIGN)
        FAIL(FORMAT, "tables: %zu bytes are left over", r->n);
    return ANF_OK;
}

anf_status program_load(const anf_allocator *a, struct pool *pool, const void *data, size_t n,
                        struct program *out)
{
    struct model_header h = {0};
    memset(out, 0, sizeof *out);
    TRY(read_header(data, n, &h));
    TRY(check_contents(a, pool, data, n, &h));
    out->allocator = a;
    out->arena_bytes = h.arena_bytes;
    out->n_ops = h.n_ops;
    arena_init(&out->arena, a);
    anf_status st = read_tables(out, data, n, &h);
    if (st == ANF_OK)
        st = program_check(out);
    if (st != ANF_OK)
        program_free(out);
    return st;
}
