/* Convolution: the patches of input planes (conv_patch.h), and their gathering into the panels of a
 * matrix product.
 *
 * The gather has the patch of one plane at a time in a buffer on the stack that stays in L1, and
 * the zeros in it never move between planes, so they are written once per call.  A block of which
 * even sixteen pixels need a larger patch (a kernel of thousands of taps) is read tap by tap
 * instead. */
enum {
    GATHER_PIXELS = 256, /* pixels of one patch */
};

/* y0[i] = x[2i], y1[i] = x[2i + 1] for n elements of x; y1 only if `both`.  The last pairs are
 * moved together with some before them. */
VFN void ISA(split_run)(f16 *y0, f16 *y1, const f16 *x, size_t n, bool both)
{
    const size_t even = n / 2 * 2;
    u16x8 a, b, s;
    size_t i = 0;
    for (; n >= 16 && i < even; i += 16) {
        i = i + 16 > n ? even - 16 : i;
        __builtin_memcpy(&a, x + i, sizeof a);
        __builtin_memcpy(&b, x + i + 8, sizeof b);
        s = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
        __builtin_memcpy(y0 + i / 2, &s, sizeof s);
        if (!both)
            continue;
        s = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
        __builtin_memcpy(y1 + i / 2, &s, sizeof s);
    }
    for (; n >= 8 && i < even; i += 8) {
        i = i + 8 > n ? even - 8 : i;
        __builtin_memcpy(&a, x + i, sizeof a);
        s = __builtin_shufflevector(a, a, 0, 2, 4, 6, 1, 3, 5, 7);
        __builtin_memcpy(y0 + i / 2, &s, 8);
        s = __builtin_shufflevector(a, a, 1, 3, 5, 7, 0, 2, 4, 6);
        if (both)
            __builtin_memcpy(y1 + i / 2, &s, 8);
    }
    for (; i < n; i++)
        if (i % 2 == 0)
            y0[i / 2] = x[i];
        else if (both)
            y1[i / 2] = x[i];
}

/* The elements of input row x that the patch row holds. */
VFN void ISA(patch_row)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x, f16 *y)
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

static void ISA(patch_load)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x,
                            f16 *y)
{
    ptrdiff_t row = p->y0;
    if (!p->n)
        return;
    for (size_t r = 0; r < p->n_rows; r++, row += (ptrdiff_t)p->row_step, y += p->pitch)
        if (row >= 0 && row < (ptrdiff_t)g->in_h)
            ISA(patch_row)(g, p, x + (size_t)row * g->in_w, y);
}

/* n elements in float32 and zeros behind them, `all` together. */
VFN void ISA(widen_run)(const f16 *x, size_t n, float *y, size_t all)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_load_f16(x + i));
    if (i < n) {
        v_store(y + i, v_load_f16_n(x + i, n - i));
        i += VL;
    }
    for (; i < all; i += VL) {
        v_store(y + i, v_zero());
        __asm__("" : "+r"(i)); /* or the compiler calls memset for these few bytes */
    }
}

/* Zeros from y[from] to y[to], or over this end. */
VFN void ISA(widen_zeros)(float *y, size_t from, size_t to)
{
    ISA(widen_run)(NULL, 0, y + from, to > from ? to - from : 0);
}

/* Elements 0, 2, ... and 1, 3, ... of n <= 2 VL, with zeros behind them; 2 VL are read.  Where they
 * go: the first ones in phase 0, or in phase 1 if `odd`, which is left out unless `both`. */
VFN void ISA(widen_pair)(const f16 *x, size_t n, bool odd, bool both, float *phase0, float *phase1)
{
    vf a, b;
    v_load_f16_pair(x, &a, &b);
    if (n < 2 * VL) {
        a = v_sel_n((n + 1) / 2, a, v_zero());
        b = v_sel_n(n / 2, b, v_zero());
    }
    v_store(phase0, odd ? b : a);
    if (both)
        v_store(phase1, odd ? a : b);
}

/* A patch row for a horizontal stride of 2 with all its zeros; x is the first element of its part
 * of the input, with which `left` elements of the plane begin.  Vectors run on over the end of a
 * phase, so the first ones come last. */
VFN void ISA(widen_phases)(const struct conv_patch *p, const f16 *x, size_t left, float *y)
{
    const size_t n = p->n, len = p->phase_len, at0 = (p->e0 + 1) / 2, at1 = p->e0 / 2;
    const bool both = p->phases == 2, odd = p->e0 % 2;
    const size_t rest = n % (2 * VL), end = (n + 2 * VL - 1) / (2 * VL) * VL;
    float *const y1 = y + len;
    size_t i = (n - rest) / 2;
    ISA(widen_zeros)(y, at0 + end, len);
    ISA(widen_zeros)(y, 0, at0);
    if (both) {
        ISA(widen_zeros)(y1, at1 + end, len);
        ISA(widen_zeros)(y1, 0, at1);
    }
    if (rest) {
        const f16 *from = x + 2 * i;
        f16 last[2 * VL];
        if (left - 2 * i < 2 * VL) {
            for (size_t j = 0; j < 2 * VL; j++)
                last[j] = j < rest ? from[j] : 0;
            from = last;
        }
        ISA(widen_pair)(from, rest, odd, both, y + at0 + i, y1 + at1 + i);
    }
    while (i > 0) {
        i -= VL;
        ISA(widen_pair)(x + 2 * i, 2 * VL, odd, both, y + at0 + i, y1 + at1 + i);
    }
}

