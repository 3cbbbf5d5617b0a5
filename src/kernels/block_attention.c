/* Attention in blocks of query rows.
 *
 * A task owns a head, or a range of query rows of one.  It packs the keys and values of the head
 * once and then takes a few query rows at a time, whose whole score rows fit in L2 beside the
 * panels: scores never reach memory, and no running maximum or rescaling is needed, so the
 * softmax of a row is the separate operator's, bit for bit.
 *
 * Queries and probabilities stay in rows, as float32: the tile of this file's products reads them
 * so.  Scores are binary16, as the operators round them. */
#include "kernels/block_attention.h"

enum {
    SMALL_ATTENTION = 1 << 16, /* multiply-adds not worth a second thread */
    SCORE_FLOATS = 1 << 16,    /* 256 KiB of score rows */
    MOST_ROWS = 48,            /* a multiple of every register tile */
};

struct attention_cut {
    size_t parts; /* of a head */
    size_t rows;  /* query rows of a block */
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
    cut.rows = MOST_ROWS;
    while (cut.rows > mr && cut.rows * cut.ld > SCORE_FLOATS)
        cut.rows -= mr;
    cut.rows = block_least(cut.rows, strips * mr);
    return cut;
}

size_t attention_tasks(const struct kern *kern, const struct attention_job *job, size_t phase)
{
    (void)phase;
    if (!job->heads || !job->sq || !job->dv)
        return 0;
    return job->heads * attention_cut(kern, job).parts;
}

enum scratch { KEYS, VALUES, QUERIES, SCORES, SHARES, SUMS, N_SCRATCH };

static void scratch_floats(const struct attention_job *job, const struct attention_cut *cut,
                           size_t n[N_SCRATCH])
{
    n[KEYS] = cut->key_panels * job->d * ANF_PANEL;     /* panels of k^T */
    n[VALUES] = cut->value_panels * job->skv * ANF_PANEL; /* panels of v */
    n[QUERIES] = cut->rows * job->d;
    n[SCORES] = (cut->rows * cut->ld + 1) / 2; /* in binary16 */
    n[SHARES] = cut->rows * cut->ld;
    n[SUMS] = cut->rows * cut->ldo;
}

size_t attention_thread_bytes(const struct kern *kern, const struct attention_job *job)
{
    const struct attention_cut cut = attention_cut(kern, job);
    size_t n[N_SCRATCH], total = 0;
    scratch_floats(job, &cut, n);
    for (size_t i = 0; i < N_SCRATCH; i++)
        total += (n[i] + 15) / 16 * 16;
    return total * sizeof(float);
}

size_t attention_shared_bytes(const struct kern *kern, const struct attention_job *job)
{
    (void)kern;
    (void)job;
    return 0;
}

struct block {
    const struct kern *kern;
    const struct attention_job *job;
    const struct attention_cut *cut;
    size_t head, r0, rows, strip; /* query rows, cut in strips */
    float *at[N_SCRATCH];
};

static f16 *scores(const struct block *b)
{
    return (f16 *)(void *)b->at[SCORES];
}

static void score_rows(const struct block *b)
{
    const struct attention_job *job = b->job;
    const struct kern *kern = b->kern;
    const size_t panels = b->cut->key_panels, nv = block_even(panels, kern->rows_nv);
    const size_t panel = job->d * ANF_PANEL;
    const f16 *q = job->q + b->head * job->q_head + b->r0 * job->q_row;
    const size_t runs = job->q_row == job->d ? 1 : b->rows, run = b->rows / runs * job->d;
    for (size_t i = 0; i < runs; i++)
        kern->f32_from_f16(q + i * job->q_row, b->at[QUERIES] + i * job->d, run);
    for (size_t v = 0; v < panels; v += nv)
        for (size_t i = 0; i < b->rows; i += b->strip) {
            const size_t j = v * ANF_PANEL, n = block_least(nv, panels - v);
            const struct gemm_out out = {.y = scores(b) + i * b->cut->ld + j, .ldy = b->cut->ld,
                                         .cols = block_least(n * ANF_PANEL, job->skv - j),
                                         .any_nan = true};
            kern->gemm_tile_rows(block_least(b->strip, b->rows - i), n, job->d,
                                 b->at[QUERIES] + i * job->d, job->d, b->at[KEYS] + v * panel,
                                 panel, NULL, 0, false, &out);
        }
}

