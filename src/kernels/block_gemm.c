/* Matrix multiplication in blocks.
 *
 * A task owns a rectangle of one matrix of the batch and needs nobody else.  For more rows than
 * one register tile it packs its rows once over the whole of k, unless the task before has done so,
 * then walks the columns:
 *
 *     A block   [slices][strips][kc][strip rows]   float32, L2 (one slice of k at a time)
 *     B block   [panels][kc][16]                   float32, L1: the panels of one tile
 *     C block   [rows][columns]                    float32, L2, where sums wait between two slices
 *
 * B is widened once per block of rows.  With few rows that would cost more than the
 * multiplication: they read the binary16 panels directly, once, from wherever they are.  A last
 * panel of a few columns would be mostly empty: they are computed one by one, with vectors along
 * the rows; so are those of which only the non-zeros are multiplied with.  All give the same bits,
 * so the shape alone decides. */
#include "kernels/block_gemm.h"

enum {
    SMALL_JOB = 3 << 15,    /* multiply-adds not worth a second thread, */
    LEAST_PART = 5 << 17,   /* nor another part for each */
    FEW_ROWS = 8,
    /* What packing costs, of block_grid; a single row is not transposed. */
    PACK_ROW = 1, PACK_STRIP = 6, PACK_PANEL = 4,
    FINE_FEW = 8, /* as BLOCK_FINE, for few rows */
    LEAST_TILES = 2, /* side by side in a part that is cut for the balance only */
    MAX_A_FLOATS = 1 << 22, /* packed A of one thread: 16 MiB */
    EPILOGUE_RUN = 4096,    /* elements that are handed on together */
    /* The most columns of a last panel that are computed one by one, and the rows from which on one
     * of them costs less than its share of the panel. */
    FEW_COLUMNS = 4,
    COLUMN_ROWS = 16,
    TALL_PANELS = 12, /* that repay packing strips taller than what is transposed at once */
};

/* ---- the shape of a job ---------------------------------------------------------------------- */
struct gemm_cut {
    struct block_grid grid;
    size_t panels;     /* of the whole matrix */
    size_t block_rows; /* most of a part */
    size_t block_panels;
    size_t mr, nv;     /* of the largest tile, for many rows */
    size_t kc, ldc;
};

/* Rows of a tile that expands panels as it reads them. */
static size_t few_rows(const struct kern *kern, const struct gemm_job *job)
{
    return job->b_kind == GEMM_B_PACKED ? kern->few_rows : kern->mr;
}

static bool reads_panels(const struct kern *kern, const struct gemm_job *job)
{
    return job->b_kind != GEMM_B_ROWS && job->b_kind != GEMM_B_COLS &&
           job->b_kind != GEMM_B_SPARSE_T && (job->m <= few_rows(kern, job) || job->m <= FEW_ROWS);
}

static struct gemm_cut gemm_cut(const struct kern *kern, const struct gemm_job *job)
{
    struct gemm_cut cut = {.grid = {1, 1}, .panels = (job->n + ANF_PANEL - 1) / ANF_PANEL};
    /* Multiples of mr rows are packed in whole runs, which counts where columns are few. */
    const bool tall = cut.panels >= TALL_PANELS || job->m % kern->mr;
    const bool nonzeros = job->b_kind == GEMM_B_SPARSE_T;
    cut.mr = nonzeros ? kern->sparse_rows : tall ? kern->tall_mr : kern->mr;
    cut.nv = tall ? kern->tall_nv : kern->nv;
    const size_t strips = (job->m + cut.mr - 1) / cut.mr;
    const size_t n_threads = block_threads(job->batch, job->n_threads);
    const bool few = reads_panels(kern, job);
    size_t most_parts = 1;
    if (job->n_threads > 1 && job->m * job->n * job->k * job->batch > SMALL_JOB) {
        cut.grid = block_grid(few ? 1 : strips, cut.panels, n_threads,
                              job->m == 1 ? PACK_ROW : PACK_STRIP, PACK_PANEL);
        most_parts = block_least((few ? FINE_FEW : BLOCK_FINE) * n_threads,
                                 job->m * job->n * job->k / LEAST_PART);
    }
    if (!few) {
        size_t most = kern->mc; /* rows that are packed together */
        while (most > 4 * cut.mr && most * job->k > MAX_A_FLOATS)
            most /= 2;
        const size_t part = (job->m + cut.grid.n_rows - 1) / cut.grid.n_rows;
        cut.grid.n_rows *= (part + most - 1) / most;
    }
    /* A thread packs its rows once for all parts that have them. */
    while (2 * cut.grid.n_rows * cut.grid.n_cols <= most_parts &&
           cut.panels >= 2 * cut.grid.n_cols * LEAST_TILES * cut.nv)
        cut.grid.n_cols *= 2;
    cut.block_rows = (job->m + cut.grid.n_rows - 1) / cut.grid.n_rows;
    cut.block_panels = block_least(cut.panels, kern->nc / ANF_PANEL);
    cut.kc = nonzeros ? WEIGHT_GROUP : block_even(job->k, tall ? kern->tall_kc : kern->kc);
    if (job->b_kind == GEMM_B_INT4) /* its tile begins with a whole word of indices */
        cut.kc = weight_words(cut.kc) * WEIGHT_PER_WORD;
    /* Odd: the rows of a tile must not share cache sets. */
    cut.ldc = (cut.block_panels | 1) * ANF_PANEL;
    return cut;
}

