/* A program as the bytes of a model file.
 *
 * The tables are made in memory first; they are small, and the header in front of them holds
 * their checksum.  Constants go from where they are to the receiver, read once for the checksum
 * and once to be written.
 *
 * Constants with the same bytes are stored once.  They are told by content and not by address,
 * so that a program that was loaded is saved to the bytes it came from. */
#include "base/sort.h"
#include "program/model_file.h"

/* ---- numbers --------------------------------------------------------------------------------- */
static void put_8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

static void put_32(struct buf *b, uint32_t v)
{
    buf_put(b, &v, sizeof v);
}

static void put_64(struct buf *b, uint64_t v)
{
    buf_put(b, &v, sizeof v);
}

static void put_dims(struct buf *b, const int64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_64(b, (uint64_t)v[i]);
}

static void put_float(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_32(b, bits);
}

/* Writes the fields of `s`, a pointer to a struct, in the order of a list of model_file.h. */
#define F(bits, field) put_##bits(b, s->field);

/* ---- constants ------------------------------------------------------------------------------- */
struct blob {
    uint64_t hash, n_bytes;
    uint32_t buf;
};

/* Where the bytes of each buffer are stored. */
struct placement {
    uint32_t *owner;  /* the buffer that stores them: of equal ones the first; 0: not a constant */
    uint64_t *offset; /* in the file */
    uint64_t end;
};

static int by_content(const void *a, const void *b)
{
    const struct blob *x = a, *y = b;
    if (x->n_bytes != y->n_bytes)
        return x->n_bytes < y->n_bytes ? -1 : 1;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->buf < y->buf ? -1 : x->buf > y->buf;
}

static anf_status find_owners(const struct program *p, struct arena *scratch, uint32_t *owner)
{
    struct blob *blobs = arena_alloc_array(scratch, p->n_buffers, sizeof *blobs);
    size_t n = 0;
    if (!blobs)
        return ANF_E_NOMEM;
    for (uint32_t i = 1; i < p->n_buffers; i++) {
        const struct buffer *b = &p->buffers[i];
        struct checksum c;
        if (b->kind != BUF_CONST)
            continue;
        checksum_init(&c);
        checksum_put(&c, b->data, b->n_bytes);
        blobs[n++] = (struct blob){checksum_end(&c), b->n_bytes, i};
        owner[i] = i;
    }
    sort_items(blobs, n, sizeof *blobs, by_content);
    for (size_t i = 1; i < n; i++) {
        const struct blob *x = &blobs[i - 1], *y = &blobs[i];
        if (x->hash == y->hash && x->n_bytes == y->n_bytes &&
            memcmp(p->buffers[owner[x->buf]].data, p->buffers[y->buf].data, y->n_bytes) == 0)
            owner[y->buf] = owner[x->buf];
    }
    return ANF_OK;
}

