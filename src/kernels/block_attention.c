/* Attention in blocks of query rows.
 *
 * A task owns a head, or a range of query rows of one.  It packs the keys and values of the head
 * once and then takes a few query rows at a time, whose whole score rows fit in L2 beside the
 * panels: scores never reach memory, and no running maximum or rescaling is needed, so the
 * softmax of a row is the separate operator's, bit for bit.
 *
 * Where tiles compute softmax beside their sums, the scores of a block are there before the values
 * of the block before are multiplied: its exponentials go beside those products, the shares that
 * follow beside the products of the next scores.  What is left over is computed alone, as all of it
 * is where tiles do not.
 *
 * Queries and probabilities stay in rows, as float32: the tile of this file's products reads them
 * so.  Scores are binary16, as the operators round them. */
#include "kernels/block_attention.h"

enum {
    SMALL_ATTENTION = 1 << 16, /* multiply-adds not worth a second thread */
    SCORE_FLOATS = 1 << 16,    /* 256 KiB of score rows */
    MOST_ROWS = 48,            /* a multiple of every register tile */
    MOST_ROWS_BESIDE = 24,     /* the same where two blocks are under way */
    MOST_BLOCKS = 2,
};

struct attention_cut {
    size_t parts;  /* of a head */
    size_t rows;   /* query rows of a block */
    size_t blocks; /* that are under way at a time */
    size_t key_panels, value_panels;
    size_t ld, ldo; /* of the scores, of the output sums */
    size_t kc;
};

static struct attention_cut attention_cut(const struct kern *kern, const struct attention_job *job)
{
    struct attention_cut cut = {
        .parts = 1,
        .key_panels = (job->skv + ANF_PANEL - 1) / ANF_PANEL,
        .value_panels = (job->dv + ANF_PANEL - 1) / ANF_PANEL,
        .kc = block_least(kern->kc, job->skv),
    };
    const size_t mr = kern->rows_mr, strips = (job->sq + mr - 1) / mr;
    const size_t work = job->heads * job->sq * job->skv * (job->d + job->dv);
    if (job->n_threads > 1 && work > SMALL_ATTENTION)
        cut.parts = block_least(block_threads(job->heads, job->n_threads), strips);
    /* An odd number of panels: the rows of a tile would share cache sets. */
    cut.ld = (cut.key_panels | 1) * ANF_PANEL;
    cut.ldo = cut.value_panels * ANF_PANEL;
    cut.blocks = kern->rows_beside ? MOST_BLOCKS : 1;
    cut.rows = kern->rows_beside ? MOST_ROWS_BESIDE : MOST_ROWS;
    while (cut.rows > mr && cut.rows * cut.ld > SCORE_FLOATS)
        cut.rows -= mr;
    cut.rows = block_least(cut.rows, strips * mr);
    return cut;
}

size_t attention_tasks(const struct kern *kern, const struct attention_job *job)
{
    if (!job->heads || !job->sq || !job->dv)
        return 0;
    return job->heads * attention_cut(kern, job).parts;
}

enum scratch { KEYS, VALUES, QUERIES, SCORES, SHARES, LANES, SHIFTS, SUMS, N_SCRATCH };

static void scratch_floats(const struct attention_job *job, const struct attention_cut *cut,
                           size_t n[N_SCRATCH])
{
    n[KEYS] = cut->key_panels * job->d * ANF_PANEL;     /* panels of k^T */
    n[VALUES] = cut->value_panels * job->skv * ANF_PANEL; /* panels of v */
    n[QUERIES] = cut->rows * job->d;
    n[SCORES] = cut->blocks * cut->rows * cut->ld / 2; /* in binary16 */
    n[SHARES] = cut->blocks * cut->rows * cut->ld;
    n[LANES] = cut->blocks * cut->rows * ANF_REDUCE_LANES;
    n[SHIFTS] = cut->blocks * cut->rows;
    n[SUMS] = cut->rows * cut->ldo;
}

size_t attention_thread_bytes(const struct kern *kern, const struct attention_job *job)
{
    const struct attention_cut cut = attention_cut(kern, job);
    size_t n[N_SCRATCH];
    scratch_floats(job, &cut, n);
    return block_bytes(N_SCRATCH, n);
}

struct task {
    const struct kern *kern;
    const struct attention_job *job;
    const struct attention_cut *cut;
    size_t head;
    float *at[N_SCRATCH];
};

struct block {
    size_t r0, rows, strip; /* query rows, cut in strips */
    f16 *scores;
    struct softmax_rows softmax;
};

/* Block n of a task, with rows from r0 on. */
static struct block block_at(const struct task *t, size_t n, size_t r0, size_t end)
{
    const size_t which = n % t->cut->blocks, rows = t->cut->rows, ld = t->cut->ld;
    struct block b = {.r0 = r0, .rows = block_least(rows, end - r0)};
    b.strip = block_even(b.rows, t->kern->rows_mr);
    b.scores = (f16 *)(void *)t->at[SCORES] + which * rows * ld;
    b.softmax = (struct softmax_rows){
        .s = b.scores,
        .e = t->at[SHARES] + which * rows * ld,
        .ld = ld,
        .rows = b.rows,
        .n = t->job->skv,
        .shift = t->at[SHIFTS] + which * rows,
        .lanes = t->at[LANES] + which * rows * ANF_REDUCE_LANES,
    };
    return b;
}

