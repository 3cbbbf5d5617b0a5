/* Winograd's convolution: every table against a plain reading of winograd.h, with ==, and the
 * result against direct sums in double.
 *
 * As in test_conv.c every driver runs for several thread counts with its scratch full of NaN and
 * guarded; the epilogue must meet every output element once. */
#include "fenced.h"
#include "plain.h"

#include "epilogue_seen.h"

#include "base/fp16.h"
#include "kernels/block_conv.h"
#include "kernels/winograd.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GUARD = 64, MOST_TABLES = 8 };

static uint32_t seed = 7;

static double uniform(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (double)(seed >> 8) * 0x1p-24;
}

/* Mean 0, variance 1. */
static f16 *unit_values(size_t n, double scale)
{
    f16 *x = fenced(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        double s = -6;
        for (int k = 0; k < 12; k++)
            s += uniform();
        x[i] = f32_to_f16((float)(s * scale));
    }
    return x;
}

/* kernel x kernel taps. */
static struct conv_geom geometry(size_t cin, size_t h, size_t w, size_t kernel, size_t stride,
                                 ptrdiff_t pad)
{
    const size_t pads = 2 * (size_t)pad;
    return (struct conv_geom){.cin = cin, .in_h = h, .in_w = w,
                              .out_h = (h + pads - kernel) / stride + 1,
                              .out_w = (w + pads - kernel) / stride + 1, .kh = kernel,
                              .kw = kernel, .stride_h = stride, .stride_w = stride, .dil_h = 1,
                              .dil_w = 1, .pad_h = pad, .pad_w = pad};
}

/* Element (y, x) of the padded plane. */
static float pixel(const struct conv_geom *g, const f16 *plane, size_t y, size_t x)
{
    const ptrdiff_t row = (ptrdiff_t)y - g->pad_h, col = (ptrdiff_t)x - g->pad_w;
    if (row < 0 || col < 0 || row >= (ptrdiff_t)g->in_h || col >= (ptrdiff_t)g->in_w)
        return 0;
    return f16_to_f32(plane[(size_t)row * g->in_w + (size_t)col]);
}

/* A tile: of the kernel's form, with as many rows and columns of pixels as the image has there; so
 * it reads, and its matrices have, so many rows and columns. */
struct tile {
    struct winograd_form form;
    size_t y, x; /* first pixel */
    size_t rows, cols;
};

static size_t reads(const struct winograd_form *f, size_t left)
{
    const size_t pixels = left < f->out ? left : f->out;
    return f->taps > 3 ? 6 : pixels > 4 ? 8 : pixels > 2 ? 6 : 4;
}

static struct tile tile_at(const struct conv_geom *g, size_t cout, size_t y, size_t x)
{
    struct tile t = {.form = winograd_form(g, cout), .y = y, .x = x};
    t.rows = reads(&t.form, g->out_h - y);
    t.cols = reads(&t.form, g->out_w - x);
    return t;
}

/* Of phase (p, q).  Columns first, then rows; elements that take no part stay as they are. */
static void input_tile(const struct conv_geom *g, const struct tile *tile, const f16 *plane,
                       size_t p, size_t q, float v[8][8])
{
    const size_t s = g->stride_h, last = tile->form.in - 1;
    float d[8], t[8], turned[8][8];
    for (size_t j = 0; j < tile->cols; j++) {
        for (size_t i = 0; i < tile->rows; i++)
            d[i] = pixel(g, plane, (tile->y + i) * s + p, (tile->x + j) * s + q);
        winograd_input_1d(tile->rows, d, t);
        for (size_t i = 0; i < tile->rows; i++)
            turned[i][j] = t[i];
    }
    for (size_t i = 0; i < tile->rows; i++) {
        winograd_input_1d(tile->cols, turned[i], t);
        for (size_t j = 0; j < tile->cols; j++)
            v[i + 1 < tile->rows ? i : last][j + 1 < tile->cols ? j : last] = t[j];
    }
}

