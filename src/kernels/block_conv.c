/* Convolution as a matrix product whose patches exist one cache block at a time.
 *
 * Pixels are counted in panels of sixteen; a panel belongs to one image, so the last one of an
 * image may be partly empty.  A task owns a range of pixel panels (over all images) x a range of
 * output channel panels of one group.  A block of it keeps
 *
 *     patches   [pixel panels][kc][16]    float32, gathered once for all its channels, L2
 *     weights   [channel panels][kc][16]  float32, widened just before use
 *     sums      float32, L2, between two k slices
 *
 * Patches and weights have the same form, so either can be the vector side of the register tile.
 * Pixels along the vector write the output as it lies; but an image of 7 x 7 fills only 49 of 64
 * lanes.  With channels along the vector the 49 pixels are rows, none is wasted, and a block of
 * sums is transposed when it is stored.  The cheaper way is chosen from the shape; fma(a, b, s)
 * is fma(b, a, s), so the bits are the same. */
#include "kernels/block_conv.h"

#include "kernels/block_direct.h"
#include "kernels/block_transposed.h"
#include "kernels/block_winograd.h"

enum {
    SMALL_CONV = 1 << 17,  /* multiply-adds not worth a second thread */
    WIDE_PANELS = 4,       /* channel panels widened together */
    MOST_CHANNELS = 32,    /* channel panels of one block of sums */
    WIDEN_COST = 6,        /* of a panel of weights, see gather_cost */
};

struct conv_cut {
    struct block_grid grid;
    bool channels_across; /* along the vector */
    size_t k, kc, pixels;
    size_t image_panels, pixel_panels, channel_panels; /* of an image, of all images, of a group */
    size_t block_pixels, block_channels;               /* panels of the largest block */
    size_t wide;                                       /* channel panels widened together */
    size_t patch_panel;                                /* floats from one panel to the next */
    size_t ld;                                         /* of the sums */
};

/* Rows of a panel cut into even strips of at most mr. */
static size_t strip_rows(const struct kern *kern, size_t rows)
{
    return block_even(block_least(rows, ANF_PANEL), kern->mr);
}

/* Row-equivalents of time for `rows` of one panel: a strip of fewer than three waits for the
 * latency of its multiply-adds. */
static size_t panel_cost(const struct kern *kern, size_t rows)
{
    const size_t h = strip_rows(kern, rows);
    size_t cost = 0;
    for (size_t r = 0; r < rows; r += h)
        cost += block_least(h, rows - r) < 3 ? 3 : block_least(h, rows - r);
    return cost;
}

static size_t rows_cost(const struct kern *kern, size_t n)
{
    return n / ANF_PANEL * panel_cost(kern, ANF_PANEL) + panel_cost(kern, n % ANF_PANEL);
}

/* What gathering a panel of pixels costs, where its multiplication with a panel of channels is 8: a
 * start for each run of pixels of one row, for each tap, and the patch it is taken from. */
static size_t gather_cost(const struct conv_geom *g)
{
    const size_t taps = g->kh * g->kw, runs = 1 + ANF_PANEL / g->out_w;
    if (taps == 1 && g->stride_h == 1 && g->stride_w == 1)
        return 3;
    return 8 * runs + 8 + 16 / taps;
}

static struct conv_cut conv_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    struct conv_cut cut = {
        .grid = {1, 1},
        .k = g->cin * g->kh * g->kw,
        .pixels = g->out_h * g->out_w,
        .channel_panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL,
    };
    const size_t n_threads = job->n_threads ? job->n_threads : 1;
    const bool small =
        job->images * cut.pixels * job->groups * job->cout * cut.k <= SMALL_CONV;

    cut.kc = block_even(cut.k, kern->kc);
    cut.image_panels = (cut.pixels + ANF_PANEL - 1) / ANF_PANEL;
    cut.pixel_panels = cut.image_panels * job->images;
    cut.channels_across = rows_cost(kern, cut.pixels) * cut.channel_panels * 16 <
                          rows_cost(kern, job->cout) * cut.image_panels * 15;
    if (n_threads > 1 && !small)
        cut.grid = block_grid_fine(cut.pixel_panels, cut.channel_panels,
                                   block_threads(job->groups, n_threads), gather_cost(g),
                                   WIDEN_COST,
                                   block_least(BLOCK_FINE * block_threads(job->groups, n_threads),
                                               job->images * cut.pixels * job->cout * cut.k /
                                                   SMALL_CONV / 4));

    const size_t q = (cut.pixel_panels + cut.grid.n_rows - 1) / cut.grid.n_rows;
    const size_t c = (cut.channel_panels + cut.grid.n_cols - 1) / cut.grid.n_cols;
    cut.block_pixels = block_even(q, kern->nc / ANF_PANEL);
    cut.block_channels = block_even(c, MOST_CHANNELS);
    cut.patch_panel = (cut.kc | 1) * ANF_PANEL;
    cut.wide = cut.channels_across ? kern->nv : WIDE_PANELS;
    /* Odd strides: rows and panels that are used together must not share cache sets. */
    cut.ld = ((cut.channels_across ? cut.block_channels : cut.block_pixels) | 1) * ANF_PANEL;
    return cut;
}

