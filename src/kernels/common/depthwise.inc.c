/* Depthwise convolution with sixteen planes as the lanes.
 *
 * Rows of pixels leave most of a vector empty where they are short, and a vector for each tap has
 * to be made where they have a stride.  With a pixel of sixteen planes for a vector, no size and no
 * stride wastes anything; the planes are turned before and afterwards.  Some rows at a time, padded
 * and widened, stay in L1 while every pixel reads its taps at the same offsets. */

/* Pixels made together: their sums hide the latency of a multiply-add. */
#if VL == 16
#define LANES_PIXELS 8
#elif VL == 1
#define LANES_PIXELS 1
#else
#define LANES_PIXELS 4
#endif

/* Rows y0 .. y0+n_rows-1 of the padded input, of which some are in the image. */
struct lanes_rows {
    ptrdiff_t y0, x0;
    size_t n_rows, n_cols;
};

/* What is in the image of those rows, to its place in the patch. */
VFN void ISA(lanes_load)(const struct conv_geom *g, const struct lanes_rows *p, const f16 *x,
                         size_t n_planes, float *patch)
{
    const size_t plane = g->in_h * g->in_w;
    const ptrdiff_t in_w = (ptrdiff_t)g->in_w, end_x = p->x0 + (ptrdiff_t)p->n_cols;
    const ptrdiff_t end_y = p->y0 + (ptrdiff_t)p->n_rows;
    const size_t first_y = p->y0 > 0 ? (size_t)p->y0 : 0, first_x = p->x0 > 0 ? (size_t)p->x0 : 0;
    const size_t last_y = end_y < 0 ? 0 : (size_t)end_y < g->in_h ? (size_t)end_y : g->in_h;
    const size_t last_x = end_x < 0 ? 0 : end_x < in_w ? (size_t)end_x : g->in_w;
    const size_t most = ANF_LANES_COLUMNS / g->in_w; /* rows that are turned together */
    _Alignas(64) f16 turned[(ANF_LANES_COLUMNS + 8) * ANF_PANEL];
    if (first_x >= last_x)
        return;
    const size_t n = (last_x - first_x) * ANF_PANEL;
    const size_t left = (size_t)((ptrdiff_t)first_x - p->x0) * ANF_PANEL;
    for (size_t y = first_y, rows; y < last_y; y += rows) {
        rows = last_y - y < most ? last_y - y : most;
        ISA(turn_planes)(x + y * g->in_w, plane, n_planes, rows * g->in_w, turned);
        for (size_t r = 0; r < rows; r++) {
            const size_t down = (size_t)((ptrdiff_t)(y + r) - p->y0);
            const f16 *from = turned + (r * g->in_w + first_x) * ANF_PANEL;
            float *to = patch + down * p->n_cols * ANF_PANEL + left;
            for (size_t i = 0; i < n; i += VL)
                v_store(to + i, v_load_f16(from + i));
        }
    }
}

/* The pixels at from[], whose tap k is at[k] further. */
VFN void ISA(lanes_pixels)(const float *const *from, const uint32_t *at, size_t n_taps,
                           const float *w, const bool has_bias, const vf *bias, const bool relu,
                           f16 *y)
{
    vf acc[LANES_PIXELS * PANEL_VECS];
    UNROLL for (size_t i = 0; i < LANES_PIXELS * PANEL_VECS; i++)
        acc[i] = v_zero();
    for (size_t k = 0; k < n_taps; k++, w += ANF_PANEL)
        UNROLL for (size_t j = 0; j < PANEL_VECS; j++) {
            const vf tap = v_load(w + j * VL);
            UNROLL for (size_t i = 0; i < LANES_PIXELS; i++) {
                vf *const s = &acc[i * PANEL_VECS + j];
                *s = v_fma(v_load(from[i] + at[k] + j * VL), tap, *s);
            }
        }
    UNROLL for (size_t i = 0; i < LANES_PIXELS; i++)
        UNROLL for (size_t j = 0; j < PANEL_VECS; j++) {
            vf s = acc[i * PANEL_VECS + j];
            if (has_bias)
                s = v_add(s, bias[j]);
            v_store_f16(y + i * ANF_PANEL + j * VL, relu ? ISA(relu_first)(s) : s);
        }
}

/* Output rows oy .. oy+n_oy-1 from a patch that begins with their first tap. */
VFN void ISA(lanes_band)(const struct conv_geom *g, const float *patch, size_t n_cols,
                         const uint32_t *at, const float *w, const bool has_bias, const f16 *bias,
                         const bool relu, size_t n_planes, f16 *y, size_t n_oy)
{
    const size_t pixels = g->out_h * g->out_w, n = n_oy * g->out_w;
    const size_t right = g->stride_w * ANF_PANEL, down = g->stride_h * n_cols * ANF_PANEL;
    f16 rounded[(TURN_RUN + 8) * ANF_PANEL];
    vf b[PANEL_VECS];
    if (has_bias)
        ISA(panel_biases)(bias, n_planes, b);
    const float *row = patch, *pixel = patch, *from[LANES_PIXELS];
    for (size_t p0 = 0, ox = 0, left = n, run; p0 < n; p0 += run) {
        run = n - p0 < TURN_RUN ? n - p0 : TURN_RUN;
        for (size_t p = 0; p < run; p += LANES_PIXELS) {
            for (size_t i = 0; i < LANES_PIXELS; i++) {
                from[i] = pixel;
                if (left == 1) /* behind the last one, that one again */
                    continue;
                left--;
                pixel += right;
                if (++ox == g->out_w) {
                    ox = 0;
                    pixel = row += down;
                }
            }
            ISA(lanes_pixels)(from, at, g->kh * g->kw, w, has_bias, b, relu,
                              rounded + p * ANF_PANEL);
        }
        for (size_t h = 0; h < n_planes; h += 8)
            ISA(turn_back)(rounded + h, 8, n_planes - h < 8 ? n_planes - h : 8, 1, run,
                           y + h * pixels + p0, pixels, 0);
    }
}

static void ISA(depthwise_lanes)(const struct conv_geom *g, const f16 *x, const float *w,
                                 const f16 *bias, bool relu, size_t n_planes, f16 *y,
                                 float *scratch)
{
    const size_t most = conv_lanes_rows(g), deep = (g->kh - 1) * g->dil_h + 1;
    struct lanes_rows p = {.x0 = -g->pad_w, .n_cols = conv_lanes_columns(g)};
    uint32_t at[ANF_DIRECT_TAPS];
    for (size_t k = 0; k < g->kh * g->kw; k++)
        at[k] = (uint32_t)((k / g->kw * g->dil_h * p.n_cols + k % g->kw * g->dil_w) * ANF_PANEL);
    for (size_t oy = 0, n; oy < g->out_h; oy += n, y += n * g->out_w) {
        n = g->out_h - oy < most ? g->out_h - oy : most;
        p.y0 = (ptrdiff_t)(oy * g->stride_h) - g->pad_h;
        p.n_rows = (n - 1) * g->stride_h + deep;
        memset(scratch, 0, p.n_rows * p.n_cols * ANF_PANEL * sizeof *scratch);
        ISA(lanes_load)(g, &p, x, n_planes, scratch);
#define BAND(has_bias, relu)                                                                       \
    ISA(lanes_band)(g, scratch, p.n_cols, at, w, has_bias, bias, relu, n_planes, y, n)
        if (bias && relu)
            BAND(true, true);
        else if (bias)
            BAND(true, false);
        else if (relu)
            BAND(false, true);
        else
            BAND(false, false);
#undef BAND
    }
}
