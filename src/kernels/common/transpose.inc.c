/* Transpose of 16-bit matrices.
 *
 * A block of 8 x 8 elements is eight 128-bit registers and three rounds of interleaving, the same
 * on every ISA, so it is written with the compiler's portable vectors.  Round by round, register i
 * meets register i + 4; after three rounds the bits of row and column number have changed places.
 *
 * Blocks are walked in tiles of TRANSPOSE_TILE rows, which is one cache line of an output row:
 * every line of the output is finished while it is in cache, whatever the strides.  The last block
 * of a row or column is moved back to end at the edge, and so writes some elements twice.
 *
 * A matrix of up to seven rows or columns has no such block.  Packed ones of two to four, which are
 * pixel shuffles, repeats and images of few channels, have loops of their own: weave interleaves
 * rows, part is the way back.  Others are blocks of which some rows or columns are missing. */

#define TRANSPOSE_UNROLL _Pragma("GCC unroll 8")

enum { TRANSPOSE_BLOCK = 8, TRANSPOSE_TILE = 32 };

typedef uint16_t half8 __attribute__((vector_size(16)));
typedef uint64_t wide2 __attribute__((vector_size(16)));

VFN half8 ISA(zip_low)(half8 a, half8 b)
{
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

VFN half8 ISA(zip_high)(half8 a, half8 b)
{
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

VFN half8 ISA(load8)(const f16 *p)
{
    half8 h;
    memcpy(&h, p, sizeof h);
    return h;
}

VFN void ISA(store8)(f16 *p, half8 h)
{
    memcpy(p, &h, sizeof h);
}

/* One round for n registers, of which register i meets register i + n / 2. */
VFN void ISA(zip_round)(half8 *out, const half8 *in, size_t n)
{
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < n / 2; i++) {
        out[2 * i] = ISA(zip_low)(in[i], in[i + n / 2]);
        out[2 * i + 1] = ISA(zip_high)(in[i], in[i + n / 2]);
    }
}

/* The first n elements at p, n in 1..8; the other lanes hold anything.  No more may be read, so
 * two ranges overlap where n is no power of two. */
VFN half8 ISA(load_part)(const f16 *p, size_t n)
{
    uint64_t low = p[0], high = 0;
    uint32_t first, last;
    if (n == TRANSPOSE_BLOCK)
        return ISA(load8)(p);
    if (n >= 4) {
        memcpy(&low, p, 8);
        memcpy(&high, p + n - 4, 8);
        high >>= 16 * (8 - n) % 64;
    } else if (n >= 2) {
        memcpy(&first, p, 4);
        memcpy(&last, p + n - 2, 4);
        low = first | (uint64_t)last << 16 * (n - 2);
    }
    return (half8)(wide2){low, high};
}

/* The first n lanes to p, n in 1..8. */
VFN void ISA(store_part)(f16 *p, half8 h, size_t n)
{
    if (n == TRANSPOSE_BLOCK) {
        ISA(store8)(p, h);
        return;
    }
    const wide2 bits = (wide2)h;
    uint64_t rest = bits[0];
    if (n & 4) {
        memcpy(p, &rest, 8);
        p += 4;
        rest = bits[1];
    }
    if (n & 2) {
        memcpy(p, &rest, 4);
        p += 2;
        rest >>= 32;
    }
    if (n & 1)
        memcpy(p, &rest, 2);
}

/* rows and cols in 1..8.  Loads have n_load elements and stores n_store: cols and rows, or 8 where
 * what lies behind may be read, or will be written later. */
VFN void ISA(transpose_block)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows,
                              size_t cols, size_t n_load, size_t n_store)
{
    half8 a[TRANSPOSE_BLOCK], b[TRANSPOSE_BLOCK];
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < TRANSPOSE_BLOCK; i++)
        a[i] = i < rows ? ISA(load_part)(x + i * ldx, n_load) : (half8){0};
    ISA(zip_round)(b, a, TRANSPOSE_BLOCK);
    ISA(zip_round)(a, b, TRANSPOSE_BLOCK);
    ISA(zip_round)(b, a, TRANSPOSE_BLOCK);
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < TRANSPOSE_BLOCK; i++)
        if (i < cols)
            ISA(store_part)(y + i * ldy, b[i], n_store);
}

