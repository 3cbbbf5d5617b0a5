/* Convolution as a matrix product whose patches exist one cache block at a time.
 *
 * Pixels are counted in panels of sixteen; a panel belongs to one image, so the last one of an
 * image may be partly empty.  A task owns a range of pixel panels (over all images) x a range of
 * output channel panels of one group.  A block of it keeps
 *
 *     patches   [pixel panels][kc][16]    float32, gathered once for all its channels, L2
 *     weights   [channel panels][kc][16]  float32, L2
 *     sums      float32, L2, between two k slices
 *
 * Where patches are pixels as they lie, gathering costs the same for few and for many: the panels
 * of one tile are taken through all slices, so that what they need again is in L1, and weights are
 * widened once for all tasks of a thread that have the same channels.
 *
 * Pixels lie along the vector, which writes the output as it lies. */
#include "kernels/conv_patch.h"
#include "kernels/conv_way.h"

enum {
    MOST_CHANNELS = 32,    /* panels of one block, */
    LEAST_CHANNELS = 4,    /* or the pixels are packed too often */
    LEAST_SLICE = 256,     /* of k, or sums are stored and read again too often */
    KEPT_FLOATS = 1 << 18, /* of weights that are widened once for a task: 1 MiB */
    WIDEN_COST = 8,        /* of a panel of weights, see gather_cost */
};

struct conv_cut {
    struct block_grid grid;
    bool plain; /* see conv_plain */
    size_t k, kc, pixels;
    size_t image_panels, pixel_panels, channel_panels; /* of an image, of all images, of a group */
    size_t pixel_units; /* panels dealt out to tasks; the others come last, */
    size_t rest_parts;  /* cut by channels into so many tasks, or with the last units if 0 */
    size_t block_pixels, block_channels;               /* panels of the largest block */
    size_t gathered;                                   /* pixel panels at a time */
    size_t patch_panel;                                /* floats from one panel to the next */
    size_t ld;                                         /* of the sums */
};

/* What gathering a panel of pixels costs, where its multiplication with a panel of channels is 8: a
 * start for each run of pixels of one row, for each tap, and the patch it is taken from. */
static size_t gather_cost(const struct conv_geom *g)
{
    const size_t taps = g->kh * g->kw, runs = 1 + ANF_PANEL / g->out_w;
    if (conv_plain(g))
        return 3;
    return 8 * runs + 8 + 16 / taps;
}

/* Pixels of an image that are in no panel but rows of a tile, see multiply_last. */
static size_t last_pixels(const struct conv_cut *cut)
{
    const bool whole = conv_gathered_lanes(cut->pixels) == cut->pixels;
    return cut->plain && whole ? cut->pixels % ANF_PANEL : 0;
}

/* The grid of pixel_units.  A task has at least the work of four that want no second thread. */
static struct block_grid conv_grid(const struct conv_job *job, const struct conv_cut *cut,
                                   size_t threads)
{
    const size_t work = job->images * cut->pixels * job->cout * cut->k;
    return block_grid_fine(cut->pixel_units, cut->channel_panels, threads,
                           gather_cost(&job->geom), WIDEN_COST,
                           block_least(BLOCK_FINE * threads, work / CONV_SMALL / 4));
}

/* Takes from the units of a single image what does not divide evenly among the threads, where each
 * of them can have a share of its channels instead. */
static void cut_rest(const struct conv_job *job, struct conv_cut *cut, size_t threads)
{
    struct conv_cut even = *cut;
    even.pixel_units -= even.pixel_units % threads;
    even.rest_parts = threads;
    if (!cut->plain || job->images > 1 || cut->channel_panels < threads || !even.pixel_units ||
        even.pixel_units == even.pixel_panels)
        return;
    even.grid = conv_grid(job, &even, threads);
    if (even.grid.n_cols == 1 && even.grid.n_rows % threads == 0)
        *cut = even;
}

