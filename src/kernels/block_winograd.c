/* Winograd's convolution in blocks.
 *
 * Tiles are counted by rows of tiles, one image after the other.  A strip is some rows of tiles,
 * or, in a wide image, a part of one row.  Of a strip there are
 *
 *     V   [36][tiles][channels]   float32, the transformed input, L2
 *     U   [36][nv][channels][16]  float32, the transformed weights of a group of nv channel panels
 *                                 and a slice of the input channels, L2
 *     M   [36][tiles][nv*16]      float32, the products of a group, L2
 *
 * and the 36 matrix products run through a register tile: output channels along the vector, tiles
 * broadcast, so that no number of tiles wastes lanes.  Tiles where an image ends take part in some
 * of the positions only; they are numbered so that those of every position are neighbours.
 *
 * A task has a range of the rows of tiles and a range of the channel panels, and transforms for
 * itself whatever it needs: V is several times the bytes of its input, so that it is sooner made
 * twice than fetched from the cache of another core.  So tasks are few, and one that is through
 * helps those that have the same rows, whose V it has: the groups of a range are claimed, one after
 * the other, from a counter in shared memory.  Phase 0 sets the counters.
 *
 * Where a task has few tiles, U would go to L2 and back for too little: winograd_few makes it in
 * L1, some channels and positions at a time. */
#include "kernels/block_winograd.h"

#include "kernels/winograd.h"

#include <stdatomic.h>

enum {
    GROUP = 3,             /* panels at most: V, U and M share L2, */
    SMALL_GROUP = 4,       /* of few channels, */
    CLAIMED_GROUP = 2,     /* of which tasks help each other */
    SLICE = 256,           /* input channels of all panels of a group: U is 576 KiB */
    V_FLOATS = 320 * 1024, /* of a strip: 1.25 MiB */
    MOST_STRIP = 64,       /* tiles: M is small next to L2 */
    /* Of tables whose groups have one panel only: M and U are a third, and what their smaller
     * vectors read of V in a cycle comes from L3 in time, so weights are transformed more seldom. */
    ONE_V_FLOATS = 640 * 1024,
    ONE_MOST_STRIP = 200,
    LEAST_STRIP = 32,      /* tiles, or the weights are transformed too often */
    /* Of block_grid, where a tile times a panel costs 8 for an input channel: transforms of the
     * input of a tile, of the weights of a panel. */
    TILE_COST = 9,
    PANEL_COST = 56,
    LEAST_TASK = 1 << 15, /* multiplications, of a tile with a panel and an input channel */
};

struct wino_cut {
    struct winograd_form form;
    struct block_grid grid;       /* rows of tiles x channel panels */
    size_t row_parts;             /* strips of a row of tiles, where it is too long for one */
    size_t rows;                  /* of tiles, of all images; parts of rows */
    size_t strip_rows;            /* of the largest strip, */
    size_t strip_tiles;           /* its tiles */
    size_t panels, group;         /* channel panels, the most that a group has */
    bool few;                     /* tiles: for winograd_few, without U */
    size_t slice;                 /* input channels whose weights are transformed together */
    size_t v_tile;                /* floats from one tile to the next, */
    size_t v_pos, u_pos, m_pos;   /* from one position to the next; v_pos: unless few */
    size_t v_floats;
};

