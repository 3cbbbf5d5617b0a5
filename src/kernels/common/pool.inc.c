/* Means of windows of one plane at steps of 1 or 2, vectorised along the output row.
 *
 * An output row is made in chunks of at most POOL_VECS vectors.  For each tap (u, v), in order, the
 * chunk's accumulators meet elements v, v + stride, v + 2 stride, ... of an input row.  At the left
 * and right edge, and past the end of a partial vector, such a load runs into the neighbouring rows
 * of the plane: lanes whose tap is padding are replaced after the load, lanes past the chunk are
 * not stored. Where it would leave the plane itself, a padded copy of the stretch is read instead
 * (the strip).
 *
 * Padding adds 0 to a sum that starts at +0 and never becomes -0, so it changes no bit, and rows
 * outside the plane are skipped. */

#define POOL_UNROLL _Pragma("GCC unroll 4")

enum {
    POOL_VECS = 4, /* enough independent chains to hide the latency of an add */
    POOL_CHUNK = POOL_VECS * VL,
    POOL_TAPS = 64, /* taps of one row taken at once; wider windows take several strips */
    POOL_STRIP = 2 * POOL_CHUNK + POOL_TAPS + VL,
};

/* strip[i] = row[x0 + i] with padding outside 0 .. in_w - 1. */
static void ISA(pool_fill)(f16 *strip, const f16 *row, size_t in_w, ptrdiff_t x0, size_t n)
{
    for (size_t i = 0; i < n; i += VL)
        v_store_f16(strip + i, v_zero());
    size_t at = x0 < 0 ? (size_t)-x0 : 0, from = x0 < 0 ? 0 : (size_t)x0;
    if (at < n && from < in_w) {
        size_t inside = in_w - from < n - at ? in_w - from : n - at;
        memcpy(strip + at, row + from, inside * sizeof *strip);
    }
}

/* Lane i of x is column `first` + i stride of a row of in_w: zero where it is outside. */
VFN vf ISA(pool_inside)(vf x, ptrdiff_t first, ptrdiff_t stride, ptrdiff_t in_w)
{
    if (first < 0) {
        ptrdiff_t lo = (stride - 1 - first) / stride;
        x = v_sel_n(lo < VL ? (size_t)lo : VL, v_zero(), x);
    }
    if (first + (VL - 1) * stride >= in_w) {
        ptrdiff_t hi = first < in_w ? (in_w - first + stride - 1) / stride : 0;
        x = v_sel_n((size_t)hi, x, v_zero());
    }
    return x;
}

/* x[v + i stride] for the outputs i of a chunk and the taps v of one input row; stride is 1 or 2.
 * x[0] is column `from` of a row of in_w; `edge` says that some output has a tap outside it. */
VFN void ISA(pool_taps)(vf *acc, const size_t vecs, const f16 *x, size_t taps, const size_t stride,
                        const bool edge, ptrdiff_t from, size_t in_w)
{
    const ptrdiff_t s = (ptrdiff_t)stride, w = (ptrdiff_t)in_w;
    for (size_t v = 0; v < taps; v += stride) {
        POOL_UNROLL
        for (size_t k = 0; k < vecs; k++) {
            ptrdiff_t first = from + (ptrdiff_t)(v + k * VL * stride);
            vf t, next = v_zero();
            if (stride == 1)
                t = v_load_f16(x + v + k * VL);
            else
                v_load_f16_pair(x + v + 2 * k * VL, &t, &next);
            t = edge ? ISA(pool_inside)(t, first, s, w) : t;
            acc[k] = v_add(acc[k], t);
            if (stride == 2 && v + 1 < taps) {
                next = edge ? ISA(pool_inside)(next, first + 1, s, w) : next;
                acc[k] = v_add(acc[k], next);
            }
        }
    }
}

/* The `outs` outputs of row oy from ox on, which take `vecs` vectors: a constant at every call, so
 * that the accumulators are registers. */
VFN void ISA(pool_chunk)(const size_t vecs, const struct conv_geom *g, const f16 *x, f16 *y,
                         size_t oy, size_t ox, size_t outs)
{
    const size_t stride = g->stride_w, span = vecs * VL * stride;
    const ptrdiff_t x0 = (ptrdiff_t)(ox * stride) - g->pad_w;
    const bool edge = x0 < 0 || (size_t)x0 + (outs - 1) * stride + g->kw > g->in_w;
    const size_t plane = g->in_h * g->in_w;
    f16 strip[POOL_STRIP];
    vf acc[POOL_VECS];
    POOL_UNROLL
    for (size_t k = 0; k < vecs; k++)
        acc[k] = v_zero();
    for (size_t u = 0; u < g->kh; u++) {
        ptrdiff_t iy = (ptrdiff_t)(oy * g->stride_h + u) - g->pad_h;
        if (iy < 0 || iy >= (ptrdiff_t)g->in_h)
            continue;
        const f16 *row = x + (size_t)iy * g->in_w;
        for (size_t v = 0; v < g->kw; v += POOL_TAPS) {
            size_t taps = g->kw - v < POOL_TAPS ? g->kw - v : POOL_TAPS;
            ptrdiff_t from = x0 + (ptrdiff_t)v, offset = iy * (ptrdiff_t)g->in_w + from;
            const f16 *at = strip;
            if (offset >= 0 && (size_t)offset + span + taps <= plane)
                at = x + offset;
            else
                ISA(pool_fill)(strip, row, g->in_w, from, span + taps);
            if (stride == 1 && edge)
                ISA(pool_taps)(acc, vecs, at, taps, 1, true, from, g->in_w);
            else if (stride == 1)
                ISA(pool_taps)(acc, vecs, at, taps, 1, false, from, g->in_w);
            else if (edge)
                ISA(pool_taps)(acc, vecs, at, taps, 2, true, from, g->in_w);
            else
                ISA(pool_taps)(acc, vecs, at, taps, 2, false, from, g->in_w);
        }
    }
    const vf count = v_set((float)(g->kh * g->kw));
    POOL_UNROLL
    for (size_t k = 0; k < vecs; k++) {
        const vf t = v_div(acc[k], count);
        if (outs >= (k + 1) * VL)
            v_store_f16(y + k * VL, t);
        else if (outs > k * VL)
            v_store_f16_n(y + k * VL, t, outs - k * VL);
    }
}

static void ISA(avg_pool)(const struct conv_geom *g, const f16 *x, f16 *y, size_t oy0, size_t oy1)
{
    for (size_t oy = oy0; oy < oy1; oy++)
        for (size_t ox = 0; ox < g->out_w; ox += POOL_CHUNK) {
            size_t outs = g->out_w - ox < POOL_CHUNK ? g->out_w - ox : POOL_CHUNK;
            f16 *out = y + oy * g->out_w + ox;
            if (outs > 3 * VL)
                ISA(pool_chunk)(POOL_VECS, g, x, out, oy, ox, outs);
            else if (outs > 2 * VL)
                ISA(pool_chunk)(3, g, x, out, oy, ox, outs);
            else if (outs > VL)
                ISA(pool_chunk)(2, g, x, out, oy, ox, outs);
            else
                ISA(pool_chunk)(1, g, x, out, oy, ox, outs);
        }
}
