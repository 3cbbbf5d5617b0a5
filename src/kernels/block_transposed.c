/* Transposed convolution with a stride, up > 1, as convolutions of its residues.
 *
 * Output pixel o of an axis meets the taps v for which o - pad + v*dil is a multiple of `up`: the
 * gaps of the input between its rows and columns have no tap.  Those are the same for all pixels
 * with one o % up, and next to each other in steps of conv_tap_step.  So it is up * up ordinary
 * convolutions with smaller kernels, and their outputs are woven together.  A pixel without any tap
 * is its bias.
 *
 * A residue (r, s) is the output pixels (y, x) with y % up = r, x % up = s.  All residues get
 * planes of one size, ceil(out_h / up) x ceil(out_w / up), of which the last row and column may
 * belong to no output pixel.  Phase 0 computes them, as convolutions over the input as it is, into
 *
 *     shared memory   [residues][images][channels][rows][columns]    binary16, rounded already
 *
 * and phase 1 weaves the rows of the residues into rows of the output.  A convolution with more
 * residues than there are threads to keep busy gives each to one thread. */
#include "kernels/conv_way.h"

struct residues {
    size_t n_h, n_w; /* residues that occur: fewer than `up` in a small output */
    size_t rows, cols, planes;
    size_t n_threads;  /* for the convolution of each */
    size_t most_tasks; /* of the convolution of any */
};

struct axis {
    size_t kernel, up, dil, step; /* step: conv_tap_step */
    ptrdiff_t pad;
};

static struct axis axis_of(const struct conv_job *job, bool rows)
{
    const struct conv_geom *g = &job->geom;
    struct axis x = {.kernel = rows ? g->kh : g->kw, .up = job->up,
                     .dil = rows ? g->dil_h : g->dil_w, .pad = rows ? g->pad_h : g->pad_w};
    x.step = conv_tap_step(x.up, x.dil);
    return x;
}

/* What the pixels with one residue meet along an axis. */
struct axis_taps {
    size_t first, n; /* taps first, first + step, ... */
    ptrdiff_t pad;   /* of the convolution over the input without gaps */
};

/* Those that meet tap `first` < step first. */
static struct axis_taps taps_from(const struct axis *x, size_t first)
{
    const ptrdiff_t up = (ptrdiff_t)x->up, at = x->pad - (ptrdiff_t)(first * x->dil);
    const ptrdiff_t below = at < 0 ? (up - 1 - at) / up : 0; /* division rounds down */
    return (struct axis_taps){first, (x->kernel - 1 - first) / x->step + 1,
                              at < 0 ? -below : at / up};
}

static struct axis_taps axis_taps(const struct axis *x, size_t residue)
{
    ptrdiff_t at = (ptrdiff_t)residue - x->pad;
    for (size_t v = 0; v < block_least(x->step, x->kernel); v++, at += (ptrdiff_t)x->dil)
        if (at % (ptrdiff_t)x->up == 0)
            return taps_from(x, v);
    return (struct axis_taps){0, 0, 0};
}

/* The kinds of taps that occur along an axis, one after the other, from *first = 0 on: equal ones
 * follow each other, as both n and pad fall with the first tap.  Last come pixels without any. */
static bool next_kind(const struct axis *x, size_t *first, struct axis_taps *taps)
{
    const size_t end = block_least(x->step, x->kernel);
    if (*first > end || (*first == end && end == x->up))
        return false;
    *taps = *first < end ? taps_from(x, *first) : (struct axis_taps){0, 0, 0};
    for (++*first; *first < end; ++*first) {
        const struct axis_taps next = taps_from(x, *first);
        if (next.n != taps->n || next.pad != taps->pad)
            break;
    }
    return true;
}

/* Elements of an axis's kernel before the kernel that begins with tap `first`. */
static size_t taps_before(const struct axis *x, size_t first)
{
    return x->kernel / x->step * first + block_least(x->kernel % x->step, first);
}

/* The convolution of pixels that meet taps h x w. */
static struct conv_job one_residue(const struct conv_job *job, const struct residues *r,
                                   const struct axis_taps *h, const struct axis_taps *w)
{
    const struct conv_geom *g = &job->geom;
    struct conv_job one = *job;
    one.up = 1;
    one.epilogue = NULL; /* but relu is as good before weaving */
    one.n_threads = r->n_threads;
    one.geom.out_h = r->rows;
    one.geom.out_w = r->cols;
    one.geom.kh = h->n;
    one.geom.kw = w->n;
    one.geom.pad_h = h->pad;
    one.geom.pad_w = w->pad;
    one.geom.dil_h = conv_tap_step(job->up, g->dil_h) * g->dil_h / job->up;
    one.geom.dil_w = conv_tap_step(job->up, g->dil_w) * g->dil_w / job->up;
    if (!h->n || !w->n) { /* nothing but the bias */
        one.geom.cin = 0;
        one.geom.kh = one.geom.kw = 1;
    }
    return one;
}

/* Every kind of residue once, from {0} on. */
struct kinds {
    size_t row, col; /* of the next one */
    struct axis_taps h, w;
};

