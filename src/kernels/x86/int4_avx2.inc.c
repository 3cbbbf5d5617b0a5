/* Panels of 4-bit indices (weight_panels.h) with AVX2, in place of int4.inc.c; and how byte
 * shuffles look up binary16 values, for lists_avx2.inc.c too.
 *
 * A shuffle looks up 32 indices at once: the low and the high bytes of what they name, which
 * interleaved are words of binary16.  A multiply-add of words by 2^13 and 0 moves every other word
 * to where float32 has sign, exponent and mantissa, but for the exponent, which is 112 too small,
 * and for copies of the sign, which a mask clears.  The other factor of the product is scaled by
 * 2^112 instead: that is exact, for it is a binary16 as well.
 *
 * A register file renames some 120 results, and sums wait for each other: eight rows of a vector in
 * a run would leave the units idle.  So a group of eight rows is looked up while the one before it,
 * which lies in a slot of the stack, is multiplied, four rows of all vectors at a time. */
enum {
    INT4_WORDS = 4, /* vectors of words for a vector of eight rows: 0 2, 1 3, 4 6, 5 7 */
    INT4_PANEL_WORDS = INT4_WORDS * PANEL_VECS,
    INT4_HALF = WEIGHT_PER_WORD / 2,
    INT4_FEW = 4, /* rows; more use a weight often enough to widen it first */
    INT4_WIDE = 128, /* rows of B that are widened then: 8 KiB */
};

#define WORD_SCALE 0x1p112f
/* What words become float32 by, and nibbles of bytes indices. */
struct word_masks {
    __m256i even, odd, sign_and_below, nibble;
};

VFN struct word_masks word_masks(void)
{
    struct word_masks x = {_mm256_set1_epi32(1 << 13), _mm256_set1_epi32(1 << 29),
                           _mm256_set1_epi32((int)0x8fffffff), _mm256_set1_epi8(15)};
    /* Or the compiler loads them from memory each time, and loads bound the loop. */
    __asm__("" : "+x"(x.even), "+x"(x.odd), "+x"(x.sign_and_below), "+x"(x.nibble));
    return x;
}

/* The finite values of words 0, 2, ... or 1, 3, ..., divided by WORD_SCALE. */
VFN vf word_floats(const struct word_masks *m, __m256i words, bool odd)
{
    const __m256i x = _mm256_madd_epi16(words, odd ? m->odd : m->even);
    return _mm256_castsi256_ps(_mm256_and_si256(x, m->sign_and_below));
}

struct int4_book {
    __m256i low, high; /* bytes of the entries, in both lanes */
    struct word_masks masks;
    bool finite; /* the exponent of others is lost: they go through v_look */
};

VFN struct int4_book int4_book(const f16 *p)
{
    const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 8));
    const __m128i byte = _mm_set1_epi16(0xff), most = _mm_set1_epi16(0x7c00);
    const __m128i low = _mm_packus_epi16(_mm_and_si128(a, byte), _mm_and_si128(b, byte));
    const __m128i high = _mm_packus_epi16(_mm_srli_epi16(a, 8), _mm_srli_epi16(b, 8));
    const __m128i special = _mm_or_si128(_mm_cmpeq_epi16(_mm_and_si128(a, most), most),
                                         _mm_cmpeq_epi16(_mm_and_si128(b, most), most));
    struct int4_book x = {
        .low = _mm256_broadcastsi128_si256(low),
        .high = _mm256_broadcastsi128_si256(high),
        .masks = word_masks(),
        .finite = _mm_movemask_epi8(special) == 0,
    };
    __asm__("" : "+x"(x.low), "+x"(x.high)); /* as in word_masks */
    return x;
}

/* The entries that eight words of indices name. */
VFN void int4_words(const struct int4_book *b, const uint32_t *p, __m256i *y)
{
    /* Of four words bytes 0 and 1 in turns, then bytes 2 and 3. */
    const __m256i turn = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    const __m256i loaded = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i x = _mm256_shuffle_epi8(loaded, turn);
    const __m256i even = _mm256_and_si256(x, b->masks.nibble);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(x, 4), b->masks.nibble);
    const __m256i even_low = _mm256_shuffle_epi8(b->low, even);
    const __m256i even_high = _mm256_shuffle_epi8(b->high, even);
    const __m256i odd_low = _mm256_shuffle_epi8(b->low, odd);
    const __m256i odd_high = _mm256_shuffle_epi8(b->high, odd);
    y[0] = _mm256_unpacklo_epi8(even_low, even_high);
    y[1] = _mm256_unpacklo_epi8(odd_low, odd_high);
    y[2] = _mm256_unpackhi_epi8(even_low, even_high);
    y[3] = _mm256_unpackhi_epi8(odd_low, odd_high);
}

