/* Winograd's convolution in blocks; winograd.h has the arithmetic.
 *
 * Tiles are counted by rows of tiles, one image after the other.  A task has a range of them, cut
 * in strips: whole rows where there are many, any tiles where that would leave threads idle or a
 * row is too long.  Of a strip there are, float32 and in L2,
 *
 *     V   [in*in][tiles][channels]   the transformed input
 *     U   [rows][in][nv][channels][16]   some rows of the transformed weights of a group of nv
 *         channel panels and a slice of the input channels
 *     M   [in*in][tiles][nv*16]      the products of a group
 *
 * and the matrix products of all positions run through a register tile: output channels along the
 * vector, tiles broadcast, so that no number of tiles wastes lanes.  Tiles where an image ends take
 * part in some of the positions only; they are numbered so that those of every position are
 * neighbours.
 *
 * A task has a range of the channel panels as well, and transforms for itself whatever it needs: V
 * is several times the bytes of its input, so that it is sooner made twice than fetched from the
 * cache of another core.  So tasks are few, and one that is through helps those that have the same
 * tiles, whose V it has: the groups of a range are claimed, one after the other, from a counter in
 * shared memory.  Phase 0 sets the counters.
 *
 * Where a task has few tiles, U would go to L2 and back for too little: winograd_few makes it in
 * L1, some channels and positions at a time. */
#include "kernels/conv_way.h"
#include "kernels/winograd.h"

#include <stdatomic.h>

enum {
    GROUP = 2,             /* panels, or all of them, if U of all is no larger than */
    U_FLOATS = 128 * 1024, /* of U at a time, as V, U and M share L2: 512 KiB */
    U_ROWS = 2,            /* of U at a time, if it is not kept for the next strip */
    V_FLOATS = 320 * 1024, /* of a strip: 1.25 MiB */
    MOST_STRIP = 64,       /* tiles: M is small next to L2 */
    /* Of tables whose groups have one panel only: M is smaller, and what their smaller vectors read
     * of V in a cycle comes from L3 in time, so weights are transformed more seldom. */
    ONE_V_FLOATS = 640 * 1024,
    ONE_MOST_STRIP = 200,
    LEAST_STRIP = 32,      /* tiles, or the weights are transformed too often */
    MANY_ROWS = 16,        /* of tiles, of a task: one more or less makes no difference */
    /* Of block_grid, where a tile times a panel costs 8 for an input channel: transforms of the
     * input of a tile, of the weights of a panel. */
    TILE_COST = 9,
    PANEL_COST = 90,
    LEAST_TASK = 1 << 15, /* multiplications, of a tile with a panel and an input channel */
};

struct wino_cut {
    struct winograd_form form;
    size_t positions;
    struct block_grid grid;       /* tiles x channel panels */
    size_t tiles, unit;           /* of all images; those that tasks and strips are multiples of */
    size_t strip_tiles;           /* of the largest strip */
    size_t panels, group;         /* channel panels, the most that a group has */
    bool few;                     /* tiles: for winograd_few, without U */
    bool kept;                    /* U, from one strip to the next */
    size_t u_rows, slice;         /* of U, input channels that are made together */
    size_t v_tile;                /* floats from one tile to the next, */
    size_t v_pos, u_pos, m_pos;   /* from one position to the next; v_pos: unless few */
    size_t v_floats;
};

/* What the strips of so many tiles have, but for the last one. */
static size_t strip_tiles(const struct wino_cut *cut, size_t tiles, size_t most)
{
    return block_even(tiles / cut->unit, most / cut->unit) * cut->unit;
}

