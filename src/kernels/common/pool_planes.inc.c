/* Means of windows that lie far apart, or of which few are in a row: sixteen planes are the lanes.
 *
 * A block is up to TURN_RUN neighbouring outputs of all planes, whose sums stay in memory.  The
 * input that they read is turned piece by piece (turn.inc.c), so that the planes of a pixel lie
 * side by side, and each output adds what a piece has of its window.  Pieces are whole rows of the
 * block, or of one row a part, in order, so every sum meets its taps in order u, v.
 *
 * Taps on padding are skipped: they add 0 to a sum that starts at +0 and never becomes -0. */

enum {
    POOL_PIXELS = ANF_POOL_HALVES / ANF_PANEL - 8, /* of a piece; turn_rows writes eight at least */
    POOL_SHORT = 64,  /* rows up to this long are turned whole, several at once */
    POOL_APART = 32,  /* columns between windows from which on each is turned on its own */
#if VL == 16
    POOL_WINDOWS = 8, /* summed together, which hides the latency of an add */
#elif VL == 1
    POOL_WINDOWS = 1,
#else
    POOL_WINDOWS = 4,
#endif
};

struct pool_span { /* rows or columns of the input */
    size_t from, to;
};

struct pool_block {
    size_t oy, n_oy, ox, n_ox; /* n_oy is 1, or n_ox is all of a row */
};

/* What n windows from number `first` on reach of an axis of `size`. */
VFN struct pool_span ISA(pool_reach)(size_t first, size_t n, size_t stride, ptrdiff_t pad, size_t k,
                                     size_t size)
{
    const ptrdiff_t from = (ptrdiff_t)(first * stride) - pad, end = (ptrdiff_t)size;
    const ptrdiff_t to = from + (ptrdiff_t)((n - 1) * stride + k);
    return (struct pool_span){(size_t)(from < 0 ? 0 : from < end ? from : end),
                              (size_t)(to < 0 ? 0 : to < end ? to : end)};
}

VFN struct pool_span ISA(pool_common)(struct pool_span a, struct pool_span b)
{
    const size_t from = a.from > b.from ? a.from : b.from, to = a.to < b.to ? a.to : b.to;
    return (struct pool_span){from, to > from ? to : from};
}

/* Adds rows x cols pixels to each of n sums; those of the next one begin `right` elements on. */
VFN void ISA(pool_add)(const size_t n, const f16 *pixels, size_t right, size_t pitch, size_t rows,
                       size_t cols, float *sums)
{
    vf acc[POOL_WINDOWS * PANEL_VECS];
    UNROLL for (size_t i = 0; i < n * PANEL_VECS; i++)
        acc[i] = v_load(sums + i * VL);
    for (size_t u = 0; u < rows; u++, pixels += pitch)
        for (size_t v = 0; v < cols; v++)
            UNROLL for (size_t i = 0; i < n; i++)
                UNROLL for (size_t j = 0; j < PANEL_VECS; j++) {
                    vf *const s = &acc[i * PANEL_VECS + j];
                    *s = v_add(*s, v_load_f16(pixels + i * right + v * ANF_PANEL + j * VL));
                }
    UNROLL for (size_t i = 0; i < n * PANEL_VECS; i++)
        v_store(sums + i * VL, acc[i]);
}

/* To the sums of a block what is in the turned pixels of rows x columns, which lie pitch apart. */
static void ISA(pool_piece)(const struct conv_geom *g, const struct pool_block *b,
                            struct pool_span rows, struct pool_span cols, const f16 *pixels,
                            float *sums)
{
    const size_t right = g->stride_w * ANF_PANEL, pitch = (cols.to - cols.from) * ANF_PANEL;
    for (size_t oy = b->oy; oy < b->oy + b->n_oy; oy++) {
        const struct pool_span down = ISA(pool_common)(
            rows, ISA(pool_reach)(oy, 1, g->stride_h, g->pad_h, g->kh, g->in_h));
        const f16 *const row = pixels + (down.from - rows.from) * pitch;
        for (size_t i = 0, n; i < b->n_ox; i += n, sums += n * ANF_PANEL) {
            const size_t ox = b->ox + i;
            struct pool_span across =
                ISA(pool_reach)(ox, POOL_WINDOWS, g->stride_w, g->pad_w, g->kw, g->in_w);
            const bool whole = i + POOL_WINDOWS <= b->n_ox && across.from >= cols.from &&
                               across.to <= cols.to &&
                               across.to - across.from == (POOL_WINDOWS - 1) * g->stride_w + g->kw;
            n = whole ? POOL_WINDOWS : 1;
            if (!whole)
                across = ISA(pool_common)(
                    cols, ISA(pool_reach)(ox, 1, g->stride_w, g->pad_w, g->kw, g->in_w));
            const f16 *const first = row + (across.from - cols.from) * ANF_PANEL;
            if (whole)
                ISA(pool_add)(POOL_WINDOWS, first, right, pitch, down.to - down.from, g->kw, sums);
            else
                ISA(pool_add)(1, first, right, pitch, down.to - down.from, across.to - across.from,
                              sums);
        }
    }
}