static struct wino_cut wino_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    const size_t n_threads = job->n_threads ? job->n_threads : 1;
    struct wino_cut cut = {
        .form = winograd_form(g),
        .grid = {1, 1},
        .panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL,
    };
    const size_t channels = cut.form.channels, tile_cols = cut.form.tile_cols;
    const size_t whole = (channels + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    const bool one = kern->rows_nv == 1;
    size_t most = (one ? ONE_V_FLOATS : V_FLOATS) / (WINOGRAD_POSITIONS * whole + 1);
    most = most < LEAST_STRIP ? LEAST_STRIP
                              : block_least(most, one ? ONE_MOST_STRIP : MOST_STRIP);
    cut.row_parts = (tile_cols + most - 1) / most;
    cut.rows = job->images * cut.form.tile_rows * cut.row_parts;
    cut.strip_rows = cut.row_parts > 1 ? 1 : most / tile_cols;
    if (n_threads > 1) {
        const size_t tiles = (tile_cols + cut.row_parts - 1) / cut.row_parts;
        cut.grid = block_grid_fine(cut.rows, cut.panels, n_threads, TILE_COST,
                                   (PANEL_COST + tiles - 1) / tiles,
                                   cut.rows * tiles * cut.panels * channels / LEAST_TASK);
    }
    const size_t rows = (cut.rows + cut.grid.n_rows - 1) / cut.grid.n_rows;
    const size_t panels = (cut.panels + cut.grid.n_cols - 1) / cut.grid.n_cols;
    cut.few = winograd_may_be_few(&cut.form) && rows <= cut.strip_rows &&
              rows * block_even(tile_cols, most) <= kern->few_rows;
    /* Even in a task that has the most rows: one row less, cut evenly, may have larger strips. */
    cut.strip_rows = block_even(rows, cut.strip_rows);
    cut.strip_tiles = cut.strip_rows * block_even(tile_cols, most);
    const size_t group = cut.grid.n_cols > 1               ? CLAIMED_GROUP
                         : channels <= SLICE / SMALL_GROUP ? SMALL_GROUP
                                                           : GROUP;
    cut.group = cut.few ? 1 : block_even(panels, block_least(kern->rows_nv, group));
    cut.slice = block_even(channels, SLICE / cut.group);
    /* Odd numbers of cache lines: the 36 positions of a tile must not share cache sets. */
    cut.v_tile = cut.few ? ANF_PANEL : whole;
    cut.v_pos = (cut.strip_tiles * whole / ANF_PANEL | 1) * ANF_PANEL;
    cut.v_floats = WINOGRAD_POSITIONS * (cut.few ? cut.strip_tiles * whole : cut.v_pos);
    cut.u_pos = cut.few ? 0 : (cut.group * cut.slice | 1) * ANF_PANEL;
    cut.m_pos = (cut.strip_tiles * cut.group | 1) * ANF_PANEL;
    return cut;
}

size_t winograd_tasks(const struct kern *kern, const struct conv_job *job, size_t phase)
{
    if (!job->images || !job->cout || !job->geom.out_h || !job->geom.out_w)
        return 0;
    const struct wino_cut cut = wino_cut(kern, job);
    return phase ? cut.grid.n_rows * cut.grid.n_cols : cut.grid.n_cols > 1;
}

size_t winograd_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    return (cut.v_floats + WINOGRAD_POSITIONS * (cut.u_pos + cut.m_pos)) * sizeof(float);
}

size_t winograd_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    return cut.grid.n_cols > 1 ? cut.grid.n_rows * cut.grid.n_cols * sizeof(atomic_size_t) : 0;
}

/* ---- one strip ------------------------------------------------------------------------------- */
/* Numbers of tiles: first those of a last column, whole ones, those of a last row, those of both;
 * so each position has a range of them. */
struct strip {
    size_t row, n_rows; /* of tiles, of all images */
    size_t col, n_cols;
    size_t n;           /* tiles */
    struct winograd_places places; /* of all rows */
    struct winograd_range positions[WINOGRAD_POSITIONS]; /* tiles that take part */
};

/* The rows of a strip that lie in one image. */
struct rows {
    size_t image, row, n, first; /* first: of the strip */
    struct winograd_places places;
};

/* How many of the rows before `row` are the last one of their image, and not whole. */
static size_t rest_rows_before(const struct wino_cut *cut, size_t row)
{
    return cut->form.rest_rows ? row / cut->form.tile_rows : 0;
}

