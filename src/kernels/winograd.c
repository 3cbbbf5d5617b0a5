/* Winograd's convolution: the choice.  Changing it changes results. */
#include "kernels/winograd.h"

enum {
    LEAST_CHANNELS = 32, /* in and out */
    PIXELS_PER_TILE = 6, /* what the products and transforms of a tile cost directly, in pixels */
    TILES_OF_WEIGHTS = 2, /* the transform of the weights costs that much too */
};

bool winograd_possible(const struct conv_geom *g)
{
    return g->kh == 3 && g->kw == 3 && g->stride_h == 1 && g->stride_w == 1 && g->dil_h == 1 &&
           g->dil_w == 1;
}

bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout)
{
    const size_t tiles = winograd_tiles(g->out_h) * winograd_tiles(g->out_w);
    return winograd_possible(g) && groups == 1 && g->cin >= LEAST_CHANNELS &&
           cout >= LEAST_CHANNELS &&
           g->out_h * g->out_w >= PIXELS_PER_TILE * (tiles + TILES_OF_WEIGHTS);
}
