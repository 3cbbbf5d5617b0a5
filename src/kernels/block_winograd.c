/* Winograd's convolution in blocks.
 *
 * Tiles are counted by rows of tiles, one image after the other.  A strip is some rows of tiles,
 * or, in a wide image, a part of one row.  Of a strip there are
 *
 *     V   [36][cin][tiles]        float32, the transformed input, L2 if it can be
 *     U   [36][nv][channels][16]  float32, the transformed weights of a group of nv channel panels
 *                                 and a slice of the input channels, L2
 *     M   [36][tiles][nv*16]      float32, the products of a group, L2
 *
 * and the 36 matrix products run through the register tile of gemm: channels along the vector,
 * tiles broadcast, so that no number of tiles wastes lanes.
 *
 * Phase 1 multiplies; phase 0 prepares in shared memory what more than one task of phase 1 needs.
 * With many strips a task is a strip, and transforms its input itself in the scratch of its thread;
 * with few it is a strip and a group of output channels, and phase 0 transforms the input, by parts
 * of its channels.  Weights that are small next to a cache and serve several strips are transformed
 * in phase 0, by groups; others by each task, a slice of the input channels at a time.
 *
 * Where all images have fewer tiles than the register tile has rows, U would be read from L2 for too
 * little: winograd_few makes it in L1, eight channels at a time, and V is cut the same way. */
#include "kernels/block_winograd.h"

#include "kernels/winograd.h"

enum {
    SLICE = 64,            /* input channels: U of a wide group is 432 KiB */
    MANY_STRIPS = 6,       /* of a thread: then nobody waits long for the last */
    V_FLOATS = 576 * 1024, /* of a strip: 2.25 MiB, so that the weights are read less often */
    LEAST_STRIP = 16,      /* tiles, or the weights are read too often */
    PARTS = 4,             /* of the channels of a strip, for a thread of phase 0 */
    U_FLOATS = 640 * 1024, /* of all weights, 2.5 MiB: transformed once */
};

struct wino_cut {
    size_t tile_rows, tile_cols;  /* of an image */
    size_t rows;                  /* of tiles, of all images */
    size_t row_strips, col_strips;
    size_t strip_tiles;           /* of the largest strip */
    size_t panels, groups, group; /* channel panels, groups of them, panels of the largest group */
    size_t parts;                 /* of the channels of a strip in phase 0 */
    bool shared, shared_u;        /* V, U are prepared in phase 0 */
    bool few;                     /* tiles: for winograd_few, without U */
    size_t slice;                 /* input channels whose weights are transformed together */
    size_t v_floats;              /* of a strip */
    size_t v_ld, v_pos, u_pos, m_pos; /* floats from one channel, from one position to the next */
};

/* Channel panels of a group: the widest register tile, unless narrower ones share out better. */
static size_t group_panels(const struct kern *kern, size_t panels, size_t strips, size_t n_threads)
{
    size_t best = 1, best_cost = SIZE_MAX;
    for (size_t p = block_least(kern->nv, panels); p >= 1; p--) {
        const size_t groups = (panels + p - 1) / p, tasks = groups * strips;
        const size_t wide = block_even(panels, p);
        /* A narrower tile loads more for a multiplication: about an eighth for each panel. */
        const size_t cost = (tasks + n_threads - 1) / n_threads * wide * (8 + kern->nv - wide);
        if (cost < best_cost) {
            best = wide;
            best_cost = cost;
        }
    }
    return best;
}