static struct conv_cut conv_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    struct conv_cut cut = {
        .grid = {1, 1},
        .plain = conv_plain(g),
        .k = g->cin * g->kh * g->kw,
        .pixels = g->out_h * g->out_w,
        .channel_panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL,
    };
    const size_t n_threads = job->n_threads;
    const bool small =
        job->images * cut.pixels * job->groups * job->cout * cut.k <= CONV_SMALL;

    cut.kc = block_even(cut.k, kern->kc < LEAST_SLICE ? LEAST_SLICE : kern->kc);
    cut.image_panels = (cut.pixels + ANF_PANEL - 1) / ANF_PANEL;
    cut.pixel_panels = cut.image_panels * job->images;
    cut.pixel_units = cut.pixel_panels;
    if (job->images == 1 && cut.pixel_panels > 1 && last_pixels(&cut))
        cut.pixel_units--;
    if (n_threads > 1 && !small) {
        const size_t threads = block_threads(job->groups, n_threads);
        cut.grid = conv_grid(job, &cut, threads);
        if (threads > 1)
            cut_rest(job, &cut, threads);
    }

    const size_t q = (cut.pixel_units + cut.grid.n_rows - 1) / cut.grid.n_rows +
                     (cut.rest_parts ? 0 : cut.pixel_panels - cut.pixel_units);
    const size_t c = (cut.channel_panels + cut.grid.n_cols - 1) / cut.grid.n_cols;
    cut.block_pixels = block_even(q, kern->nc / ANF_PANEL);
    cut.gathered = cut.plain ? block_least(cut.block_pixels, kern->nv) : cut.block_pixels;
    const size_t kept = cut.plain ? KEPT_FLOATS / ANF_PANEL / (cut.k | 1) : MOST_CHANNELS;
    cut.block_channels = block_even(c, kept < LEAST_CHANNELS ? LEAST_CHANNELS
                                                             : block_least(kept, MOST_CHANNELS));
    cut.patch_panel = (cut.kc | 1) * ANF_PANEL;
    /* Odd strides: rows and panels that are used together must not share cache sets. */
    cut.ld = (cut.gathered | 1) * ANF_PANEL;
    return cut;
}

static size_t group_tasks(const struct conv_cut *cut)
{
    return cut->grid.n_rows * cut->grid.n_cols + cut->rest_parts;
}

static size_t gather_tasks(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_cut cut = conv_cut(kern, job);
    return job->groups * group_tasks(&cut);
}

/* From a row of sums of an image's last pixels to the next. */
static size_t last_ld(const struct conv_cut *cut)
{
    return (cut->block_channels | 1) * ANF_PANEL;
}

enum scratch { PATCHES, WEIGHTS, SUMS, LAST, N_SCRATCH };

static void scratch_floats(const struct conv_cut *cut, size_t n[N_SCRATCH])
{
    const size_t channels = cut->block_channels * ANF_PANEL;
    /* The last pixels of an image are a panel of their own here, behind those of a tile. */
    n[PATCHES] = (cut->gathered + cut->plain) * cut->patch_panel;
    n[WEIGHTS] = channels * (cut->plain ? cut->k : cut->kc);
    n[SUMS] = channels * cut->ld;
    n[LAST] = last_pixels(cut) * last_ld(cut);
}

static size_t gather_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_cut cut = conv_cut(kern, job);
    size_t n[N_SCRATCH];
    scratch_floats(&cut, n);
    return block_bytes(N_SCRATCH, n);
}

/* ---- one block ------------------------------------------------------------------------------- */
struct block {
    const struct kern *kern;
    const struct conv_job *job;
    const struct conv_cut *cut;
    size_t group;
    size_t q0, n_pixels;   /* pixel panels */
    size_t c0, n_channels; /* channel panels */
    float *patches, *weights, *sums, *last;
    size_t w0, n_wide;     /* channel panels that are wide in `weights`: its own, or a column's */
    float *bias;           /* of its channels, or NULL */
};