static struct wino_cut wino_cut(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    const size_t n_threads = job->n_threads;
    struct wino_cut cut = {
        .form = winograd_form(g, job->cout),
        .grid = {1, 1},
        .panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL,
    };
    const size_t channels = cut.form.channels, tile_cols = cut.form.tile_cols;
    const size_t positions = cut.positions = cut.form.in * cut.form.in;
    const size_t whole = (channels + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    const bool one = kern->rows_nv == 1;
    size_t most = (one ? ONE_V_FLOATS : V_FLOATS) / (positions * whole + 1);
    most = most < LEAST_STRIP ? LEAST_STRIP
                              : block_least(most, one ? ONE_MOST_STRIP : MOST_STRIP);
    const size_t tile_rows = job->images * cut.form.tile_rows;
    const bool in_rows = tile_cols <= most && (n_threads == 1 || tile_rows > MANY_ROWS * n_threads);
    cut.unit = in_rows ? tile_cols : 1;
    cut.tiles = tile_rows * tile_cols;
    if (n_threads > 1)
        cut.grid = block_grid_fine(cut.tiles / cut.unit, cut.panels, n_threads, TILE_COST,
                                   (PANEL_COST + cut.unit - 1) / cut.unit,
                                   cut.tiles * cut.panels * channels / LEAST_TASK);
    const size_t tiles = (cut.tiles / cut.unit + cut.grid.n_rows - 1) / cut.grid.n_rows * cut.unit;
    const size_t panels = (cut.panels + cut.grid.n_cols - 1) / cut.grid.n_cols;
    cut.few = winograd_may_be_few(&cut.form) && tiles <= block_least(most, kern->few_rows);
    cut.strip_tiles = strip_tiles(&cut, tiles, most);
    const size_t all_u = positions * panels * channels * ANF_PANEL;
    const bool small = panels <= kern->rows_nv && all_u <= U_FLOATS;
    cut.group = cut.few  ? 1
                : small ? panels
                        : block_even(panels, block_least(kern->rows_nv, GROUP));
    cut.kept = small && tiles > cut.strip_tiles;
    cut.u_rows = cut.kept || !winograd_has_rows(&cut.form) ? cut.form.in : U_ROWS;
    cut.slice = block_even(channels, U_FLOATS / (cut.u_rows * cut.form.in * cut.group * ANF_PANEL));
    /* Odd numbers of cache lines: the positions of a tile must not share cache sets. */
    cut.v_tile = cut.few ? ANF_PANEL : whole;
    cut.v_pos = (cut.strip_tiles * whole / ANF_PANEL | 1) * ANF_PANEL;
    cut.v_floats = positions * (cut.few ? cut.strip_tiles * whole : cut.v_pos);
    cut.u_pos = cut.few ? 0 : (cut.group * cut.slice | 1) * ANF_PANEL;
    cut.m_pos = (cut.strip_tiles * cut.group | 1) * ANF_PANEL;
    return cut;
}

static bool winograd_is_set(const struct kern *kern, const struct conv_job *job)
{
    (void)kern;
    return job->winograd;
}

static size_t winograd_tasks(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    return cut.grid.n_rows * cut.grid.n_cols;
}

enum scratch { INPUT, WEIGHTS, PRODUCTS, N_SCRATCH };

static void scratch_floats(const struct wino_cut *cut, size_t n[N_SCRATCH])
{
    n[INPUT] = cut->v_floats;
    n[WEIGHTS] = cut->u_rows * cut->form.in * cut->u_pos;
    n[PRODUCTS] = cut->positions * cut->m_pos;
}

static size_t winograd_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct wino_cut cut = wino_cut(kern, job);
    size_t n[N_SCRATCH];
    scratch_floats(&cut, n);
    return block_bytes(N_SCRATCH, n);
}

/* Threads with the same tiles need counters. */
static size_t winograd_prepare_tasks(const struct kern *kern, const struct conv_job *job)
{
    return wino_cut(kern, job).grid.n_cols > 1;
}

static size_t winograd_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    const struct block_grid grid = wino_cut(kern, job).grid;
    return grid.n_cols > 1 ? grid.n_rows * grid.n_cols * sizeof(atomic_size_t) : 0;
}

/* ---- one strip ------------------------------------------------------------------------------- */
/* Tiles of a kind, see winograd_places, of all images. */
struct kinds {
    size_t n[2][2]; /* [bottom][right] */
};

/* Those before `tile`. */
static struct kinds kinds_before(const struct wino_cut *cut, size_t tile)
{
    const size_t cols = cut->form.tile_cols, image = cut->form.tile_rows * cols;
    const size_t above = image - cols, in_image = tile % image;
    const size_t right = cut->form.rest_cols ? tile / cols : 0;
    const size_t bottom = cut->form.rest_rows
                              ? tile / image * cols + (in_image > above ? in_image - above : 0)
                              : 0;
    const size_t both = cut->form.rest_rows && cut->form.rest_cols ? tile / image : 0;
    return (struct kinds){{{tile - right - bottom + both, right - both}, {bottom - both, both}}};
}

/* Numbers of tiles: first those of a last column, whole ones, those of a last row, those of both;
 * so each position has a range of them. */
struct strip {
    size_t tile, n;                 /* tiles, of all images */
    size_t first[2][2];             /* of a kind */
    struct winograd_range positions[WINOGRAD_POSITIONS]; /* tiles that take part */
};