static struct wino_cut wino_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    const size_t n_threads = job->n_threads ? job->n_threads : 1;
    struct wino_cut cut = {
        .tile_rows = winograd_tiles(g->out_h),
        .tile_cols = winograd_tiles(g->out_w),
        .panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL,
        .col_strips = 1,
    };
    cut.rows = job->images * cut.tile_rows;
    size_t most = V_FLOATS / (WINOGRAD_POSITIONS * g->cin);
    most = most < LEAST_STRIP ? LEAST_STRIP : block_least(most, ANF_WINOGRAD_TILES);
    for (int round = 0; round < 2; round++) {
        const size_t rows = most / cut.tile_cols;
        cut.row_strips = rows ? (cut.rows + rows - 1) / rows : cut.rows;
        cut.col_strips = rows ? 1 : (cut.tile_cols + most - 1) / most;
        cut.shared = n_threads > 1 && cut.row_strips * cut.col_strips < MANY_STRIPS * n_threads;
        if (!cut.shared)
            break;
        most = block_least(most, 2 * LEAST_STRIP); /* smaller strips are shared out more evenly */
    }
    const size_t strips = cut.row_strips * cut.col_strips;
    cut.strip_tiles = cut.col_strips > 1
                          ? (cut.tile_cols + cut.col_strips - 1) / cut.col_strips
                          : (cut.rows + cut.row_strips - 1) / cut.row_strips * cut.tile_cols;
    cut.few = strips == 1 && cut.strip_tiles <= kern->mr;
    cut.group = cut.few ? 1 : group_panels(kern, cut.panels, strips, cut.shared ? n_threads : 1);
    cut.groups = (cut.panels + cut.group - 1) / cut.group;
    cut.parts = cut.shared ? block_least(g->cin, PARTS * n_threads) : 1;
    cut.v_ld = cut.few ? cut.strip_tiles
                       : (cut.strip_tiles + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    /* Odd numbers of cache lines: the 36 positions of a tile must not share cache sets. */
    cut.v_pos = cut.few ? ANF_WINOGRAD_SLICE * cut.v_ld
                        : ((g->cin * cut.v_ld + ANF_PANEL - 1) / ANF_PANEL | 1) * ANF_PANEL;
    cut.v_floats = cut.v_pos * WINOGRAD_POSITIONS *
                   (cut.few ? (g->cin + ANF_WINOGRAD_SLICE - 1) / ANF_WINOGRAD_SLICE : 1);
    cut.shared_u = strips > 1 &&
                   WINOGRAD_POSITIONS * cut.panels * g->cin * ANF_PANEL <= U_FLOATS;
    cut.slice = cut.shared_u ? g->cin : block_even(g->cin, SLICE);
    cut.u_pos = cut.few ? 0 : (cut.group * cut.slice | 1) * ANF_PANEL;
    cut.m_pos = (cut.strip_tiles * cut.group | 1) * ANF_PANEL;
    return cut;
}

static size_t u_floats(const struct wino_cut *cut)
{
    return WINOGRAD_POSITIONS * cut->u_pos;
}

static size_t input_tasks(const struct wino_cut *cut)
{
    return cut->shared ? cut->row_strips * cut->col_strips * cut->parts : 0;
}

size_t winograd_tasks(const struct kern *kern, const struct conv_job *job, size_t phase)
{
    if (!job->images || !job->cout || !job->geom.out_h || !job->geom.out_w)
        return 0;
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t strips = cut.row_strips * cut.col_strips;
    if (phase)
        return cut.shared ? strips * cut.groups : strips;
    return input_tasks(&cut) + (cut.shared_u ? cut.groups : 0);
}

size_t winograd_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t n = WINOGRAD_POSITIONS * cut.m_pos;
    return (n + (cut.shared_u ? 0 : u_floats(&cut)) + (cut.shared ? 0 : cut.v_floats)) *
           sizeof(float);
}

size_t winograd_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t strips = cut.row_strips * cut.col_strips;
    return ((cut.shared ? strips * cut.v_floats : 0) +
            (cut.shared_u ? cut.groups * u_floats(&cut) : 0)) * sizeof(float);
}

/* ---- one strip ------------------------------------------------------------------------------- */
struct strip {
    size_t row, n_rows; /* of tiles, of all images */
    size_t col, n_cols;
    size_t n;           /* tiles */
};

/* The rows of a strip that lie in one image. */
struct rows {
    size_t image, row, n, first; /* first: of the strip */
};

static struct strip strip_at(const struct wino_cut *cut, size_t index)
{
    const size_t r = index / cut->col_strips, c = index % cut->col_strips;
    struct strip s = {.row = block_start(cut->rows, cut->row_strips, r),
                      .col = block_start(cut->tile_cols, cut->col_strips, c)};
    s.n_rows = block_start(cut->rows, cut->row_strips, r + 1) - s.row;
    s.n_cols = block_start(cut->tile_cols, cut->col_strips, c + 1) - s.col;
    s.n = s.n_rows * s.n_cols;
    return s;
}