/* Sums of a block. */
static void ISA(pool_sums)(const struct conv_geom *g, const struct pool_block *b, const f16 *x,
                           size_t x_plane, size_t n_planes, f16 *scratch, float *sums)
{
    const struct pool_span down =
        ISA(pool_reach)(b->oy, b->n_oy, g->stride_h, g->pad_h, g->kh, g->in_h);
    struct pool_span across = {0, g->in_w};
    if (g->in_w > POOL_SHORT)
        across = ISA(pool_reach)(b->ox, b->n_ox, g->stride_w, g->pad_w, g->kw, g->in_w);
    memset(sums, 0, b->n_oy * b->n_ox * ANF_PANEL * sizeof *sums);
    if (across.from == across.to)
        return;
    const size_t most = across.to - across.from;
    const size_t width = most < POOL_PIXELS ? most : POOL_PIXELS;
    const size_t height = width < most ? 1 : POOL_PIXELS / width;
    for (struct pool_span rows = down; rows.from < down.to; rows.from = rows.to) {
        rows.to = down.to - rows.from < height ? down.to : rows.from + height;
        for (struct pool_span cols = across; cols.from < across.to; cols.from = cols.to) {
            cols.to = across.to - cols.from < width ? across.to : cols.from + width;
            const size_t n = cols.to - cols.from, n_rows = rows.to - rows.from;
            const f16 *const from = x + rows.from * g->in_w + cols.from;
            if (n == g->in_w)
                ISA(turn_planes)(from, x_plane, n_planes, n_rows * n, scratch);
            else
                for (size_t r = 0; r < n_rows; r++)
                    ISA(turn_planes)(from + r * g->in_w, x_plane, n_planes, n,
                                     scratch + r * n * ANF_PANEL);
            ISA(pool_piece)(g, b, rows, cols, scratch, sums);
        }
    }
}

static void ISA(pool_block)(const struct conv_geom *g, const struct pool_block *b, const f16 *x,
                            size_t x_plane, size_t n_planes, f16 *y, f16 *scratch)
{
    const size_t n = b->n_oy * b->n_ox, outputs = g->out_h * g->out_w;
    const vf count = v_set((float)(g->kh * g->kw));
    float sums[TURN_RUN * ANF_PANEL];
    f16 means[(TURN_RUN + 8) * ANF_PANEL]; /* turn_back reads eights */
    ISA(pool_sums)(g, b, x, x_plane, n_planes, scratch, sums);
    for (size_t i = 0; i < n * ANF_PANEL; i += VL)
        v_store_f16(means + i, v_div(v_load(sums + i), count));
    y += b->oy * g->out_w + b->ox;
    for (size_t p = 0; p < n_planes; p += 8)
        ISA(turn_back)(means + p, 8, n_planes - p < 8 ? n_planes - p : 8, 1, n, y + p * outputs,
                       outputs, 0);
}

static void ISA(avg_pool_planes)(const struct conv_geom *g, const f16 *x, size_t x_plane,
                                 size_t n_planes, f16 *y, size_t oy0, size_t oy1, f16 *scratch)
{
    /* Rows of outputs at once: as many as a piece has the input of, unless that is mostly gaps. */
    size_t cols = g->stride_w > g->kw + POOL_APART && g->in_w > POOL_SHORT ? 1 : g->out_w, rows = 1;
    cols = cols < TURN_RUN ? cols : TURN_RUN;
    if (cols == g->out_w && g->stride_h <= 2 * g->kh && g->kh * g->in_w < POOL_PIXELS) {
        const size_t more = (POOL_PIXELS / g->in_w - g->kh) / g->stride_h;
        rows = 1 + more < TURN_RUN / cols ? 1 + more : TURN_RUN / cols;
    }
    for (size_t oy = oy0; oy < oy1; oy += rows)
        for (size_t ox = 0; ox < g->out_w; ox += cols) {
            const struct pool_block b = {oy, oy1 - oy < rows ? oy1 - oy : rows, ox,
                                         g->out_w - ox < cols ? g->out_w - ox : cols};
            ISA(pool_block)(g, &b, x, x_plane, n_planes, y, scratch);
        }
}