size_t conv_tasks(const struct kern *kern, const struct conv_job *job, size_t phase)
{
    if (job->winograd)
        return winograd_tasks(kern, job, phase);
    if (job->up > 1)
        return transposed_tasks(kern, job, phase);
    if (!phase || !job->images || !job->groups || !job->cout || !job->geom.out_h ||
        !job->geom.out_w)
        return 0;
    if (direct_chosen(job))
        return direct_tasks(job);
    const struct conv_cut cut = conv_cut(kern, job);
    return job->groups * cut.grid.n_rows * cut.grid.n_cols;
}

static size_t patch_floats(const struct conv_cut *cut)
{
    return cut->block_pixels * cut->patch_panel;
}

static size_t weight_floats(const struct conv_cut *cut)
{
    return cut->wide * ANF_PANEL * cut->kc;
}

static size_t sum_floats(const struct conv_cut *cut)
{
    return (cut->channels_across ? cut->block_pixels : cut->block_channels) * ANF_PANEL * cut->ld;
}

size_t conv_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    if (job->winograd)
        return winograd_thread_bytes(kern, job);
    if (job->up > 1)
        return transposed_thread_bytes(kern, job);
    if (direct_chosen(job))
        return direct_thread_bytes(job);
    const struct conv_cut cut = conv_cut(kern, job);
    size_t n = patch_floats(&cut) + weight_floats(&cut) + sum_floats(&cut);
    return n * sizeof(float);
}

size_t conv_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    if (job->winograd)
        return winograd_shared_bytes(kern, job);
    return job->up > 1 ? transposed_shared_bytes(kern, job) : 0;
}

