/* Lists of non-zeros (weight_panels.h) with AVX2: elements of A are looked up by byte shuffles, as
 * int4_avx2.inc.c explains, and weights scaled.
 *
 * The rows that a step may choose from are sixteen neighbours, so the low and the high bytes of all
 * rows, kept apart, are tables of a shuffle wherever it begins.  Choosing among floats takes two
 * shuffles of two micro-operations each and a blend for every eight columns. */
enum {
    LIST_BYTES = 8192, /* rows of A that fit on the stack in bytes; longer ones go the common way */
    LIST_AHEAD = 4096, /* bytes: one panel at a time is read */
};

struct list_bytes {
    uint8_t low[LIST_BYTES], high[LIST_BYTES];
};

/* The bytes of k rows of A.  Up to 15 more are written. */
VFN void list_bytes(const float *a, size_t k, struct list_bytes *y)
{
    const __m256i byte = _mm256_set1_epi16(0xff);
    size_t i = 0;
    for (; i < k; i += 16) {
        f16 part[16];
        if (k - i >= 16)
            v_put_f16(part, v_load(a + i)), v_put_f16(part + VL, v_load(a + i + VL));
        else
            for (size_t e = 0; e < 2; e++) {
                const size_t n = k - i > e * VL ? k - i - e * VL : 0;
                v_put_f16(part + e * VL, v_load_n(a + (n ? i + e * VL : 0), n < VL ? n : VL));
            }
        const __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)part);
        const __m256i both = _mm256_packus_epi16(_mm256_and_si256(x, byte),
                                                 _mm256_srli_epi16(x, 8)); /* low high low high */
        const __m256i apart = _mm256_permute4x64_epi64(both, 0xd8);
        _mm_storeu_si128((__m128i *)(void *)(y->low + i), _mm256_castsi256_si128(apart));
        _mm_storeu_si128((__m128i *)(void *)(y->high + i), _mm256_extracti128_si256(apart, 1));
    }
}

/* Sixteen bytes in both lanes. */
VFN __m256i list_table(const uint8_t *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* Adds a block to the sums.  Returns where the next one begins. */
VFN const f16 *list_block_of_bytes(const struct list_bytes *a, size_t *row, const f16 *block,
                                   const struct word_masks *masks, vf *acc)
{
    const __m256i turn = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    const __m256i *index = (const __m256i *)(const void *)block;
    const uint8_t *rows = (const uint8_t *)(block + LIST_ROWS);
    const f16 *values = block + LIST_VALUES;
    /* In every lane columns 0 8 1 9 2 10 3 11 and 4 12 5 13 6 14 7 15: of bytes 0, 1, of 2, 3. */
    const __m256i x = _mm256_shuffle_epi8(_mm256_loadu_si256(index), turn);
    const __m256i y = _mm256_shuffle_epi8(_mm256_loadu_si256(index + 1), turn);
    const __m256i two[2] = {_mm256_unpacklo_epi8(x, y), _mm256_unpackhi_epi8(x, y)};
    vf b[2][PANEL_VECS];
    UNROLL for (size_t e = 0; e < 3 * CACHE_LINE; e += CACHE_LINE)
        __builtin_prefetch((const char *)block + LIST_AHEAD + e);
    UNROLL for (size_t t = 0; t < LIST_STEPS; t++) {
        const __m256i nibbles = t % 2 ? _mm256_srli_epi16(two[t / 4], 4) : two[t / 4];
        const __m256i at = _mm256_and_si256(nibbles, masks->nibble);
        if (t % 2 == 0) {
            const uint32_t kept = ISA(two_masks)(block + LIST_MASKS, t);
            v_expand_2(kept, values, b[0], b[1]);
            values += __builtin_popcount(kept);
        }
        *row += rows[t];
        const __m256i low = _mm256_shuffle_epi8(list_table(a->low + *row), at);
        const __m256i high = _mm256_shuffle_epi8(list_table(a->high + *row), at);
        const __m256i w = t / 2 % 2 ? _mm256_unpackhi_epi8(low, high)
                                    : _mm256_unpacklo_epi8(low, high);
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            acc[e] = v_fma(word_floats(masks, w, e), v_mul(b[t % 2][e], v_set(WORD_SCALE)), acc[e]);
    }
    __builtin_prefetch((const char *)values + LIST_AHEAD);
    return block + ((size_t)(values - block) + 1) / 2 * 2;
}

static void ISA(gemm_tile_lists_of_bytes)(size_t mr, size_t nv, const float *a,
                                          const struct weight_panel *panels, float *c, size_t ldc)
{
    const size_t k = panels[0].k;
    struct list_bytes bytes;
    if (k > LIST_BYTES || !ISA(all_finite)(a, k)) {
        ISA(gemm_tile_lists)(mr, nv, a, panels, c, ldc);
        return;
    }
    list_bytes(a, k, &bytes);
    const struct word_masks masks = word_masks();
    for (size_t v = 0; v < nv; v++) {
        const uint64_t *side = panels[v].side;
        const f16 *block = (const f16 *)panels[v].w + side[0];
        size_t row = 0;
        vf acc[PANEL_VECS] = {v_zero(), v_zero()};
        for (uint64_t i = 0; i < side[1]; i++)
            block = list_block_of_bytes(&bytes, &row, block, &masks, acc);
        panel_store(c + v * ANF_PANEL, acc);
    }
}
