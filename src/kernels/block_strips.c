/* Convolutions whose input is read where it lies: strips of a few neighbouring pixels of an output
 * row are the rows of the register tile, channels lie along its vectors.
 *
 * A task owns a range of the output rows of all images x a range of output channel panels of one
 * group.  A block of it is some rows of one image.  For a slice of the input channels it keeps
 *
 *     planes    [channels][patch]         float32, padded copies, L2; see conv_patch.h
 *     weights   [channel panels][kc][16]  float32, widened just before use, L1
 *     sums      [pixels][channels]        float32, L2, between two slices
 *
 * In a patch the pixels of an output row that meet one tap are neighbours, whatever the stride, so
 * a strip of a row needs no gathering: tap k of its pixels is at an offset that depends on k only.
 * Where one tap meets every pixel, a row is sixteen pixels as they lie in memory, and planes are
 * packed as panels.  Sums are transposed when they are stored. */
#include "kernels/conv_patch.h"
#include "kernels/conv_way.h"

enum {
    MOST_TAPS = 256,           /* of one input channel */
    MOST_OFFSETS = 512,        /* taps of a slice */
    PLANE_FLOATS = 1 << 16,    /* of a block: 256 KiB */
    MOST_CHANNELS = 32,        /* panels of a block */
    PACK_COST = 3, WIDEN_COST = 5, /* of block_grid, where a row of sixteen meets a panel in 8 */
    /* In multiply-adds of sixteen sums: storing those of strips, and others; and what widening
     * weights in advance costs beside widening them on the way. */
    TURN_COST = 10, STORE_COST = 4, KEEP_COST = 4,
};

struct strips_cut {
    struct block_grid grid;
    bool plain;                            /* one tap that meets every pixel: patches are panels */
    size_t row, image_rows, pixels;        /* pixels of a row; of an image */
    size_t channel_panels, block_channels; /* of a group, of the largest block */
    size_t planes, taps;                   /* input channels of a slice; of one of them */
    size_t rows, strip;                    /* of the largest block, pixels of the longest strip */
    size_t room, ld;                       /* room: floats of a plane, 0 where none fits */
};

static size_t plane_room(const struct strips_cut *cut, const struct conv_geom *g, size_t rows)
{
    struct conv_patch p;
    if (cut->plain)
        return rows * ANF_PANEL;
    return conv_patch_plan(g, 0, rows, 0, g->out_w, &p) ? conv_patch_room(&p) : 0;
}

/* What a row of pixels costs beside its multiplication with a panel, which is 8. */
static size_t plane_cost(const struct strips_cut *cut, const struct conv_geom *g)
{
    return cut->plain ? PACK_COST : 1 + 8 * g->stride_h * g->stride_w / cut->taps;
}

/* Pixels of a row where any will do: at most a panel, and as many rows for every thread. */
static size_t plain_row(const struct conv_job *job, size_t pixels, size_t n_threads)
{
    size_t rows = (pixels + ANF_PANEL - 1) / ANF_PANEL;
    if (job->images % n_threads && rows > n_threads)
        rows = (rows + n_threads - 1) / n_threads * n_threads;
    return rows ? (pixels + rows - 1) / rows : 0;
}

