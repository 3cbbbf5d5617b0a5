/* Convolution with few taps, which are read from the patches of conv.inc.c in place; depthwise ones
 * of the usual sizes have a loop of their own. */

/* The register tile: channels broadcast, pixels along the vector, read from the patch. */
#if VL == 8
#define DIRECT_MR 4
#elif VL == 1
#define DIRECT_MR 2
#else
#define DIRECT_MR 8
#endif

/* The most vectors of a strip of a depthwise convolution, for its rows of taps and its stride: each
 * has a sum for every output row that a row of the input is a tap of. */
#if VL == 8
#define STRIP_3_1 4
#define STRIP_3_2 4
#define STRIP_5_1 2
#define STRIP_5_2 4
#define STRIP_7_1 1
#define STRIP_7_2 3
#define DEPTHWISE_KEPT 2 /* beside which all nine weights of a 3x3 one stay in registers */
#elif VL == 1
#define STRIP_3_1 2
#define STRIP_3_2 2
#define STRIP_5_1 1
#define STRIP_5_2 2
#define STRIP_7_1 1
#define STRIP_7_2 1
#define DEPTHWISE_KEPT 2
#else
#define STRIP_3_1 4
#define STRIP_3_2 4
#define STRIP_5_1 4
#define STRIP_5_2 4
#define STRIP_7_1 3
#define STRIP_7_2 4
#define DEPTHWISE_KEPT 4
#endif