static void weights_tile(const struct conv_geom *geom, const struct winograd_form *f, const f16 *w,
                         size_t p, size_t q, float u[8][8])
{
    const size_t s = geom->stride_h, taps = f->taps, in = f->in;
    float g[5], t[8], turned[8][5];
    for (size_t c = 0; c < taps; c++) {
        for (size_t r = 0; r < taps; r++) {
            const size_t row = r * s + p, col = c * s + q;
            g[r] = row < geom->kh && col < geom->kw ? f16_to_f32(w[row * geom->kw + col]) : 0;
        }
        winograd_weights_1d(in, taps, g, t);
        for (size_t i = 0; i < in; i++)
            turned[i][c] = t[i];
    }
    for (size_t i = 0; i < in; i++)
        winograd_weights_1d(in, taps, turned[i], u[i]);
}

static void output_tile(const struct tile *tile, float m[8][8], float y[6][6])
{
    const size_t last = tile->form.in - 1, out = tile->form.out;
    float d[8], t[6], z[6][8];
    for (size_t j = 0; j < tile->cols; j++) {
        for (size_t i = 0; i < tile->rows; i++)
            d[i] = m[i + 1 < tile->rows ? i : last][j + 1 < tile->cols ? j : last];
        winograd_output_1d(tile->rows, out, d, t);
        for (size_t i = 0; i < tile->rows - 2; i++)
            z[i][j] = t[i];
    }
    for (size_t i = 0; i < tile->rows - 2 && i < out; i++)
        winograd_output_1d(tile->cols, out, z[i], y[i]);
}

/* w: [cout][cin][kh][kw].  What takes no part is NaN. */
static void naive(const struct conv_job *job, const f16 *w, f16 *out)
{
    const struct conv_geom *g = &job->geom;
    const struct winograd_form f = winograd_form(g, job->cout);
    const size_t plane = g->in_h * g->in_w, pixels = g->out_h * g->out_w, s = g->stride_h;
    const size_t channels = g->cin * s * s, size = f.out;
    float(*u)[8][8] = fenced(job->cout * channels * sizeof *u), m[8][8], y[6][6];
    float(*v)[8][8] = fenced(channels * sizeof *v);
    for (size_t i = 0; i < job->cout * channels; i++)
        weights_tile(g, &f, w + i / (s * s) * g->kh * g->kw, i / s % s, i % s, u[i]);
    for (size_t n = 0; n < job->images; n++)
        for (size_t oy = 0; oy < g->out_h; oy += size)
            for (size_t ox = 0; ox < g->out_w; ox += size) {
                const struct tile t = tile_at(g, job->cout, oy, ox);
                memset(v, 0xff, channels * sizeof *v);
                for (size_t c = 0; c < channels; c++)
                    input_tile(g, &t, job->x + (n * g->cin + c / (s * s)) * plane, c / s % s, c % s,
                               v[c]);
                for (size_t co = 0; co < job->cout; co++) {
                    for (size_t p = 0; p < 64; p++) {
                        m[p / 8][p % 8] = 0;
                        for (size_t c = 0; c < channels; c++)
                            m[p / 8][p % 8] = fmaf(u[co * channels + c][p / 8][p % 8],
                                                   v[c][p / 8][p % 8], m[p / 8][p % 8]);
                    }
                    output_tile(&t, m, y);
                    for (size_t i = 0; i < size && oy + i < g->out_h; i++)
                        for (size_t j = 0; j < size && ox + j < g->out_w; j++) {
                            const float sum = y[i][j];
                            out[(n * job->cout + co) * pixels + (oy + i) * g->out_w + ox + j] =
                                f32_to_f16(job->bias ? sum + f16_to_f32(job->bias[co]) : sum);
                        }
                }
            }
    unfence(u), unfence(v);
}

/* ---- running --------------------------------------------------------------------------------- */
static unsigned char *guarded(size_t bytes)
{
    unsigned char *p = fenced((bytes + GUARD + 63) / 64 * 64);
    memset(p, 0xff, bytes);
    memset(p + bytes, 0xa5, GUARD);
    return p;
}