static bool next_rows(const struct wino_cut *cut, const struct strip *s, struct rows *r)
{
    r->first += r->n;
    if (r->first >= s->n_rows)
        return false;
    r->image = (s->row + r->first) / cut->tile_rows;
    r->row = (s->row + r->first) % cut->tile_rows;
    r->n = block_least(cut->tile_rows - r->row, s->n_rows - r->first);
    return true;
}

/* Where the first tile of channel c is. */
static float *v_of(const struct wino_cut *cut, float *v, size_t c)
{
    const size_t n = cut->few ? ANF_WINOGRAD_SLICE : c + 1;
    return v + c / n * WINOGRAD_POSITIONS * cut->v_pos + c % n * cut->v_ld;
}

static void transform(const struct kern *kern, const struct conv_job *job,
                      const struct wino_cut *cut, const struct strip *s, size_t c0, size_t c1,
                      float *v)
{
    const struct conv_geom *g = &job->geom;
    for (struct rows r = {0}; next_rows(cut, s, &r);)
        for (size_t c = c0; c < c1; c++)
            kern->winograd_input(g, job->x + (r.image * g->cin + c) * g->in_h * g->in_w, r.row, r.n,
                                 s->col, s->n_cols, v_of(cut, v, c) + r.first * s->n_cols,
                                 cut->v_pos);
}

/* Weights of panels q .. q+nv-1 and input channels c .. c+n-1. */
static void transform_weights(const struct kern *kern, const struct conv_job *job,
                              const struct wino_cut *cut, size_t q, size_t nv, size_t c, size_t n,
                              float *u)
{
    for (size_t i = 0; i < nv; i++)
        kern->winograd_weights(job->weights + ((q + i) * job->geom.cin + c) * 9 * ANF_PANEL, n,
                               u + i * n * ANF_PANEL, cut->u_pos);
}

/* Panels q .. q+nv-1 of the strip.  The weights of the next slice are asked for meanwhile. */
static void multiply(const struct kern *kern, const struct conv_job *job,
                     const struct wino_cut *cut, const struct strip *s, size_t q, size_t nv,
                     const float *v, float *u, float *m)
{
    const size_t cin = job->geom.cin, h = block_even(s->n, kern->mr), ldm = nv * ANF_PANEL;
    if (cut->few) {
        kern->winograd_few(job->weights + q * cin * 9 * ANF_PANEL, cin, v, s->n, m, cut->m_pos);
        return;
    }
    for (size_t c = 0; c < cin; c += cut->slice) {
        const size_t n = block_least(cut->slice, cin - c), panel = n * ANF_PANEL, next = c + n;
        if (!cut->shared_u)
            transform_weights(kern, job, cut, q, nv, c, n, u);
        for (size_t pos = 0; pos < WINOGRAD_POSITIONS; pos++) {
            if (next < cin)
                block_prefetch(job->weights + (q * cin + next) * 9 * ANF_PANEL,
                               cin * 9 * ANF_PANEL, nv, block_least(cut->slice, cin - next) * 9,
                               pos, WINOGRAD_POSITIONS);
            for (size_t i = 0; i < s->n; i += h)
                kern->gemm_tile(block_least(h, s->n - i), nv, n,
                                v + pos * cut->v_pos + c * cut->v_ld + i, cut->v_ld,
                                u + pos * cut->u_pos, panel, m + pos * cut->m_pos + i * ldm, ldm,
                                c > 0);
        }
    }
}

/* Output channels channel .. channel+n-1 of these rows are complete. */
static void hand_on(const struct conv_job *job, const struct strip *s, const struct rows *r,
                    size_t channel, size_t n)
{
    const struct conv_geom *g = &job->geom;
    const size_t pixels = g->out_h * g->out_w, plane = r->image * job->cout + channel;
    const size_t y0 = r->row * WINOGRAD_OUT, x0 = s->col * WINOGRAD_OUT;
    const size_t height = block_least(r->n * WINOGRAD_OUT, g->out_h - y0);
    const size_t width = block_least(s->n_cols * WINOGRAD_OUT, g->out_w - x0);
    if (!job->epilogue)
        return;
    if (width == g->out_w && height == g->out_h) {
        job->epilogue(job->epilogue_arg, plane * pixels, n * pixels);
        return;
    }
    for (size_t c = 0; c < n; c++) {
        const size_t at = (plane + c) * pixels + y0 * g->out_w + x0;
        if (width == g->out_w)
            job->epilogue(job->epilogue_arg, at, height * width);
        else
            for (size_t y = 0; y < height; y++)
                job->epilogue(job->epilogue_arg, at + y * g->out_w, width);
    }
}