static bool next_residue_kind(const struct conv_job *job, struct kinds *k)
{
    const struct axis rows = axis_of(job, true), cols = axis_of(job, false);
    if (!k->row && !next_kind(&rows, &k->row, &k->h))
        return false;
    if (next_kind(&cols, &k->col, &k->w))
        return true;
    k->col = 0;
    return next_kind(&rows, &k->row, &k->h) && next_kind(&cols, &k->col, &k->w);
}

static struct residues residues_of(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    struct residues r = {
        .n_h = block_least(job->up, g->out_h),
        .n_w = block_least(job->up, g->out_w),
        .rows = (g->out_h + job->up - 1) / job->up,
        .cols = (g->out_w + job->up - 1) / job->up,
        .planes = job->images * job->groups * job->cout,
    };
    r.n_threads = job->n_threads > 1 ? block_threads(r.n_h * r.n_w, job->n_threads) : 1;
    for (struct kinds k = {0}; next_residue_kind(job, &k);) {
        const struct conv_job one = one_residue(job, &r, &k.h, &k.w);
        const size_t n = conv_tasks(kern, &one, 1);
        r.most_tasks = n > r.most_tasks ? n : r.most_tasks;
    }
    return r;
}

static size_t residue_size(const struct residues *r)
{
    return r->planes * r->rows * r->cols;
}

static bool transposed_chosen(const struct kern *kern, const struct conv_job *job)
{
    (void)kern;
    return job->up > 1;
}

static size_t residue_tasks(const struct kern *kern, const struct conv_job *job)
{
    const struct residues r = residues_of(kern, job);
    return r.n_h * r.n_w * r.most_tasks;
}

static size_t weave_tasks(const struct kern *kern, const struct conv_job *job)
{
    const size_t planes = job->images * job->groups * job->cout;
    (void)kern;
    return job->n_threads > 1 ? block_least(planes, BLOCK_FINE * job->n_threads) : 1;
}

static size_t transposed_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct residues r = residues_of(kern, job);
    size_t most = 0;
    for (struct kinds k = {0}; next_residue_kind(job, &k);) {
        const struct conv_job one = one_residue(job, &r, &k.h, &k.w);
        const size_t n = conv_thread_bytes(kern, &one);
        most = n > most ? n : most;
    }
    return most;
}

static size_t transposed_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct residues r = residues_of(kern, job);
    return r.n_h * r.n_w * residue_size(&r) * sizeof(f16);
}

static void convolve(const struct kern *kern, const struct conv_job *job,
                     const struct conv_run *run)
{
    const struct conv_geom *g = &job->geom;
    const struct residues r = residues_of(kern, job);
    const size_t i = run->task / r.most_tasks, part = run->task % r.most_tasks;
    const struct axis rows = axis_of(job, true), cols = axis_of(job, false);
    const struct axis_taps h = axis_taps(&rows, i / r.n_w), w = axis_taps(&cols, i % r.n_w);
    struct conv_job one = one_residue(job, &r, &h, &w);
    one.y = (f16 *)run->shared + i * residue_size(&r);
    one.weights += (taps_before(&rows, h.first) * g->kw + h.n * taps_before(&cols, w.first)) *
                   (conv_packed_size(g, job->groups, job->cout) / (g->kh * g->kw));
    size_t kept = 0; /* the task before was of other weights */
    if (part < conv_tasks(kern, &one, 1))
        conv_task(kern, &one, 1, part, NULL, run->own, &kept);
}

static void weave_plane(const struct kern *kern, const struct conv_job *job,
                        const struct residues *r, const f16 *residues, size_t plane)
{
    const struct conv_geom *g = &job->geom;
    const size_t size = residue_size(r), whole = g->out_w / job->up;
    f16 *y = job->y + plane * g->out_h * g->out_w;
    for (size_t i = 0; i < g->out_h; i++, y += g->out_w) {
        const f16 *row = residues + i % job->up * r->n_w * size +
                         (plane * r->rows + i / job->up) * r->cols;
        if (whole)
            kern->transpose(row, size, y, job->up, job->up, whole);
        for (size_t s = 0; s < g->out_w % job->up; s++)
            y[whole * job->up + s] = row[s * size + whole];
    }
    conv_hand_on(job, plane, 1, 0, g->out_h * g->out_w);
}

static void weave(const struct kern *kern, const struct conv_job *job, const struct conv_run *run)
{
    const struct residues r = residues_of(kern, job);
    const size_t n = weave_tasks(kern, job), end = block_start(r.planes, n, run->task + 1);
    for (size_t p = block_start(r.planes, n, run->task); p < end; p++)
        weave_plane(kern, job, &r, run->shared, p);
}

const struct conv_way conv_transposed = {
    .chosen = transposed_chosen,
    .tasks = weave_tasks,
    .run = weave,
    .thread_bytes = transposed_thread_bytes,
    .prepare_tasks = residue_tasks,
    .prepare = convolve,
    .shared_bytes = transposed_shared_bytes,
};