static void check_guard(const unsigned char *p, size_t bytes)
{
    for (size_t i = 0; i < GUARD; i++)
        assert_int_equal(p[bytes + i], 0xa5);
}

static void run(const struct kern *kern, const struct conv_job *job)
{
    const size_t own_bytes = conv_thread_bytes(kern, job);
    const size_t shared_bytes = conv_shared_bytes(kern, job);
    unsigned char *shared = guarded(shared_bytes);
    for (size_t phase = 0; phase < CONV_PHASES; phase++)
        for (size_t task = conv_tasks(kern, job, phase); task-- > 0;) {
            unsigned char *own = guarded(own_bytes);
            size_t kept = 0;
            conv_task(kern, job, phase, task, shared, own, &kept);
            check_guard(own, own_bytes);
            unfence(own);
        }
    check_guard(shared, shared_bytes);
    unfence(shared);
}

static void take_relu(void *arg, size_t offset, size_t n)
{
    const struct conv_job *job = arg;
    for (f16 *y = job->y + offset; n; n--, y++)
        if (f16_to_f32(*y) < 0.0f) /* a zero keeps its sign */
            *y = 0;
}

static void same(const struct kern *kern, const struct conv_job *job, const f16 *want, size_t n)
{
    for (size_t e = 0; e < n; e++)
        if (job->y[e] != want[e])
            fail_msg("%s, %zu threads%s: element %zu of %zu is %04x, not %04x", kern->name,
                     job->n_threads, job->relu ? ", relu" : "", e, n, job->y[e], want[e]);
}

static void every_geometry(size_t images, struct conv_geom geom, size_t cout, bool biased,
                           bool poisoned)
{
    static const size_t thread_counts[] = {1, 2, 3, 7};
    struct conv_job job = {.images = images, .groups = 1, .cout = cout,
                           .geom = geom, .winograd = true, .up = 1};
    const size_t n_x = images * geom.cin * geom.in_h * geom.in_w;
    const size_t n_w = cout * geom.cin * geom.kh * geom.kw;
    const size_t n_y = images * cout * job.geom.out_h * job.geom.out_w;
    f16 *x = unit_values(n_x, 1.0), *weights = unit_values(n_w, 0.1);
    f16 *bias = unit_values(cout, 1.0), *want = fenced(n_y * sizeof *want);
    f16 *y = fenced(n_y * sizeof *y);
    f16 *packed = fenced(conv_packed_size(&job.geom, 1, cout) * sizeof *packed);
    struct seen seen = {fenced(n_y), n_y};
    if (poisoned) {
        x[n_x / 3] = 0x7c00;
        x[n_x / 2] = 0x7e00;
        weights[5] = 0xfc00;
    }
    conv_pack_weights(&job.geom, 1, cout, CONV_WEIGHTS, 1, weights, packed);
    job.x = x, job.weights = packed, job.bias = biased ? bias : NULL, job.y = y;
    job.epilogue = see, job.epilogue_arg = &seen;
    naive(&job, weights, want);
    for (size_t t = 0; kern_tables[t]; t++)
        for (size_t i = 0; i < 4 && kern_tables[t]->available(); i++) {
            job.n_threads = thread_counts[i];
            memset(y, 0x12, n_y * sizeof *y);
            memset(seen.count, 0, n_y);
            run(kern_tables[t], &job);
            same(kern_tables[t], &job, want, n_y);
            for (size_t e = 0; e < n_y; e++)
                assert_int_equal(seen.count[e], 1);
        }
    /* An epilogue that is relu, called or not. */
    job.relu = true, job.epilogue = take_relu, job.epilogue_arg = &job;
    take_relu(&(struct conv_job){.y = want}, 0, n_y);
    for (size_t t = 0; kern_tables[t]; t++)
        if (kern_tables[t]->available()) {
            run(kern_tables[t], &job);
            same(kern_tables[t], &job, want, n_y);
        }
    unfence(x), unfence(weights), unfence(bias), unfence(want), unfence(y), unfence(packed);
    unfence(seen.count);
}