/* A rectangle of a strip: neighbouring rows of tiles of one image, or a part of one row. */
struct piece {
    size_t image, row, n_rows, col, n_cols;
    struct winograd_places places;
};

static struct strip strip_at(const struct wino_cut *cut, size_t tile, size_t n)
{
    const struct kinds begin = kinds_before(cut, tile), end = kinds_before(cut, tile + n);
    struct strip s = {.tile = tile, .n = n};
    const size_t whole = end.n[0][1] - begin.n[0][1];
    const size_t below = whole + end.n[0][0] - begin.n[0][0];
    const size_t corner = below + end.n[1][0] - begin.n[1][0];
    const unsigned rows = winograd_positions(&cut->form, cut->form.rest_rows);
    const unsigned cols = winograd_positions(&cut->form, cut->form.rest_cols);
    s.first[0][0] = whole, s.first[1][0] = below, s.first[1][1] = corner;
    for (size_t p = 0; p < cut->positions; p++) {
        const bool with_right = cols >> p % cut->form.in & 1;
        const bool with_bottom = rows >> p / cut->form.in & 1;
        const size_t first = with_right ? 0 : whole;
        const size_t last = !with_bottom ? below : with_right ? n : corner;
        s.positions[p] = (struct winograd_range){first, last - first};
    }
    return s;
}

/* The piece that begins with tile *tile of the strip, and where the next one does. */
static bool next_piece(const struct wino_cut *cut, const struct strip *s, size_t *tile,
                       struct piece *p)
{
    const size_t cols = cut->form.tile_cols, rows = cut->form.tile_rows;
    const size_t at = s->tile + *tile, left = s->n - *tile;
    if (!left)
        return false;
    *p = (struct piece){.image = at / cols / rows, .row = at / cols % rows, .col = at % cols,
                        .n_rows = 1, .n_cols = block_least(cols - at % cols, left)};
    if (p->n_cols == cols)
        p->n_rows = block_least(rows - p->row, left / cols);
    *tile += p->n_rows * p->n_cols;
    const struct kinds begin = kinds_before(cut, s->tile), here = kinds_before(cut, at);
    for (size_t i = 0; i < 4; i++)
        p->places.first[i / 2][i % 2] = s->first[i / 2][i % 2] + here.n[i / 2][i % 2] -
                                        begin.n[i / 2][i % 2];
    p->places.pitch = cols - (cut->form.rest_cols > 0);
    return true;
}

static void transform(const struct kern *kern, const struct conv_job *job,
                      const struct wino_cut *cut, const struct strip *s, float *v)
{
    const struct conv_geom *g = &job->geom;
    const size_t v_tile = cut->v_tile, v_pos = cut->few ? s->n * v_tile : cut->v_pos;
    const size_t v_block = cut->few ? cut->positions * v_pos : ANF_PANEL;
    struct piece p;
    for (size_t tile = 0; next_piece(cut, s, &tile, &p);)
        for (size_t c = 0; c < cut->form.channels; c += ANF_PANEL)
            kern->winograd_input(g, &cut->form, job->x + p.image * g->cin * g->in_h * g->in_w, c,
                                 block_least(ANF_PANEL, cut->form.channels - c), p.row, p.n_rows,
                                 p.col, p.n_cols, &p.places, v + c / ANF_PANEL * v_block, v_pos,
                                 v_tile);
}

/* Elements of a panel of packed weights. */
static size_t panel_weights(const struct conv_geom *g)
{
    return g->cin * g->kh * g->kw * ANF_PANEL;
}

/* Rows of U from `row` on, of panels q .. q+nv-1 and channels c .. c+n-1. */
static void transform_weights(const struct kern *kern, const struct conv_job *job,
                              const struct wino_cut *cut, size_t q, size_t nv, size_t c, size_t n,
                              size_t row, float *u)
{
    for (size_t i = 0; i < nv; i++)
        kern->winograd_weights(&job->geom, &cut->form,
                               job->weights + (q + i) * panel_weights(&job->geom), c, n, row,
                               cut->u_rows, u + i * n * ANF_PANEL, cut->u_pos);
}

/* Asks for part `part` of `parts` of the next slice of packed weights: kc rows of n_panels
 * panels that lie `stride` elements apart.  Slices are short and far from each other, so that
 * the hardware would meet each of them with a miss; the parts are spread over the multiplication
 * before. */