/* n rows of tiles from `row` on, or that part of a row. */
static struct strip strip_at(const struct wino_cut *cut, size_t row, size_t n)
{
    const size_t part = row % cut->row_parts;
    struct strip s = {.row = row / cut->row_parts, .n_rows = n,
                      .col = block_start(cut->form.tile_cols, cut->row_parts, part)};
    s.n_cols = block_start(cut->form.tile_cols, cut->row_parts, part + 1) - s.col;
    s.n = s.n_rows * s.n_cols;
    const bool right = cut->form.rest_cols && s.col + s.n_cols == cut->form.tile_cols;
    const size_t bottom = rest_rows_before(cut, s.row + n) - rest_rows_before(cut, s.row);
    const size_t whole_rows = n - bottom, whole_cols = s.n_cols - right;
    const size_t whole = right * whole_rows, below = whole + whole_rows * whole_cols;
    const size_t corner = below + bottom * whole_cols;
    s.places = (struct winograd_places){.first = {{whole, 0}, {below, corner}},
                                        .pitch = whole_cols};
    const unsigned rows = winograd_positions(cut->form.rest_rows);
    const unsigned cols = winograd_positions(cut->form.rest_cols);
    for (size_t p = 0; p < WINOGRAD_POSITIONS; p++) {
        const bool with_right = cols >> p % WINOGRAD_IN & 1;
        const bool with_bottom = rows >> p / WINOGRAD_IN & 1;
        const size_t first = with_right ? 0 : whole;
        const size_t end = !with_bottom ? below : with_right ? s.n : corner;
        s.positions[p] = (struct winograd_range){first, end - first};
    }
    return s;
}

static bool next_rows(const struct wino_cut *cut, const struct strip *s, struct rows *r)
{
    r->first += r->n;
    if (r->first >= s->n_rows)
        return false;
    r->image = (s->row + r->first) / cut->form.tile_rows;
    r->row = (s->row + r->first) % cut->form.tile_rows;
    r->n = block_least(cut->form.tile_rows - r->row, s->n_rows - r->first);
    const size_t bottom = rest_rows_before(cut, s->row + r->first) - rest_rows_before(cut, s->row);
    const size_t whole = r->first - bottom;
    r->places = s->places;
    r->places.first[0][0] += whole * s->places.pitch;
    r->places.first[0][1] += whole;
    r->places.first[1][0] += bottom * s->places.pitch;
    r->places.first[1][1] += bottom;
    return true;
}

static void transform(const struct kern *kern, const struct conv_job *job,
                      const struct wino_cut *cut, const struct strip *s, float *v)
{
    const struct conv_geom *g = &job->geom;
    const size_t v_tile = cut->v_tile, v_pos = cut->few ? s->n * v_tile : cut->v_pos;
    const size_t v_block = cut->few ? WINOGRAD_POSITIONS * v_pos : ANF_PANEL;
    for (struct rows r = {0}; next_rows(cut, s, &r);)
        for (size_t c = 0; c < cut->form.channels; c += ANF_PANEL)
            kern->winograd_input(g, &cut->form, job->x + r.image * g->cin * g->in_h * g->in_w, c,
                                 block_least(ANF_PANEL, cut->form.channels - c), r.row, r.n, s->col,
                                 s->n_cols, &r.places, v + c / ANF_PANEL * v_block, v_pos, v_tile);
}

/* Elements of a panel of packed weights. */
static size_t panel_weights(const struct conv_geom *g)
{
    return g->cin * g->kh * g->kw * ANF_PANEL;
}

/* Weights of panels q .. q+nv-1 and channels c .. c+n-1. */
static void transform_weights(const struct kern *kern, const struct conv_job *job,
                              const struct wino_cut *cut, size_t q, size_t nv, size_t c, size_t n,
                              float *u)
{
    for (size_t i = 0; i < nv; i++)
        kern->winograd_weights(&job->geom, &cut->form,
                               job->weights + (q + i) * panel_weights(&job->geom), c, n,
                               u + i * n * ANF_PANEL, cut->u_pos);
}

