/* Maxima of windows of one plane, in integers.
 *
 * A binary16 number has a key, an unsigned integer with the same order: zero for -inf and so for
 * padding, and above that of +inf for every NaN, whatever its sign.  So nothing is widened.  First
 * the rows of a window meet, element by element, for some output rows; their maxima lie in a buffer
 * with padding around them, and there the columns of a window meet. */

enum {
    HALF_LANES = sizeof(vh) / sizeof(f16),
    MAX_OUTS = 128, /* columns made together */
    MAX_KEYS = 4096, /* of the buffer: 8 KiB; windows that do not fit go one by one */
    KEY_SHIFT = 0x03ff, /* what -inf has without it */
    KEY_INF = 0xf801,
};

#if HALF_VECTOR == 32
#define HALF_INDICES 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define EVEN_HALVES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_HALVES 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#else
#define HALF_INDICES 0, 1, 2, 3, 4, 5, 6, 7
#define EVEN_HALVES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_HALVES 1, 3, 5, 7, 9, 11, 13, 15
#endif

typedef int16_t ISA(signed_halves) __attribute__((vector_size(sizeof(vh))));
#define ALL_IF_NEGATIVE(x) ((vh)((ISA(signed_halves))(x) >> 15))

VFN vh ISA(key_of)(vh x)
{
    return (x ^ (ALL_IF_NEGATIVE(x) | 0x8000)) - KEY_SHIFT;
}

VFN vh ISA(value_of)(vh key)
{
    const vh nan = (vh)(key > KEY_INF), shifted = key + KEY_SHIFT;
    const vh x = shifted ^ (0xffff ^ (ALL_IF_NEGATIVE(shifted) & 0x7fff));
    return (x & ~nan) | (0x7e00 & nan);
}