static void prefetch(const f16 *from, size_t stride, size_t n_panels, size_t kc,
                     size_t part, size_t parts)
{
    const size_t lines = (kc * ANF_PANEL + 31) / 32;
    size_t at = block_start(n_panels * lines, parts, part);
    const size_t end = block_start(n_panels * lines, parts, part + 1);
    for (size_t v = lines ? at / lines : 0; at < end; v++)
        for (size_t line = at - v * lines; line < lines && at < end; line++, at++)
            __builtin_prefetch(from + v * stride + line * 32);
}

/* Panels q .. q+nv-1 of the strip; U is made already if `kept`.  The weights of the next slice are
 * asked for meanwhile. */
static void multiply(const struct kern *kern, const struct conv_job *job,
                     const struct wino_cut *cut, const struct strip *s, size_t q, size_t nv,
                     bool kept, const float *v, float *u, float *m)
{
    const size_t channels = cut->form.channels, ldm = nv * ANF_PANEL, v_tile = cut->v_tile;
    const size_t all = panel_weights(&job->geom), each = all / channels;
    const size_t in_u = cut->u_rows * cut->form.in;
    const f16 *const weights = job->weights + q * all;
    if (cut->few) {
        kern->winograd_few(weights, channels, v, s->n, s->positions, m, cut->m_pos);
        return;
    }
    for (size_t c = 0; c < channels; c += cut->slice) {
        const size_t n = block_least(cut->slice, channels - c), next = c + n;
        struct gemm_tile t = {.kc = n, .a_k = v_tile, .b_panel = n * ANF_PANEL, .ldc = ldm,
                              .accumulate = c > 0};
        for (size_t pos = 0; pos < cut->positions; pos++) {
            if (pos % in_u == 0 && !kept)
                transform_weights(kern, job, cut, q, nv, c, n, pos / cut->form.in, u);
            if (next < channels)
                prefetch(weights + next * each, all, nv,
                         block_least(cut->slice, channels - next) * each / ANF_PANEL, pos,
                         cut->positions);
            t.b = u + pos % in_u * cut->u_pos;
            const struct winograd_range *tiles = &s->positions[pos];
            const size_t parts = (tiles->n + kern->rows_mr - 1) / kern->rows_mr;
            for (size_t part = 0, i = tiles->first, end; part < parts; part++, i = end) {
                /* no part with one tile only */
                end = tiles->first + block_start(tiles->n, parts, part + 1);
                t.a = v + pos * cut->v_pos + i * v_tile + c;
                t.c = m + pos * cut->m_pos + i * ldm;
                kern->gemm_tile_rows(end - i, nv, &t);
            }
        }
    }
}

/* Output channels channel .. channel+n-1 of the piece are complete. */
static void hand_on(const struct conv_job *job, const struct wino_cut *cut, const struct piece *p,
                    size_t channel, size_t n)
{
    const struct conv_geom *g = &job->geom;
    const size_t out = cut->form.out, plane = p->image * job->cout + channel;
    const size_t y0 = p->row * out, x0 = p->col * out;
    const size_t height = block_least(p->n_rows * out, g->out_h - y0);
    const size_t width = block_least(p->n_cols * out, g->out_w - x0);
    const bool rows = width == g->out_w; /* are one run */
    for (size_t y = 0; y < height; y += rows ? height : 1)
        conv_hand_on(job, plane, n, (y0 + y) * g->out_w + x0, rows ? height * width : width);
}

static void store(const struct kern *kern, const struct conv_job *job, const struct wino_cut *cut,
                  const struct strip *s, size_t q, size_t nv, const float *m)
{
    const struct conv_geom *g = &job->geom;
    const struct winograd_form *f = &cut->form;
    const size_t pixels = g->out_h * g->out_w, ldm = nv * ANF_PANEL, out = f->out;
    const size_t channels = block_least(nv * ANF_PANEL, job->cout - q * ANF_PANEL);
    const struct winograd_output o = {.in = f->in, .out = out, .m_pos = cut->m_pos, .m_tile = ldm,
                                      .y_channel = pixels, .y_row = g->out_w, .relu = job->relu};
    struct piece p;
    for (size_t tile = 0; next_piece(cut, s, &tile, &p);) {
        const bool right = f->rest_cols && p.col + p.n_cols == f->tile_cols;
        const size_t cols = block_least(p.n_cols * out, g->out_w - p.col * out);
        for (size_t i = 0; i < p.n_rows; i++) {
            const size_t y = (p.row + i) * out;
            const bool bottom = f->rest_rows && p.row + i + 1 == f->tile_rows;
            const size_t first = winograd_place(&p.places, bottom, false, i, 0);
            const size_t last = winograd_place(&p.places, bottom, right, i, p.n_cols - 1);
            for (size_t c = 0; c < channels; c += ANF_PANEL)
                kern->winograd_output(
                    &o, m + first * ldm + c, m + last * ldm + c, p.n_cols,
                    job->bias ? job->bias + q * ANF_PANEL + c : NULL,
                    block_least(ANF_PANEL, channels - c),
                    job->y + (p.image * job->cout + q * ANF_PANEL + c) * pixels + y * g->out_w +
                        p.col * out,
                    block_least(out, g->out_h - y), cols);
        }
        hand_on(job, cut, &p, q * ANF_PANEL, channels);
    }
}

