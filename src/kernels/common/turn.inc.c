/* Sixteen-bit elements of several planes side by side, and back: what kernels need whose lanes are
 * channels, while elements are still small.
 *
 * Transposed are 8 x 8 elements at a time in 128-bit registers. */
enum {
    TURN_RUN = 64, /* the most pixels of a row that is turned back */
};

/* Eight rows in 128-bit lanes: in every lane, element j of r[i] and element i of r[j] change
 * places. Zipping row i with row i + 4 rotates the index bits (i, j) by one; three times
 * transposes. */
#define ZIP(lane, n, at)                                                                           \
    8 * (lane) + (at), 8 * (lane) + (at) + (n), 8 * (lane) + (at) + 1, 8 * (lane) + (at) + (n) + 1,\
    8 * (lane) + (at) + 2, 8 * (lane) + (at) + (n) + 2, 8 * (lane) + (at) + 3,                     \
    8 * (lane) + (at) + (n) + 3
#define TURN(name, vector, zips)                                                                   \
    VFN void ISA(name)(vector r[8])                                                                \
    {                                                                                              \
        vector s[8];                                                                               \
        UNROLL for (size_t round = 0; round < 3; round++) {                                        \
            UNROLL for (size_t i = 0; i < 4; i++) {                                                \
                s[2 * i] = __builtin_shufflevector(r[i], r[i + 4], zips(0));                       \
                s[2 * i + 1] = __builtin_shufflevector(r[i], r[i + 4], zips(4));                   \
            }                                                                                      \
            UNROLL for (size_t i = 0; i < 8; i++)                                                  \
                r[i] = s[i];                                                                       \
        }                                                                                          \
    }

typedef uint16_t u16x8 __attribute__((vector_size(16)));
#define ZIPS_8(at) ZIP(0, 8, at)
TURN(turn_8, u16x8, ZIPS_8)
typedef uint16_t ISA(u16x16) __attribute__((vector_size(32)));
#define ZIPS_16(at) ZIP(0, 16, at), ZIP(1, 16, at)
TURN(turn_16, ISA(u16x16), ZIPS_16)
#if VL == 16
typedef uint16_t u16x32 __attribute__((vector_size(64)));
#define ZIPS_32(at) ZIP(0, 32, at), ZIP(1, 32, at), ZIP(2, 32, at), ZIP(3, 32, at)
TURN(turn_32, u16x32, ZIPS_32)
#endif

/* Eight columns of eight rows of x, of which `rows` and nk are there; the other rows are zero, the
 * other columns anything. */
VFN void ISA(turn_block)(const f16 *x, size_t ldx, size_t rows, size_t nk, f16 *t, size_t ld)
{
    u16x8 r[8];
    UNROLL for (size_t i = 0; i < 8; i++) {
        r[i] = (u16x8){0};
        if (i < rows && (nk == 8 || i * ldx + 8 <= (rows - 1) * ldx + nk)) {
            __builtin_memcpy(&r[i], x + i * ldx, sizeof r[i]); /* perhaps on into the next row */
        } else if (i < rows) {
            f16 part[8] = {0};
            for (size_t e = 0; e < nk; e++)
                part[e] = x[i * ldx + e];
            __builtin_memcpy(&r[i], part, sizeof r[i]);
        }
    }
    ISA(turn_8)(r);
    UNROLL for (size_t i = 0; i < 8; i++)
        __builtin_memcpy(t + i * ld, &r[i], sizeof r[i]);
}

/* t[k*ld + i] = x[i*ldx + k] for i < 8, k < kc; rows from `rows` on are zero.  t has room for eight
 * k's at least. */