VFN vh ISA(halves_load)(const f16 *p)
{
    vh x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* The keys of n < HALF_LANES elements, zero in other lanes; `room` elements begin at p. */
VFN vh ISA(keys_load)(const f16 *p, size_t n, size_t room)
{
    const vh lanes = {HALF_INDICES};
    f16 part[HALF_LANES] = {0};
    if (room < HALF_LANES) {
        ISA(copy_run)(part, p, n);
        p = part;
    }
    return ISA(key_of)(ISA(halves_load)(p)) & (vh)(lanes < (f16)n);
}

/* The columns of a chunk: those in the plane, of all that its windows have. */
struct ISA(max_columns) {
    size_t ox, n_ox;
    size_t in_x, n, e0; /* columns in_x .. in_x+n-1 are elements e0 .. of a row of keys */
    size_t pitch;
};

/* The rows of the plane in the windows of output row oy, and the maxima over them. */
struct ISA(max_window) {
    const f16 *x;
    size_t y0, y1, in_w, plane;
};

VFN struct ISA(max_window) ISA(max_window_of)(const struct conv_geom *g, const f16 *x, size_t oy)
{
    const ptrdiff_t top = (ptrdiff_t)(oy * g->stride_h) - g->pad_h;
    const ptrdiff_t bottom = top + (ptrdiff_t)g->kh;
    const size_t y0 = top > 0 ? (size_t)top : 0;
    const size_t y1 = bottom < 0 ? 0 : (size_t)bottom < g->in_h ? (size_t)bottom : g->in_h;
    return (struct ISA(max_window)){
        .x = x, .in_w = g->in_w, .plane = g->in_h * g->in_w,
        .y0 = y0 < y1 ? y0 : y1, .y1 = y1};
}

/* Of n columns from `from` on, zero in other lanes. */
VFN vh ISA(max_columns_at)(const struct ISA(max_window) *w, size_t from, size_t n)
{
    vh most = {0};
    size_t at = w->y0 * w->in_w + from;
    if (n >= HALF_LANES)
        for (size_t rows = w->y1 - w->y0; rows; rows--, at += w->in_w)
            most = h_max(most, ISA(key_of)(ISA(halves_load)(w->x + at)));
    else
        for (size_t rows = w->y1 - w->y0; rows; rows--, at += w->in_w)
            most = h_max(most, ISA(keys_load)(w->x + at, n, w->plane - at));
    return most;
}

VFN vh ISA(max_pairs)(vh a, vh b)
{
    return h_max(__builtin_shufflevector(a, b, EVEN_HALVES),
                 __builtin_shufflevector(a, b, ODD_HALVES));
}

VFN void ISA(max_store)(vh key, size_t n, f16 *y)
{
    const vh x = ISA(value_of)(key);
    f16 part[HALF_LANES];
    if (n >= HALF_LANES) {
        memcpy(y, &x, sizeof x);
        return;
    }
    memcpy(part, &x, sizeof x);
    ISA(copy_run)(y, part, n);
}

/* Pairs of columns without padding between or beside them: no column is in two windows. */
static void ISA(max_of_pairs)(const struct conv_geom *g, const f16 *x, size_t oy, f16 *y)
{
    const struct ISA(max_window) w = ISA(max_window_of)(g, x, oy);
    size_t i = 0;
    if (w.y1 - w.y0 == 2)
        for (const f16 *row = x + w.y0 * g->in_w; g->out_w - i >= HALF_LANES; i += HALF_LANES) {
            const f16 *const at = row + 2 * i, *const below = at + g->in_w;
            const vh a = ISA(key_of)(ISA(halves_load)(at));
            const vh b = ISA(key_of)(ISA(halves_load)(at + HALF_LANES));
            const vh c = ISA(key_of)(ISA(halves_load)(below));
            const vh d = ISA(key_of)(ISA(halves_load)(below + HALF_LANES));
            ISA(max_store)(ISA(max_pairs)(h_max(a, c), h_max(b, d)), HALF_LANES, y + i);
        }
    for (; i < g->out_w; i += HALF_LANES) {
        const size_t from = 2 * i, left = g->in_w - from;
        const vh a = ISA(max_columns_at)(&w, from, left);
        const vh b = left > HALF_LANES
                         ? ISA(max_columns_at)(&w, from + HALF_LANES, left - HALF_LANES)
                         : (vh){0};
        ISA(max_store)(ISA(max_pairs)(a, b), g->out_w - i, y + i);
    }
}

/* A row of outputs from the maxima of its rows; stride and taps are constants where that pays. */
VFN void ISA(max_row)(const f16 *keys, const size_t stride, const size_t taps, size_t n_ox, f16 *y)
{
    for (size_t i = 0; i < n_ox; i += HALF_LANES) {
        vh most = {0};
        for (size_t v = 0; v < taps; v += stride) {
            const f16 *at = keys + i * stride + v;
            const vh a = ISA(halves_load)(at);
            if (stride == 1) {
                most = h_max(most, a);
                continue;
            }
            const vh b = ISA(halves_load)(at + HALF_LANES);
            most = h_max(most, v + 1 < taps ? ISA(max_pairs)(a, b)
                                            : __builtin_shufflevector(a, b, EVEN_HALVES));
        }
        ISA(max_store)(most, n_ox - i, y + i);
    }
}

/* The same for larger strides, for which vectors have no shuffle. */
static void ISA(max_row_apart)(const f16 *keys, size_t stride, size_t taps, size_t n_ox, f16 *y)
{
    for (size_t i = 0, n; i < n_ox; i += n) {
        f16 most[HALF_LANES] = {0};
        n = n_ox - i < HALF_LANES ? n_ox - i : HALF_LANES;
        for (size_t j = 0; j < n; j++, keys += stride)
            for (size_t v = 0; v < taps; v++)
                most[j] = keys[v] > most[j] ? keys[v] : most[j];
        const vh x = ISA(value_of)(ISA(halves_load)(most));
        for (size_t j = 0; j < n; j++)
            y[i + j] = x[j];
    }
}

static void ISA(max_chunk)(const struct conv_geom *g, const struct ISA(max_columns) *c,
                           const f16 *x, f16 *y, size_t oy0, size_t oy1)
{
    f16 keys[MAX_KEYS];
    const size_t band = MAX_KEYS / c->pitch, taps = g->kw, stride = g->stride_w;
    memset(keys, 0, (oy1 - oy0 < band ? oy1 - oy0 : band) * c->pitch * sizeof *keys);
    for (size_t oy = oy0, end; oy < oy1; oy = end) {
        end = oy1 - oy < band ? oy1 : oy + band;
        for (size_t r = oy; r < end; r++) {
            const struct ISA(max_window) w = ISA(max_window_of)(g, x, r);
            f16 *const to = keys + (r - oy) * c->pitch + c->e0;
            for (size_t i = 0; i < c->n; i += HALF_LANES) {
                const vh most = ISA(max_columns_at)(&w, c->in_x + i, c->n - i);
                memcpy(to + i, &most, sizeof most);
            }
        }
        for (size_t r = oy; r < end; r++) {
            const f16 *row = keys + (r - oy) * c->pitch;
            f16 *to = y + r * g->out_w + c->ox;
            if (stride == 2 && taps == 3)
                ISA(max_row)(row, 2, 3, c->n_ox, to);
            else if (stride == 2)
                ISA(max_row)(row, 2, taps, c->n_ox, to);
            else if (stride == 1)
                ISA(max_row)(row, 1, taps, c->n_ox, to);
            else
                ISA(max_row_apart)(row, stride, taps, c->n_ox, to);
        }
    }
}

/* Any window, one by one. */
static void ISA(max_plain)(const struct conv_geom *g, const f16 *x, f16 *y, size_t oy, size_t ox)
{
    vh most = {0};
    for (size_t u = 0; u < g->kh; u++)
        for (size_t v = 0; v < g->kw; v++) {
            const ptrdiff_t row = (ptrdiff_t)(oy * g->stride_h + u) - g->pad_h;
            const ptrdiff_t col = (ptrdiff_t)(ox * g->stride_w + v) - g->pad_w;
            if (row >= 0 && col >= 0 && row < (ptrdiff_t)g->in_h && col < (ptrdiff_t)g->in_w) {
                const vh one = {x[(size_t)row * g->in_w + (size_t)col]};
                most = h_max(most, ISA(key_of)(one));
            }
        }
    y[oy * g->out_w + ox] = ISA(value_of)(most)[0];
}

static void ISA(max_pool)(const struct conv_geom *g, const f16 *x, f16 *y, size_t oy0, size_t oy1)
{
    struct ISA(max_columns) c;
    if (g->stride_w == 2 && g->kw == 2 && !g->pad_w) {
        for (size_t oy = oy0; oy < oy1; oy++)
            ISA(max_of_pairs)(g, x, oy, y + oy * g->out_w);
        return;
    }
    /* Outputs whose columns fit, with what vectors read behind them. */
    const size_t room = g->kw < MAX_KEYS - 2 * HALF_LANES ? MAX_KEYS - 2 * HALF_LANES - g->kw : 0;
    const size_t fit = room / g->stride_w;
    if (fit <= HALF_LANES) {
        for (size_t oy = oy0; oy < oy1; oy++)
            for (size_t ox = 0; ox < g->out_w; ox++)
                ISA(max_plain)(g, x, y, oy, ox);
        return;
    }
    for (c.ox = 0; c.ox < g->out_w; c.ox += c.n_ox) {
        c.n_ox = fit - HALF_LANES < MAX_OUTS ? fit - HALF_LANES : MAX_OUTS;
        c.n_ox = g->out_w - c.ox < c.n_ox ? g->out_w - c.ox : c.n_ox;
        const ptrdiff_t x0 = (ptrdiff_t)(c.ox * g->stride_w) - g->pad_w;
        const ptrdiff_t x1 = x0 + (ptrdiff_t)((c.n_ox - 1) * g->stride_w + g->kw);
        const ptrdiff_t last = x1 < (ptrdiff_t)g->in_w ? x1 : (ptrdiff_t)g->in_w;
        c.in_x = x0 > 0 ? (size_t)x0 : 0;
        c.n = last > (ptrdiff_t)c.in_x ? (size_t)last - c.in_x : 0;
        c.e0 = c.n ? (size_t)((ptrdiff_t)c.in_x - x0) : 0;
        c.pitch = g->stride_w * (c.n_ox + HALF_LANES) + g->kw + 2 * HALF_LANES;
        ISA(max_chunk)(g, &c, x, y, oy0, oy1);
    }
}