/* Whether a scale is a power of two from 2^-14 to 1, as score_softmax takes it. */
static bool is_power(f16 scale)
{
    return scale % 0x400 == 0 && scale >= 0x400 && scale <= 0x3c00;
}

static void softmax_rows(const struct block *b)
{
    const struct attention_job *job = b->job;
    const size_t ld = b->cut->ld, most = job->skv ? ANF_REDUCE_BLOCK / job->skv : b->rows;
    const size_t together = most ? most : 1; /* rows that stay in L1 */
    const f16 one = 0x3c00, by = job->has_scale ? job->scale : one;
    const bool in_softmax = !job->mask && is_power(by);
    float scale, top[MOST_ROWS];
    b->kern->f32_from_f16(&by, &scale, 1);
    for (size_t r = 0, n; r < b->rows; r += n) {
        const f16 *mask =
            job->mask ? job->mask + b->head * job->mask_head + (b->r0 + r) * job->mask_row : NULL;
        n = block_least(together, b->rows - r);
        if (!in_softmax)
            b->kern->score_rows(scores(b) + r * ld, ld, n, job->skv, job->has_scale, scale, mask,
                                job->mask_row, top);
        b->kern->score_softmax(scores(b) + r * ld, b->at[SHARES] + r * ld, ld, n, job->skv,
                               in_softmax, scale, top);
    }
}

static void value_rows(const struct block *b)
{
    const struct attention_job *job = b->job;
    const struct kern *kern = b->kern;
    const size_t panels = b->cut->value_panels, nv = block_even(panels, kern->rows_nv);
    const size_t panel = job->skv * ANF_PANEL;
    f16 *y = job->out + b->head * job->out_head + b->r0 * job->out_row;
    size_t k0 = 0;
    do {
        const size_t kc = block_least(b->cut->kc, job->skv - k0);
        for (size_t v = 0; v < panels; v += nv)
            for (size_t i = 0; i < b->rows; i += b->strip) {
                const size_t j = v * ANF_PANEL, n = block_least(nv, panels - v);
                const struct gemm_out out = {.y = y + i * job->out_row + j, .ldy = job->out_row,
                                             .cols = block_least(n * ANF_PANEL, job->dv - j)};
                kern->gemm_tile_rows(block_least(b->strip, b->rows - i), n, kc,
                                     b->at[SHARES] + i * b->cut->ld + k0, b->cut->ld,
                                     b->at[VALUES] + v * panel + k0 * ANF_PANEL, panel,
                                     b->at[SUMS] + i * b->cut->ldo + j, b->cut->ldo, k0 > 0,
                                     k0 + kc >= job->skv ? &out : NULL);
            }
        k0 += kc;
    } while (k0 < job->skv);
}

static void hand_on(const struct block *b)
{
    const struct attention_job *job = b->job;
    const size_t first = (b->head * job->sq + b->r0) * job->dv;
    const size_t runs = job->out_row == job->dv ? 1 : b->rows;
    for (size_t r = 0; job->epilogue && r < runs; r++)
        job->epilogue(job->epilogue_arg, first + r * job->dv, b->rows / runs * job->dv);
}

void attention_task(const struct kern *kern, const struct attention_job *job, size_t phase,
                    size_t task, void *shared, void *own)
{
    const struct attention_cut cut = attention_cut(kern, job);
    const size_t mr = kern->rows_mr, strips = (job->sq + mr - 1) / mr, part = task % cut.parts;
    const size_t end = block_least(block_start(strips, cut.parts, part + 1) * mr, job->sq);
    struct block b = {.kern = kern, .job = job, .cut = &cut, .head = task / cut.parts};
    size_t n[N_SCRATCH];
    float *at = own;

    (void)phase;
    (void)shared;
    scratch_floats(job, &cut, n);
    for (size_t i = 0; i < N_SCRATCH; i++)
        b.at[i] = block_floats(&at, n[i]);

    kern->pack_panels_t(job->k + b.head * job->k_head, job->k_row, job->d, job->skv, b.at[KEYS],
                        job->d * ANF_PANEL);
    kern->pack_panels(job->v + b.head * job->v_head, job->v_row, job->skv, job->dv, b.at[VALUES],
                      job->skv * ANF_PANEL);
    for (b.r0 = block_start(strips, cut.parts, part) * mr; b.r0 < end; b.r0 += b.rows) {
        b.rows = block_least(cut.rows, end - b.r0);
        b.strip = block_even(b.rows, mr);
        score_rows(&b);
        softmax_rows(&b);
        value_rows(&b);
        hand_on(&b);
    }
}
