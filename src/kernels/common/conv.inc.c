/* Convolution: the patches that turn it into a matrix product, and the depthwise case.
 *
 * Both work on a `patch`: a padded copy of the part of one input plane that a block of output
 * pixels reads, in a buffer on the stack that stays in L1.  Element e of a patch row (counted in
 * columns of the padded input from column x0) lies in phase e % stride at index e / stride, so that
 * every tap reads the pixels of an output row contiguously, whatever the stride; padding and edges
 * are in the buffer and cost nothing afterwards:
 *
 *     tap (u, v) of pixel (oy, ox)  =  patch_tap(u, v) + (oy - oy0)*patch.down + (ox - ox0)
 *
 * The zeros never move between channels, so they are written once per call.  A block of which
 * even sixteen pixels need a larger patch (a kernel of thousands of taps) is read tap by tap
 * instead. */
enum {
    PATCH_CAP = 6144,   /* elements: 12 KiB */
    PATCH_SLACK = 64,   /* a vector read may run over the end of a row */
    GATHER_PIXELS = 256, /* pixels of one patch */
    DEPTHWISE_TAPS = 256,
};

struct patch {
    ptrdiff_t y0;       /* padded coordinate of row 0 */
    size_t n_rows, row_step;
    size_t phases, phase_len, pitch, down, size;
    size_t in_x, n, e0; /* columns in_x .. in_x+n-1 of the input lie in a row, the first at e0 */
    size_t tap_phase, tap_at; /* from tap (u, v) to tap (u, v + 1) */
};

/* Whether rows n_oy from oy0 and columns n_ox from ox0 of the output fit. */
static bool ISA(patch_plan)(const struct conv_geom *g, size_t oy0, size_t n_oy, size_t ox0,
                            size_t n_ox, struct patch *p)
{
    /* Rows and columns between the taps are left out where there is one tap only. */
    p->row_step = g->kh == 1 ? g->stride_h : 1;
    p->phases = g->kw == 1 ? 1 : g->stride_w;
    const size_t span = (n_ox - 1) * g->stride_w + (g->kw - 1) * g->dil_w + 1;
    p->y0 = (ptrdiff_t)(oy0 * g->stride_h) - g->pad_h;
    p->n_rows = ((n_oy - 1) * g->stride_h + (g->kh - 1) * g->dil_h) / p->row_step + 1;
    p->phase_len = (span - 1) / g->stride_w + 1;
    p->pitch = p->phases * p->phase_len;
    p->down = g->stride_h / p->row_step * p->pitch;
    p->size = p->n_rows * p->pitch;
    p->tap_phase = g->dil_w % g->stride_w;
    p->tap_at = g->dil_w / g->stride_w;
    if (p->n_rows > PATCH_CAP || p->pitch > PATCH_CAP || p->size > PATCH_CAP)
        return false;

    const ptrdiff_t x0 = (ptrdiff_t)(ox0 * g->stride_w) - g->pad_w, first = x0 > 0 ? x0 : 0;
    ptrdiff_t end = x0 + (ptrdiff_t)span;
    if (end > (ptrdiff_t)g->in_w)
        end = (ptrdiff_t)g->in_w;
    p->n = 0;
    if (first < end) {
        p->in_x = (size_t)first;
        p->n = (size_t)(end - first);
        p->e0 = (size_t)(first - x0);
    }
    return true;
}

VFN size_t ISA(patch_tap)(const struct conv_geom *g, const struct patch *p, size_t u, size_t v)
{
    const size_t e = v * g->dil_w;
    return u * g->dil_h * p->pitch + e % g->stride_w * p->phase_len + e / g->stride_w;
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

/* y0[i] = x[2i], y1[i] = x[2i + 1] for n elements of x; y1 only if `both`. */
VFN void ISA(split_run)(f16 *y0, f16 *y1, const f16 *x, size_t n, bool both)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        u16x8 a, b, s;
        __builtin_memcpy(&a, x + i, sizeof a);
        __builtin_memcpy(&b, x + i + 8, sizeof b);
        s = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
        __builtin_memcpy(y0 + i / 2, &s, sizeof s);
        if (!both)
            continue;
        s = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
        __builtin_memcpy(y1 + i / 2, &s, sizeof s);
    }
    for (; i < n; i++)
        if (i % 2 == 0)
            y0[i / 2] = x[i];
        else if (both)
            y1[i / 2] = x[i];
}

