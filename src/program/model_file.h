/* The model file: what save.c writes and load.c reads.  docs/model-file.md tells the same to
 * readers of files.
 *
 *     header (64 bytes) | tables | padding to 64 | constants, each padded to 64
 *
 * Every number is little-endian and written field by field, so no padding of a struct reaches a
 * file and a program has one form in bytes.  The lists below give the fields in their order;
 * writer and reader are both expanded from them.  Constants are used where they lie, in the
 * mapped file, which is why they are aligned and why the machine has to be little-endian too.
 *
 * MODEL_VERSION grows with every change of what bytes may mean: a field, an instruction, a
 * micro-op, a parameter.  A reader refuses the versions it does not know. */
#ifndef ANF_PROGRAM_MODEL_FILE_H
#define ANF_PROGRAM_MODEL_FILE_H

#include "base/hash.h"
#include "program/program.h"
#include "runtime/threads.h"

#define MODEL_MAGIC "ANFMODEL"
#define MODEL_BYTE_ORDER 0x01020304u
enum {
    MODEL_VERSION = 4,
    MODEL_MAGIC_BYTES = 8,
    MODEL_HEADER_BYTES = 64,
    MODEL_HEADER_SUM_AT = 56, /* the header's own checksum: hash_bytes of what is in front of it */
    MODEL_ALIGN = ANF_CACHE_LINE,
    MODEL_NAME_MAX = 200,
    MODEL_SUM_BLOCK = 1 << 18, /* bytes */
};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "constants are used in place");

/* F(bits, field).  The header, between its magic and its own checksum; `checksum` covers the
 * rest. */
#define MODEL_HEADER_FIELDS(F)                                                                     \
    F(32, version) F(32, byte_order) F(64, file_bytes) F(64, checksum) F(64, table_bytes)          \
    F(64, arena_bytes) F(64, n_ops)

/* The tables begin with the number of items of each, and follow in this order.  Buffer 0,
 * "none", is not stored. */
#define MODEL_COUNT_FIELDS(F)                                                                      \
    F(32, inputs) F(32, outputs) F(32, buffers) F(32, operands) F(32, instrs) F(32, params)        \
    F(32, tiles) F(32, weights) F(32, names)

/* Followed by `rank` dims of 64 bits, then by the characters of the name. */
#define MODEL_PORT_FIELDS(F) F(32, dtype) F(32, rank) F(32, buf) F(32, name_bytes)

/* Of a constant, `offset` says where in the file it lies. */
#define MODEL_BUFFER_FIELDS(F)                                                                     \
    F(32, kind) F(32, port) F(64, n_bytes) F(64, offset) F(32, first) F(32, last)

#define MODEL_OPERAND_FIELDS(F) F(32, buf) F(32, unused) F(64, offset)

#define MODEL_INSTR_FIELDS(F)                                                                      \
    F(32, op) F(32, operand) F(32, n_operand) F(32, param) F(32, tile) F(32, source)               \
    F(64, flops) F(64, bytes)

/* Followed by `rank` dims, by the operands, each with `rank` strides, and by the micro-ops. */
#define MODEL_TILE_FIELDS(F) F(32, n_operands) F(32, n_ops) F(32, n_regs) F(32, rank)
#define MODEL_TILE_OPERAND_FIELDS(F) F(32, slot) F(32, is_u8)
#define MODEL_TILE_OP_FIELDS(F)                                                                    \
    F(8, uop) F(8, n_src) F(8, dst) F(8, src[0]) F(8, src[1]) F(8, src[2]) F(8, unused[0])         \
    F(8, unused[1])
/* and the bits of p[0] and p[1], 32 each */

/* Followed by the bits of `error`, 64. */
#define MODEL_WEIGHT_FIELDS(F)                                                                     \
    F(32, name) F(32, why) F(32, encoding) F(32, streams) F(64, dims[0]) F(64, dims[1])            \
    F(64, bytes_before) F(64, bytes_after)

#define MODEL_FIELD_BYTES(bits, field) +(bits) / 8
#define MODEL_BYTES(fields) ((size_t)(0 fields(MODEL_FIELD_BYTES)))

#define F(bits, field) uint##bits##_t field;
struct model_header { MODEL_HEADER_FIELDS(F) };
struct model_counts { MODEL_COUNT_FIELDS(F) };
struct model_port { MODEL_PORT_FIELDS(F) };
#undef F
_Static_assert(MODEL_MAGIC_BYTES + MODEL_BYTES(MODEL_HEADER_FIELDS) == MODEL_HEADER_SUM_AT &&
                   MODEL_HEADER_SUM_AT + 8 == MODEL_HEADER_BYTES,
               "the header is full");

/* ---- the checksum of tables and constants ---------------------------------------------------- */
/* Each block of MODEL_SUM_BLOCK bytes has a checksum of its own, so that a reader may let several
 * threads check; hash_word of these in order is the checksum of all. */
struct contents_sum {
    uint64_t blocks;       /* of those that are complete */
    struct checksum block; /* of the one that is not, */
    size_t n_bytes;        /* and what it has so far */
};

static inline void contents_sum_init(struct contents_sum *c)
{
    c->blocks = HASH_SEED;
    c->n_bytes = 0;
    checksum_init(&c->block);
}

static inline void contents_sum_next(struct contents_sum *c)
{
    c->blocks = hash_word(c->blocks, checksum_end(&c->block));
    c->n_bytes = 0;
    checksum_init(&c->block);
}

/* Counts as padded with zeros to a multiple of MODEL_ALIGN, like everything in the file. */
static inline void contents_sum_put(struct contents_sum *c, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n) {
        const size_t room = MODEL_SUM_BLOCK - c->n_bytes, take = n < room ? n : room;
        checksum_put(&c->block, p, take);
        c->n_bytes += size_round_up(take, MODEL_ALIGN);
        p += take;
        n -= take;
        if (c->n_bytes == MODEL_SUM_BLOCK)
            contents_sum_next(c);
    }
}

static inline uint64_t contents_sum_end(struct contents_sum *c)
{
    if (c->n_bytes)
        contents_sum_next(c);
    return c->blocks;
}
_Static_assert(MODEL_ALIGN % CHECKSUM_STEP == 0 && MODEL_SUM_BLOCK % MODEL_ALIGN == 0,
               "pieces of the file are whole steps of the checksum");

/* ---- saving and loading ---------------------------------------------------------------------- */
typedef anf_status model_put_fn(void *user, const void *data, size_t n);

/* The bytes in order, in pieces; a status of `put` ends it.  The same program gives the same
 * bytes. */
anf_status program_save(const struct program *p, model_put_fn *put, void *user);

/* Fills `out`, checked (program_check); its constants stay in `data`, 64-byte aligned, which is
 * lent for as long as the program lives.  On failure nothing is left to free.  The threads of
 * `pool` share the work of the checksum. */
anf_status program_load(const anf_allocator *a, struct pool *pool, const void *data, size_t n,
                        struct program *out);

#endif