/* Where the block at i begins if the last one ends at n >= 8. */
VFN size_t ISA(block_at)(size_t i, size_t n)
{
    return i < n - TRANSPOSE_BLOCK ? i : n - TRANSPOSE_BLOCK;
}

/* Lane l of out[i] comes from in[(l - i) mod 3]; doing it twice changes nothing. */
VFN void ISA(exchange3)(half8 *out, const half8 *in)
{
    half8 t = __builtin_shufflevector(in[0], in[1], 0, 9, 2, 3, 12, 5, 6, 15);
    out[0] = __builtin_shufflevector(t, in[2], 0, 1, 10, 3, 4, 13, 6, 7);
    t = __builtin_shufflevector(in[2], in[0], 0, 9, 2, 3, 12, 5, 6, 15);
    out[1] = __builtin_shufflevector(t, in[1], 0, 1, 10, 3, 4, 13, 6, 7);
    t = __builtin_shufflevector(in[1], in[2], 0, 9, 2, 3, 12, 5, 6, 15);
    out[2] = __builtin_shufflevector(t, in[0], 0, 1, 10, 3, 4, 13, 6, 7);
}

/* Eight columns of two to four rows: y[rows * c + r] = row r[c]. */
VFN void ISA(weave_block)(const f16 *x, size_t ldx, f16 *y, size_t rows)
{
    half8 a[4], b[4];
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < rows; i++)
        a[i] = ISA(load8)(x + i * ldx);
    if (rows == 2) {
        ISA(zip_round)(b, a, rows);
    } else if (rows == 3) {
        /* 3 has an inverse modulo 8, so no two elements of a row go to one lane. */
        a[0] = __builtin_shufflevector(a[0], a[0], 0, 3, 6, 1, 4, 7, 2, 5);
        a[1] = __builtin_shufflevector(a[1], a[1], 5, 0, 3, 6, 1, 4, 7, 2);
        a[2] = __builtin_shufflevector(a[2], a[2], 2, 5, 0, 3, 6, 1, 4, 7);
        ISA(exchange3)(b, a);
    } else {
        half8 t[4];
        ISA(zip_round)(t, a, rows);
        ISA(zip_round)(b, t, rows);
    }
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < rows; i++)
        ISA(store8)(y + TRANSPOSE_BLOCK * i, b[i]);
}

/* Eight rows of two to four columns: column c[r] = x[cols * r + c]. */
VFN void ISA(part_block)(const f16 *x, f16 *y, size_t ldy, size_t cols)
{
    half8 a[4], b[4];
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < cols; i++)
        a[i] = ISA(load8)(x + TRANSPOSE_BLOCK * i);
    if (cols == 2) {
        b[0] = __builtin_shufflevector(a[0], a[1], 0, 2, 4, 6, 8, 10, 12, 14);
        b[1] = __builtin_shufflevector(a[0], a[1], 1, 3, 5, 7, 9, 11, 13, 15);
    } else if (cols == 3) {
        ISA(exchange3)(b, a);
        b[0] = __builtin_shufflevector(b[0], b[0], 0, 3, 6, 1, 4, 7, 2, 5);
        b[1] = __builtin_shufflevector(b[1], b[1], 1, 4, 7, 2, 5, 0, 3, 6);
        b[2] = __builtin_shufflevector(b[2], b[2], 2, 5, 0, 3, 6, 1, 4, 7);
    } else {
        ISA(zip_round)(b, a, cols);
        ISA(zip_round)(a, b, cols);
        ISA(zip_round)(b, a, cols);
    }
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < cols; i++)
        ISA(store8)(y + i * ldy, b[i]);
}

VFN void ISA(weave)(const f16 *x, size_t ldx, f16 *y, size_t rows, size_t cols)
{
    size_t c = 0;
    for (; cols - c >= TRANSPOSE_BLOCK; c += TRANSPOSE_BLOCK)
        ISA(weave_block)(x + c, ldx, y + rows * c, rows);
    if (c < cols) {
        c = cols - TRANSPOSE_BLOCK;
        ISA(weave_block)(x + c, ldx, y + rows * c, rows);
    }
}