/* The elements of input row x that the patch row holds. */
VFN void ISA(patch_row)(const struct conv_geom *g, const struct patch *p, const f16 *x, f16 *y)
{
    const size_t sw = g->stride_w, n = p->n, e0 = p->e0;
    x += p->in_x;
    if (sw == 1) {
        ISA(copy_run)(y + e0, x, n);
    } else if (sw == 2 && p->phases == 2) {
        f16 *even = y + e0 / 2 + (e0 % 2 ? p->phase_len : 0);
        f16 *odd = y + (e0 + 1) / 2 + (e0 % 2 ? 0 : p->phase_len);
        ISA(split_run)(even, odd, x, n, true);
    } else if (sw == 2) {
        ISA(split_run)(y + (e0 + 1) / 2, NULL, x + e0 % 2, n - e0 % 2, false);
    } else {
        size_t phase = e0 % sw, at = e0 / sw;
        for (size_t i = 0; i < n; i++) {
            if (phase < p->phases)
                y[phase * p->phase_len + at] = x[i];
            if (++phase == sw) {
                phase = 0;
                at++;
            }
        }
    }
}

static void ISA(patch_load)(const struct conv_geom *g, const struct patch *p, const f16 *x, f16 *y)
{
    ptrdiff_t row = p->y0;
    if (!p->n)
        return;
    for (size_t r = 0; r < p->n_rows; r++, row += (ptrdiff_t)p->row_step, y += p->pitch)
        if (row >= 0 && row < (ptrdiff_t)g->in_h)
            ISA(patch_row)(g, p, x + (size_t)row * g->in_w, y);
}

/* The next channel lies too far ahead for the hardware to follow. */
VFN void ISA(patch_prefetch)(const struct conv_geom *g, const struct patch *p, const f16 *x)
{
    const ptrdiff_t rows = (ptrdiff_t)g->in_h;
    ptrdiff_t row = p->y0;
    for (size_t r = 0; r < p->n_rows; r++, row += (ptrdiff_t)p->row_step)
        if (row >= 0 && row < rows)
            for (size_t i = 0; i < p->n; i += 32)
                __builtin_prefetch(x + (size_t)row * g->in_w + p->in_x + i);
}

static f16 ISA(one_tap)(const struct conv_geom *g, const f16 *x, size_t u, size_t v, size_t oy,
                        size_t ox)
{
    const ptrdiff_t row = (ptrdiff_t)(oy * g->stride_h + u * g->dil_h) - g->pad_h;
    const ptrdiff_t col = (ptrdiff_t)(ox * g->stride_w + v * g->dil_w) - g->pad_w;
    if (row < 0 || col < 0 || row >= (ptrdiff_t)g->in_h || col >= (ptrdiff_t)g->in_w)
        return 0;
    return x[(size_t)row * g->in_w + (size_t)col];
}

/* ---- gather ---------------------------------------------------------------------------------- */
/* A run of pixels of one output row inside one panel. */
struct gather_piece {
    uint32_t from; /* in the patch, relative to the tap */
    uint32_t lane, n;
    size_t to;     /* in the panels, relative to row k */
};