/* Row r of eight, divided by WORD_SCALE. */
VFN vf int4_row(const struct int4_book *b, const __m256i *words, size_t r)
{
    return word_floats(&b->masks, words[r / INT4_HALF * 2 + r % 2], r / 2 % 2);
}

/* Two groups of eight rows: the one that is multiplied, and the one after it. */
struct int4_groups {
    const uint32_t *w; /* of the group after it */
    const float *a;
    size_t left;         /* groups, with the one that is multiplied */
    size_t panel, ahead; /* words; bytes */
    __m256i words[2][TILE_MR * INT4_PANEL_WORDS];
    float scaled[2][WEIGHT_PER_WORD * INT4_FEW];
};

VFN void int4_scale(const float *a, size_t mr, float *y)
{
    UNROLL for (size_t i = 0; i < mr; i++)
        v_store(y + i * VL, v_mul(v_load(a + i * VL), v_set(WORD_SCALE)));
}

VFN void int4_start(struct int4_groups *x, const struct weight_tile *t,
                    const struct int4_book *book, size_t groups, size_t mr, size_t nv)
{
    x->w = t->panels[0].w;
    x->a = t->a;
    x->left = groups;
    x->panel = weight_words(t->panels[0].k) * ANF_PANEL;
    for (size_t v = 0; v < nv; v++)
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            int4_words(book, x->w + v * x->panel + e * VL,
                       x->words[groups % 2] + v * INT4_PANEL_WORDS + e * INT4_WORDS);
    int4_scale(x->a, mr, x->scaled[groups % 2]);
}

/* Before a group is multiplied.  Behind the last one nothing is read. */
VFN void int4_next(struct int4_groups *x, size_t ahead, size_t mr, size_t nv)
{
    const size_t step = x->left > 1 ? 1 : 0;
    x->w += step * ANF_PANEL;
    x->a += step * WEIGHT_PER_WORD * mr;
    int4_scale(x->a, mr, x->scaled[(x->left - 1) % 2]);
    /* As weight_ahead does. */
    const size_t others = x->left * CACHE_LINE <= ahead ? (nv - 1) * x->panel * sizeof *x->w : 0;
    x->ahead = ahead + others;
}

/* Adds `groups` > 0 groups of one row and nv panels to c, half a group of all vectors at a time:
 * enough sums that do not wait for each other. */
VFN void int4_row_of_panels(const struct weight_tile *t, const struct int4_book *book,
                            size_t groups, size_t nv)
{
    struct int4_groups x;
    int4_start(&x, t, book, groups, 1, nv);
    for (; x.left; x.left--) {
        int4_next(&x, t->panels[0].ahead, 1, nv);
        UNROLL for (size_t half = 0; half < 2; half++) {
            const float *a = x.scaled[x.left % 2] + half * INT4_HALF;
            const uint32_t *from = x.w;
            const __m256i *now = x.words[x.left % 2];
            __m256i *next = x.words[(x.left - 1) % 2] + half * INT4_WORDS;
            float *c = t->c;
            vf b[INT4_HALF];
            UNROLL for (size_t r = 0; r < INT4_HALF; r++)
                b[r] = v_set(a[r]);
            for (size_t v = 0; v < nv; v++) {
                if (half == 0)
                    __builtin_prefetch((const char *)from + x.ahead);
                UNROLL for (size_t e = 0; e < PANEL_VECS; e++) {
                    vf s = v_load(c + e * VL);
                    UNROLL for (size_t r = 0; r < INT4_HALF; r++)
                        s = v_fma(b[r], int4_row(book, now + e * INT4_WORDS, half * INT4_HALF + r),
                                  s);
                    v_store(c + e * VL, s);
                }
                int4_words(book, from + half * VL, next);
                from += x.panel;
                now += INT4_PANEL_WORDS;
                next += INT4_PANEL_WORDS;
                c += ANF_PANEL;
            }
        }
    }
}

