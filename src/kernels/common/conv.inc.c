/* Convolution: the patches that turn it into a matrix product, and the case of few taps.
 *
 * Both work on patches (conv_patch.h).  The gather has the patch of one plane at a time in a buffer
 * on the stack that stays in L1, and the zeros in it never move between planes, so they are written
 * once per call.  A block of which even sixteen pixels need a larger patch (a kernel of thousands
 * of taps) is read tap by tap instead. */
enum {
    GATHER_PIXELS = 256, /* pixels of one patch */
};

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

/* The same for larger strides. */
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
            ISA(widen_far)(g, p, x + at, y);
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

/* ---- few taps -------------------------------------------------------------------------------- */
/* The register tile: channels broadcast, pixels along the vector, read from the patch. */
#if VL == 8
#define DIRECT_MR 4
#define DIRECT_STRIP 2 /* vectors of a strip of a depthwise 3x3 convolution */
#elif VL == 1
#define DIRECT_MR 2
#define DIRECT_STRIP 2
#else
#define DIRECT_MR 8
#define DIRECT_STRIP 4
#endif

enum {
    DIRECT_NV = 3,
    DIRECT_CHANNELS = 16, /* of which the weights stay in L1 */
    DIRECT_ONE = 8, /* vectors of a single channel */
    DIRECT_ACC = DIRECT_MR * DIRECT_NV > DIRECT_ONE ? DIRECT_MR * DIRECT_NV : DIRECT_ONE,
};

struct direct {
    const struct conv_geom *g;
    struct conv_patch p;
    size_t n_oy, n_ox, n_taps, cout, w_k;
    size_t at[ANF_DIRECT_TAPS]; /* of a tap, in the patches */
};

/* One group: what of it belongs to channel 0. */
struct direct_group {
    const f16 *x;
    const float *w, *bias;
    f16 *y; /* of pixel 0 of the patch */
    bool relu;
};

/* One tap for mr channels: from[v] is vector v of the first tap's pixels.  Every second weight is a
 * memory operand, see tile_reads. */
VFN void ISA(direct_tap)(const float *const *from, size_t at, const float *w, size_t mr, size_t nv,
                         vf *acc)
{
    vf b[DIRECT_ONE];
    UNROLL for (size_t v = 0; v < nv; v++)
        b[v] = v_load(from[v] + at);
    UNROLL for (size_t i = 0; i < mr; i++) {
        const vf a = v_set(w[i]);
        UNROLL for (size_t v = 0; v < nv; v++) {
            vf *s = &acc[i * nv + v];
            *s = i % 2 ? v_fma_at(w + i, b[v], *s) : v_fma_to(a, b[v], *s);
        }
    }
}

/* nv vectors of n <= VL pixels of mr channels from c on: vector i reads x + i*x_step and writes at
 * y + i*y_step.  They are neighbours in a long row, or the starts of several short ones. */
VFN void ISA(direct_tile)(const struct direct *d, const struct direct_group *f, size_t c, size_t mr,
                          size_t nv, const float *x, size_t x_step, size_t y, size_t y_step,
                          size_t n)
{
    const size_t w_k = mr > 1 ? ANF_PANEL : d->w_k, y_channel = d->g->out_h * d->g->out_w;
    const float *w = f->w + c / ANF_PANEL * d->n_taps * w_k + c % ANF_PANEL, *from[DIRECT_ONE];
    const size_t *at = d->at;
    vf acc[DIRECT_ACC];
    UNROLL for (size_t v = 0; v < nv; v++)
        from[v] = x + v * x_step;
    UNROLL for (size_t i = 0; i < mr * nv; i++)
        acc[i] = v_zero();
    for (size_t k = d->n_taps / TILE_STEPS; k; k--, at += TILE_STEPS, w += TILE_STEPS * w_k)
        UNROLL for (size_t u = 0; u < TILE_STEPS; u++)
            ISA(direct_tap)(from, at[u], w + u * w_k, mr, nv, acc);
    for (size_t k = d->n_taps % TILE_STEPS; k; k--, w += w_k)
        ISA(direct_tap)(from, *at++, w, mr, nv, acc);
    UNROLL for (size_t i = 0; i < mr; i++) {
        f16 *to = f->y + (c + i) * y_channel + y;
        if (f->bias) {
            const vf bias = v_set(f->bias[c + i]);
            UNROLL for (size_t v = 0; v < nv; v++)
                acc[i * nv + v] = v_add(acc[i * nv + v], bias);
        }
        if (f->relu)
            UNROLL for (size_t v = 0; v < nv; v++)
                acc[i * nv + v] = ISA(relu_first)(acc[i * nv + v]);
        UNROLL for (size_t v = 0; v < nv; v++) {
            if (n == VL)
                v_store_f16(to + v * y_step, acc[i * nv + v]);
            else
                v_store_f16_n(to + v * y_step, acc[i * nv + v], n);
        }
    }
}