/* ---- one block ------------------------------------------------------------------------------- */
struct block {
    const struct kern *kern;
    const struct conv_job *job;
    const struct conv_cut *cut;
    size_t group;
    size_t q0, n_pixels;   /* pixel panels */
    size_t c0, n_channels; /* channel panels */
    float *patches, *weights, *sums;
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

static size_t panel_pixels(const struct block *b, size_t panel)
{
    const size_t p0 = (b->q0 + panel) % b->cut->image_panels * ANF_PANEL;
    return block_least(ANF_PANEL, b->cut->pixels - p0);
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

static void widen(const struct block *b, size_t k0, size_t kc, size_t panel, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b->kern->f32_from_f16(weights(b, k0, panel + i), b->weights + i * kc * ANF_PANEL,
                              kc * ANF_PANEL);
}

/* All rows of one panel of the broadcast side against n_panels panels of the vector side. */
static void tiles(const struct kern *kern, size_t kc, const float *panel, size_t rows,
                  const float *across, size_t across_panel, size_t n_panels, float *c, size_t ld,
                  bool accumulate)
{
    const size_t h = strip_rows(kern, rows);
    for (size_t r = 0; r < rows; r += h)
        kern->gemm_tile(block_least(h, rows - r), n_panels, kc, panel + r, ANF_PANEL, across,
                        across_panel, c + r * ld, ld, accumulate);
}

/* All pixels against n channel panels from panel c on, which lie along the vector.  The first strip
 * widens the weights for the others; all of them ask for their share of `next`, the weights that
 * follow. */
static void multiply_across(const struct block *b, size_t k0, size_t kc, size_t c, size_t n,
                            const f16 *next)
{
    const struct kern *kern = b->kern;
    const size_t panel = kc * ANF_PANEL, stride = b->cut->k * ANF_PANEL, ld = b->cut->ld;
    size_t strips = 0, strip = 0;
    for (size_t q = 0; q < b->n_pixels; q++) {
        const size_t rows = panel_pixels(b, q), h = strip_rows(kern, rows);
        strips += (rows + h - 1) / h;
    }
    const size_t share = block_share(ANF_PANEL, strips);
    for (size_t q = 0; q < b->n_pixels; q++) {
        const size_t rows = panel_pixels(b, q), h = strip_rows(kern, rows);
        for (size_t r = 0; r < rows; r += h, strip++) {
            const size_t m = block_least(h, rows - r);
            const float *patches = b->patches + q * b->cut->patch_panel + r;
            float *sums = b->sums + (q * ANF_PANEL + r) * ld + c * ANF_PANEL;
            const struct gemm_ahead ahead = block_ahead(next, stride, ANF_PANEL, kc, strip, share);
            if (strip)
                kern->gemm_tile_ahead(m, n, kc, patches, ANF_PANEL, b->weights, panel, sums, ld,
                                      k0 > 0, &ahead, NULL);
            else
                kern->gemm_tile_widen(m, n, kc, patches, ANF_PANEL, weights(b, k0, c), stride,
                                      b->weights, sums, ld, k0 > 0, &ahead, NULL);
        }
    }
}

static void multiply(const struct block *b, size_t k0, size_t kc)
{
    const struct kern *kern = b->kern;
    const size_t panel = kc * ANF_PANEL, patch = b->cut->patch_panel, ld = b->cut->ld;
    gather(b, k0, kc);
    if (b->cut->channels_across) {
        const size_t wide = block_even(b->n_channels, kern->nv);
        for (size_t c = 0; c < b->n_channels; c += wide) {
            const bool last = c + wide >= b->n_channels;
            multiply_across(b, k0, kc, c, block_least(wide, b->n_channels - c),
                            last ? weights(b, k0 + kc, 0) : weights(b, k0, c + wide));
        }
        return;
    }
    const size_t nv = block_even(b->n_pixels, kern->nv);
    for (size_t c = 0; c < b->n_channels; c += WIDE_PANELS) {
        const size_t n = block_least(WIDE_PANELS, b->n_channels - c);
        widen(b, k0, kc, c, n);
        for (size_t q = 0; q < b->n_pixels; q += nv)
            for (size_t i = 0; i < n; i++)
                tiles(kern, kc, b->weights + i * panel, panel_channels(b, c + i),
                      b->patches + q * patch, patch, block_least(nv, b->n_pixels - q),
                      b->sums + (c + i) * ANF_PANEL * ld + q * ANF_PANEL, ld, k0 > 0);
    }
}

/* Output of segment s, channels channel .. channel+n-1 of the group, is complete. */
static void hand_on(const struct block *b, const struct segment *s, size_t channel, size_t n)
{
    const struct conv_job *job = b->job;
    const size_t row = (s->image * job->groups + b->group) * job->cout + channel;
    if (!job->epilogue)
        return;
    if (s->n == b->cut->pixels) {
        job->epilogue(job->epilogue_arg, row * s->n, n * s->n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        job->epilogue(job->epilogue_arg, (row + i) * b->cut->pixels + s->p0, s->n);
}

static f16 *output(const struct block *b, const struct segment *s, size_t channel)
{
    const struct conv_job *job = b->job;
    return job->y + ((s->image * job->groups + b->group) * job->cout + channel) * b->cut->pixels +
           s->p0;
}

/* Sums [channel][pixel]. */
static void store_rows(const struct block *b, const struct segment *s, size_t channels)
{
    const struct kern *kern = b->kern;
    const f16 *bias = b->job->bias ? b->job->bias + b->group * b->job->cout : NULL;
    for (size_t i = 0; i < channels; i++) {
        const size_t channel = b->c0 * ANF_PANEL + i;
        const float *sum = b->sums + i * b->cut->ld + s->first * ANF_PANEL;
        float add = 0.0f;
        if (bias) {
            kern->f32_from_f16(bias + channel, &add, 1);
            kern->add_bias(sum, add, output(b, s, channel), s->n);
        } else {
            kern->f16_from_f32(sum, output(b, s, channel), s->n);
        }
        if (s->n != b->cut->pixels)
            hand_on(b, s, channel, 1);
    }
    if (s->n == b->cut->pixels)
        hand_on(b, s, b->c0 * ANF_PANEL, channels);
}

/* Sums [pixel][channel], transposed after rounding. */
static void store_turned(const struct block *b, const struct segment *s, size_t channels)
{
    const struct kern *kern = b->kern;
    const size_t channel = b->c0 * ANF_PANEL;
    const f16 *bias = b->job->bias ? b->job->bias + b->group * b->job->cout + channel : NULL;
    f16 rounded[ANF_PANEL * MOST_CHANNELS * ANF_PANEL];
    for (size_t p = 0; p < s->n; p += ANF_PANEL) {
        const size_t rows = block_least(ANF_PANEL, s->n - p);
        for (size_t r = 0; r < rows; r++)
            block_store_run(kern, b->sums + (s->first * ANF_PANEL + p + r) * b->cut->ld, bias,
                            rounded + r * channels, channels);
        kern->transpose(rounded, channels, output(b, s, channel) + p, b->cut->pixels, rows,
                        channels);
    }
    hand_on(b, s, channel, channels);
}

static void run_block(const struct block *b)
{
    const size_t channels = block_least(b->n_channels * ANF_PANEL,
                                        b->job->cout - b->c0 * ANF_PANEL);
    size_t k0 = 0;
    do {
        const size_t kc = block_least(b->cut->kc, b->cut->k - k0);
        multiply(b, k0, kc);
        k0 += kc;
    } while (k0 < b->cut->k);

    struct segment s;
    for (size_t panel = 0; next_segment(b, &s, &panel);)
        if (b->cut->channels_across)
            store_turned(b, &s, channels);
        else
            store_rows(b, &s, channels);
}

void conv_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
               void *shared, void *own)
{
    if (job->winograd) {
        winograd_task(kern, job, phase, task, shared, own);
        return;
    }
    if (job->up > 1) {
        transposed_task(kern, job, phase, task, shared, own);
        return;
    }
    if (direct_chosen(job)) {
        direct_task(kern, job, task, own);
        return;
    }
    const struct conv_cut cut = conv_cut(kern, job);
    const size_t per_group = cut.grid.n_rows * cut.grid.n_cols, part = task % per_group;
    const size_t q1 = block_start(cut.pixel_panels, cut.grid.n_rows, part / cut.grid.n_cols + 1);
    const size_t c1 = block_start(cut.channel_panels, cut.grid.n_cols, part % cut.grid.n_cols + 1);
    float *at = own;
    struct block b = {
        .kern = kern,
        .job = job,
        .cut = &cut,
        .group = task / per_group,
        .patches = block_floats(&at, patch_floats(&cut)),
        .weights = block_floats(&at, weight_floats(&cut)),
        .sums = at,
    };
    b.q0 = block_start(cut.pixel_panels, cut.grid.n_rows, part / cut.grid.n_cols);
    for (; b.q0 < q1; b.q0 += b.n_pixels) {
        b.n_pixels = block_least(cut.block_pixels, q1 - b.q0);
        b.c0 = block_start(cut.channel_panels, cut.grid.n_cols, part % cut.grid.n_cols);
        for (; b.c0 < c1; b.c0 += b.n_channels) {
            b.n_channels = block_least(cut.block_channels, c1 - b.c0);
            run_block(&b);
        }
    }
}

/* ---- weights --------------------------------------------------------------------------------- */
size_t conv_packed_size(const struct conv_geom *geom, size_t groups, size_t cout)
{
    const size_t k = geom->cin * geom->kh * geom->kw;
    return conv_depthwise(geom, cout) ? groups * k : groups * gemm_packed_size(k, cout);
}

size_t conv_tap_step(size_t up, size_t dilation)
{
    size_t a = up, b = dilation;
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return up / a;
}

/* The taps (u0 + i*step, v0 + j*step) of all kernels; the next element of `packed`. */
static f16 *pack_taps(const struct conv_geom *geom, size_t groups, size_t cout,
                      enum conv_weights kind, size_t step, size_t u0, size_t v0, const f16 *w,
                      f16 *packed)
{
    const size_t taps = geom->kh * geom->kw, k = geom->cin * taps;
    const size_t lanes = conv_depthwise(geom, cout) ? 1 : ANF_PANEL;
    for (size_t g = 0; g < groups; g++)
        for (size_t c0 = 0; c0 < cout; c0 += lanes)
            for (size_t ci = 0; ci < geom->cin; ci++)
                for (size_t u = u0; u < geom->kh; u += step)
                    for (size_t v = v0; v < geom->kw; v += step)
                        for (size_t c = c0; c < c0 + lanes; c++) {
                            const size_t t = u * geom->kw + v;
                            const size_t at =
                                kind == CONV_WEIGHTS
                                    ? (g * cout + c) * k + ci * taps + t
                                    : ((g * geom->cin + ci) * cout + c) * taps + taps - 1 - t;
                            *packed++ = c < cout ? w[at] : 0;
                        }
    return packed;
}

void conv_pack_weights(const struct conv_geom *geom, size_t groups, size_t cout,
                       enum conv_weights kind, size_t tap_step, const f16 *w, f16 *packed)
{
    for (size_t u = 0; u < block_least(tap_step, geom->kh); u++)
        for (size_t v = 0; v < block_least(tap_step, geom->kw); v++)
            packed = pack_taps(geom, groups, cout, kind, tap_step, u, v, w, packed);
}