/* The same with mr rows and one panel, whose sums stay in registers. */
VFN void int4_rows(const struct weight_tile *t, const struct int4_book *book, size_t groups,
                   size_t mr)
{
    struct int4_groups x;
    vf s[INT4_FEW * PANEL_VECS];
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            s[i * PANEL_VECS + e] = v_load(t->c + i * t->ldc + e * VL);
    int4_start(&x, t, book, groups, mr, 1);
    for (; x.left; x.left--) {
        const float *a = x.scaled[x.left % 2];
        const __m256i *now = x.words[x.left % 2];
        __m256i *next = x.words[(x.left - 1) % 2];
        int4_next(&x, t->panels[0].ahead, mr, 1);
        __builtin_prefetch((const char *)x.w + x.ahead);
        UNROLL for (size_t r = 0; r < WEIGHT_PER_WORD; r++) {
            UNROLL for (size_t e = 0; e < PANEL_VECS; e++) {
                const vf b = int4_row(book, now + e * INT4_WORDS, r);
                UNROLL for (size_t i = 0; i < mr; i++)
                    s[i * PANEL_VECS + e] = v_fma_at(&a[r * mr + i], b, s[i * PANEL_VECS + e]);
            }
            if (r % INT4_HALF == INT4_HALF - 1)
                int4_words(book, x.w + r / INT4_HALF * VL, next + r / INT4_HALF * INT4_WORDS);
        }
    }
    UNROLL for (size_t i = 0; i < mr; i++)
        UNROLL for (size_t e = 0; e < PANEL_VECS; e++)
            v_store(t->c + i * t->ldc + e * VL, s[i * PANEL_VECS + e]);
}

static void ISA(widen_int4)(const struct weight_panel *p, size_t k0, size_t kc, float *b)
{
    const uint32_t *w = (const uint32_t *)p->w + k0 / WEIGHT_PER_WORD * ANF_PANEL;
    const struct int4_book book = int4_book(p->side);
    const vbook any = v_book(p->side);
    for (size_t from = k0 % WEIGHT_PER_WORD, n; kc; from = 0, kc -= n, w += ANF_PANEL) {
        n = WEIGHT_PER_WORD - from < kc ? WEIGHT_PER_WORD - from : kc;
        if (n == WEIGHT_PER_WORD && book.finite) {
            UNROLL for (size_t e = 0; e < PANEL_VECS; e++) {
                __m256i words[INT4_WORDS];
                int4_words(&book, w + e * VL, words);
                UNROLL for (size_t r = 0; r < WEIGHT_PER_WORD; r++)
                    v_store(b + r * ANF_PANEL + e * VL,
                            v_mul(int4_row(&book, words, r), v_set(WORD_SCALE)));
            }
            b += WEIGHT_PER_WORD * ANF_PANEL;
            continue;
        }
        for (size_t r = from; r < from + n; r++, b += ANF_PANEL)
            for (size_t e = 0; e < PANEL_VECS; e++)
                v_store(b + e * VL, v_look(any, v_codes(w), e, r));
    }
}

#define INT4_ROWS(rows) case rows: int4_rows(&t, &book, groups, rows); break;
static void ISA(gemm_tile_int4)(size_t mr, size_t nv, const float *a,
                                const struct weight_panel *panels, float *c, size_t ldc)
{
    const struct weight_tile t = {a, panels, c, ldc};
    const struct int4_book book = int4_book(panels[0].side);
    const bool many_at_once = book.finite && mr <= INT4_FEW;
    const size_t k = panels[0].k, groups = many_at_once ? k / WEIGHT_PER_WORD : 0;
    for (size_t i = 0; i < mr; i++)
        memset(c + i * ldc, 0, nv * ANF_PANEL * sizeof *c);
    if (groups)
        switch (mr) {
        case 1: int4_row_of_panels(&t, &book, groups, nv); break;
        INT4_ROWS(2)
        INT4_ROWS(3)
        INT4_ROWS(4)
        default: break;
        }
    for (size_t k0 = groups * WEIGHT_PER_WORD, kc; k0 < k; k0 += kc) {
        float wide[INT4_WIDE * ANF_PANEL];
        kc = k - k0 < INT4_WIDE ? k - k0 : INT4_WIDE;
        for (size_t v = 0; v < nv; v++) {
            ISA(widen_int4)(&panels[v], k0, kc, wide);
            ISA(gemm_tile)(mr, 1, &(struct gemm_tile){
                .kc = kc, .a = a + k0 * mr, .a_k = mr, .b = wide, .c = c + v * ANF_PANEL,
                .ldc = ldc, .accumulate = true});
        }
    }
}