/* Each shape a function of its own: together they have more addresses than there are registers. */
typedef void ISA(direct_tile_fn)(const struct direct *d, const struct direct_group *f, size_t c,
                                 const float *x, size_t x_step, size_t y, size_t y_step, size_t n);
#define DIRECT_TILE(name, mr, nv)                                                                  \
    static void ISA(name)(const struct direct *d, const struct direct_group *f, size_t c,          \
                          const float *x, size_t x_step, size_t y, size_t y_step, size_t n)        \
    {                                                                                              \
        ISA(direct_tile)(d, f, c, mr, nv, x, x_step, y, y_step, n);                                \
    }
DIRECT_TILE(direct_1x1, 1, 1)
DIRECT_TILE(direct_1x2, 1, 2)
DIRECT_TILE(direct_1x3, 1, 3)
DIRECT_TILE(direct_1x4, 1, 4)
DIRECT_TILE(direct_1x5, 1, 5)
DIRECT_TILE(direct_1x6, 1, 6)
DIRECT_TILE(direct_1x7, 1, 7)
DIRECT_TILE(direct_1x8, 1, 8)
DIRECT_TILE(direct_half_1, DIRECT_MR / 2, 1)
DIRECT_TILE(direct_half_2, DIRECT_MR / 2, 2)
DIRECT_TILE(direct_half_3, DIRECT_MR / 2, 3)
DIRECT_TILE(direct_full_1, DIRECT_MR, 1)
DIRECT_TILE(direct_full_2, DIRECT_MR, 2)
DIRECT_TILE(direct_full_3, DIRECT_MR, 3)

static const struct {
    size_t mr, nv; /* nv: the most vectors */
    ISA(direct_tile_fn) *tile[DIRECT_ONE]; /* of 1, 2, ... vectors */
} ISA(direct_tiles)[] = {
    {DIRECT_MR, DIRECT_NV, {ISA(direct_full_1), ISA(direct_full_2), ISA(direct_full_3)}},
    {DIRECT_MR / 2, DIRECT_NV, {ISA(direct_half_1), ISA(direct_half_2), ISA(direct_half_3)}},
    {1, DIRECT_ONE,
     {ISA(direct_1x1), ISA(direct_1x2), ISA(direct_1x3), ISA(direct_1x4), ISA(direct_1x5),
      ISA(direct_1x6), ISA(direct_1x7), ISA(direct_1x8)}},
};

/* Channels c0 .. c1-1 of one place in the patch. */
VFN void ISA(direct_place)(ISA(direct_tile_fn) *tile, size_t mr, const struct direct *d,
                           const struct direct_group *f, size_t c0, size_t c1, const float *x,
                           size_t x_step, size_t y, size_t y_step, size_t n)
{
    for (size_t c = c0; c < c1; c += mr)
        tile(d, f, c, x, x_step, y, y_step, n);
}

/* Depthwise 3x3: the output rows of a strip of nv vectors from column ox on, the last of which has
 * n pixels.  Rows of the input, `down` of them for each of the output, are loaded once and meet
 * every output row that they are a tap of; begun[i] is the one that began i steps before. */
