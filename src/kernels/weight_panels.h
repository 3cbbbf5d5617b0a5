/* Weights of a matrix product in fewer bits: what the kernels read, and how it is made.
 *
 * Every encoding keeps the sixteen columns of a binary16 panel together, so that a panel is one run
 * of memory and a kernel expands it in registers.  Besides the panels an encoding has a small side
 * array.  For a weight of k rows and n columns, with P = ceil(n / 16) panels:
 *
 *     int8       panels  int8 [P][k][16]                 side  scale f16 [P][16]
 *                a weight is q; the sum of a column is multiplied by its scale
 *     int4       panels  uint32 [P][ceil(k / 8)][16]     side  codebook f16 [16]
 *                bits 4i .. 4i+3 of word j of row r are the index of row 8r + i of column j;
 *                a weight is the codebook's entry
 *     sparse     panels  f16, see below                  side  where each group begins,
 *                                                              uint64 [P][ceil(k / 64)]
 *                a weight is one of the values, or zero
 *     blockwise  panels  int8 [P][k][16]                 side  scale f16 [P][k / block][16]
 *                a weight is q * scale, which float32 holds exactly
 *     lists      panels  see below                       side  where each panel begins and of how
 *                                                              many blocks it is, uint64 [P][2]
 *                the weights of sparse, for products of one row
 *     sparse_t   panels  f16, see below                  side  as of sparse
 *                the weights of sparse, for products of many rows
 *
 * The bytes of columns past n are zero.  A sparse panel is cut into groups of 64 rows (the last may
 * be shorter): a mask of sixteen bits for each row, bit j for column j, then the values of all set
 * bits in that order.  Groups follow each other without a gap, in the order of the side array,
 * which counts in elements of two bytes.  sparse_t goes column by column: a mask of 64 bits for
 * each of the sixteen, bit i for row i of the group, then the values of all set bits in that order.
 *
 * Lists leave out the zeros instead of expanding them: every column goes through its non-zeros, and
 * a step takes the next one of each column whose row is among the sixteen from the step's first row
 * on, which is that of the column furthest behind (or less, so that sixteen rows follow).  A block
 * has eight steps:
 *
 *     uint32 [16]   bits 4t .. 4t+3 of word j: in step t, the row of column j in the sixteen
 *     uint16 [8]    bit j for column j: whether it takes part in the step
 *     uint8 [8]     rows from the first row of the step before (from row 0) to that of this one
 *     f16           the values of all set bits, and one element more if they are odd
 *
 * Where columns differ much there are many more steps than non-zeros of a column, and sparse panels
 * are smaller.
 *
 * WEIGHT_SLACK bytes come behind lists, sparse, sparse_t and int4 panels: kernels read whole
 * vectors. */
#ifndef ANF_KERNELS_WEIGHT_PANELS_H
#define ANF_KERNELS_WEIGHT_PANELS_H

#include "kernels/kern.h"

#include <string.h>

enum weight_encoding {
    WEIGHT_F16,
    WEIGHT_INT8,
    WEIGHT_INT4,
    WEIGHT_SPARSE,
    WEIGHT_BLOCKWISE,
    WEIGHT_LISTS,
    WEIGHT_SPARSE_T,
    WEIGHT_ENCODING_COUNT
};

enum {
    WEIGHT_GROUP = 64, /* rows of a sparse group: one cache line of masks for two */
    /* Elements of two bytes that the masks of sparse_t take: of a column, of a group. */
    MASK_T = WEIGHT_GROUP / 16,
    MASKS_T = MASK_T * ANF_PANEL,
    SPARSE_T_ROWS = 64, /* of a product, from which on sparse_t is faster than sparse */
    WEIGHT_CODES = 16, /* entries of a codebook */
    WEIGHT_PER_WORD = 8,
    WEIGHT_SLACK = 64, /* bytes */
    /* The parts of a block of lists, in elements of two bytes. */
    LIST_STEPS = 8,
    LIST_MASKS = 32,
    LIST_ROWS = LIST_MASKS + LIST_STEPS,
    LIST_VALUES = LIST_ROWS + LIST_STEPS / 2,
    LIST_WINDOW = 16, /* rows that a step chooses from */
};

/* A weight as an encoder makes it: one row for each of n output columns.  F16, SPARSE, SPARSE_T and
 * LISTS read w (a zero of either sign is kept by F16 only), INT8 and BLOCKWISE q and scale, INT4
 * index (0 .. 15) and codebook. */