/* Of GEMM_B_SPARSE_T: what a row of a strip takes in scratch, in whole vectors of any table; strips
 * lie there as [strips][k][room]. */
static size_t strip_room(const struct gemm_cut *cut)
{
    return (block_least(cut->block_rows, cut->mr) + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
}

enum scratch { ROWS, SUMS, PANELS, N_SCRATCH };

static void scratch_floats(const struct kern *kern, const struct gemm_job *job,
                           const struct gemm_cut *cut, size_t n[N_SCRATCH])
{
    n[ROWS] = cut->block_rows * job->k;
    n[SUMS] = cut->block_rows * cut->ldc;
    n[PANELS] = reads_panels(kern, job) ? 0 : cut->kc * cut->nv * ANF_PANEL;
    if (job->b_kind == GEMM_B_SPARSE_T) {
        n[ROWS] = (cut->block_rows + cut->mr - 1) / cut->mr * job->k * strip_room(cut);
        n[SUMS] = cut->block_panels * ANF_PANEL * strip_room(cut);
        n[PANELS] = 0;
    }
}

size_t gemm_tasks(const struct kern *kern, const struct gemm_job *job)
{
    if (!job->batch || !job->m || !job->n)
        return 0;
    const struct gemm_cut cut = gemm_cut(kern, job);
    return job->batch * cut.grid.n_rows * cut.grid.n_cols;
}

size_t gemm_thread_bytes(const struct kern *kern, const struct gemm_job *job)
{
    const struct gemm_cut cut = gemm_cut(kern, job);
    size_t n[N_SCRATCH];
    scratch_floats(kern, job, &cut, n);
    return block_bytes(N_SCRATCH, n);
}

/* ---- one block ------------------------------------------------------------------------------- */
static f16 *output(const struct gemm_job *job, size_t z, size_t i, size_t j)
{
    return job->c + z * job->c_batch + i * job->c_row + j;
}

/* What finished sums are multiplied with, column by column; NULL: nothing. */
static const f16 *column_scale(const struct gemm_job *job)
{
    return job->b_kind == GEMM_B_INT8 ? job->b_side : NULL;
}

/* n finished float32 sums to binary16, with a run of biases or without (NULL). */
static void store_run(const struct kern *kern, const float *s, const f16 *bias, f16 *y,
                      size_t n)
{
    if (bias)
        kern->add_bias_run(s, bias, y, n);
    else
        kern->f16_from_f32(s, y, n);
}

/* The sums of all rows and of columns from j0 are final. */
static void store_sums(const struct kern *kern, const struct gemm_job *job, size_t z, size_t j0,
                       size_t cols, float *c, size_t ldc)
{
    const f16 *scale = column_scale(job);
    const f16 *bias = job->bias ? job->bias + j0 : NULL;
    for (size_t i = 0; i < job->m; i++) {
        if (scale)
            kern->scale_columns(c + i * ldc, scale + j0, cols);
        store_run(kern, c + i * ldc, bias, output(job, z, i, j0), cols);
    }
}

/* Rows i0 .. i0+rows-1 and columns from j0 of the output are complete. */
static void hand_on(const struct gemm_job *job, size_t z, size_t i0, size_t rows, size_t j0,
                    size_t cols)
{
    const bool dense = cols == job->n && job->c_row == job->n;
    const size_t together = dense && cols < EPILOGUE_RUN ? EPILOGUE_RUN / cols : 1;
    if (!job->epilogue)
        return;
    for (size_t i = 0; i < rows; i += together) {
        const size_t n = block_least(together, rows - i);
        job->epilogue(job->epilogue_arg, (z * job->m + i0 + i) * job->n + j0,
                      dense ? n * cols : cols);
    }
}

static struct weight_panel encoded_panel(const struct gemm_job *job, size_t q)
{
    return weight_panel_at(gemm_b_encoding(job->b_kind), job->b, job->b_side, job->k, job->b_block,
                           q);
}

/* Where a slice of B lies, for asking ahead: rows of `width` elements in panels that lie `stride`
 * elements apart.  B that is no weight is read when it is packed. */
struct slice {
    const f16 *at;
    size_t stride, width;
};

static struct slice slice_at(const struct gemm_job *job, size_t q, size_t k0)
{
    const enum weight_encoding encoding = gemm_b_encoding(job->b_kind);
    if (job->b_kind == GEMM_B_ROWS || job->b_kind == GEMM_B_COLS || !job->k)
        return (struct slice){job->b, 0, 0};
    const struct weight_panel panel = encoded_panel(job, q);
    const f16 *at = weight_rows_at(encoding, &panel, k0);
    struct slice s = {at, 0, weight_row_bytes[encoding] / sizeof(f16)};
    if ((q + 1) * ANF_PANEL < job->n) {
        const struct weight_panel beside = encoded_panel(job, q + 1);
        s.stride = (size_t)((const f16 *)weight_rows_at(encoding, &beside, k0) - at);
    }
    return s;
}

/* What an encoding is expanded by: into a tile's sums, to float32, and to float32 by the first
 * strip while it multiplies.  NULL for what is not done so. */
struct expansion {
    gemm_tile_weights_fn *tile;
    widen_weights_fn *widen;
    gemm_tile_fn *tile_widen;
};

static struct expansion expansion_of(const struct kern *kern, enum gemm_b kind)
{
    const struct expansion of[GEMM_B_COUNT] = {
        [GEMM_B_INT8] = {kern->gemm_tile_int8, kern->widen_int8, kern->gemm_tile_widen_int8},
        [GEMM_B_INT4] = {kern->gemm_tile_int4, kern->widen_int4, kern->gemm_tile_widen_int4},
        [GEMM_B_SPARSE] = {kern->gemm_tile_sparse, kern->widen_sparse, NULL},
        [GEMM_B_BLOCKWISE] = {kern->gemm_tile_blockwise, kern->widen_blockwise, NULL},
        [GEMM_B_LISTS] = {kern->gemm_tile_lists, NULL, NULL},
    };
    return of[kind];
}

/* The rows that begin at x. */
static void pack_block(const struct kern *kern, const f16 *x, size_t ldx,
                       const struct gemm_rows *to, float *a)
{
    for (size_t i = 0; i < to->n; i += to->h) {
        const size_t m = block_least(to->h, to->n - i);
        for (size_t k0 = 0, nk; k0 < to->k; k0 += nk) {
            nk = block_least(to->kc, to->k - k0);
            kern->pack_rows(x + i * ldx + k0, ldx, m, nk, a + k0 * to->n + i * nk, m);
        }
    }
}

/* B[k0 .. k0+kc][panels q .. q+n_panels] of a matrix that is not packed in binary16, in float32. */
static void pack_b(const struct kern *kern, const struct gemm_job *job, widen_weights_fn *widen,
                   size_t z, size_t k0, size_t kc, size_t q, size_t n_panels, float *b)
{
    const size_t j0 = q * ANF_PANEL, n = block_least(n_panels * ANF_PANEL, job->n - j0);
    if (widen) {
        for (size_t v = 0; v < n_panels; v++) {
            const struct weight_panel panel = encoded_panel(job, q + v);
            widen(&panel, k0, kc, b + v * kc * ANF_PANEL);
        }
        return;
    }
    const f16 *from = job->b + z * job->b_batch;
    if (job->b_kind == GEMM_B_ROWS)
        kern->pack_panels(from + k0 * job->b_row + j0, job->b_row, kc, n, b, kc * ANF_PANEL);
    else
        kern->pack_panels_t(from + j0 * job->b_row + k0, job->b_row, kc, n, b, kc * ANF_PANEL);
}

/* A tile of rows i .. i+rows-1, over panels q .. q+nv-1: sums of encoded weights to c, results of
 * others to the output. */
static void tile_panels(const struct kern *kern, const struct gemm_job *job,
                        gemm_tile_weights_fn *tile, size_t z, size_t i, size_t rows, size_t nv,
                        size_t q, const float *a, float *c, size_t ldc)
{
    struct weight_panel panels[WEIGHT_TILE_PANELS];
    const size_t j0 = q * ANF_PANEL;
    if (!tile) {
        const struct gemm_out out = {.y = output(job, z, i, j0), .ldy = job->c_row,
                                     .bias = job->bias ? job->bias + j0 : NULL,
                                     .cols = block_least(nv * ANF_PANEL, job->n - j0)};
        kern->gemm_tile_f16(rows, nv, &(struct gemm_tile){
            .kc = job->k, .a = a, .a_k = rows, .b = job->b + j0 * job->k,
            .b_panel = job->k * ANF_PANEL, .b_ahead = kern->weights_ahead, .out = &out});
        return;
    }
    for (size_t v = 0; v < nv; v++) {
        panels[v] = encoded_panel(job, q + v);
        panels[v].ahead = kern->weights_ahead;
    }
    tile(rows, nv, a, panels, c, ldc);
}

/* Columns of the last panel that are computed one by one. */
static size_t few_columns(const struct gemm_job *job)
{
    const size_t n = job->n % ANF_PANEL;
    return job->b_kind == GEMM_B_PACKED && n <= FEW_COLUMNS && n * COLUMN_ROWS <= job->m ? n : 0;
}

/* They, for the rows from i0 on that are packed, if panel q1 - 1 is theirs.  Where the panels end
 * that are left. */
static size_t multiply_columns(const struct kern *kern, const struct gemm_job *job, size_t z,
                               size_t i0, const struct gemm_rows *a, size_t q1)
{
    const size_t n = few_columns(job), j0 = job->n - n;
    if (!n || q1 * ANF_PANEL < job->n)
        return q1;
    const struct gemm_out out = {.y = output(job, z, i0, j0), .ldy = job->c_row,
                                 .bias = job->bias ? job->bias + j0 : NULL, .cols = n};
    kern->gemm_columns(a, job->b + j0 * job->k, &out);
    return q1 - 1;
}

/* Few rows: panels as they are.  A second strip finds them in L2. */
static void stream_panels(const struct kern *kern, const struct gemm_job *job,
                          const struct gemm_cut *cut, size_t z, size_t q0, size_t q1,
                          const struct gemm_rows *packed, float *c)
{
    gemm_tile_weights_fn *const tile = expansion_of(kern, job->b_kind).tile;
    const size_t m = packed->n, h = packed->h;
    const size_t widest = m == 1 ? weight_row_panels(kern, gemm_b_encoding(job->b_kind))
                                 : block_least(kern->nv, kern->mr * kern->nv / h);
    for (size_t q = q0; q < q1; q += cut->block_panels) {
        const size_t end = q + block_least(cut->block_panels, q1 - q);
        const size_t n_panels = multiply_columns(kern, job, z, 0, packed, end) - q;
        const size_t nv = block_even(n_panels, widest);
        for (size_t v = 0; v < n_panels; v += nv)
            for (size_t i = 0; i < m; i += h)
                tile_panels(kern, job, tile, z, i, block_least(h, m - i),
                            block_least(nv, n_panels - v), q + v, packed->at + i * job->k,
                            c + i * cut->ldc + v * ANF_PANEL, cut->ldc);
        const size_t j0 = q * ANF_PANEL, cols = block_least(end * ANF_PANEL, job->n) - j0;
        if (tile)
            store_sums(kern, job, z, j0, cols, c, cut->ldc);
        hand_on(job, z, 0, m, j0, cols);
    }
}

/* A block of packed rows against panels q .. q+n_panels-1. */
struct block {
    const struct kern *kern;
    const struct gemm_job *job;
    size_t z, i0, rows, h; /* rows in strips of h */
    size_t q, n_panels, nv, kc;
    const float *a;        /* [slices][strips][kc][strip rows] */
    float *b, *c;
    size_t ldc;
    struct expansion expansion;
};

/* k0 .. k0+kc-1 of panels v .. v+nv-1 of the block.  The first strip widens most weights for the
 * others; all of them ask for `next`, the slice that follows.  Sums become results in the tile that
 * adds the last product. */
static void multiply_slice(const struct block *s, size_t v, size_t k0, const struct slice *next)
{
    const struct gemm_job *job = s->job;
    const struct kern *kern = s->kern;
    const size_t nv = block_least(s->nv, s->n_panels - v), kc = block_least(s->kc, job->k - k0);
    const size_t ldc = s->ldc, strips = (s->rows + s->h - 1) / s->h;
    const size_t share = block_share(next->width, strips);
    const size_t j0 = (s->q + v) * ANF_PANEL;
    const f16 *scale = column_scale(job);
    struct gemm_out out = {.ldy = job->c_row, .bias = job->bias ? job->bias + j0 : NULL,
                           .cols = block_least(nv * ANF_PANEL, job->n - j0),
                           .scale = scale ? scale + j0 : NULL};
    gemm_tile_fn *const widen_encoded = s->expansion.tile_widen;
    const bool widens = widen_encoded || job->b_kind == GEMM_B_PACKED;
    struct weight_panel first = {0};
    struct gemm_tile t = {.kc = kc, .ldc = ldc, .accumulate = k0 > 0, .wide = s->b,
                          .weights = &first, .k0 = k0, .out = k0 + kc >= job->k ? &out : NULL};
    if (widen_encoded)
        first = encoded_panel(job, s->q + v);
    if (!widens)
        pack_b(kern, job, s->expansion.widen, s->z, k0, kc, s->q + v, nv, s->b);
    for (size_t i = 0, strip = 0; i < s->rows; i += s->h, strip++) {
        const size_t m = block_least(s->h, s->rows - i);
        const struct gemm_ahead ahead = block_ahead(next->at, next->stride, next->width, kc, strip,
                                                    share);
        t.a = s->a + k0 * s->rows + i * kc;
        t.a_k = m;
        t.c = s->c + i * ldc + v * ANF_PANEL;
        t.ahead = &ahead;
        out.y = output(job, s->z, s->i0 + i, j0);
        if (i == 0 && widen_encoded) {
            widen_encoded(m, nv, &t);
        } else if (i == 0 && widens) {
            t.b = job->b + j0 * job->k + k0 * ANF_PANEL;
            t.b_panel = job->k * ANF_PANEL;
            kern->gemm_tile_widen(m, nv, &t);
        } else {
            t.b = s->b;
            t.b_panel = kc * ANF_PANEL;
            kern->gemm_tile_ahead(m, nv, &t);
        }
    }
}

/* Either all of k for the panels of one tile, so that their sums stay in L1 and weights are read as
 * they lie; or, where the packed rows do not stay in L2, one slice of k for all panels. */
static void multiply(const struct block *s)
{
    const size_t slices = s->job->k ? (s->job->k + s->kc - 1) / s->kc : 1;
    const size_t groups = (s->n_panels + s->nv - 1) / s->nv, last = groups * slices - 1;
    const size_t panels = (s->job->n + ANF_PANEL - 1) / ANF_PANEL;
    const bool k_inside = s->rows * s->job->k <= s->kern->l2_floats;
    for (size_t step = 0, v = 0, k0 = 0; step <= last; step++) {
        const size_t after = step + 1; /* the last one is followed by the next columns */
        const size_t next_v = (k_inside ? after / slices : after % groups) * s->nv;
        const size_t next_k0 = (k_inside ? after % slices : after / groups) * s->kc;
        const struct slice next = step < last
                                      ? slice_at(s->job, s->q + next_v, next_k0)
                                      : slice_at(s->job, (s->q + s->n_panels) % panels, 0);
        multiply_slice(s, v, k0, &next);
        v = next_v;
        k0 = next_k0;
    }
}

/* Rows from i0 on times the non-zeros of panels q0 .. q1-1.  `a` has the rows already, or not. */
static void multiply_nonzeros(const struct kern *kern, const struct gemm_job *job,
                              const struct gemm_cut *cut, size_t z, size_t i0, size_t rows,
                              size_t q0, size_t q1, bool packed, float *a, float *c)
{
    const size_t h = block_even(rows, cut->mr), room = strip_room(cut);
    const f16 *x = job->a + z * job->a_batch + i0 * job->a_row;
    for (size_t i = 0; i < rows && !packed; i += h)
        kern->pack_rows(x + i * job->a_row, job->a_row, block_least(h, rows - i), job->k,
                        a + i / h * job->k * room, room);
    for (size_t q = q0, n_panels; q < q1; q += n_panels) {
        n_panels = block_least(block_even(q1 - q, cut->block_panels), q1 - q);
        const struct weight_panel panel = encoded_panel(job, q);
        const size_t j0 = q * ANF_PANEL, cols = block_least(n_panels * ANF_PANEL, job->n - j0);
        for (size_t i = 0; i < rows; i += h) {
            struct sparse_slice s = {a + i / h * job->k * room, block_least(h, rows - i), room, 0,
                                     0, room};
            const struct gemm_out out = {.y = output(job, z, i0 + i, j0), .ldy = job->c_row,
                                         .bias = job->bias ? job->bias + j0 : NULL, .cols = cols};
            for (; s.k0 < job->k; s.k0 += s.kc, s.a += s.kc * room) {
                s.kc = block_least(cut->kc, job->k - s.k0);
                kern->gemm_sparse_t(&s, &panel, n_panels, c, s.k0 + s.kc < job->k ? NULL : &out);
            }
            hand_on(job, z, i0 + i, s.m, j0, cols);
        }
    }
}

void gemm_task(const struct kern *kern, const struct gemm_job *job, size_t task, void *own,
               size_t *kept)
{
    const struct gemm_cut cut = gemm_cut(kern, job);
    const size_t part_rows = task / cut.grid.n_cols, part_col = task % cut.grid.n_cols;
    const size_t z = part_rows / cut.grid.n_rows, part_row = part_rows % cut.grid.n_rows;
    const bool few = reads_panels(kern, job);
    const size_t i0 = block_start(job->m, cut.grid.n_rows, part_row);
    const size_t rows = block_start(job->m, cut.grid.n_rows, part_row + 1) - i0;
    const size_t h = block_even(rows, few ? few_rows(kern, job) : cut.mr);
    const size_t q0 = block_start(cut.panels, cut.grid.n_cols, part_col);
    const size_t q1 = block_start(cut.panels, cut.grid.n_cols, part_col + 1);
    float *at[N_SCRATCH];
    size_t n[N_SCRATCH];
    scratch_floats(kern, job, &cut, n);
    block_lay(N_SCRATCH, n, own, at);
    const struct gemm_rows packed = {at[ROWS], rows, h, job->k, few ? job->k : cut.kc};

    const bool is_packed = *kept == part_rows + 1;
    *kept = part_rows + 1;
    if (job->b_kind == GEMM_B_SPARSE_T) {
        multiply_nonzeros(kern, job, &cut, z, i0, rows, q0, q1, is_packed, at[ROWS],
                          at[SUMS]);
        return;
    }
    if (!is_packed)
        pack_block(kern, job->a + z * job->a_batch + i0 * job->a_row, job->a_row, &packed,
                   at[ROWS]);
    if (few) {
        stream_panels(kern, job, &cut, z, q0, q1, &packed, at[SUMS]);
        return;
    }
    for (size_t q = q0, n_panels; q < q1; q += n_panels) {
        n_panels = block_least(block_even(q1 - q, cut.block_panels), q1 - q);
        const size_t left = multiply_columns(kern, job, z, i0, &packed, q + n_panels) - q;
        if (left)
            multiply(&(struct block){kern, job, z, i0, rows, h, q, left,
                                     block_even(left, cut.nv), cut.kc, at[ROWS], at[PANELS],
                                     at[SUMS], cut.ldc, expansion_of(kern, job->b_kind)});
        const size_t j0 = q * ANF_PANEL, cols = block_least(n_panels * ANF_PANEL, job->n - j0);
        hand_on(job, z, i0, rows, j0, cols);
    }
}

/* ---- constant weights ------------------------------------------------------------------------ */
size_t gemm_packed_size(size_t k, size_t n)
{
    return (n + ANF_PANEL - 1) / ANF_PANEL * k * ANF_PANEL;
}

void gemm_pack_weights(const f16 *w, size_t k, size_t n, bool transposed, f16 *panels)
{
    for (size_t j0 = 0; j0 < n; j0 += ANF_PANEL)
        for (size_t i = 0; i < k; i++)
            for (size_t j = j0; j < j0 + ANF_PANEL; j++)
                *panels++ = j >= n ? 0 : transposed ? w[j * k + i] : w[i * n + j];
}