VFN void ISA(direct_3x3)(const struct direct *d, const struct direct_group *f, const size_t nv,
                         const size_t down, const float *x, size_t ox, size_t n)
{
    const size_t older = 2 / down, steps = d->n_oy + older;
    const size_t pitch = d->p.pitch, in_w = d->g->in_w, out_w = d->g->out_w;
    const float *const column[3] = {x + ox + d->at[0], x + ox + d->at[1], x + ox + d->at[2]};
    const float *bias = f->bias;
    /* Whole rows run on into the next, whose pixels are made later, until there are too few. */
    const size_t over = (VL - n + out_w - 1) / out_w;
    const size_t exact = n < VL && (d->n_ox < out_w || over > steps) ? 0 : steps - over;
    /* The same rows of the plane behind this one; an integer, because there may be none. */
    const size_t ahead = d->g->in_h + (d->p.y0 > 0 ? (size_t)d->p.y0 : 0);
    uintptr_t next = (uintptr_t)f->x + (ahead * in_w + down * ox) * sizeof(f16);
    f16 *y = f->y + ox;
    vf begun[3][DIRECT_STRIP], w[9];
    UNROLL for (size_t k = 0; k < 9; k++)
        w[k] = v_set(f->w[k]);
    UNROLL for (size_t i = 1; i <= older; i++)
        UNROLL for (size_t j = 0; j < nv; j++)
            begun[i][j] = v_zero();
    for (size_t r = 0, at = 0; r < steps; r++) {
        UNROLL for (size_t j = 0; j < nv; j++)
            begun[0][j] = v_zero();
        UNROLL for (size_t t = 0; t < down; t++) {
            UNROLL for (size_t v = 0; v < 3; v++)
                UNROLL for (size_t j = 0; j < nv; j++) {
                    vf b = v_load(column[v] + at + j * VL);
                    V_ONCE(b);
                    UNROLL for (size_t i = 0; i <= older; i++)
                        if (t + i * down < 3)
                            begun[i][j] = v_fma(b, w[(t + i * down) * 3 + v], begun[i][j]);
                }
            if (down == 1 || r + 1 < steps) /* the patch ends with the first row of the last step */
                at += pitch;
            UNROLL for (size_t i = 0; i < down * nv * VL; i += 32)
                __builtin_prefetch((const void *)(next + i * sizeof(f16)));
            next += in_w * sizeof(f16);
        }
        UNROLL for (size_t j = 0; j < nv; j++)
            V_ONCE(begun[older][j]); /* or all that was loaded is kept until it is stored */
        if (r >= older) {
            UNROLL for (size_t j = 0; j < nv; j++) {
                const vf s = begun[older][j];
                vf sum = bias ? v_add(s, v_set(*bias)) : s;
                if (f->relu)
                    sum = ISA(relu_first)(sum);
                if (j + 1 < nv || r < exact)
                    v_store_f16(y + j * VL, sum);
                else
                    v_store_f16_n(y + j * VL, sum, n);
            }
            y += out_w;
        }
        UNROLL for (size_t i = older; i > 0; i--)
            UNROLL for (size_t j = 0; j < nv; j++)
                begun[i][j] = begun[i - 1][j];
    }
}

typedef void ISA(direct_strip_fn)(const struct direct *d, const struct direct_group *f,
                                  const float *x, size_t ox, size_t n);
#define DIRECT_3X3(name, nv, down)                                                                 \
    static void ISA(name)(const struct direct *d, const struct direct_group *f, const float *x,    \
                          size_t ox, size_t n)                                                     \
    {                                                                                              \
        ISA(direct_3x3)(d, f, nv, down, x, ox, n);                                                 \
    }
DIRECT_3X3(direct_3x3_1, 1, 1)
DIRECT_3X3(direct_3x3_2, 2, 1)
DIRECT_3X3(direct_3x3_half_1, 1, 2)
DIRECT_3X3(direct_3x3_half_2, 2, 2)
#if DIRECT_STRIP == 4
DIRECT_3X3(direct_3x3_3, 3, 1)
DIRECT_3X3(direct_3x3_4, 4, 1)
DIRECT_3X3(direct_3x3_half_3, 3, 2)
DIRECT_3X3(direct_3x3_half_4, 4, 2)
#endif

/* All pixels of the patch, if it is one of a depthwise 3x3 convolution; whether it is.  The last
 * strip is the first: it may run over the end of its rows. */
static bool ISA(direct_depthwise_3x3)(const struct direct *d, const struct direct_group *f,
                                      const float *x)
{
    static ISA(direct_strip_fn) *const strips[2][DIRECT_STRIP] = {
#if DIRECT_STRIP == 4
        {ISA(direct_3x3_1), ISA(direct_3x3_2), ISA(direct_3x3_3), ISA(direct_3x3_4)},
        {ISA(direct_3x3_half_1), ISA(direct_3x3_half_2), ISA(direct_3x3_half_3),
         ISA(direct_3x3_half_4)},
#else
        {ISA(direct_3x3_1), ISA(direct_3x3_2)},
        {ISA(direct_3x3_half_1), ISA(direct_3x3_half_2)},
#endif
    };
    const struct conv_geom *g = d->g;
    if (d->cout != 1 || d->n_taps != 9 || g->kh != 3 || g->kw != 3 || g->dil_h != 1 ||
        g->stride_h > 2)
        return false;
    for (size_t left = d->n_ox; left > 0;) {
        const size_t vectors = (left + VL - 1) / VL;
        const size_t nv = (vectors - 1) % DIRECT_STRIP + 1, ox = (vectors - nv) * VL;
        strips[g->stride_h - 1][nv - 1](d, f, x, ox, left - ox - (nv - 1) * VL);
        left = ox;
    }
    return true;
}

/* All channels and pixels of the patch.  The weights of some channels stay in L1, and so does what
 * they meet in one place. */
