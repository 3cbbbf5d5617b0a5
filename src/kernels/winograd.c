/* Winograd's convolution: the choice.  Changing it changes results. */
#include "kernels/winograd.h"

/* Costs in multiply-adds of the direct sums.  They were measured with AVX-512 and AVX2 on networks'
 * shapes; where the two disagree, by a few per cent, the choice is a compromise. */
enum {
    INPUT_COST = 380,        /* transforming a tile of an input channel, whole panels of them, */
    PHASE_COST = 260,        /* and parting the phases of a stride */
    OUTPUT_COST = 240,       /* a tile of an output channel, whole panels of them */
    WEIGHTS_COST = 200,      /* transforming a kernel; */
    FEW_WEIGHTS_COST = 144,  /* of those winograd_few has, with few tiles */
};

bool winograd_possible(const struct conv_geom *g)
{
    const size_t s = g->stride_h;
    if (s > WINOGRAD_STRIDE || g->stride_w != s || g->dil_h != 1 || g->dil_w != 1)
        return false;
    const size_t taps = g->kh / s + (g->kh % s != 0);
    return taps >= 3 && taps <= WINOGRAD_TAPS && g->kw / s + (g->kw % s != 0) == taps;
}

/* Positions of the tiles along rows or columns, one after the other. */
static double positions(size_t tiles, size_t rest)
{
    const unsigned last = winograd_positions(rest);
    return (double)((tiles - 1) * WINOGRAD_IN) + __builtin_popcount(last);
}

static double whole_panels(size_t channels)
{
    return (double)((channels + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL);
}

/* In double, because products of sizes may be large. */
bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout)
{
    if (!winograd_possible(g) || groups != 1 || !g->out_h || !g->out_w)
        return false;
    const struct winograd_form f = winograd_form(g);
    const double tiles = (double)f.tile_rows * (double)f.tile_cols, outputs = whole_panels(cout);
    const double products = positions(f.tile_rows, f.rest_rows) *
                            positions(f.tile_cols, f.rest_cols);
    const double weights = winograd_may_be_few(&f) ? FEW_WEIGHTS_COST : WEIGHTS_COST;
    const double input = f.stride > 1 ? INPUT_COST + PHASE_COST : INPUT_COST;
    return (double)(g->kh * g->kw) * (double)(g->out_h * g->out_w) * (double)(g->cin * cout) >=
           (double)f.channels * outputs * (products + weights) +
               tiles * (whole_panels(f.channels) * input + outputs * OUTPUT_COST);
}