static void score_rows(const struct task *t, struct block *b, struct softmax_rows *beside)
{
    const struct attention_job *job = t->job;
    const struct kern *kern = t->kern;
    const size_t panels = t->cut->key_panels, nv = block_even(panels, kern->rows_nv);
    const size_t panel = job->d * ANF_PANEL, ld = t->cut->ld;
    const f16 *q = job->q + t->head * job->q_head + b->r0 * job->q_row;
    struct gemm_tile tile = {.kc = job->d, .a_k = job->d, .b_panel = panel, .beside = beside};
    const size_t runs = job->q_row == job->d ? 1 : b->rows, run = b->rows / runs * job->d;
    for (size_t i = 0; i < runs; i++)
        kern->f32_from_f16(q + i * job->q_row, t->at[QUERIES] + i * job->d, run);
    for (size_t v = 0; v < panels; v += nv)
        for (size_t i = 0; i < b->rows; i += b->strip) {
            const size_t j = v * ANF_PANEL, n = block_least(nv, panels - v);
            const struct gemm_out out = {.y = b->scores + i * ld + j, .ldy = ld,
                                         .cols = block_least(n * ANF_PANEL, job->skv - j),
                                         .any_nan = true};
            tile.a = t->at[QUERIES] + i * job->d;
            tile.b = t->at[KEYS] + v * panel;
            tile.out = &out;
            kern->gemm_tile_rows(block_least(b->strip, b->rows - i), n, &tile);
        }
}

/* Whether a scale is a power of two from 2^-14 to 1, as score_start takes it. */
static bool is_power(f16 scale)
{
    return scale % 0x400 == 0 && scale >= 0x400 && scale <= 0x3c00;
}

static void start_softmax(const struct task *t, struct block *b)
{
    const struct attention_job *job = t->job;
    const f16 one = 0x3c00, by = job->has_scale ? job->scale : one;
    const bool in_softmax = !job->mask && !t->kern->score_halves && is_power(by);
    float scale;
    t->kern->f32_from_f16(&by, &scale, 1);
    if (!in_softmax) {
        const f16 *mask =
            job->mask ? job->mask + t->head * job->mask_head + b->r0 * job->mask_row : NULL;
        t->kern->score_rows(b->scores, t->cut->ld, b->rows, job->skv, job->has_scale, scale, mask,
                            job->mask_row, b->softmax.shift);
    }
    t->kern->score_start(&b->softmax, in_softmax, scale);
}

static void value_rows(const struct task *t, const struct block *b, struct softmax_rows *beside)
{
    const struct attention_job *job = t->job;
    const struct kern *kern = t->kern;
    const size_t panels = t->cut->value_panels, nv = block_even(panels, kern->rows_nv);
    const size_t panel = job->skv * ANF_PANEL, ld = t->cut->ld, ldo = t->cut->ldo;
    f16 *y = job->out + t->head * job->out_head + b->r0 * job->out_row;
    size_t k0 = 0;
    do {
        const size_t kc = block_least(t->cut->kc, job->skv - k0);
        struct gemm_tile tile = {.kc = kc, .a_k = ld, .b_panel = panel, .ldc = ldo,
                                 .accumulate = k0 > 0, .beside = beside};
        for (size_t v = 0; v < panels; v += nv)
            for (size_t i = 0; i < b->rows; i += b->strip) {
                const size_t j = v * ANF_PANEL, n = block_least(nv, panels - v);
                const struct gemm_out out = {.y = y + i * job->out_row + j, .ldy = job->out_row,
                                             .cols = block_least(n * ANF_PANEL, job->dv - j)};
                tile.a = b->softmax.e + i * ld + k0;
                tile.b = t->at[VALUES] + v * panel + k0 * ANF_PANEL;
                tile.c = t->at[SUMS] + i * ldo + j;
                tile.out = k0 + kc >= job->skv ? &out : NULL;
                kern->gemm_tile_rows(block_least(b->strip, b->rows - i), n, &tile);
            }
        k0 += kc;
    } while (k0 < job->skv);
}

/* Takes block n of a task, with query rows from r0 on, as far as its exponentials. */
static void begin(const struct task *t, struct block *b, size_t n, size_t r0, size_t end,
                  struct softmax_rows *beside)
{
    *b = block_at(t, n, r0, end);
    score_rows(t, b, beside);
    start_softmax(t, b);
}

void attention_task(const struct kern *kern, const struct attention_job *job, size_t task,
                    void *own)
{
    const struct attention_cut cut = attention_cut(kern, job);
    const size_t mr = kern->rows_mr, strips = (job->sq + mr - 1) / mr, part = task % cut.parts;
    const size_t end = block_least(block_start(strips, cut.parts, part + 1) * mr, job->sq);
    struct task t = {.kern = kern, .job = job, .cut = &cut, .head = task / cut.parts};
    size_t n[N_SCRATCH];
    scratch_floats(job, &cut, n);
    block_lay(N_SCRATCH, n, own, t.at);
    kern->pack_panels_t(job->k + t.head * job->k_head, job->k_row, job->d, job->skv, t.at[KEYS],
                        job->d * ANF_PANEL);
    kern->pack_panels(job->v + t.head * job->v_head, job->v_row, job->skv, job->dv, t.at[VALUES],
                      job->skv * ANF_PANEL);
    struct block b[MOST_BLOCKS];
    size_t r0 = block_start(strips, cut.parts, part) * mr;
    if (r0 < end)
        begin(&t, &b[0], 0, r0, end, NULL);
    for (size_t i = 0; r0 < end; i++) {
        struct block *now = &b[i % cut.blocks], *next = &b[(i + 1) % cut.blocks];
        r0 += now->rows;
        const bool more = r0 < end, ahead = more && next != now;
        if (ahead && now->softmax.row)
            kern->score_sums(&now->softmax);
        if (ahead)
            begin(&t, next, i + 1, r0, end, &now->softmax);
        kern->score_softmax(&now->softmax);
        value_rows(&t, now, ahead ? &next->softmax : NULL);
        if (more && !ahead)
            begin(&t, next, i + 1, r0, end, NULL);
    }
}