static void ISA(direct_channels)(const struct direct *d, const struct direct_group *f,
                                 const float *x)
{
    const size_t n_oy = d->n_oy, n_ox = d->n_ox, down = d->p.down, out_w = d->g->out_w;
    for (size_t c = 0, t = 0, c1; c < d->cout; c = c1) {
        while (ISA(direct_tiles)[t].mr > d->cout - c)
            t++;
        const size_t mr = ISA(direct_tiles)[t].mr, nv = ISA(direct_tiles)[t].nv, wide = nv * VL;
        ISA(direct_tile_fn) *const *const tile = ISA(direct_tiles)[t].tile;
        c1 = c + (d->cout - c < DIRECT_CHANNELS ? d->cout - c : DIRECT_CHANNELS) / mr * mr;
        size_t ox = 0;
        for (; ox + wide <= n_ox; ox += wide)
            for (size_t r = 0; r < n_oy; r++)
                ISA(direct_place)(tile[nv - 1], mr, d, f, c, c1, x + r * down + ox, VL,
                                  r * out_w + ox, VL, VL);
        for (; ox < n_ox; ox += VL)
            for (size_t r = 0, n; r < n_oy; r += n) {
                n = n_oy - r < nv ? n_oy - r : nv;
                ISA(direct_place)(tile[n - 1], mr, d, f, c, c1, x + r * down + ox, down,
                                  r * out_w + ox, out_w, n_ox - ox < VL ? n_ox - ox : VL);
            }
    }
}

/* Any geometry, one pixel at a time. */
static void ISA(direct_plain)(const struct direct *d, const struct direct_group *f, size_t oy)
{
    const struct conv_geom *g = d->g;
    const size_t taps = g->kh * g->kw;
    for (size_t c = 0; c < d->cout; c++)
        for (size_t p = 0; p < d->n_oy * g->out_w; p++) {
            const float *w = f->w + c / ANF_PANEL * d->n_taps * d->w_k + c % ANF_PANEL;
            vf s = v_zero();
            for (size_t k = 0; k < d->n_taps; k++) {
                const f16 a = ISA(one_tap)(g, f->x + k / taps * g->in_h * g->in_w,
                                           k % taps / g->kw, k % g->kw, oy + p / g->out_w,
                                           p % g->out_w);
                s = v_fma(v_load_f16_n(&a, 1), v_set(w[k * d->w_k]), s);
            }
            if (f->bias)
                s = v_add(s, v_set(f->bias[c]));
            if (f->relu)
                s = ISA(relu_first)(s);
            v_store_f16_n(f->y + c * g->out_h * g->out_w + p, s, 1);
        }
}

static void ISA(direct_taps)(struct direct *d)
{
    const struct conv_geom *g = d->g;
    const size_t room = conv_patch_room(&d->p), row = g->dil_h * d->p.pitch;
    for (size_t v = 0; v < g->kw; v++) {
        size_t *at = d->at + v;
        const size_t first = conv_patch_tap(g, &d->p, 0, v);
        for (size_t ci = 0; ci < g->cin; ci++)
            for (size_t u = 0; u < g->kh; u++, at += g->kw)
                *at = ci * room + u * row + first;
    }
}

static void ISA(conv_direct)(const struct conv_geom *g, const f16 *x, const struct conv_filters *f,
                             f16 *y, size_t oy0, size_t oy1, float *scratch)
{
    const size_t in = g->cin * g->in_h * g->in_w, out = f->cout * g->out_h * g->out_w;
    const size_t n_ox = conv_direct_columns(g);
    struct direct d;
    d.g = g;
    d.n_taps = g->cin * g->kh * g->kw;
    d.cout = f->cout;
    d.w_k = f->w_k;
    for (size_t ox = 0; oy0 < oy1 && ox < g->out_w; ox += d.n_ox) {
        d.n_ox = n_ox && g->out_w - ox > n_ox ? n_ox : g->out_w - ox;
        for (size_t oy = oy0; oy < oy1; oy += d.n_oy) {
            d.n_oy = oy1 - oy;
            if (n_ox) {
                while (!conv_direct_plan(g, oy, d.n_oy, ox, d.n_ox, &d.p))
                    d.n_oy = (d.n_oy + 1) / 2;
                ISA(direct_taps)(&d);
            }
            for (size_t i = 0; i < f->n_groups; i++) {
                const struct direct_group group = {
                    x + i * in, f->w + i * f->w_group, f->bias ? f->bias + i * f->cout : NULL,
                    y + i * out + oy * g->out_w + ox, f->relu};
                if (!n_ox) {
                    ISA(direct_plain)(&d, &group, oy);
                    continue;
                }
                ISA(patch_planes)(g, &d.p, group.x, g->cin, scratch);
                if (!ISA(direct_depthwise_3x3)(&d, &group, scratch))
                    ISA(direct_channels)(&d, &group, scratch);
            }
        }
    }
}
