/* Attention: every table against the separate operators, with ==.
 *
 * Its products are naive scalar chains here; scaling, mask and softmax are the slots of the plain C
 * table, which test_rows.c checks. */
#include "driver_run.h"

#include "kernels/block_attention.h"

static void attention_one(const struct kern *kern, const void *job, size_t task, void *own)
{
    attention_task(kern, job, task, own);
}

static void attention_naive(const struct kern *kern, const struct attention_job *job, f16 *out)
{
    float *s = fenced(job->skv * sizeof *s), top;
    f16 *score = fenced(job->skv * sizeof *score);
    for (size_t h = 0; h < job->heads; h++)
        for (size_t i = 0; i < job->sq; i++) {
            for (size_t j = 0; j < job->skv; j++) {
                s[j] = 0.0f;
                for (size_t e = 0; e < job->d; e++)
                    s[j] = fmaf(f16_to_f32(job->q[h * job->q_head + i * job->q_row + e]),
                                f16_to_f32(job->k[h * job->k_head + j * job->k_row + e]), s[j]);
            }
            for (size_t j = 0; j < job->skv; j++)
                score[j] = f32_to_f16(s[j]);
            kern->score_rows(
                score, job->skv, 1, job->skv, job->has_scale, f16_to_f32(job->scale),
                job->mask ? job->mask + h * job->mask_head + i * job->mask_row : NULL, 0, &top);
            struct softmax_rows softmax = {.s = score, .e = s, .ld = job->skv, .rows = 1,
                                           .n = job->skv, .shift = &top};
            kern->score_start(&softmax, false, 1.0f);
            kern->score_softmax(&softmax);
            for (size_t e = 0; e < job->dv; e++) {
                float sum = 0.0f;
                for (size_t j = 0; j < job->skv; j++)
                    sum = fmaf(s[j],
                               f16_to_f32(job->v[h * job->v_head + j * job->v_row + e]), sum);
                out[h * job->out_head + i * job->out_row + e] = f32_to_f16(sum);
            }
        }
    unfence(s), unfence(score);
}

/* scale: 0 none.  mask: 0 none, 1 one row, 2 one matrix, 3 one matrix for each head. */
static void attention_case(size_t heads, size_t sq, size_t skv, size_t d, size_t dv, float scale,
                           int mask, bool poisoned)
{
    const struct kern *kern[8];
    const size_t gap = next() % 2 * 5, n_tables = tables(kern);
    struct attention_job job = {.heads = heads, .sq = sq, .skv = skv, .d = d, .dv = dv};
    job.q_row = d + gap, job.k_row = d + gap, job.v_row = dv + gap, job.out_row = dv + gap;
    job.q_head = sq * job.q_row, job.k_head = skv * job.k_row, job.v_head = skv * job.v_row;
    job.out_head = sq * job.out_row;
    job.has_scale = scale != 0.0f;
    job.scale = f32_to_f16(scale);
    job.mask_row = mask > 1 ? skv : 0;
    job.mask_head = mask > 2 ? sq * skv : 0;
    f16 *q = values(heads * job.q_head), *k = values(heads * job.k_head);
    f16 *v = values(heads * job.v_head), *m = values(heads * sq * skv);
    const size_t n_out = heads * job.out_head;
    f16 *want = untouched(n_out), *out = untouched(n_out);
    for (size_t i = 0; i < heads * sq * skv; i += 3)
        m[i] = 0xfc00; /* -inf: masked out */
    if (poisoned) {
        poison(q, heads * job.q_head);
        poison(v, heads * job.v_head);
    }
    job.q = q, job.k = k, job.v = v, job.mask = mask ? m : NULL;
    attention_naive(kern[n_tables - 1], &job, want);
    for (size_t t = n_tables; t-- > 0;)
        for (size_t i = 0; i < sizeof thread_counts / sizeof *thread_counts; i++) {
            for (size_t e = 0; e < n_out; e++)
                out[e] = UNTOUCHED;
            job.out = out;
            job.n_threads = thread_counts[i];
            run(kern[t], attention_one, &job, attention_tasks(kern[t], &job),
                attention_thread_bytes(kern[t], &job));
            same(kern[t], "attention", out, want, n_out);
        }
    unfence(q), unfence(k), unfence(v), unfence(m), unfence(want), unfence(out);
}

static void test_attention(void **state)
{
    attention_case(1, 1, 1, 1, 1, 0.0f, 0, false);
    attention_case(2, 5, 7, 3, 3, 0.37f, 0, false);
    attention_case(3, 17, 33, 16, 16, 0.37f, 1, false);
    attention_case(1, 50, 40, 24, 20, 0.0f, 2, false);
    attention_case(2, 9, 300, 8, 33, 0.37f, 3, false);
    attention_case(1, 1, 210, 64, 64, 0.37f, 1, false);
    attention_case(2, 60, 60, 12, 12, 0.37f, 3, true);
    attention_case(1, 10, 2000, 4, 4, 0.37f, 0, false);
    /* Powers of two, some of which leave the scaling to the softmax: without a mask, at most 1. */
    attention_case(2, 19, 70, 16, 16, 0.25f, 0, false);
    attention_case(1, 7, 130, 8, 8, 0x1p-10f, 0, false);
    attention_case(2, 60, 60, 12, 12, 0.125f, 0, true);
    attention_case(1, 9, 40, 64, 16, 32768.0f, 0, false);
    attention_case(1, 9, 40, 64, 16, -32.0f, 0, false);
    attention_case(1, 9, 40, 16, 16, 0x1p-20f, 0, false);
    attention_case(2, 9, 40, 16, 16, 0.25f, 2, false);
    /* Blocks of query rows whose softmax is computed beside products, partly and as a whole. */
    attention_case(1, 110, 130, 64, 64, 0.125f, 0, false);
    attention_case(2, 61, 200, 16, 64, 0.37f, 2, false);
    attention_case(1, 75, 70, 64, 50, 0.125f, 0, true);
    attention_case(1, 49, 4100, 8, 64, 0.25f, 0, false);
    (void)state;
}

static void test_random_attention(void **state)
{
    static const float scales[] = {0.0f, 0.37f, 0.125f, 1.0f};
    for (int i = 0; i < 60; i++) {
        const size_t heads = draw(4), sq = draw(100), skv = draw(150), d = draw(70), dv = draw(70);
        attention_case(heads, sq, skv, d, dv, scales[next() % 4], (int)(next() % 4),
                       next() % 4 == 0);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_random_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