/* Panels q .. q+nv-1 of the strip; U is made already if `kept`.  The weights of the next slice are
 * asked for meanwhile. */
static void multiply(const struct kern *kern, const struct conv_job *job,
                     const struct wino_cut *cut, const struct strip *s, size_t q, size_t nv,
                     bool kept, const float *v, float *u, float *m)
{
    const size_t channels = cut->form.channels, ldm = nv * ANF_PANEL, v_tile = cut->v_tile;
    const size_t all = panel_weights(&job->geom), each = all / channels;
    const f16 *const weights = job->weights + q * all;
    if (cut->few) {
        kern->winograd_few(weights, channels, v, s->n, s->positions, m, cut->m_pos);
        return;
    }
    for (size_t c = 0; c < channels; c += cut->slice) {
        const size_t n = block_least(cut->slice, channels - c), panel = n * ANF_PANEL, next = c + n;
        if (!kept)
            transform_weights(kern, job, cut, q, nv, c, n, u);
        for (size_t pos = 0; pos < WINOGRAD_POSITIONS; pos++) {
            if (next < channels)
                block_prefetch(weights + next * each, all, nv,
                               block_least(cut->slice, channels - next) * each / ANF_PANEL, pos,
                               WINOGRAD_POSITIONS);
            const struct winograd_range *tiles = &s->positions[pos];
            const size_t parts = (tiles->n + kern->rows_mr - 1) / kern->rows_mr;
            for (size_t part = 0, i = tiles->first, end; part < parts; part++, i = end) {
                /* no part with one tile only */
                end = tiles->first + block_start(tiles->n, parts, part + 1);
                kern->gemm_tile_rows(end - i, nv, n,
                                     v + pos * cut->v_pos + i * v_tile + c, v_tile,
                                     u + pos * cut->u_pos, panel, m + pos * cut->m_pos + i * ldm,
                                     ldm, c > 0, NULL);
            }
        }
    }
}

/* Output channels channel .. channel+n-1 of these rows are complete. */
static void hand_on(const struct conv_job *job, const struct wino_cut *cut, const struct strip *s,
                    const struct rows *r, size_t channel, size_t n)
{
    const struct conv_geom *g = &job->geom;
    const size_t out = cut->form.out;
    const size_t pixels = g->out_h * g->out_w, plane = r->image * job->cout + channel;
    const size_t y0 = r->row * out, x0 = s->col * out;
    const size_t height = block_least(r->n * out, g->out_h - y0);
    const size_t width = block_least(s->n_cols * out, g->out_w - x0);
    if (!job->epilogue)
        return;
    if (width == g->out_w && height == g->out_h) {
        job->epilogue(job->epilogue_arg, plane * pixels, n * pixels);
        return;
    }
    for (size_t c = 0; c < n; c++) {
        const size_t at = (plane + c) * pixels + y0 * g->out_w + x0;
        if (width == g->out_w)
            job->epilogue(job->epilogue_arg, at, height * width);
        else
            for (size_t y = 0; y < height; y++)
                job->epilogue(job->epilogue_arg, at + y * g->out_w, width);
    }
}