/* The part of a block that lies in one image. */
struct segment {
    size_t image, p0, n; /* pixels */
    size_t first;        /* panel of the block */
};

static bool next_segment(const struct block *b, struct segment *s, size_t *panel)
{
    if (*panel >= b->n_pixels)
        return false;
    const size_t q = b->q0 + *panel, in_image = q % b->cut->image_panels;
    const size_t panels = block_least(b->cut->image_panels - in_image, b->n_pixels - *panel);
    s->image = q / b->cut->image_panels;
    s->p0 = in_image * ANF_PANEL;
    s->n = block_least(panels * ANF_PANEL, b->cut->pixels - s->p0);
    s->first = *panel;
    *panel += panels;
    return true;
}

/* Whether the last panel of a segment holds pixels that are rows of a tile. */
static bool has_last(const struct conv_cut *cut, const struct segment *s)
{
    return last_pixels(cut) && s->p0 + s->n == cut->pixels;
}

static size_t panel_channels(const struct block *b, size_t panel)
{
    return block_least(ANF_PANEL, b->job->cout - (b->c0 + panel) * ANF_PANEL);
}

static void gather(const struct block *b, size_t k0, size_t kc)
{
    const struct conv_job *job = b->job;
    const size_t plane = job->geom.in_h * job->geom.in_w;
    struct segment s;
    for (size_t panel = 0; next_segment(b, &s, &panel);)
        b->kern->conv_gather(&job->geom,
                             job->x + (s.image * job->groups + b->group) * job->geom.cin * plane,
                             k0, kc, s.p0, s.n, b->patches + s.first * b->cut->patch_panel,
                             b->cut->patch_panel);
}

static const f16 *weights(const struct block *b, size_t k0, size_t panel)
{
    const size_t at = b->group * b->cut->channel_panels + b->c0 + panel;
    return b->job->weights + (at * b->cut->k + k0) * ANF_PANEL;
}

/* All channels of the block, whose weights k0 .. k0+kc-1 are `wide`, against n_panels pixel panels
 * from `panel` on, which are of segment s.  The tile that adds the last product stores results. */
static void multiply(const struct block *b, size_t k0, size_t kc, const float *wide,
                     const struct segment *s, size_t panel, size_t n_panels)
{
    const struct kern *kern = b->kern;
    const struct conv_cut *cut = b->cut;
    const size_t p = (panel - s->first) * ANF_PANEL;
    struct gemm_out out = {.y = conv_output(b->job, s->image, b->group, b->c0 * ANF_PANEL,
                                            s->p0 + p),
                           .ldy = cut->pixels, .relu = b->job->relu, .row_bias = b->bias,
                           .cols = block_least(n_panels * ANF_PANEL, s->n - p)};
    struct gemm_tile t = {.kc = kc, .a_k = ANF_PANEL, .b = b->patches + panel * cut->patch_panel,
                          .b_panel = cut->patch_panel, .c = b->sums + panel * ANF_PANEL,
                          .ldc = cut->ld, .accumulate = k0 > 0,
                          .out = k0 + kc < cut->k ? NULL : &out};
    for (size_t c = 0; c < b->n_channels; c++) {
        const size_t rows = panel_channels(b, c), strips = (rows + kern->mr - 1) / kern->mr;
        for (size_t i = 0, r = 0, m; i < strips; i++, r += m) {
            m = block_start(rows, strips, i + 1) - r;
            t.a = wide + c * kc * ANF_PANEL + r;
            kern->gemm_tile(m, n_panels, &t);
            t.c += m * t.ldc;
            out.y += m * out.ldy;
            out.row_bias += b->bias ? m : 0;
        }
    }
}

/* The last pixels of an image, the first ones of `panel`: with channels along the vectors, so that
 * no lanes are empty. */
