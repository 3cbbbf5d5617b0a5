/* Winograd's convolution: the choice, and the weights.
 *
 * The transformed weights are kept in float32.  Rounded to binary16 their error, multiplied by the
 * output transform, would exceed half an ulp of the result. */
#include "kernels/winograd.h"

#include <string.h>


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

/* A binary16 value, exactly; infinities and NaN too. */
static double widen(f16 h)
{
    const uint64_t sign = (uint64_t)(h >> 15) << 63, exponent = h >> 10 & 31, mantissa = h & 1023;
    uint64_t bits;
    double v;
    if (!exponent) {
        v = (double)mantissa * 0x1p-24;
        return sign ? -v : v;
    }
    bits = sign | (exponent == 31 ? 2047u : exponent - 15 + 1023) << 52 | mantissa << 42;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* G x for three values of sixteen channels each. */
static void weights_1d(const double (*x)[ANF_PANEL], size_t step, double (*y)[ANF_PANEL])
{
    const double(*x1)[ANF_PANEL] = x + step, (*x2)[ANF_PANEL] = x + 2 * step;
    for (size_t c = 0; c < ANF_PANEL; c++) {
        const double ends = x[0][c] + x2[0][c], middle = x1[0][c];
        const double even = x[0][c] / 24.0 + x2[0][c] / 6.0, odd = middle / 12.0;
        y[0][c] = x[0][c] / 4.0;
        y[1][c] = -(ends + middle) / 6.0;
        y[2][c] = -(ends - middle) / 6.0;
        y[3][c] = even + odd;
        y[4][c] = even - odd;
        y[5][c] = x2[0][c];
    }
}

/* Sixteen channels at once: their results lie side by side. */
void winograd_pack_weights(size_t cin, size_t cout, const f16 *w, float *packed)
{
    const size_t panels = (cout + ANF_PANEL - 1) / ANF_PANEL, position = panels * cin * ANF_PANEL;
    double g[9][ANF_PANEL] = {{0}}, columns[3][WINOGRAD_IN][ANF_PANEL];
    double rows[WINOGRAD_IN][ANF_PANEL];
    for (size_t panel = 0; panel < panels; panel++)
        for (size_t ci = 0; ci < cin; ci++) {
            float *to = packed + (panel * cin + ci) * ANF_PANEL;
            for (size_t c = 0; c < ANF_PANEL; c++) {
                const size_t co = panel * ANF_PANEL + c;
                for (size_t k = 0; k < 9; k++)
                    g[k][c] = co < cout ? widen(w[(co * cin + ci) * 9 + k]) : 0.0;
            }
            for (size_t v = 0; v < 3; v++)
                weights_1d((const double(*)[ANF_PANEL])g + v, 3, columns[v]);
            for (size_t i = 0; i < WINOGRAD_IN; i++) {
                weights_1d((const double(*)[ANF_PANEL])columns[0] + i, WINOGRAD_IN, rows);
                for (size_t j = 0; j < WINOGRAD_IN; j++)
                    for (size_t c = 0; c < ANF_PANEL; c++)
                        to[(i * WINOGRAD_IN + j) * position + c] = (float)rows[j][c];
            }
        }
}