static void every_table(size_t images, size_t cin, size_t h, size_t w, size_t cout, ptrdiff_t pad,
                        bool biased, bool poisoned)
{
    every_geometry(images, geometry(cin, h, w, 3, 1, pad), cout, biased, poisoned);
}

/* Kernels of 3x3 taps. */
static void test_every_table(void **state)
{
    (void)state;
    every_table(1, 1, 1, 1, 2, 1, false, false);
    every_table(1, 3, 3, 3, 2, 0, true, false);
    every_table(2, 5, 14, 14, 17, 1, true, false);
    every_table(1, 64, 14, 13, 33, 1, false, true);
    every_table(3, 40, 7, 9, 70, 2, true, false);    /* strips over several images */
    every_table(1, 17, 5, 840, 16, 1, true, true);   /* a row of tiles in parts */
    every_table(1, 8, 840, 5, 50, 1, false, false);  /* two tiles a row */
    every_table(1, 300, 6, 6, 48, 1, true, false);   /* k in slices */
    every_table(70, 32, 12, 12, 32, 1, true, false); /* many strips */
    every_table(1, 4, 9, 9, 5, 5, true, false);      /* tiles of padding only */
    every_table(1, 40, 7, 7, 37, 1, true, true);     /* few tiles */
    every_table(2, 21, 4, 9, 20, 1, false, false);   /* of two images */
    every_table(1, 24, 20, 4, 16, 1, true, false);   /* shared out unevenly */
    every_table(2, 70, 6, 7, 100, 1, true, false);   /* tasks that help each other */
    for (size_t w = 1; w < 104; w += 4)              /* one tile, two, ... 26 */
        every_table(1, 19, 4, w, 18, 1, true, false);
    every_table(1, 256, 14, 14, 64, 1, true, false); /* few tiles, many channels */
    for (size_t h = 5; h < 9; h++)                   /* all sizes of last tiles */
        for (size_t w = 9; w < 13; w++)
            every_table(1, 20, h, w, 18, 1, true, false);
    every_table(1, 128, 44, 48, 64, 1, true, false); /* tasks with five and six rows of tiles */
    every_table(2, 36, 17, 18, 40, 1, true, false);
    every_table(3, 33, 9, 10, 35, 1, false, true);   /* images end within a strip */
    every_table(5, 16, 5, 2, 33, 1, true, false);
    every_table(4, 18, 2, 6, 20, 1, true, false);    /* no whole tile */
    every_table(1, 17, 6, 841, 16, 1, true, false);  /* the last part of a row is narrower */
    every_table(1, 17, 5, 842, 16, 1, true, true);
}

/* Tiles of 6x6: all sizes of last ones, several images and strips, rows in parts, slices of k. */
static void large_tiles(size_t images, size_t cin, size_t h, size_t w, size_t cout, bool poisoned)
{
    const struct conv_geom g = geometry(cin, h, w, 3, 1, 1);
    assert_int_equal(winograd_form(&g, cout).in, WINOGRAD_IN);
    every_table(images, cin, h, w, cout, 1, !poisoned, poisoned);
}

static void test_large_tiles(void **state)
{
    (void)state;
    for (size_t h = 23; h < 29; h++)
        for (size_t w = 23; w < 29; w++)
            large_tiles(1, 49, h, w, 52, false);
    large_tiles(1, 64, 18, 23, 33, true);
    large_tiles(3, 20, 29, 30, 40, false);
    large_tiles(2, 70, 17, 17, 100, true);
    large_tiles(5, 40, 17, 30, 16, false);
    large_tiles(1, 40, 6, 1100, 20, false);
    large_tiles(1, 16, 1100, 5, 50, true);
    large_tiles(1, 300, 18, 18, 48, false);
    large_tiles(1, 128, 60, 47, 64, false);
}