/* The same for larger strides; x is the whole row of the input. */
VFN void ISA(widen_far)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x,
                        float *y)
{
    f16 half[PATCH_CAP + PATCH_SLACK];
    __builtin_memset(half, 0, p->pitch * sizeof *half);
    ISA(patch_row)(g, p, x, half);
    ISA(widen_run)(half, p->pitch, y, p->pitch);
}

/* What the patch holds of a plane, in float32, for a horizontal stride of 1: rows as they lie, each
 * followed by the zeros up to the next one.  A function of its own, for the registers. */
static __attribute__((noinline)) void ISA(patch_widen)(const struct conv_geom *g,
                                                       const struct conv_patch *p, const f16 *x,
                                                       float *y)
{
    const size_t n = p->n, pitch = p->pitch, before = p->lead + (n ? p->e0 : 0);
    const size_t down = p->row_step, in_h = n ? g->in_h : 0, step = down * g->in_w;
    const float *const last = y + before + (p->n_rows - 1) * pitch;
    const size_t behind = (conv_patch_room(p) - before - (p->n_rows - 1) * pitch) / VL * VL;
    size_t row = (size_t)p->y0; /* huge above the image */
    uintptr_t from = (uintptr_t)x + (row * g->in_w + p->in_x) * sizeof *x;
    ISA(widen_zeros)(y, 0, before);
    y += before;
    for (; y < last; y += pitch, row += down, from += step * sizeof *x)
        ISA(widen_run)((const f16 *)from, row < in_h ? n : 0, y, pitch);
    ISA(widen_run)((const f16 *)from, row < in_h ? n : 0, y, behind);
}

/* The same for larger strides: each row with all its zeros. */
static __attribute__((noinline)) void ISA(patch_split)(const struct conv_geom *g,
                                                       const struct conv_patch *p, const f16 *x,
                                                       float *y)
{
    const size_t in_h = p->n ? g->in_h : 0;
    size_t row = (size_t)p->y0;
    for (size_t r = 0; r < p->n_rows; r++, y += p->pitch, row += p->row_step) {
        const size_t at = row * g->in_w + p->in_x;
        if (row >= in_h)
            ISA(widen_zeros)(y, 0, p->pitch);
        else if (g->stride_w == 2)
            ISA(widen_phases)(p, x + at, in_h * g->in_w - at, y);
        else
            ISA(widen_far)(g, p, x + row * g->in_w, y);
    }
    ISA(widen_zeros)(y, 0, VL);
}

/* n_planes planes, conv_patch_room apart. */
VFN void ISA(patch_planes)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x,
                           size_t n_planes, float *planes)
{
    for (size_t ci = 0; ci < n_planes; ci++, x += g->in_h * g->in_w, planes += conv_patch_room(p))
        if (g->stride_w == 1)
            ISA(patch_widen)(g, p, x, planes);
        else
            ISA(patch_split)(g, p, x, planes);
}

static void ISA(conv_planes)(const struct conv_geom *g, const f16 *x, size_t n_planes, size_t oy0,
                             size_t n_oy, float *planes)
{
    struct conv_patch p;
    if (conv_patch_plan(g, oy0, n_oy, 0, g->out_w, &p))
        ISA(patch_planes)(g, &p, x, n_planes, planes);
}

/* The next channel lies too far ahead for the hardware to follow. */
VFN void ISA(patch_prefetch)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x)
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

static size_t ISA(gather_pieces)(const struct conv_geom *g, const struct conv_patch *p, size_t p0,
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

static void ISA(gather_patch)(const struct conv_geom *g, const struct conv_patch *p, const f16 *x,
                              size_t k0, size_t kc, size_t p0, size_t np, size_t ox0, float *b,
                              size_t b_panel)
{
    f16 buf[PATCH_CAP + PATCH_SLACK];
    struct gather_piece piece[GATHER_PIXELS + GATHER_PIXELS / ANF_PANEL];
    const size_t n_pieces = ISA(gather_pieces)(g, p, p0, np, ox0, b_panel, piece);
    const size_t plane = g->in_h * g->in_w, tail = np % ANF_PANEL;
    float *last = b + np / ANF_PANEL * b_panel;
    size_t ci = k0 / (g->kh * g->kw), u = k0 / g->kw % g->kh, v = k0 % g->kw;
    size_t phase = v * g->dil_w % g->stride_w, at = conv_patch_tap(g, p, u, v);

    __builtin_memset(buf, 0, conv_patch_room(p) * sizeof *buf);
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
    if (conv_plain(g)) {
        ISA(pack_panels)(x + k0 * plane + p0, plane, kc, np, b, b_panel);
        return;
    }
    while (np) {
        size_t n = np < GATHER_PIXELS ? np : GATHER_PIXELS;
        for (;; n = (n / 2 + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL) {
            const size_t oy0 = p0 / g->out_w, n_oy = (p0 + n - 1) / g->out_w - oy0 + 1;
            const size_t ox0 = n_oy == 1 ? p0 % g->out_w : 0, n_ox = n_oy == 1 ? n : g->out_w;
            struct conv_patch p;
            if (conv_patch_plan(g, oy0, n_oy, ox0, n_ox, &p)) {
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