struct weight_form {
    enum weight_encoding encoding;
    size_t n, k;
    size_t block;          /* of BLOCKWISE, divides k */
    const f16 *w;          /* [n][k] */
    const int8_t *q;       /* [n][k] */
    const f16 *scale;      /* INT8 [n], BLOCKWISE [n][k / block] */
    const uint8_t *index;  /* [n][k] */
    const f16 *codebook;   /* [16] */
};

/* Bytes of the panels and of the side array; the latter is 0 for F16, which has none. */
size_t weight_panel_bytes(const struct weight_form *f);
size_t weight_side_bytes(const struct weight_form *f);
void weight_pack(const struct weight_form *f, void *panels, void *side);

/* Whether lists suit a weight that multiplies a single row: they are fast where steps are few. */
bool weight_lists_suit(const struct weight_form *f);

/* Whether `side` leads through panels of a weight that is SPARSE or SPARSE_T, of `elements`
 * elements, without leaving them, and masks name only rows that there are.  Reads f->encoding, n
 * and k, and nothing outside the panels, whatever they hold; `side` has its full size. */
bool weight_sparse_ok(const struct weight_form *f, const f16 *panels, size_t elements,
                      const uint64_t *side);

/* The same of lists, which stay within the k >= LIST_WINDOW rows. */
bool weight_lists_ok(const struct weight_form *f, const f16 *panels, size_t elements,
                     const uint64_t *side);

/* For each mask of eight lanes, the bytes of a table look-up that moves consecutive binary16 values
 * to the lanes that are set: 0x80 and above give zero. */
extern const uint8_t weight_spread[256][16];

/* The mask of column j of a group of sparse_t. */
static inline uint64_t weight_mask_t(const f16 *masks, size_t j)
{
    uint64_t mask;
    memcpy(&mask, masks + j * MASK_T, sizeof mask);
    return mask;
}

/* Words of int4 indices, sparse groups, that k rows of a panel take. */
static inline size_t weight_words(size_t k)
{
    return (k + WEIGHT_PER_WORD - 1) / WEIGHT_PER_WORD;
}

static inline size_t weight_groups(size_t k)
{
    return (k + WEIGHT_GROUP - 1) / WEIGHT_GROUP;
}

/* The most panels that a tile of one row expands side by side: more where it has latency to
 * hide. */
static inline size_t weight_row_panels(const struct kern *kern, enum weight_encoding encoding)
{
    return encoding == WEIGHT_INT4 || encoding == WEIGHT_LISTS ? kern->mr : kern->row_nv;
}

/* Panel q of a weight. */
static inline struct weight_panel weight_panel_at(enum weight_encoding encoding, const void *panels,
                                                  const void *side, size_t k, size_t block,
                                                  size_t q)
{
    const char *w = panels, *s = side;
    struct weight_panel p = {.w = w, .side = s, .k = k, .block = block};
    switch (encoding) {
    case WEIGHT_INT8:
        p.w = w + q * k * ANF_PANEL;
        p.side = s + q * ANF_PANEL * sizeof(f16);
        break;
    case WEIGHT_INT4:
        p.w = w + q * weight_words(k) * ANF_PANEL * sizeof(uint32_t);
        break;
    case WEIGHT_SPARSE:
    case WEIGHT_SPARSE_T:
        p.side = s + q * weight_groups(k) * sizeof(uint64_t);
        break;
    case WEIGHT_LISTS:
        p.side = s + q * 2 * sizeof(uint64_t);
        break;
    case WEIGHT_BLOCKWISE:
        p.w = w + q * k * ANF_PANEL;
        p.side = s + q * (k / block) * ANF_PANEL * sizeof(f16);
        break;
    case WEIGHT_F16:
    case WEIGHT_ENCODING_COUNT:
        p.w = w + q * k * ANF_PANEL * sizeof(f16);
        break;
    }
    return p;
}

/* Bytes of a row of a panel; of sparse ones about, of lists and sparse_t 0. */
extern const uint8_t weight_row_bytes[WEIGHT_ENCODING_COUNT];

/* Where the rows from k0 < k on begin, or a few before: a word of int4 indices and a sparse group
 * are not cut. */
static inline const void *weight_rows_at(enum weight_encoding encoding,
                                         const struct weight_panel *p, size_t k0)
{
    if (encoding == WEIGHT_SPARSE || encoding == WEIGHT_SPARSE_T)
        return (const f16 *)p->w + ((const uint64_t *)p->side)[k0 / WEIGHT_GROUP];
    return (const char *)p->w + k0 / WEIGHT_PER_WORD * WEIGHT_PER_WORD * weight_row_bytes[encoding];
}

#endif