static void store(const struct kern *kern, const struct conv_job *job, const struct wino_cut *cut,
                  const struct strip *s, size_t q, size_t nv, const float *m)
{
    const struct conv_geom *g = &job->geom;
    const size_t pixels = g->out_h * g->out_w, ldm = nv * ANF_PANEL;
    const size_t cols = block_least(s->n_cols * WINOGRAD_OUT, g->out_w - s->col * WINOGRAD_OUT);
    const size_t channels = block_least(nv * ANF_PANEL, job->cout - q * ANF_PANEL);
    for (struct rows r = {0}; next_rows(cut, s, &r);) {
        for (size_t i = 0; i < r.n; i++) {
            const size_t y = (r.row + i) * WINOGRAD_OUT;
            for (size_t c = 0; c < channels; c += ANF_PANEL)
                kern->winograd_output(
                    m + (r.first + i) * s->n_cols * ldm + c, cut->m_pos, ldm, s->n_cols,
                    job->bias ? job->bias + q * ANF_PANEL + c : NULL,
                    block_least(ANF_PANEL, channels - c),
                    job->y + (r.image * job->cout + q * ANF_PANEL + c) * pixels + y * g->out_w +
                        s->col * WINOGRAD_OUT,
                    pixels, g->out_w, block_least(WINOGRAD_OUT, g->out_h - y), cols);
        }
        hand_on(job, s, &r, q * ANF_PANEL, channels);
    }
}

/* Phase 0: a part of the channels of a strip, or the weights of a group. */
static void prepare(const struct kern *kern, const struct conv_job *job,
                    const struct wino_cut *cut, size_t task, float *v, float *u)
{
    const size_t cin = job->geom.cin, n_input = input_tasks(cut);
    if (task < n_input) {
        const size_t part = task % cut->parts;
        const struct strip s = strip_at(cut, task / cut->parts);
        transform(kern, job, cut, &s, block_start(cin, cut->parts, part),
                  block_start(cin, cut->parts, part + 1), v + task / cut->parts * cut->v_floats);
        return;
    }
    task -= n_input;
    const size_t q = block_start(cut->panels, cut->groups, task);
    transform_weights(kern, job, cut, q, block_start(cut->panels, cut->groups, task + 1) - q, 0, cin,
                      u + task * u_floats(cut));
}

void winograd_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
                   void *shared, void *own)
{
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t strips = cut.row_strips * cut.col_strips;
    float *all_v = shared, *all_u = all_v;
    if (cut.shared && cut.shared_u)
        all_u += strips * cut.v_floats;
    if (!phase) {
        prepare(kern, job, &cut, task, all_v, all_u);
        return;
    }
    float *m = own, *u = m + WINOGRAD_POSITIONS * cut.m_pos;
    float *v = u + (cut.shared_u ? 0 : u_floats(&cut));
    const size_t index = cut.shared ? task / cut.groups : task;
    const size_t first = cut.shared ? task % cut.groups : 0;
    const size_t end = cut.shared ? first + 1 : cut.groups;
    const struct strip s = strip_at(&cut, index);
    if (cut.shared)
        v = all_v + index * cut.v_floats;
    else
        transform(kern, job, &cut, &s, 0, job->geom.cin, v);
    for (size_t i = first; i < end; i++) {
        const size_t q = block_start(cut.panels, cut.groups, i);
        const size_t nv = block_start(cut.panels, cut.groups, i + 1) - q;
        multiply(kern, job, &cut, &s, q, nv, v, cut.shared_u ? all_u + i * u_floats(&cut) : u, m);
        store(kern, job, &cut, &s, q, nv, m);
    }
}