/* Other kernels and strides. */
static void test_every_kernel(void **state)
{
    (void)state;
    for (size_t stride = 1; stride <= 4; stride++)
        for (size_t kernel = 2 * stride + 1; kernel <= 5 * stride; kernel++) {
            const ptrdiff_t pad = (ptrdiff_t)(kernel / 2);
            const size_t size = kernel + 4 * stride;
            every_geometry(1, geometry(3, size, size + 3, kernel, stride, pad), 18, true, false);
            every_geometry(2, geometry(19, size + 1, size, kernel, stride, 0), 33, false, true);
        }
    every_geometry(1, geometry(3, 62, 62, 7, 2, 3), 64, true, false);  /* several strips */
    every_geometry(2, geometry(3, 20, 450, 7, 2, 3), 20, true, true);  /* rows in parts */
    every_geometry(1, geometry(3, 12, 900, 11, 4, 2), 20, false, false);
    every_geometry(1, geometry(80, 13, 13, 5, 1, 2), 70, true, false); /* k in slices */
    every_geometry(1, geometry(70, 17, 17, 8, 2, 1), 40, true, false);
    every_geometry(1, geometry(3, 9, 9, 7, 2, 9), 20, true, false);    /* tiles of padding only */
}

/* ---- accuracy -------------------------------------------------------------------------------- */
/* The shapes that are computed this way in well-known networks, at full size, against direct sums
 * in double.  Data have variance 1, weights 1/k, so that results have variance 1, and half an ulp
 * of that magnitude is 2^-11: the error of the float32 arithmetic must stay below it everywhere.
 * What is compared is rounded, which adds half an ulp of the result itself. */
static void accuracy(size_t cin, size_t size, size_t cout, size_t kernel, size_t stride)
{
    const struct kern *kern = kern_select(NULL);
    struct conv_job job = {.images = 1, .groups = 1, .cout = cout,
                           .geom = geometry(cin, size, size, kernel, stride,
                                            (ptrdiff_t)(kernel / 2)),
                           .winograd = true, .up = 1};
    const struct conv_geom *g = &job.geom;
    const size_t pixels = g->out_h * g->out_w, taps = kernel * kernel, plane = size * size;
    f16 *x = unit_values(cin * plane, 1.0), *y = fenced(cout * pixels * sizeof *y);
    f16 *w = unit_values(cout * cin * taps, 1.0 / sqrt((double)(taps * cin)));
    f16 *packed = fenced(conv_packed_size(&job.geom, 1, cout) * sizeof *packed);
    double worst = 0;
    conv_pack_weights(&job.geom, 1, cout, CONV_WEIGHTS, 1, w, packed);
    job.x = x, job.weights = packed, job.y = y, job.n_threads = 1;
    run(kern, &job);
    for (size_t i = 0; i < 4000; i++) {
        const size_t co = (size_t)(uniform() * (double)cout);
        const size_t p = (size_t)(uniform() * (double)pixels);
        double want = 0;
        for (size_t c = 0; c < cin; c++)
            for (size_t k = 0; k < taps; k++)
                want += (double)f16_to_f32(w[(co * cin + c) * taps + k]) *
                        (double)pixel(g, x + c * plane, p / g->out_w * stride + k / kernel,
                                      p % g->out_w * stride + k % kernel);
        const double got = (double)f16_to_f32(y[co * pixels + p]);
        const double rounding = ldexp(1.0, (fabs(got) < 0x1p-14 ? -14 : ilogb(got)) - 11);
        const double error = fabs(got - want) - rounding;
        worst = error > worst ? error : worst;
    }
    if (!(worst < 0x1p-11))
        fail_msg("%zu channels at %zu, kernel %zu, stride %zu: error %g", cin, size, kernel, stride,
                 worst);
    unfence(x), unfence(w), unfence(y), unfence(packed);
}