static void place(const struct program *p, uint64_t from, struct placement *at)
{
    at->end = from;
    for (size_t i = 1; i < p->n_buffers; i++) {
        if (at->owner[i] == i) {
            at->offset[i] = at->end;
            at->end += size_round_up(p->buffers[i].n_bytes, MODEL_ALIGN);
        } else if (at->owner[i]) {
            at->offset[i] = at->offset[at->owner[i]];
        }
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */
static void put_port(struct buf *b, const struct port *port)
{
    const anf_dims *dims = &port->info.shape;
    const struct model_port record = {.dtype = (uint32_t)port->info.dtype,
                                      .rank = (uint32_t)dims->rank,
                                      .buf = port->buf,
                                      .name_bytes = (uint32_t)strlen(port->info.name)};
    const struct model_port *s = &record;
    MODEL_PORT_FIELDS(F)
    put_dims(b, dims->dim, s->rank);
    buf_put(b, port->info.name, s->name_bytes);
}

static void put_tile(struct buf *b, const struct tile_prog *t)
{
    {
        const struct tile_prog *s = t;
        MODEL_TILE_FIELDS(F)
        put_dims(b, s->dims, s->rank);
    }
    for (uint32_t i = 0; i < t->n_operands; i++) {
        const struct tile_operand *s = &t->operands[i];
        MODEL_TILE_OPERAND_FIELDS(F)
        put_dims(b, s->stride, t->rank);
    }
    for (uint32_t i = 0; i < t->n_ops; i++) {
        const struct tile_op *s = &t->ops[i];
        MODEL_TILE_OP_FIELDS(F)
        put_float(b, s->p[0]);
        put_float(b, s->p[1]);
    }
}

static void put_weight(struct buf *b, const struct weight_record *w)
{
    const struct weight_record *s = w;
    uint64_t bits;
    MODEL_WEIGHT_FIELDS(F)
    memcpy(&bits, &w->error, sizeof bits);
    put_64(b, bits);
}

static void put_tables(const struct program *p, const struct placement *at, struct buf *b)
{
    const struct model_counts counts = {.inputs = (uint32_t)p->n_inputs,
                                        .outputs = (uint32_t)p->n_outputs,
                                        .buffers = (uint32_t)(p->n_buffers - 1),
                                        .operands = (uint32_t)p->n_operands,
                                        .instrs = (uint32_t)p->n_instrs,
                                        .params = (uint32_t)p->n_params,
                                        .tiles = (uint32_t)p->n_tiles,
                                        .weights = (uint32_t)p->n_weights,
                                        .names = (uint32_t)p->n_names};
    {
        const struct model_counts *s = &counts;
        MODEL_COUNT_FIELDS(F)
    }
    for (size_t i = 0; i < p->n_inputs; i++)
        put_port(b, &p->inputs[i]);
    for (size_t i = 0; i < p->n_outputs; i++)
        put_port(b, &p->outputs[i]);
    for (size_t i = 1; i < p->n_buffers; i++) {
        struct buffer record = p->buffers[i];
        const struct buffer *s = &record;
        if (at->owner[i])
            record.offset = at->offset[i];
        MODEL_BUFFER_FIELDS(F)
    }
    for (size_t i = 0; i < p->n_operands; i++) {
        const struct operand *s = &p->operands[i];
        MODEL_OPERAND_FIELDS(F)
    }
    for (size_t i = 0; i < p->n_instrs; i++) {
        const struct instr *s = &p->instrs[i];
        MODEL_INSTR_FIELDS(F)
    }
    put_dims(b, p->params, p->n_params);
    for (size_t i = 0; i < p->n_tiles; i++)
        put_tile(b, &p->tiles[i]);
    for (size_t i = 0; i < p->n_weights; i++)
        put_weight(b, &p->weights[i]);
    buf_put(b, p->names, p->n_names);
}

static void put_header(const struct model_header *s, struct buf *b)
{
    buf_put(b, MODEL_MAGIC, MODEL_MAGIC_BYTES);
    MODEL_HEADER_FIELDS(F)
    if (!b->failed)
        put_64(b, hash_bytes(HASH_SEED, b->data, MODEL_HEADER_SUM_AT));
}

/* ---- the file -------------------------------------------------------------------------------- */
static anf_status put_padded(model_put_fn *put, void *user, const void *data, size_t n)
{
    static const char zeros[MODEL_ALIGN];
    TRY(put(user, data, n));
    n = size_round_up(n, MODEL_ALIGN) - n;
    return n ? put(user, zeros, n) : ANF_OK;
}

static anf_status put_file(const struct program *p, const struct placement *at,
                           const struct buf *tables, struct buf *header, model_put_fn *put,
                           void *user)
{
    struct model_header h = {.version = MODEL_VERSION,
                             .byte_order = MODEL_BYTE_ORDER,
                             .file_bytes = at->end,
                             .table_bytes = size_round_up(tables->len, MODEL_ALIGN),
                             .arena_bytes = p->arena_bytes,
                             .n_ops = p->n_ops};
    struct contents_sum sum;
    contents_sum_init(&sum);
    contents_sum_put(&sum, tables->data, tables->len);
    for (uint32_t i = 1; i < p->n_buffers; i++)
        if (at->owner[i] == i)
            contents_sum_put(&sum, p->buffers[i].data, p->buffers[i].n_bytes);
    h.checksum = contents_sum_end(&sum);
    put_header(&h, header);
    if (header->failed)
        return ANF_E_NOMEM;
    TRY(put(user, header->data, header->len));
    TRY(put_padded(put, user, tables->data, tables->len));
    for (uint32_t i = 1; i < p->n_buffers; i++)
        if (at->owner[i] == i)
            TRY(put_padded(put, user, p->buffers[i].data, p->buffers[i].n_bytes));
    return ANF_OK;
}

static anf_status save(const struct program *p, struct arena *scratch, struct buf *tables,
                       struct buf *header, model_put_fn *put, void *user)
{
    struct placement at = {0};
    at.owner = arena_alloc_array(scratch, p->n_buffers, sizeof *at.owner);
    at.offset = arena_alloc_array(scratch, p->n_buffers, sizeof *at.offset);
    if (!at.owner || !at.offset)
        return ANF_E_NOMEM;
    TRY(find_owners(p, scratch, at.owner));
    /* Once to learn how long the tables are, which says where the constants begin. */
    put_tables(p, &at, tables);
    place(p, MODEL_HEADER_BYTES + size_round_up(tables->len, MODEL_ALIGN), &at);
    tables->len = 0;
    put_tables(p, &at, tables);
    if (tables->failed)
        return ANF_E_NOMEM;
    return put_file(p, &at, tables, header, put, user);
}

anf_status program_save(const struct program *p, model_put_fn *put, void *user)
{
    struct arena scratch;
    struct buf tables, header;
    arena_init(&scratch, p->allocator);
    buf_init(&tables, p->allocator);
    buf_init(&header, p->allocator);
    anf_status st = save(p, &scratch, &tables, &header, put, user);
    buf_free(&header);
    buf_free(&tables);
    arena_free(&scratch);
    return st;
}
