/* Patches of a convolution: a padded copy of the part of an input plane that a block of output
 * pixels reads.
 *
 * Element e of a patch row (counted in columns of the padded input from column x0) lies in phase
 * e % stride at index e / stride, so that every tap reads the pixels of an output row contiguously,
 * whatever the stride; padding and edges are in the buffer and cost nothing afterwards:
 *
 *     tap (u, v) of pixel (oy, ox)  =  conv_patch_tap(u, v) + (oy - oy0)*patch.down + (ox - ox0)
 */
#ifndef ANF_KERNELS_CONV_PATCH_H
#define ANF_KERNELS_CONV_PATCH_H

#include "kernels/kern.h"

enum {
    PATCH_CAP = 6144, /* elements of one plane: 12 KiB */
    PATCH_SLACK = 64, /* a vector read may run over the end of a row */
};

struct conv_patch {
    ptrdiff_t y0;       /* padded coordinate of row 0 */
    size_t n_rows, row_step;
    size_t phases, phase_len, pitch, down, size;
    size_t lead;        /* elements before row 0 */
    size_t in_x, n, e0; /* columns in_x .. in_x+n-1 of the input lie in a row, the first at e0 */
    size_t tap_phase, tap_at; /* from tap (u, v) to tap (u, v + 1) */
};

/* One tap that meets every pixel: a matrix product. */
static inline bool conv_plain(const struct conv_geom *g)
{
    return g->kh * g->kw == 1 && g->stride_h * g->stride_w == 1 && !g->pad_h && !g->pad_w &&
           g->out_h == g->in_h && g->out_w == g->in_w;
}

/* Sizes that follow from the length of a phase; whether they fit. */
static inline bool conv_patch_lay(const struct conv_geom *g, struct conv_patch *p)
{
    p->pitch = p->phases * p->phase_len;
    p->down = g->stride_h / p->row_step * p->pitch;
    p->size = p->n_rows * p->pitch;
    return p->n_rows <= PATCH_CAP && p->pitch <= PATCH_CAP && p->size <= PATCH_CAP;
}

/* Whether rows n_oy from oy0 and columns n_ox from ox0 of the output fit. */
static inline bool conv_patch_plan(const struct conv_geom *g, size_t oy0, size_t n_oy, size_t ox0,
                                   size_t n_ox, struct conv_patch *p)
{
    /* Rows and columns between the taps are left out where there is one tap only. */
    p->row_step = g->kh == 1 ? g->stride_h : 1;
    p->phases = g->kw == 1 ? 1 : g->stride_w;
    const size_t span = (n_ox - 1) * g->stride_w + (g->kw - 1) * g->dil_w + 1;
    p->y0 = (ptrdiff_t)(oy0 * g->stride_h) - g->pad_h;
    p->n_rows = ((n_oy - 1) * g->stride_h + (g->kh - 1) * g->dil_h) / p->row_step + 1;
    p->phase_len = (span - 1) / g->stride_w + 1;
    p->lead = 0;
    p->tap_phase = g->dil_w % g->stride_w;
    p->tap_at = g->dil_w / g->stride_w;
    if (!conv_patch_lay(g, p))
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

static inline size_t conv_patch_tap(const struct conv_geom *g, const struct conv_patch *p, size_t u,
                                    size_t v)
{
    const size_t e = v * g->dil_w;
    return p->lead + u * g->dil_h * p->pitch + e % g->stride_w * p->phase_len + e / g->stride_w;
}

/* Elements that a plane of the patch takes. */
static inline size_t conv_patch_room(const struct conv_patch *p)
{
    return (p->lead + p->size + PATCH_SLACK) / 16 * 16;
}

/* The patch of conv_direct, which reads vectors: column 0 of the input is at the start of a cache
 * line in every row, so that one tap of a row crosses none.  Whether those of all planes fit. */
static inline bool conv_direct_plan(const struct conv_geom *g, size_t oy0, size_t n_oy, size_t ox0,
                                    size_t n_ox, struct conv_patch *p)
{
    if (g->cin > ANF_DIRECT_TAPS || !conv_patch_plan(g, oy0, n_oy, ox0, n_ox, p))
        return false;
    p->phase_len = (p->phase_len + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    p->lead = p->n && g->stride_w == 1 ? (ANF_PANEL - p->e0 % ANF_PANEL) % ANF_PANEL : 0;
    return conv_patch_lay(g, p) && g->cin * conv_patch_room(p) <= ANF_DIRECT_FLOATS;
}

/* Output columns of which conv_direct makes patches; 0: none would fit. */
static inline size_t conv_direct_columns(const struct conv_geom *g)
{
    size_t n = g->out_w;
    struct conv_patch p;
    if (!n || g->cin > ANF_DIRECT_TAPS || g->kh > ANF_DIRECT_TAPS || g->kw > ANF_DIRECT_TAPS ||
        g->cin * g->kh * g->kw > ANF_DIRECT_TAPS)
        return 0;
    while (n > 4 * ANF_PANEL && !conv_direct_plan(g, 0, 1, 0, n, &p))
        n = ((n + 1) / 2 + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    return conv_direct_plan(g, 0, 1, 0, n, &p) ? n : 0;
}

/* The patch of depthwise_lanes: columns of the padded input that are read, and the most output rows
 * whose taps fit.  0: not even one row does, or there are more taps or columns than it takes. */
static inline size_t conv_lanes_columns(const struct conv_geom *g)
{
    return (g->out_w - 1) * g->stride_w + (g->kw - 1) * g->dil_w + 1;
}
static inline size_t conv_lanes_rows(const struct conv_geom *g)
{
    if (g->kh > ANF_DIRECT_TAPS || g->kw > ANF_DIRECT_TAPS || g->kh * g->kw > ANF_DIRECT_TAPS ||
        !g->in_w || g->in_w > ANF_LANES_COLUMNS || conv_lanes_columns(g) > ANF_LANES_PIXELS)
        return 0;
    const size_t rows = ANF_LANES_PIXELS / conv_lanes_columns(g), deep = (g->kh - 1) * g->dil_h + 1;
    return rows < deep ? 0 : (rows - deep) / g->stride_h + 1;
}

#endif