static struct strips_cut strips_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    const size_t n_threads = job->n_threads;
    struct strips_cut cut = {.grid = {1, 1}, .taps = g->kh * g->kw, .pixels = g->out_h * g->out_w};
    cut.plain = conv_plain(g);
    cut.row = cut.plain ? plain_row(job, cut.pixels, n_threads) : g->out_w;
    cut.image_rows = (cut.pixels + cut.row - 1) / cut.row;
    cut.strip = block_even(block_least(cut.row, cut.pixels), kern->mr);
    cut.channel_panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL;
    cut.planes = block_least(kern->kc + cut.taps / 2, MOST_OFFSETS) / cut.taps;
    cut.planes = block_even(g->cin, cut.planes ? cut.planes : 1);

    const size_t all_rows = job->images * cut.image_rows;
    const size_t work = job->images * cut.pixels * job->groups * job->cout * g->cin * cut.taps;
    const size_t threads = block_threads(job->groups, n_threads);
    if (n_threads > 1 && work > CONV_SMALL)
        cut.grid = block_grid_fine(all_rows, cut.channel_panels, threads, plane_cost(&cut, g),
                                   1 + WIDEN_COST * ANF_PANEL / cut.row,
                                   block_least(BLOCK_FINE * threads,
                                               work / job->groups / CONV_SMALL / 4));
    const size_t rows = (all_rows + cut.grid.n_rows - 1) / cut.grid.n_rows;
    const size_t channels = (cut.channel_panels + cut.grid.n_cols - 1) / cut.grid.n_cols;
    const size_t most = block_least(rows, cut.image_rows);
    cut.rows = block_least(most, 1 + kern->nc / cut.row);
    while (cut.rows > 1 && (!plane_room(&cut, g, cut.rows) ||
                            plane_room(&cut, g, cut.rows) * cut.planes > PLANE_FLOATS))
        cut.rows--;
    cut.rows = block_even(most, cut.rows);
    cut.room = plane_room(&cut, g, cut.rows);
    cut.block_channels = block_even(channels, MOST_CHANNELS);
    cut.ld = (cut.block_channels | 1) * ANF_PANEL; /* odd: rows must not share cache sets */
    return cut;
}

static bool strips_chosen(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    if (!g->cin || g->kh * g->kw > MOST_TAPS)
        return false;
    const struct strips_cut cut = strips_cut(kern, job);
    /* A strip of one or two waits for the latency of its multiply-adds. */
    const size_t strips = (cut.row + cut.strip - 1) / cut.strip;
    const size_t row = cut.strip < 3 ? 3 * strips : cut.row;
    const size_t last = cut.pixels % cut.row;
    const size_t pixels = cut.pixels / cut.row * row + (last && last < 3 ? 3 : last);
    const size_t ours = pixels * cut.channel_panels;
    if (!cut.room)
        return false;
    if (cut.taps > 1) { /* gathering several taps costs twice a sixteenth or more */
        const size_t gathered = (cut.pixels + ANF_PANEL - 1) / ANF_PANEL * job->cout;
        return ours * 16 <= gathered * 17;
    }
    const size_t k = g->cin, n = job->images, gathered = conv_gathered_lanes(cut.pixels);
    return ours * ANF_PANEL * n * (k + TURN_COST) <
           job->cout * (gathered * n * (k + STORE_COST) + KEEP_COST * k);
}

static size_t strips_tasks(const struct kern *kern, const struct conv_job *job)
{
    const struct strips_cut cut = strips_cut(kern, job);
    return job->groups * cut.grid.n_rows * cut.grid.n_cols;
}

enum scratch { PLANES, WEIGHTS, SUMS, N_SCRATCH };

static void scratch_floats(const struct kern *kern, const struct strips_cut *cut,
                           size_t n[N_SCRATCH])
{
    n[PLANES] = cut->planes * cut->room;
    n[WEIGHTS] = kern->nv * cut->planes * cut->taps * ANF_PANEL;
    n[SUMS] = cut->rows * cut->row * cut->ld;
}

static size_t strips_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct strips_cut cut = strips_cut(kern, job);
    size_t n[N_SCRATCH];
    scratch_floats(kern, &cut, n);
    return block_bytes(N_SCRATCH, n);
}

/* ---- one block ------------------------------------------------------------------------------- */
struct block {
    const struct kern *kern;
    const struct conv_job *job;
    const struct strips_cut *cut;
    size_t image, group;
    size_t row, n_rows, n_pixels;
    size_t c0, n_channels; /* panels */
    float *planes, *weights, *sums;
};

/* Input channels ci .. ci+n-1. */
struct slice {
    size_t ci, n, kc;
    size_t down; /* from a row of pixels to the next */
    uint32_t offsets[MOST_OFFSETS];
};