static void test_accuracy(void **state)
{
    (void)state;
    accuracy(64, 56, 64, 3, 1);
    accuracy(128, 28, 128, 3, 1);
    accuracy(256, 14, 256, 3, 1);
    accuracy(512, 14, 64, 3, 1);
    accuracy(512, 7, 512, 3, 1);
    accuracy(256, 56, 256, 3, 1);
    accuracy(512, 28, 512, 3, 1);
    accuracy(64, 33, 64, 3, 1); /* last tiles of one, two ... five pixels a side */
    accuracy(256, 11, 256, 3, 1);
    accuracy(512, 6, 512, 3, 1);
    accuracy(128, 31, 128, 3, 1);
    accuracy(128, 26, 128, 3, 1);
    accuracy(256, 27, 256, 3, 1);
    accuracy(256, 29, 256, 3, 1);
    accuracy(3, 224, 64, 7, 2);
    accuracy(3, 227, 96, 11, 4);
    accuracy(3, 320, 32, 6, 2);
    accuracy(96, 27, 256, 5, 1);
    accuracy(48, 28, 64, 5, 1);
    accuracy(256, 14, 64, 4, 1);
    accuracy(128, 28, 64, 9, 2);
    accuracy(64, 56, 64, 20, 4);
}

/* ---- the choice ------------------------------------------------------------------------------ */
static void test_choice(void **state)
{
    struct conv_geom g = geometry(64, 56, 56, 3, 1, 1), other;
    static const struct {
        size_t cin, h, w, kernel, stride, cout;
        size_t in; /* positions of a tile, a side; 0: not chosen */
    } shapes[] = {
        {64, 56, 56, 3, 1, 64, 8},   {64, 56, 56, 3, 1, 3, 0},
        {16, 32, 32, 3, 1, 16, 6},   {8, 28, 28, 3, 1, 8, 0},
        {3, 224, 224, 3, 1, 64, 0},  {128, 28, 28, 3, 1, 128, 8},
        {256, 14, 14, 3, 1, 256, 6}, {256, 18, 18, 3, 1, 256, 8},
        {512, 7, 7, 3, 1, 512, 6},   {512, 6, 6, 3, 1, 512, 6},
        {512, 5, 6, 3, 1, 512, 6},   {512, 5, 5, 3, 1, 512, 0},
        {32, 6, 6, 3, 1, 32, 6},     {512, 4, 4, 3, 1, 512, 0},
        {512, 1, 400, 3, 1, 512, 6}, /* tiles with one row of pixels */
        {3, 224, 224, 7, 2, 64, 6},  {1, 224, 224, 7, 2, 64, 0},
        {3, 227, 227, 11, 4, 96, 6}, {96, 27, 27, 5, 1, 256, 6},
        {64, 56, 56, 4, 1, 64, 6},   {128, 14, 14, 5, 2, 256, 0}, /* all those weights */
        {0, 56, 56, 3, 1, 64, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const size_t kernel = shapes[i].kernel;
        other = geometry(shapes[i].cin, shapes[i].h, shapes[i].w, kernel, shapes[i].stride,
                         (ptrdiff_t)(kernel / 2));
        const bool chosen = winograd_chosen(&other, 1, shapes[i].cout);
        const size_t in = chosen ? winograd_form(&other, shapes[i].cout).in : 0;
        if (in != shapes[i].in)
            fail_msg("shape %zu: %zu positions a side, not %zu", i, in, shapes[i].in);
    }
    assert_false(winograd_chosen(&g, 2, 64));
    other = geometry(64, 56, 56, 3, 2, 1); /* two taps */
    assert_false(winograd_possible(&other));
    other = geometry(64, 56, 56, 6, 1, 1); /* six */
    assert_false(winograd_possible(&other));
    other = geometry(64, 56, 56, 15, 5, 1);
    assert_false(winograd_possible(&other));
    other = geometry(64, 56, 56, 6, 2, 1);
    assert_true(winograd_possible(&other));
    other.kw = 7; /* three taps and four */
    assert_false(winograd_possible(&other));
    for (int i = 0; i < 4; i++) {
        size_t *const field[] = {&other.dil_h, &other.stride_w, &other.stride_h, &other.dil_w};
        other = g;
        *field[i] += 1;
        assert_false(winograd_possible(&other));
        assert_false(winograd_chosen(&other, 1, 64));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_table),
        cmocka_unit_test(test_large_tiles),
        cmocka_unit_test(test_every_kernel),
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