static size_t ISA(gather_pieces)(const struct conv_geom *g, const struct patch *p, size_t p0,
                                 size_t np, size_t ox0, size_t b_panel, struct gather_piece *piece)
{
    size_t n_pieces = 0, ox = p0 % g->out_w, row = 0, at = 0;
    while (at < np) {
        const size_t lane = at % ANF_PANEL;
        size_t n = ANF_PANEL - lane;
        if (n > np - at)
            n = np - at;
        if (n > g->out_w - ox)
            n = g->out_w - ox;
        piece[n_pieces++] = (struct gather_piece){
            .from = (uint32_t)(row + ox - ox0),
            .lane = (uint32_t)lane,
            .n = (uint32_t)n,
            .to = at / ANF_PANEL * b_panel + lane,
        };
        at += n;
        ox += n;
        if (ox == g->out_w) {
            ox = 0;
            row += p->down;
        }
    }
    return n_pieces;
}

/* One tap of all pieces.  Below sixteen lanes a full store may run over the end of a piece: into
 * lanes that the next piece, the zeros of the tail or the next k overwrite.  The last k has no next
 * one and stores exactly. */
VFN void ISA(gather_tap)(const struct gather_piece *piece, size_t n_pieces, const f16 *from,
                         float *to, bool exact)
{
    for (const struct gather_piece *end = piece + n_pieces; piece < end; piece++) {
        const f16 *x = from + piece->from;
        float *y = to + piece->to;
        const size_t n = piece->n;
        if (n == ANF_PANEL) {
            UNROLL for (size_t j = 0; j < ANF_PANEL; j += VL)
                v_store(y + j, v_load_f16(x + j));
        } else if (VL == ANF_PANEL) {
            v_store_n(y, v_load_f16(x), n);
        } else if (!exact) {
            for (size_t j = 0; j < n; j += VL)
                v_store(y + j, v_load_f16(x + j));
        } else {
            for (size_t j = 0; j < n; j += VL)
                v_store_n(y + j, v_load_f16(x + j), n - j < VL ? n - j : VL);
        }
    }
}

static void ISA(gather_patch)(const struct conv_geom *g, const struct patch *p, const f16 *x,
                              size_t k0, size_t kc, size_t p0, size_t np, size_t ox0, float *b,
                              size_t b_panel)
{
    f16 buf[PATCH_CAP + PATCH_SLACK];
    struct gather_piece piece[GATHER_PIXELS + GATHER_PIXELS / ANF_PANEL];
    const size_t n_pieces = ISA(gather_pieces)(g, p, p0, np, ox0, b_panel, piece);
    const size_t plane = g->in_h * g->in_w, tail = np % ANF_PANEL;
    float *last = b + np / ANF_PANEL * b_panel;
    size_t ci = k0 / (g->kh * g->kw), u = k0 / g->kw % g->kh, v = k0 % g->kw;
    size_t phase = v * g->dil_w % g->stride_w, at = ISA(patch_tap)(g, p, u, v);

    __builtin_memset(buf, 0, (p->size + PATCH_SLACK) / 16 * 16 * sizeof *buf);
    ISA(patch_load)(g, p, x + ci * plane, buf);
    if (ci + 1 < g->cin)
        ISA(patch_prefetch)(g, p, x + (ci + 1) * plane);
    for (size_t k = 0; k < kc; k++) {
        const f16 *from = buf + at;
        float *to = b + k * ANF_PANEL;
        if (k + 1 < kc)
            ISA(gather_tap)(piece, n_pieces, from, to, false);
        else
            ISA(gather_tap)(piece, n_pieces, from, to, true);
        if (tail)
            for (size_t j = tail; j < ANF_PANEL; j += VL)
                v_store_n(last + k * ANF_PANEL + j, v_zero(),
                          ANF_PANEL - j < VL ? ANF_PANEL - j : VL);
        at += p->tap_at + p->tap_phase * p->phase_len;
        phase += p->tap_phase;
        if (phase >= g->stride_w) {
            phase -= g->stride_w;
            at += 1 - g->stride_w * p->phase_len;
        }
        if (++v == g->kw) {
            v = phase = 0;
            if (++u == g->kh) {
                u = 0;
                if (k + 1 < kc)
                    ISA(patch_load)(g, p, x + ++ci * plane, buf);
                if (ci + 1 < g->cin)
                    ISA(patch_prefetch)(g, p, x + (ci + 1) * plane);
            }
            at = u * g->dil_h * p->pitch;
        }
    }
}