enum {
    DIRECT_NV = 3,
    DIRECT_CHANNELS = 16, /* of which the weights stay in L1 */
    DIRECT_ONE = 8, /* vectors of a single channel */
    DEPTHWISE_MOST = 4, /* vectors of any strip, */
    DEPTHWISE_TAPS = 7, /* and its most rows and columns of taps */
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

/* Depthwise, with 3x3, 5x5 or 7x7 taps.  The patch is of binary16 where widening every vector for
 * each column of taps takes less than writing and reading it in float32; and the zeros around the
 * image stay from plane to plane.  With a stride it is of whole rows of binary16, which are parted
 * in registers, unless those are few for the many columns of larger kernels. */
#if VL == 8
#define DEPTHWISE_PIXEL f16
#define DEPTHWISE_LOAD v_load_f16
#define DEPTHWISE_WHOLE(taps, down) ((down) == 2 && (taps) == 3)
#else
#define DEPTHWISE_PIXEL float
#define DEPTHWISE_LOAD v_load
#define DEPTHWISE_WHOLE(taps, down) ((down) == 2)
#endif

/* One vector of a strided one has too few sums: each multiply-add would wait for the one before. */
static bool ISA(is_depthwise)(const struct direct *d)
{
    const struct conv_geom *g = d->g;
    const bool enough = g->kh == 3 || g->stride_h == 1 || d->n_ox > VL;
    return d->cout == 1 && g->cin == 1 && g->kh == g->kw && g->kh % 2 == 1 && g->kh >= 3 &&
           g->kh <= DEPTHWISE_TAPS && g->dil_h == 1 && g->stride_h <= 2 &&
           g->stride_w == g->stride_h && enough;
}

/* What the image has of the rows of the patch.  A function of its own, for the registers. */
static __attribute__((noinline)) void ISA(copy_rows)(const struct conv_geom *g,
                                                     const struct conv_patch *p, const f16 *x,
                                                     f16 *y)
{
    const size_t above = p->y0 < 0 ? (size_t)-p->y0 : 0, first = p->y0 < 0 ? 0 : (size_t)p->y0;
    const size_t in_w = g->in_w, pitch = p->pitch, n = p->n;
    const size_t left = g->in_h > first ? g->in_h - first : 0;
    const size_t rows = p->n_rows > above ? p->n_rows - above : 0;
    x += first * in_w + p->in_x;
    y += above * pitch + p->e0;
    for (size_t r = rows < left ? rows : left; r; r--, x += in_w, y += pitch)
        ISA(copy_run)(y, x, n);
}

/* The patch of plane x, in binary16 of the first one with its zeros. */
static void ISA(depthwise_patch)(const struct direct *d, const f16 *x, bool first, void *to)
{
    const struct conv_geom *g = d->g;
    const struct conv_patch *p = &d->p;
    const bool whole = DEPTHWISE_WHOLE(g->kw, g->stride_w);
    f16 *y = (f16 *)to + p->lead;
    if (!whole && sizeof(DEPTHWISE_PIXEL) > sizeof(f16)) {
        ISA(patch_planes)(g, p, x, 1, to);
        return;
    }
    if (first)
        memset(to, 0, conv_patch_room(p) * sizeof *y);
    if (!whole) {
        ISA(patch_load)(g, p, x, y);
        return;
    }
    if (p->n)
        ISA(copy_rows)(g, p, x, y);
}

/* Row t of `down` rows of the patch meets the output rows that it is a tap of: begun[i] in row t +
 * i*down of the taps.  Weights are `kept` in registers, or NULL.  The first vector of column v is
 * at column[v]. */
VFN void ISA(depthwise_row)(const DEPTHWISE_PIXEL *const *column, size_t at, const size_t t,
                            const size_t taps, const size_t down, const size_t nv,
                            const float *weights, const vf *kept,
                            vf begun[DEPTHWISE_TAPS][DEPTHWISE_MOST])
{
    UNROLL for (size_t v = 0; v < taps; v++) {
        vf w[DEPTHWISE_TAPS];
        UNROLL for (size_t i = 0; t + i * down < taps; i++) {
            const size_t k = (t + i * down) * taps + v;
            w[i] = kept ? kept[k] : v_set(weights[k]);
            if (!kept)
                V_ONCE(w[i]); /* or it is read again for every vector */
        }
        UNROLL for (size_t j = 0; j < nv; j++) {
            vf b = DEPTHWISE_LOAD(column[v] + at + j * VL);
            V_ONCE(b);
            UNROLL for (size_t i = 0; t + i * down < taps; i++)
                begun[i][j] = v_fma(b, w[i], begun[i][j]);
        }
    }
}

/* The same of a whole row, for a stride of 2: columns 0 and 1 are the even and odd elements of a
 * vector, and others those of it and the next one. */
VFN void ISA(depthwise_whole_row)(const f16 *x, const size_t t, const size_t taps, const size_t nv,
                                  const float *weights, const vf *kept,
                                  vf begun[DEPTHWISE_TAPS][DEPTHWISE_MOST])
{
    vf now[2], next[2];
    v_load_f16_pair(x, &next[0], &next[1]);
    UNROLL for (size_t j = 0; j < nv; j++) {
        now[0] = next[0];
        now[1] = next[1];
        v_load_f16_pair(x + (j + 1) * 2 * VL, &next[0], &next[1]);
        UNROLL for (size_t v = 0; v < taps; v++) {
#if VL == 1
            const vf b = v < 2 ? now[v] : v_load_f16(x + 2 * j + v);
#else
            const vf b = v_next(now[v % 2], next[v % 2], v / 2);
#endif
            UNROLL for (size_t i = 0; t + 2 * i < taps; i++) {
                const size_t k = (t + 2 * i) * taps + v;
                begun[i][j] = v_fma(b, kept ? kept[k] : v_set(weights[k]), begun[i][j]);
            }
        }
    }
}

/* The output rows of a strip of nv vectors from column ox on, the last of which has n pixels.  Rows
 * of the input, `down` of them for each of the output, are loaded once and meet every output row
 * that they are a tap of; begun[i] is the one that began i steps before. */
VFN void ISA(depthwise_strip)(const struct direct *d, const struct direct_group *f,
                              const size_t taps, const size_t nv, const size_t down,
                              const void *x, size_t ox, size_t n)
{
    const size_t older = (taps - 1) / down, steps = d->n_oy + older;
    const size_t pitch = d->p.pitch, in_w = d->g->in_w, out_w = d->g->out_w;
    const float *bias = f->bias, *weights = f->w;
    const bool keep = taps == 3 && nv <= DEPTHWISE_KEPT;
    const f16 *row = (const f16 *)x + d->p.lead + down * ox; /* of a patch of whole rows */
    const DEPTHWISE_PIXEL *column[DEPTHWISE_TAPS];
    UNROLL for (size_t v = 0; v < taps; v++)
        column[v] = (const DEPTHWISE_PIXEL *)x + ox + d->at[v];
    /* Whole rows run on into the next, whose pixels are made later, until there are too few. */
    const size_t over = (VL - n + out_w - 1) / out_w;
    const size_t exact = n < VL && (d->n_ox < out_w || over > steps) ? 0 : steps - over;
    /* The same rows of the plane behind this one; an integer, because there may be none. */
    const size_t ahead = d->g->in_h + (d->p.y0 > 0 ? (size_t)d->p.y0 : 0);
    uintptr_t next = (uintptr_t)f->x + (ahead * in_w + down * ox) * sizeof(f16);
    f16 *y = f->y + ox;
    vf begun[DEPTHWISE_TAPS][DEPTHWISE_MOST], kept[9];
    if (keep)
        UNROLL for (size_t k = 0; k < 9; k++)
            kept[k] = v_set(weights[k]);
    UNROLL for (size_t i = 1; i <= older; i++)
        UNROLL for (size_t j = 0; j < nv; j++)
            begun[i][j] = v_zero();
    for (size_t r = 0, at = 0; r < steps; r++) {
        UNROLL for (size_t j = 0; j < nv; j++)
            begun[0][j] = v_zero();
        UNROLL for (size_t t = 0; t < down; t++) {
            if (DEPTHWISE_WHOLE(taps, down))
                ISA(depthwise_whole_row)(row + at, t, taps, nv, weights, keep ? kept : NULL, begun);
            else
                ISA(depthwise_row)(column, at, t, taps, down, nv, weights, keep ? kept : NULL,
                                   begun);
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

typedef void ISA(depthwise_fn)(const struct direct *d, const struct direct_group *f,
                               const void *x, size_t ox, size_t n);
#define DEPTHWISE(taps, nv, down)                                                                  \
    static void ISA(depthwise_##taps##_##nv##_##down)(                                             \
        const struct direct *d, const struct direct_group *f, const void *x, size_t ox, size_t n)  \
    {                                                                                              \
        ISA(depthwise_strip)(d, f, taps, nv, down, x, ox, n);                                      \
    }
/* All of up to nv vectors, and their names. */
#define DEPTHWISE_1(taps, down) DEPTHWISE(taps, 1, down)
#define DEPTHWISE_2(taps, down) DEPTHWISE_1(taps, down) DEPTHWISE(taps, 2, down)
#define DEPTHWISE_3(taps, down) DEPTHWISE_2(taps, down) DEPTHWISE(taps, 3, down)
#define DEPTHWISE_4(taps, down) DEPTHWISE_3(taps, down) DEPTHWISE(taps, 4, down)
#define STRIPS_1(taps, down) ISA(depthwise_##taps##_1_##down)
#define STRIPS_2(taps, down) STRIPS_1(taps, down), ISA(depthwise_##taps##_2_##down)
#define STRIPS_3(taps, down) STRIPS_2(taps, down), ISA(depthwise_##taps##_3_##down)
#define STRIPS_4(taps, down) STRIPS_3(taps, down), ISA(depthwise_##taps##_4_##down)
#define UP_TO(what, nv) what##nv /* once nv is a number */
#define DEPTHWISE_ALL(nv, taps, down) UP_TO(DEPTHWISE_, nv)(taps, down)
#define STRIPS(nv, taps, down) {nv, {UP_TO(STRIPS_, nv)(taps, down)}}
DEPTHWISE_ALL(STRIP_3_1, 3, 1)
DEPTHWISE_ALL(STRIP_3_2, 3, 2)
DEPTHWISE_ALL(STRIP_5_1, 5, 1)
DEPTHWISE_ALL(STRIP_5_2, 5, 2)
DEPTHWISE_ALL(STRIP_7_1, 7, 1)
DEPTHWISE_ALL(STRIP_7_2, 7, 2)

/* Strips of 1, 2, ... vectors for 3, 5, 7 taps, with stride 1 and 2. */
static const struct {
    size_t most;
    ISA(depthwise_fn) *of[DEPTHWISE_MOST];
} ISA(depthwise_strips)[3][2] = {
    {STRIPS(STRIP_3_1, 3, 1), STRIPS(STRIP_3_2, 3, 2)},
    {STRIPS(STRIP_5_1, 5, 1), STRIPS(STRIP_5_2, 5, 2)},
    {STRIPS(STRIP_7_1, 7, 1), STRIPS(STRIP_7_2, 7, 2)},
};

/* All pixels of the patch.  The last strip is the first: it may run over the end of its rows. */
static void ISA(direct_depthwise)(const struct direct *d, const struct direct_group *f,
                                  const void *x)
{
    const size_t size = d->g->kh / 2 - 1, stride = d->g->stride_h - 1; /* places in the table */
    const size_t most = ISA(depthwise_strips)[size][stride].most;
    for (size_t left = d->n_ox; left > 0;) {
        const size_t vectors = (left + VL - 1) / VL, parts = (vectors + most - 1) / most;
        const size_t nv = (vectors + parts - 1) / parts, ox = (vectors - nv) * VL;
        ISA(depthwise_strips)[size][stride].of[nv - 1](d, f, x, ox, left - ox - (nv - 1) * VL);
        left = ox;
    }
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
                if (ISA(is_depthwise)(&d)) {
                    ISA(depthwise_patch)(&d, group.x, i == 0, scratch);
                    ISA(direct_depthwise)(&d, &group, scratch);
                    continue;
                }
                ISA(patch_planes)(g, &d.p, group.x, g->cin, scratch);
                ISA(direct_channels)(&d, &group, scratch);
            }
        }
    }
}