VFN void ISA(turn_rows)(const f16 *x, size_t ldx, size_t rows, size_t kc, f16 *t, size_t ld)
{
    size_t k = 0;
#if VL == 16
    for (; rows && k + 32 <= kc; k += 32) {
        u16x32 r[8];
        UNROLL for (size_t i = 0; i < 8; i++) {
            r[i] = (u16x32){0};
            if (i < rows)
                __builtin_memcpy(&r[i], x + i * ldx + k, sizeof r[i]);
        }
        ISA(turn_32)(r);
        UNROLL for (size_t i = 0; i < 8; i++)
            UNROLL for (size_t lane = 0; lane < 4; lane++)
                __builtin_memcpy(t + (k + 8 * lane + i) * ld, (const f16 *)&r[i] + 8 * lane, 16);
    }
#endif
    if (kc < 8)
        ISA(turn_block)(x, ldx, rows, kc, t, ld);
    else
        for (; k < kc; k += 8) { /* the last block does some of the one before once more */
            k = k + 8 <= kc ? k : kc - 8;
            ISA(turn_block)(x + k, ldx, rows, 8, t + k * ld, ld);
        }
}

/* to[16i + c] = x[c*plane + i] for c < channels <= 8, i < n; zero for the others of eight. */
VFN void ISA(turn_planes_8)(const f16 *x, size_t plane, size_t channels, size_t n, f16 *to)
{
    const size_t whole = n / 8 * 8;
    ISA(turn_rows)(x, plane, channels, whole ? whole : n, to, ANF_PANEL);
    if (whole && whole < n) /* the last eight, some of them once more */
        ISA(turn_rows)(x + n - 8, plane, channels, 8, to + (n - 8) * ANF_PANEL, ANF_PANEL);
}

static void ISA(turn_planes)(const f16 *x, size_t plane, size_t channels, size_t n, f16 *to)
{
    for (size_t c = 0; c < ANF_PANEL; c += 8, to += 8)
        if (c + 8 <= channels)
            ISA(turn_planes_8)(x + c * plane, plane, 8, n, to);
        else if (c < channels)
            ISA(turn_planes_8)(x + c * plane, plane, channels - c, n, to);
        else
            ISA(turn_planes_8)(x, plane, 0, n, to);
}

/* n elements by the largest moves that fit, the last of which overlaps the one before. */
VFN void ISA(copy_run)(f16 *y, const f16 *x, size_t n)
{
    if (n >= 8) {
        size_t i = 0;
        for (; i + 16 <= n; i += 16) {
            __builtin_memcpy(y + i, x + i, 32);
            __asm__("" : "+r"(i)); /* or the compiler calls memmove for these few bytes */
        }
        if (i + 8 <= n)
            __builtin_memcpy(y + i, x + i, 16);
        __builtin_memcpy(y + n - 8, x + n - 8, 16);
    } else if (n >= 4) {
        __builtin_memcpy(y, x, 8);
        __builtin_memcpy(y + n - 4, x + n - 4, 8);
    } else {
        for (size_t i = 0; i < n; i++)
            y[i] = x[i];
    }
}

/* to[c*plane + i] = pixels[16i + c] for c < 8 and i < 8, and the same from pixels + from to
 * to + by. */