static void multiply_last(const struct block *b, size_t k0, size_t kc, const float *wide,
                          const struct segment *s, size_t panel)
{
    const struct kern *kern = b->kern;
    const struct conv_cut *cut = b->cut;
    const struct conv_job *job = b->job;
    const size_t n = last_pixels(cut), ld = last_ld(cut), strip = block_even(n, kern->mr);
    const size_t nv = block_even(b->n_channels, kern->nv), channel = b->c0 * ANF_PANEL;
    for (size_t c = 0; c < b->n_channels; c += nv)
        for (size_t i = 0; i < n; i += strip)
            kern->gemm_tile(block_least(strip, n - i), block_least(nv, b->n_channels - c),
                            &(struct gemm_tile){
                .kc = kc, .a = b->patches + panel * cut->patch_panel + i, .a_k = ANF_PANEL,
                .b = wide + c * kc * ANF_PANEL, .b_panel = kc * ANF_PANEL,
                .c = b->last + i * ld + c * ANF_PANEL, .ldc = ld, .accumulate = k0 > 0});
    if (k0 + kc == cut->k)
        kern->store_planes(b->last, ld, n,
                           job->bias ? job->bias + b->group * job->cout + channel : NULL,
                           block_least(b->n_channels * ANF_PANEL, job->cout - channel), job->relu,
                           conv_output(job, s->image, b->group, channel, s->p0 + s->n - n),
                           cut->pixels);
}

/* Pixels that are gathered together; weights are widened unless they were kept. */
static void run_gathered(const struct block *b, bool kept)
{
    const struct conv_cut *cut = b->cut;
    const size_t nv = b->kern->nv;
    size_t k0 = 0;
    do {
        const size_t kc = block_least(cut->kc, cut->k - k0);
        const size_t at = cut->plain ? k0 * b->n_wide + (b->c0 - b->w0) * kc : 0;
        float *wide = b->weights + at * ANF_PANEL;
        gather(b, k0, kc);
        for (size_t c = 0; c < b->n_channels && !kept; c++)
            b->kern->f32_from_f16(weights(b, k0, c), wide + c * kc * ANF_PANEL, kc * ANF_PANEL);
        struct segment s;
        for (size_t panel = 0; next_segment(b, &s, &panel);) {
            const bool last = has_last(cut, &s);
            const size_t n = panel - s.first - last, parts = (n + nv - 1) / nv;
            for (size_t i = 0, q = 0, n_panels; i < parts; i++, q += n_panels) {
                n_panels = block_start(n, parts, i + 1) - q;
                multiply(b, k0, kc, wide, &s, s.first + q, n_panels);
            }
            if (last)
                multiply_last(b, k0, kc, wide, &s, s.first + n);
        }
        k0 += kc;
    } while (k0 < cut->k);
}

/* Where patches are pixels as they lie, a few panels of one image at a time, and its last pixels
 * together with some of them. */
static void run_panels(const struct block *b, bool kept)
{
    const struct conv_cut *cut = b->cut;
    struct block part = *b;
    struct segment s;
    for (size_t panel = 0; next_segment(b, &s, &panel);) {
        const bool last = has_last(cut, &s);
        const size_t n = panel - s.first - last, parts = (n + cut->gathered - 1) / cut->gathered;
        for (size_t i = 0; i < parts + !parts; i++, kept = true) {
            const size_t first = parts ? block_start(n, parts, i) : 0;
            const size_t end = i + 1 < parts ? block_start(n, parts, i + 1) : n + last;
            part.q0 = b->q0 + s.first + first;
            part.n_pixels = end - first;
            run_gathered(&part, kept);
        }
    }
}

static void run_block(const struct block *b, bool kept)
{
    if (b->cut->plain)
        run_panels(b, kept);
    else
        run_gathered(b, kept);
    struct segment s;
    const size_t cout = b->job->cout, channel = b->c0 * ANF_PANEL;
    for (size_t panel = 0; next_segment(b, &s, &panel);)
        conv_hand_on(b->job, (s.image * b->job->groups + b->group) * cout + channel,
                     block_least(b->n_channels * ANF_PANEL, cout - channel), s.p0, s.n);
}