VFN void ISA(part)(const f16 *x, f16 *y, size_t ldy, size_t rows, size_t cols)
{
    size_t r = 0;
    for (; rows - r >= TRANSPOSE_BLOCK; r += TRANSPOSE_BLOCK)
        ISA(part_block)(x + cols * r, y + r, ldy, cols);
    if (r < rows) {
        r = rows - TRANSPOSE_BLOCK;
        ISA(part_block)(x + cols * r, y + r, ldy, cols);
    }
}

/* Fewer than eight rows, and more columns.  Stores of packed outputs reach into the columns that
 * follow, and are in ascending order. */
static void ISA(transpose_low)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows,
                               size_t cols)
{
    size_t c = 0;
    if (ldy == rows)
        for (; (cols - c) * rows >= 7 * rows + TRANSPOSE_BLOCK; c += TRANSPOSE_BLOCK)
            ISA(transpose_block)(x + c, ldx, y + c * ldy, ldy, rows, 8, 8, 8);
    for (; c < cols; c += TRANSPOSE_BLOCK) {
        const size_t from = ISA(block_at)(c, cols);
        ISA(transpose_block)(x + from, ldx, y + from * ldy, ldy, rows, 8, 8, rows);
    }
}

/* Fewer than eight columns, and more rows.  Loads of packed inputs reach into the rows that
 * follow. */
static void ISA(transpose_narrow)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows,
                                  size_t cols)
{
    size_t r = 0;
    if (ldx == cols)
        for (; (rows - r) * cols >= 7 * cols + TRANSPOSE_BLOCK; r += TRANSPOSE_BLOCK)
            ISA(transpose_block)(x + r * ldx, ldx, y + r, ldy, 8, cols, 8, 8);
    for (; r < rows; r += TRANSPOSE_BLOCK) {
        const size_t from = ISA(block_at)(r, rows);
        ISA(transpose_block)(x + from * ldx, ldx, y + from, ldy, 8, cols, cols, 8);
    }
}

static void ISA(transpose_tiled)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows,
                                 size_t cols)
{
    for (size_t r0 = 0; r0 < rows; r0 += TRANSPOSE_TILE)
        for (size_t c0 = 0; c0 < cols; c0 += TRANSPOSE_BLOCK) {
            const size_t c = ISA(block_at)(c0, cols);
            for (size_t k = r0; k < rows && k < r0 + TRANSPOSE_TILE; k += TRANSPOSE_BLOCK) {
                const size_t r = ISA(block_at)(k, rows);
                ISA(transpose_block)(x + r * ldx + c, ldx, y + c * ldy + r, ldy, 8, 8, 8, 8);
            }
        }
}

static void ISA(transpose)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows, size_t cols)
{
    const bool low = rows < TRANSPOSE_BLOCK, narrow = cols < TRANSPOSE_BLOCK;
    if (rows * cols < 2 * TRANSPOSE_BLOCK) {
        /* Moved one by one before a block would be put together. */
        for (size_t c = 0; c < cols; c++)
            for (size_t r = 0; r < rows; r++)
                y[c * ldy + r] = x[r * ldx + c];
    } else if (low && narrow) {
        ISA(transpose_block)(x, ldx, y, ldy, rows, cols, cols, rows);
    } else if (low && ldy == rows && rows >= 2 && rows <= 4) {
        if (rows == 2)
            ISA(weave)(x, ldx, y, 2, cols);
        else if (rows == 3)
            ISA(weave)(x, ldx, y, 3, cols);
        else
            ISA(weave)(x, ldx, y, 4, cols);
    } else if (narrow && ldx == cols && cols >= 2 && cols <= 4) {
        if (cols == 2)
            ISA(part)(x, y, ldy, rows, 2);
        else if (cols == 3)
            ISA(part)(x, y, ldy, rows, 3);
        else
            ISA(part)(x, y, ldy, rows, 4);
    } else if (low) {
        ISA(transpose_low)(x, ldx, y, ldy, rows, cols);
    } else if (narrow) {
        ISA(transpose_narrow)(x, ldx, y, ldy, rows, cols);
    } else {
        ISA(transpose_tiled)(x, ldx, y, ldy, rows, cols);
    }
}