VFN void ISA(turn_two)(const f16 *pixels, size_t from, f16 *to, size_t by, size_t plane)
{
    ISA(u16x16) r[8];
    UNROLL for (size_t k = 0; k < 8; k++) {
        u16x8 a, b;
        __builtin_memcpy(&a, pixels + k * ANF_PANEL, sizeof a);
        __builtin_memcpy(&b, pixels + from + k * ANF_PANEL, sizeof b);
        r[k] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
    ISA(turn_16)(r);
    UNROLL for (size_t k = 0; k < 8; k++) {
        if (by == 8) {
            __builtin_memcpy(to + k * plane, &r[k], sizeof r[k]);
            continue;
        }
        const u16x8 a = __builtin_shufflevector(r[k], r[k], 0, 1, 2, 3, 4, 5, 6, 7);
        const u16x8 b = __builtin_shufflevector(r[k], r[k], 8, 9, 10, 11, 12, 13, 14, 15);
        __builtin_memcpy(to + k * plane, &a, sizeof a);
        __builtin_memcpy(to + by + k * plane, &b, sizeof b);
    }
}

/* Rows of n <= TURN_RUN pixels to n_planes <= 8 planes:
 *     to[c*plane + r*pitch + i] = pixels[(r*row + i)*16 + c]   for i < n
 * Eight at a time: where all planes begin in one set of the cache, it has room for them.  Pixels
 * are read in eights, whatever lies behind the last one, and rows below eight in pairs. */
VFN void ISA(turn_back)(const f16 *pixels, size_t row, size_t n_planes, size_t rows, size_t n,
                        f16 *to, size_t plane, size_t pitch)
{
    const size_t below = row * ANF_PANEL;
    f16 part[8 * TURN_RUN];
    if (n < 8) {
        for (size_t r = 0; r < rows; r += 2, pixels += 2 * below, to += 2 * pitch) {
            ISA(turn_two)(pixels, below, part, 8, 16);
            for (size_t k = 0; k < n_planes; k++) {
                ISA(copy_run)(to + k * plane, part + k * 16, n);
                if (r + 1 < rows)
                    ISA(copy_run)(to + k * plane + pitch, part + k * 16 + 8, n);
            }
        }
        return;
    }
    const bool whole = n_planes == 8;
    for (size_t r = 0; r < rows; r++, pixels += below, to += pitch) {
        f16 *const y = whole ? to : part;
        const size_t step = whole ? plane : TURN_RUN;
        size_t i = 0;
        for (; i + 16 <= n; i += 16)
            ISA(turn_two)(pixels + i * ANF_PANEL, 8 * ANF_PANEL, y + i, 8, step);
        if (i < n) { /* the last ones, some of them once more */
            const size_t first = i + 8 < n ? i : n - 8, by = n - 8 - first;
            ISA(turn_two)(pixels + first * ANF_PANEL, by * ANF_PANEL, y + first, by, step);
        }
        for (size_t k = 0; !whole && k < n_planes; k++)
            ISA(copy_run)(to + k * plane, part + k * TURN_RUN, n);
    }
}

/* Biases of a panel's channels, of which there are n; what is behind them is 0. */
VFN void ISA(panel_biases)(const f16 *bias, size_t n, vf b[PANEL_VECS])
{
    UNROLL for (size_t j = 0; j < PANEL_VECS; j++) {
        const size_t left = n > j * VL ? n - j * VL : 0;
        const f16 *const from = left ? bias + j * VL : bias;
        b[j] = left < VL ? v_load_f16_n(from, left) : v_load_f16(from);
    }
}

VFN void ISA(store_planes_of)(const bool has_bias, const bool relu, const float *s, size_t ld,
                              size_t n, const f16 *bias, size_t n_channels, f16 *y,
                              size_t y_channel)
{
    f16 pixels[(TURN_RUN + 8) * ANF_PANEL];
    vf b[PANEL_VECS];
    for (size_t c = 0; c < n_channels; c += ANF_PANEL, s += ANF_PANEL, y += ANF_PANEL * y_channel) {
        const size_t channels = n_channels - c < ANF_PANEL ? n_channels - c : ANF_PANEL;
        if (has_bias)
            ISA(panel_biases)(bias + c, channels, b);
        for (size_t p0 = 0, run; p0 < n; p0 += run) {
            run = n - p0 < TURN_RUN ? n - p0 : TURN_RUN;
            for (size_t p = 0; p < run; p++)
                UNROLL for (size_t j = 0; j < PANEL_VECS; j++) {
                    vf t = v_load(s + (p0 + p) * ld + j * VL);
                    if (has_bias)
                        t = v_add(t, b[j]);
                    v_store_f16(pixels + p * ANF_PANEL + j * VL, relu ? ISA(relu_first)(t) : t);
                }
            for (size_t h = 0; h < channels; h += 8)
                ISA(turn_back)(pixels + h, 8, channels - h < 8 ? channels - h : 8, 1, run,
                               y + h * y_channel + p0, y_channel, 0);
        }
    }
}

static void ISA(store_planes)(const float *s, size_t ld, size_t n, const f16 *bias,
                              size_t n_channels, bool relu, f16 *y, size_t y_channel)
{
    if (bias && relu)
        ISA(store_planes_of)(true, true, s, ld, n, bias, n_channels, y, y_channel);
    else if (bias)
        ISA(store_planes_of)(true, false, s, ld, n, bias, n_channels, y, y_channel);
    else if (relu)
        ISA(store_planes_of)(false, true, s, ld, n, bias, n_channels, y, y_channel);
    else
        ISA(store_planes_of)(false, false, s, ld, n, bias, n_channels, y, y_channel);
}