static const f16 *weights(const struct block *b, size_t ci, size_t panel)
{
    const struct strips_cut *cut = b->cut;
    const size_t at = b->group * cut->channel_panels + b->c0 + panel;
    return b->job->weights + (at * b->job->geom.cin + ci) * cut->taps * ANF_PANEL;
}

/* Channel panels that are multiplied together, and the weights that are next. */
struct panels {
    size_t c, n;
    const f16 *next;
    size_t stride, strips; /* from panel to panel; of the block */
};

/* Strip number `strip`: pixels p .. p+m-1, with their first tap at a.  The first strip widens the
 * weights for the others; all of them ask for their share of the next ones. */
static void multiply_strip(const struct block *b, const struct slice *s, const struct panels *q,
                           size_t strip, const float *a, size_t p, size_t m)
{
    const struct kern *kern = b->kern;
    const size_t kc = s->kc, panel = kc * ANF_PANEL, n = q->n, stride = q->stride, ld = b->cut->ld;
    const size_t share = block_share(ANF_PANEL, q->strips);
    const struct gemm_ahead ahead = block_ahead(q->next, stride, ANF_PANEL, kc, strip, share);
    const f16 *w = weights(b, s->ci, q->c);
    float *sums = b->sums + p * ld + q->c * ANF_PANEL;
    struct gemm_tile t = {.kc = kc, .a = a, .c = sums, .ldc = ld, .accumulate = s->ci > 0,
                          .b = strip ? (const void *)b->weights : w,
                          .b_panel = strip ? panel : stride, .wide = b->weights};
    if (b->cut->plain) {
        t.a_k = ANF_PANEL;
        t.ahead = &ahead;
        (strip ? kern->gemm_tile_ahead : kern->gemm_tile_widen)(m, n, &t);
        return;
    }
    for (size_t i = 0; i < n; i++) /* its tile has no time to ask */
        for (size_t at = 0; at < share * kc && ahead.step; at += 32)
            __builtin_prefetch(ahead.at + i * stride + at, 0, 2);
    t.taps = s->offsets;
    (strip ? kern->gemm_tile_taps : kern->gemm_tile_taps_widen)(m, n, &t);
}

static void multiply_panels(const struct block *b, const struct slice *s, const struct panels *q)
{
    const size_t h = b->cut->strip;
    for (size_t p = 0, y = 0, strip = 0; p < b->n_pixels; y++) {
        const float *a = b->planes + y * s->down;
        const size_t end = block_least(p + b->cut->row, b->n_pixels);
        for (size_t m; p < end; p += m, a += m) {
            m = block_least(h, end - p);
            multiply_strip(b, s, q, strip++, a, p, m);
        }
    }
}

static void multiply(const struct block *b, const struct slice *s)
{
    const struct strips_cut *cut = b->cut;
    const size_t wide = block_even(b->n_channels, b->kern->nv);
    struct panels q = {.stride = b->job->geom.cin * cut->taps * ANF_PANEL,
                       .strips = b->n_rows * ((cut->row + cut->strip - 1) / cut->strip)};
    for (; q.c < b->n_channels; q.c += wide) {
        q.n = block_least(wide, b->n_channels - q.c);
        q.next = q.c + wide < b->n_channels ? weights(b, s->ci, q.c + wide)
                                            : weights(b, s->ci + s->n, 0);
        multiply_panels(b, s, &q);
    }
}

