/* Winograd's convolution: the choice.  Changing it changes results. */
#include "kernels/winograd.h"

/* Costs in multiply-adds of the direct sums.  They were measured with AVX-512 and AVX2 on networks'
 * shapes; where the two disagree, by a few per cent, the choice is a compromise. */
struct costs {
    double input, phase; /* transforming a tile of an input channel, whole panels of them, and
                          * parting the phases of a stride */
    double output;       /* a tile of an output channel, whole panels of them */
    double weights;      /* transforming a kernel; */
    double few_weights;  /* of those winograd_few has, with few tiles */
};
static const struct costs small_costs = {380, 260, 240, 200, 144};
static const struct costs large_costs = {.input = 900, .output = 560, .weights = 200};

/* Larger tiles are fewer rows of them, which are harder to share out among threads: they must save
 * this part besides. */
static const double large_worth = 1.04;

bool winograd_possible(const struct conv_geom *g)
{
    const size_t s = g->stride_h;
    if (s > WINOGRAD_STRIDE || g->stride_w != s || g->dil_h != 1 || g->dil_w != 1)
        return false;
    const size_t taps = g->kh / s + (g->kh % s != 0);
    return taps >= 3 && taps <= WINOGRAD_TAPS && g->kw / s + (g->kw % s != 0) == taps;
}

static struct winograd_form form_of(const struct conv_geom *g, size_t in)
{
    const size_t s = g->stride_h, taps = (g->kh + s - 1) / s, out = in + 1 - taps;
    const bool parted = taps == 3;
    return (struct winograd_form){
        .stride = s, .phases = s * s, .channels = g->cin * s * s, .in = in, .taps = taps,
        .out = out, .tile_rows = (g->out_h + out - 1) / out,
        .tile_cols = (g->out_w + out - 1) / out, .rest_rows = parted ? g->out_h % out : 0,
        .rest_cols = parted ? g->out_w % out : 0};
}

/* Positions of the tiles along rows or columns, one after the other. */
static double positions(const struct winograd_form *f, size_t tiles, size_t rest)
{
    return (double)((tiles - 1) * f->in) + __builtin_popcount(winograd_positions(f, rest));
}

static double whole_panels(size_t channels)
{
    return (double)((channels + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL);
}

/* In double, because products of sizes may be large. */
static double cost(const struct winograd_form *f, size_t cout)
{
    const struct costs *c = f->in == WINOGRAD_IN ? &large_costs : &small_costs;
    const double tiles = (double)f->tile_rows * (double)f->tile_cols, outputs = whole_panels(cout);
    const double products = positions(f, f->tile_rows, f->rest_rows) *
                            positions(f, f->tile_cols, f->rest_cols);
    const double weights = winograd_may_be_few(f) ? c->few_weights : c->weights;
    const double input = f->stride > 1 ? c->input + c->phase : c->input;
    return (double)f->channels * outputs * (products + weights) +
           tiles * (whole_panels(f->channels) * input + outputs * c->output);
}

struct winograd_form winograd_form(const struct conv_geom *g, size_t cout)
{
    const struct winograd_form small = form_of(g, WINOGRAD_SMALL_IN);
    if (small.taps > 3 || small.stride > 1 || !g->out_h || !g->out_w)
        return small;
    const struct winograd_form large = form_of(g, WINOGRAD_IN);
    return large_worth * cost(&large, cout) < cost(&small, cout) ? large : small;
}

bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout)
{
    if (!winograd_possible(g) || groups != 1 || !g->out_h || !g->out_w)
        return false;
    const struct winograd_form f = winograd_form(g, cout);
    return (double)(g->kh * g->kw) * (double)(g->out_h * g->out_w) * (double)(g->cin * cout) >=
           cost(&f, cout);
}
