/* Winograd's convolution: the choice.  Changing it changes results. */
#include "kernels/winograd.h"

enum {
    LEAST_CHANNELS = 32, /* in and out */
    /* Costs in multiplications for an input and an output channel, of which a pixel takes nine: */
    TILE_COST = 18,      /* the transforms of the input and output of a tile */
    WEIGHTS_COST = 108,  /* that of the weights */
};

bool winograd_possible(const struct conv_geom *g)
{
    return g->kh == 3 && g->kw == 3 && g->stride_h == 1 && g->stride_w == 1 && g->dil_h == 1 &&
           g->dil_w == 1;
}

/* Positions of the tiles along `pixels` rows or columns, one after the other. */
static size_t positions(size_t pixels)
{
    const unsigned last = winograd_positions(pixels % WINOGRAD_OUT);
    return pixels / WINOGRAD_OUT * WINOGRAD_IN + (size_t)__builtin_popcount(last);
}

bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout)
{
    const size_t tiles = winograd_tiles(g->out_h) * winograd_tiles(g->out_w);
    return winograd_possible(g) && groups == 1 && g->cin >= LEAST_CHANNELS &&
           cout >= LEAST_CHANNELS &&
           9 * g->out_h * g->out_w >= positions(g->out_h) * positions(g->out_w) +
                                          TILE_COST * tiles + WEIGHTS_COST;
}