/* At most sixteen pixels. */
static void ISA(gather_taps)(const struct conv_geom *g, const f16 *x, size_t k0, size_t kc,
                             size_t p0, size_t np, float *b)
{
    const size_t taps = g->kh * g->kw, plane = g->in_h * g->in_w;
    f16 row[ANF_PANEL] = {0};
    for (size_t k = 0; k < kc; k++) {
        const size_t ci = (k0 + k) / taps, u = (k0 + k) % taps / g->kw, v = (k0 + k) % g->kw;
        for (size_t j = 0; j < np; j++)
            row[j] = ISA(one_tap)(g, x + ci * plane, u, v, (p0 + j) / g->out_w,
                                  (p0 + j) % g->out_w);
        for (size_t j = 0; j < ANF_PANEL; j += VL)
            v_store(b + k * ANF_PANEL + j, v_load_f16(row + j));
    }
}

static void ISA(conv_gather)(const struct conv_geom *g, const f16 *x, size_t k0, size_t kc,
                             size_t p0, size_t np, float *b, size_t b_panel)
{
    const size_t plane = g->in_h * g->in_w;
    if (!kc)
        return;
    if (g->kh * g->kw == 1 && g->stride_h * g->stride_w == 1 &&
        g->pad_h == 0 && g->pad_w == 0 && g->out_h == g->in_h && g->out_w == g->in_w) {
        ISA(pack_panels)(x + k0 * plane + p0, plane, kc, np, b, b_panel);
        return;
    }
    while (np) {
        size_t n = np < GATHER_PIXELS ? np : GATHER_PIXELS;
        for (;; n = (n / 2 + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL) {
            const size_t oy0 = p0 / g->out_w, n_oy = (p0 + n - 1) / g->out_w - oy0 + 1;
            const size_t ox0 = n_oy == 1 ? p0 % g->out_w : 0, n_ox = n_oy == 1 ? n : g->out_w;
            struct patch p;
            if (ISA(patch_plan)(g, oy0, n_oy, ox0, n_ox, &p)) {
                ISA(gather_patch)(g, &p, x, k0, kc, p0, n, ox0, b, b_panel);
                break;
            }
            if (n <= ANF_PANEL) {
                ISA(gather_taps)(g, x, k0, kc, p0, n, b);
                break;
            }
        }
        p0 += n;
        np -= n;
        b += n / ANF_PANEL * b_panel;
    }
}

/* ---- depthwise ------------------------------------------------------------------------------- */
struct filter {
    size_t n; /* taps */
    float w[DEPTHWISE_TAPS];
    size_t at[DEPTHWISE_TAPS]; /* in the patch */
    float bias;
    bool has_bias;
};

/* n_acc vectors of n <= VL pixels: vector i reads x + i*x_step and writes y + i*y_step.  They are
 * neighbours in a long row, or the starts of several short ones: independent chains either way. */
VFN void ISA(depthwise_block)(const struct filter *f, size_t n_acc, const float *x, size_t x_step,
                              f16 *y, size_t y_step, size_t n)
{
    vf acc[4];
    UNROLL for (size_t i = 0; i < n_acc; i++)
        acc[i] = v_zero();
    for (size_t k = 0; k < f->n; k++) {
        const vf w = v_set(f->w[k]);
        const float *from = x + f->at[k];
        UNROLL for (size_t i = 0; i < n_acc; i++)
            acc[i] = v_fma(v_load(from + i * x_step), w, acc[i]);
    }
    if (f->has_bias)
        UNROLL for (size_t i = 0; i < n_acc; i++)
            acc[i] = v_add(acc[i], v_set(f->bias));
    UNROLL for (size_t i = 0; i < n_acc; i++) {
        if (n == VL)
            v_store_f16(y + i * y_step, acc[i]);
        else
            v_store_f16_n(y + i * y_step, acc[i], n);
    }
}

static void ISA(depthwise_patch)(const struct conv_geom *g, const struct patch *p,
                                 const struct filter *f, const float *x, f16 *y, size_t n_oy,
                                 size_t n_ox)
{
    size_t ox = 0;
    for (; ox + 4 * VL <= n_ox; ox += 4 * VL)
        for (size_t r = 0; r < n_oy; r++)
            ISA(depthwise_block)(f, 4, x + r * p->down + ox, VL, y + r * g->out_w + ox, VL, VL);
    for (; ox < n_ox; ox += VL) {
        const size_t n = n_ox - ox < VL ? n_ox - ox : VL;
        size_t r = 0;
        for (; r + 4 <= n_oy; r += 4)
            ISA(depthwise_block)(f, 4, x + r * p->down + ox, p->down, y + r * g->out_w + ox,
                                 g->out_w, n);
        for (; r < n_oy; r++)
            ISA(depthwise_block)(f, 1, x + r * p->down + ox, 0, y + r * g->out_w + ox, 0, n);
    }
}

/* Any geometry, one pixel at a time. */
static void ISA(depthwise_plain)(const struct conv_geom *g, const f16 *x, const f16 *w, float bias,
                                 bool has_bias, f16 *y, size_t oy0, size_t oy1)
{
    for (size_t oy = oy0; oy < oy1; oy++)
        for (size_t ox = 0; ox < g->out_w; ox++) {
            vf s = v_zero();
            for (size_t k = 0; k < g->kh * g->kw; k++) {
                const f16 a = ISA(one_tap)(g, x, k / g->kw, k % g->kw, oy, ox);
                s = v_fma(v_load_f16_n(&a, 1), v_load_f16_n(w + k, 1), s);
            }
            if (has_bias)
                s = v_add(s, v_set(bias));
            v_store_f16_n(y + oy * g->out_w + ox, s, 1);
        }
}

static void ISA(conv_depthwise)(const struct conv_geom *g, const f16 *x, const f16 *w, float bias,
                                bool has_bias, f16 *y, size_t oy0, size_t oy1)
{
    f16 half[PATCH_CAP + PATCH_SLACK];
    float wide[PATCH_CAP + PATCH_SLACK];
    struct patch p;
    struct filter f;
    size_t n_ox = g->out_w;

    if (oy0 >= oy1 || !n_ox)
        return;
    f.n = g->kh * g->kw;
    f.bias = bias;
    f.has_bias = has_bias;
    while (n_ox > 4 * VL && !ISA(patch_plan)(g, oy0, 1, 0, n_ox, &p))
        n_ox = (n_ox + 1) / 2;
    if (f.n > DEPTHWISE_TAPS || !ISA(patch_plan)(g, oy0, 1, 0, n_ox, &p)) {
        ISA(depthwise_plain)(g, x, w, bias, has_bias, y, oy0, oy1);
        return;
    }
    for (size_t k = 0; k < f.n; k++)
        f.w[k] = v_first(v_load_f16_n(w + k, 1));
    for (size_t ox = 0; ox < g->out_w; ox += n_ox) {
        const size_t cols = g->out_w - ox < n_ox ? g->out_w - ox : n_ox;
        for (size_t oy = oy0, rows; oy < oy1; oy += rows) {
            rows = oy1 - oy;
            while (!ISA(patch_plan)(g, oy, rows, ox, cols, &p))
                rows = (rows + 1) / 2;
            for (size_t k = 0; k < f.n; k++)
                f.at[k] = ISA(patch_tap)(g, &p, k / g->kw, k % g->kw);
            const size_t used = (p.size + PATCH_SLACK) / 16 * 16;
            __builtin_memset(half, 0, used * sizeof *half);
            ISA(patch_load)(g, &p, x, half);
            for (size_t i = 0; i < used; i += VL)
                v_store(wide + i, v_load_f16(half + i));
            ISA(depthwise_patch)(g, &p, &f, wide, y + oy * g->out_w + ox, rows, cols);
        }
    }
}