static void store(const struct kern *kern, const struct conv_job *job, const struct wino_cut *cut,
                  const struct strip *s, size_t q, size_t nv, const float *m)
{
    const struct conv_geom *g = &job->geom;
    const size_t pixels = g->out_h * g->out_w, ldm = nv * ANF_PANEL, out = cut->form.out;
    const size_t cols = block_least(s->n_cols * out, g->out_w - s->col * out);
    const size_t channels = block_least(nv * ANF_PANEL, job->cout - q * ANF_PANEL);
    const struct winograd_output o = {.out = out, .m_pos = cut->m_pos, .m_tile = ldm,
                                      .y_channel = pixels, .y_row = g->out_w, .relu = job->relu};
    for (struct rows r = {0}; next_rows(cut, s, &r);) {
        for (size_t i = 0; i < r.n; i++) {
            const size_t y = (r.row + i) * out;
            const bool bottom = cut->form.rest_rows && y + out > g->out_h;
            const bool right = cut->form.rest_cols && s->col * out + cols == g->out_w;
            const size_t first = winograd_place(&r.places, bottom, false, i, 0);
            const size_t last = winograd_place(&r.places, bottom, right, i, s->n_cols - 1);
            for (size_t c = 0; c < channels; c += ANF_PANEL)
                kern->winograd_output(
                    &o, m + first * ldm + c, m + last * ldm + c, s->n_cols,
                    job->bias ? job->bias + q * ANF_PANEL + c : NULL,
                    block_least(ANF_PANEL, channels - c),
                    job->y + (r.image * job->cout + q * ANF_PANEL + c) * pixels + y * g->out_w +
                        s->col * out,
                    block_least(out, g->out_h - y), cols);
        }
        if (!job->relu)
            hand_on(job, cut, s, &r, q * ANF_PANEL, channels);
    }
}

/* What a task works with. */
struct part {
    const struct kern *kern;
    const struct conv_job *job;
    const struct wino_cut *cut;
    size_t row, n_rows, strip_rows, n_strips;
    size_t strip; /* of which V is */
    size_t u_of;  /* panel from which on U is, of all channels */
    float *v, *u, *m;
};

/* Groups of the panels q0 .. q1-1 with the strips of the part, as long as there are any left. */
static void claim(struct part *p, size_t q0, size_t q1, atomic_size_t *next)
{
    const struct wino_cut *cut = p->cut;
    const size_t groups = (q1 - q0 + cut->group - 1) / cut->group, n = p->n_strips * groups;
    for (size_t i; (i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) < n;) {
        const size_t first = i / groups * p->strip_rows, q = q0 + i % groups * cut->group;
        const size_t nv = block_least(cut->group, q1 - q);
        const struct strip s = strip_at(cut, p->row + first,
                                        block_least(p->strip_rows, p->n_rows - first));
        if (p->strip != i / groups)
            transform(p->kern, p->job, cut, &s, p->v);
        p->strip = i / groups;
        multiply(p->kern, p->job, cut, &s, q, nv, p->u_of == q, p->v, p->u, p->m);
        p->u_of = cut->slice < cut->form.channels ? SIZE_MAX : q;
        store(p->kern, p->job, cut, &s, q, nv, p->m);
    }
}

void winograd_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
                   void *shared, void *own)
{
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t cols = cut.grid.n_cols, i = task / cols;
    atomic_size_t *counters = shared, alone = 0;
    if (!phase) {
        for (size_t k = 0; k < cut.grid.n_rows * cols; k++)
            atomic_init(&counters[k], 0);
        return;
    }
    struct part p = {.kern = kern, .job = job, .cut = &cut, .strip = SIZE_MAX,
                     .u_of = SIZE_MAX, .v = own,
                     .row = block_start(cut.rows, cut.grid.n_rows, i)};
    p.n_rows = block_start(cut.rows, cut.grid.n_rows, i + 1) - p.row;
    p.strip_rows = block_even(p.n_rows, cut.strip_rows);
    p.n_strips = (p.n_rows + p.strip_rows - 1) / p.strip_rows;
    p.u = p.v + cut.v_floats;
    p.m = p.u + WINOGRAD_POSITIONS * cut.u_pos;
    for (size_t k = 0; k < cols; k++) {
        const size_t j = (task + k) % cols;
        claim(&p, block_start(cut.panels, cols, j), block_start(cut.panels, cols, j + 1),
              cols > 1 ? &counters[i * cols + j] : &alone);
    }
}