/* Planes of a slice, and where their taps are. */
static void load_slice(const struct block *b, struct slice *s)
{
    const struct conv_geom *g = &b->job->geom;
    const size_t plane = g->in_h * g->in_w;
    const f16 *x = b->job->x + ((b->image * b->job->groups + b->group) * g->cin + s->ci) * plane;
    struct conv_patch p;
    s->kc = s->n * b->cut->taps;
    if (b->cut->plain) {
        s->down = s->n * ANF_PANEL;
        for (size_t i = 0, row = b->cut->row; i < b->n_rows; i++)
            b->kern->pack_panels(x + (b->row + i) * row, plane, s->n,
                                 block_least(row, b->n_pixels - i * row),
                                 b->planes + i * s->down, s->down);
        for (size_t k = 0; k < s->kc; k++)
            s->offsets[k] = (uint32_t)(k * ANF_PANEL);
        return;
    }
    b->kern->conv_planes(g, x, s->n, b->row, b->n_rows, b->planes);
    if (s->ci || !conv_patch_plan(g, b->row, b->n_rows, 0, g->out_w, &p))
        return;
    s->down = p.down;
    for (size_t ci = 0, k = 0; ci < s->n; ci++)
        for (size_t u = 0; u < g->kh; u++)
            for (size_t v = 0; v < g->kw; v++)
                s->offsets[k++] =
                    (uint32_t)(ci * conv_patch_room(&p) + conv_patch_tap(g, &p, u, v));
}

/* The sums are final: turned to their places in the output. */
static void store(const struct block *b)
{
    const struct conv_job *job = b->job;
    const size_t c = b->c0 * ANF_PANEL, n = block_least(b->n_channels * ANF_PANEL, job->cout - c);
    const size_t p0 = b->row * b->cut->row, channel = b->group * job->cout + c;
    b->kern->store_planes(b->sums, b->cut->ld, b->n_pixels, job->bias ? job->bias + channel : NULL,
                          n, job->relu, conv_output(job, b->image, b->group, c, p0),
                          b->cut->pixels);
    conv_hand_on(job, b->image * job->groups * job->cout + channel, n, p0, b->n_pixels);
}

static void run_block(const struct block *b)
{
    const struct strips_cut *cut = b->cut;
    const size_t cin = b->job->geom.cin;
    struct slice s;
    for (s.ci = 0; s.ci < cin; s.ci += s.n) {
        s.n = block_least(cut->planes, cin - s.ci);
        load_slice(b, &s);
        multiply(b, &s);
    }
    store(b);
}

static void strips_run(const struct kern *kern, const struct conv_job *job,
                       const struct conv_run *run)
{
    const struct strips_cut cut = strips_cut(kern, job);
    const size_t per_group = cut.grid.n_rows * cut.grid.n_cols, part = run->task % per_group;
    const size_t part_row = part / cut.grid.n_cols, part_col = part % cut.grid.n_cols;
    const size_t rows = job->images * cut.image_rows;
    const size_t end = block_start(rows, cut.grid.n_rows, part_row + 1);
    const size_t c1 = block_start(cut.channel_panels, cut.grid.n_cols, part_col + 1);
    float *at[N_SCRATCH];
    size_t n[N_SCRATCH];
    scratch_floats(kern, &cut, n);
    block_lay(N_SCRATCH, n, run->own, at);
    struct block b = {
        .kern = kern,
        .job = job,
        .cut = &cut,
        .group = run->task / per_group,
        .planes = at[PLANES],
        .weights = at[WEIGHTS],
        .sums = at[SUMS],
    };
    for (size_t row = block_start(rows, cut.grid.n_rows, part_row); row < end; row += b.n_rows) {
        b.image = row / cut.image_rows;
        b.row = row % cut.image_rows;
        b.n_rows = block_least(cut.rows, block_least(cut.image_rows - b.row, end - row));
        b.n_pixels = block_least(b.n_rows * cut.row, cut.pixels - b.row * cut.row);
        b.c0 = block_start(cut.channel_panels, cut.grid.n_cols, part_col);
        for (; b.c0 < c1; b.c0 += b.n_channels) {
            b.n_channels = block_least(cut.block_channels, c1 - b.c0);
            run_block(&b);
        }
    }
}

const struct conv_way conv_strips = {
    .chosen = strips_chosen,
    .tasks = strips_tasks,
    .run = strips_run,
    .thread_bytes = strips_thread_bytes,
};