/* What a task works with. */
struct part {
    const struct kern *kern;
    const struct conv_job *job;
    const struct wino_cut *cut;
    size_t tile, n_tiles, strip_tiles, n_strips;
    size_t strip; /* of which V is */
    size_t u_of;  /* panel from which on U is, if it is kept */
    float *v, *u, *m;
};

/* Groups of the panels q0 .. q1-1 with the strips of the part, as long as there are any left. */
static void claim(struct part *p, size_t q0, size_t q1, atomic_size_t *next)
{
    const struct wino_cut *cut = p->cut;
    const size_t groups = (q1 - q0 + cut->group - 1) / cut->group, n = p->n_strips * groups;
    for (size_t i; (i = atomic_fetch_add_explicit(next, 1, memory_order_relaxed)) < n;) {
        const size_t first = i / groups * p->strip_tiles, q = q0 + i % groups * cut->group;
        const size_t nv = block_least(cut->group, q1 - q);
        const struct strip s = strip_at(cut, p->tile + first,
                                        block_least(p->strip_tiles, p->n_tiles - first));
        if (p->strip != i / groups)
            transform(p->kern, p->job, cut, &s, p->v);
        p->strip = i / groups;
        multiply(p->kern, p->job, cut, &s, q, nv, p->u_of == q, p->v, p->u, p->m);
        p->u_of = cut->kept ? q : SIZE_MAX;
        store(p->kern, p->job, cut, &s, q, nv, p->m);
    }
}

static void winograd_prepare(const struct kern *kern, const struct conv_job *job,
                             const struct conv_run *run)
{
    const struct block_grid grid = wino_cut(kern, job).grid;
    atomic_size_t *counters = run->shared;
    for (size_t k = 0; k < grid.n_rows * grid.n_cols; k++)
        atomic_init(&counters[k], 0);
}

static void winograd_run(const struct kern *kern, const struct conv_job *job,
                         const struct conv_run *run)
{
    const struct wino_cut cut = wino_cut(kern, job);
    const size_t cols = cut.grid.n_cols, i = run->task / cols, units = cut.tiles / cut.unit;
    atomic_size_t *counters = run->shared, alone = 0;
    float *at[N_SCRATCH];
    size_t n[N_SCRATCH];
    scratch_floats(&cut, n);
    block_lay(N_SCRATCH, n, run->own, at);
    struct part p = {.kern = kern, .job = job, .cut = &cut, .strip = SIZE_MAX,
                     .u_of = SIZE_MAX, .v = at[INPUT], .u = at[WEIGHTS], .m = at[PRODUCTS],
                     .tile = block_start(units, cut.grid.n_rows, i) * cut.unit};
    p.n_tiles = block_start(units, cut.grid.n_rows, i + 1) * cut.unit - p.tile;
    /* Even in a task that has the most: a tile less, cut evenly, may have larger strips. */
    p.strip_tiles = strip_tiles(&cut, p.n_tiles, cut.strip_tiles);
    p.n_strips = (p.n_tiles + p.strip_tiles - 1) / p.strip_tiles;
    for (size_t k = 0; k < cols; k++) {
        const size_t j = (run->task + k) % cols;
        claim(&p, block_start(cut.panels, cols, j), block_start(cut.panels, cols, j + 1),
              cols > 1 ? &counters[i * cols + j] : &alone);
    }
}

const struct conv_way conv_winograd = {
    .chosen = winograd_is_set,
    .tasks = winograd_tasks,
    .run = winograd_run,
    .thread_bytes = winograd_thread_bytes,
    .prepare_tasks = winograd_prepare_tasks,
    .prepare = winograd_prepare,
    .shared_bytes = winograd_shared_bytes,
};
