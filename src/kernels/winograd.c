/* Winograd's convolution: the choice, and the weights.
 *
 * The transformed weights are kept in float32.  Rounded to binary16 their error, multiplied by the
 * output transform, would exceed half an ulp of the result. */
#include "kernels/winograd.h"


enum {
    LEAST_CHANNELS = 32, /* in and out */
    LEAST_TILES = 9,     /* of an image */
};

bool winograd_possible(const struct conv_geom *g)
{
    return g->kh == 3 && g->kw == 3 && g->stride_h == 1 && g->stride_w == 1 && g->dil_h == 1 &&
           g->dil_w == 1 && g->up_h == 1 && g->up_w == 1;
}

bool winograd_chosen(const struct conv_geom *g, size_t groups, size_t cout)
{
    return winograd_possible(g) && groups == 1 && g->cin >= LEAST_CHANNELS &&
           cout >= LEAST_CHANNELS &&
           winograd_tiles(g->out_h) * winograd_tiles(g->out_w) >= LEAST_TILES;
}

size_t winograd_packed_floats(size_t cin, size_t cout)
{
    return WINOGRAD_POSITIONS * ((cout + ANF_PANEL - 1) / ANF_PANEL) * cin * ANF_PANEL;
}

/* G x for three values. */
static void weights_1d(const double x[3], double y[6])
{
    const double even = x[0] / 24.0 + x[2] / 6.0, odd = x[1] / 12.0;
    y[0] = x[0] / 4.0;
    y[1] = -((x[0] + x[2]) + x[1]) / 6.0;
    y[2] = -((x[0] + x[2]) - x[1]) / 6.0;
    y[3] = even + odd;
    y[4] = even - odd;
    y[5] = x[2];
}

/* A binary16 value, exactly; infinities and NaN too. */
static double widen(f16 h)
{
    const int exponent = h >> 10 & 31, mantissa = h & 1023;
    double v;
    if (exponent == 31)
        v = mantissa ? (double)NAN : (double)INFINITY;
    else
        v = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return h >> 15 ? -v : v;
}

static void weights_2d(const f16 *w, float u[WINOGRAD_POSITIONS])
{
    double columns[WINOGRAD_IN][3], row[WINOGRAD_IN];
    for (size_t v = 0; v < 3; v++) {
        const double x[3] = {widen(w[v]), widen(w[3 + v]), widen(w[6 + v])};
        weights_1d(x, row);
        for (size_t i = 0; i < WINOGRAD_IN; i++)
            columns[i][v] = row[i];
    }
    for (size_t i = 0; i < WINOGRAD_IN; i++) {
        weights_1d(columns[i], row);
        for (size_t j = 0; j < WINOGRAD_IN; j++)
            u[i * WINOGRAD_IN + j] = (float)row[j];
    }
}

void winograd_pack_weights(size_t cin, size_t cout, const f16 *w, float *packed)
{
    const size_t panels = (cout + ANF_PANEL - 1) / ANF_PANEL, position = panels * cin * ANF_PANEL;
    float u[WINOGRAD_POSITIONS];
    for (size_t c = 0; c < panels * ANF_PANEL; c++)
        for (size_t ci = 0; ci < cin; ci++) {
            float *to = packed + (c / ANF_PANEL * cin + ci) * ANF_PANEL + c % ANF_PANEL;
            if (c < cout)
                weights_2d(w + (c * cin + ci) * 9, u);
            for (size_t i = 0; i < WINOGRAD_POSITIONS; i++)
                to[i * position] = c < cout ? u[i] : 0.0f;
        }
}
