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
 * Two rows woven into one, and one parted into two, are the heart of a pixel shuffle by 2 and have
 * no 8 x 8 block at all; they have their own loops. */

#define TRANSPOSE_UNROLL _Pragma("GCC unroll 8")

enum { TRANSPOSE_BLOCK = 8, TRANSPOSE_TILE = 32 };

typedef uint16_t half8 __attribute__((vector_size(16)));

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

VFN void ISA(zip_round)(half8 *out, const half8 *in)
{
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < 4; i++) {
        out[2 * i] = ISA(zip_low)(in[i], in[i + 4]);
        out[2 * i + 1] = ISA(zip_high)(in[i], in[i + 4]);
    }
}

VFN void ISA(transpose_block)(const f16 *x, size_t ldx, f16 *y, size_t ldy)
{
    half8 a[TRANSPOSE_BLOCK], b[TRANSPOSE_BLOCK];
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < TRANSPOSE_BLOCK; i++)
        a[i] = ISA(load8)(x + i * ldx);
    ISA(zip_round)(b, a);
    ISA(zip_round)(a, b);
    ISA(zip_round)(b, a);
    TRANSPOSE_UNROLL
    for (size_t i = 0; i < TRANSPOSE_BLOCK; i++)
        ISA(store8)(y + i * ldy, b[i]);
}

/* Fewer than eight rows or columns: the shorter side in the inner loop. */
static void ISA(transpose_plain)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows,
                                 size_t cols)
{
    if (rows <= cols) {
        for (size_t c = 0; c < cols; c++)
            for (size_t r = 0; r < rows; r++)
                y[c * ldy + r] = x[r * ldx + c];
    } else {
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < cols; c++)
                y[c * ldy + r] = x[r * ldx + c];
    }
}

/* y[2 c] = even[c], y[2 c + 1] = odd[c]. */
static void ISA(weave)(const f16 *even, const f16 *odd, f16 *y, size_t n)
{
    size_t c = 0;
    for (; n - c >= TRANSPOSE_BLOCK; c += TRANSPOSE_BLOCK) {
        half8 a = ISA(load8)(even + c), b = ISA(load8)(odd + c);
        ISA(store8)(y + 2 * c, ISA(zip_low)(a, b));
        ISA(store8)(y + 2 * c + TRANSPOSE_BLOCK, ISA(zip_high)(a, b));
    }
    for (; c < n; c++) {
        y[2 * c] = even[c];
        y[2 * c + 1] = odd[c];
    }
}

/* even[r] = x[2 r], odd[r] = x[2 r + 1]. */
static void ISA(part)(const f16 *x, f16 *even, f16 *odd, size_t n)
{
    size_t r = 0;
    for (; n - r >= TRANSPOSE_BLOCK; r += TRANSPOSE_BLOCK) {
        half8 a = ISA(load8)(x + 2 * r), b = ISA(load8)(x + 2 * r + TRANSPOSE_BLOCK);
        ISA(store8)(even + r, __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14));
        ISA(store8)(odd + r, __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15));
    }
    for (; r < n; r++) {
        even[r] = x[2 * r];
        odd[r] = x[2 * r + 1];
    }
}

static void ISA(transpose)(const f16 *x, size_t ldx, f16 *y, size_t ldy, size_t rows, size_t cols)
{
    if (rows == 2 && ldy == 2) {
        ISA(weave)(x, x + ldx, y, cols);
    } else if (cols == 2 && ldx == 2) {
        ISA(part)(x, y, y + ldy, rows);
    } else if (rows < TRANSPOSE_BLOCK || cols < TRANSPOSE_BLOCK) {
        ISA(transpose_plain)(x, ldx, y, ldy, rows, cols);
    } else {
        const size_t r_last = rows - TRANSPOSE_BLOCK, c_last = cols - TRANSPOSE_BLOCK;
        for (size_t r0 = 0; r0 < rows; r0 += TRANSPOSE_TILE)
            for (size_t c0 = 0; c0 < cols; c0 += TRANSPOSE_BLOCK) {
                size_t c = c0 < c_last ? c0 : c_last;
                for (size_t k = r0; k < rows && k < r0 + TRANSPOSE_TILE; k += TRANSPOSE_BLOCK) {
                    size_t r = k < r_last ? k : r_last;
                    ISA(transpose_block)(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
                }
            }
    }
}