/* Pixel panels q0 .. q1-1, channel panels c0 .. c1-1, which are a column of the grid or some of the
 * only one. */
struct part {
    size_t q0, q1, c0, c1, col;
    bool rest;
};

/* A thread's share of the tasks of a group, which follow each other, ends with its part of the
 * rest. */
static struct part conv_part(const struct conv_cut *cut, size_t task)
{
    const size_t share = cut->rest_parts ? cut->grid.n_rows / cut->rest_parts + 1 : SIZE_MAX;
    if (task % share == share - 1)
        return (struct part){
            .q0 = cut->pixel_units, .q1 = cut->pixel_panels,
            .c0 = block_start(cut->channel_panels, cut->rest_parts, task / share),
            .c1 = block_start(cut->channel_panels, cut->rest_parts, task / share + 1),
            .rest = true};
    task -= task / share; /* those of the rest before it */
    const size_t row = task / cut->grid.n_cols, col = task % cut->grid.n_cols;
    const bool takes_rest = !cut->rest_parts && row + 1 == cut->grid.n_rows;
    return (struct part){
        .q0 = block_start(cut->pixel_units, cut->grid.n_rows, row),
        .q1 = takes_rest ? cut->pixel_panels
                         : block_start(cut->pixel_units, cut->grid.n_rows, row + 1),
        .c0 = block_start(cut->channel_panels, cut->grid.n_cols, col),
        .c1 = block_start(cut->channel_panels, cut->grid.n_cols, col + 1),
        .col = col};
}

static void gather_run(const struct kern *kern, const struct conv_job *job,
                       const struct conv_run *run)
{
    const struct conv_cut cut = conv_cut(kern, job);
    const struct part part = conv_part(&cut, run->task % group_tasks(&cut));
    float bias[MOST_CHANNELS * ANF_PANEL], *at[N_SCRATCH];
    size_t n[N_SCRATCH];
    scratch_floats(&cut, n);
    block_lay(N_SCRATCH, n, run->own, at);
    struct block b = {
        .kern = kern,
        .job = job,
        .cut = &cut,
        .group = run->task / group_tasks(&cut),
        .patches = at[PATCHES],
        .weights = at[WEIGHTS],
        .sums = at[SUMS],
        .last = at[LAST],
        .bias = job->bias ? bias : NULL,
    };
    /* A task of the same column, all of it at once, finds the weights wide. */
    const size_t column = b.group * cut.grid.n_cols + part.col + 1;
    const bool found = cut.plain && *run->kept == column;
    if (!found)
        *run->kept = !part.rest && part.c1 - part.c0 <= cut.block_channels ? column : 0;
    for (b.c0 = part.c0; b.c0 < part.c1; b.c0 += b.n_channels) {
        b.n_channels = block_least(cut.block_channels, part.c1 - b.c0);
        b.w0 = found && part.rest ? 0 : b.c0;
        b.n_wide = found && part.rest ? cut.channel_panels : b.n_channels;
        if (job->bias)
            kern->f32_from_f16(job->bias + b.group * job->cout + b.c0 * ANF_PANEL, bias,
                               block_least(b.n_channels * ANF_PANEL, job->cout - b.c0 * ANF_PANEL));
        for (b.q0 = part.q0; b.q0 < part.q1; b.q0 += b.n_pixels) {
            b.n_pixels = block_least(cut.block_pixels, part.q1 - b.q0);
            run_block(&b, found || (cut.plain && b.q0 > part.q0));
        }
    }
}

/* What no other way is better at. */
static bool gather_chosen(const struct kern *kern, const struct conv_job *job)
{
    (void)kern;
    (void)job;
    return true;
}

const struct conv_way conv_gathered = {
    .chosen = gather_chosen,
    .tasks = gather_tasks,
    .run = gather_run,
    .thread_bytes = gather_thread_bytes,
};
