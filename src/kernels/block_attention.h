/* Scaled dot-product attention over the kernel table, rounded where the separate operators
 * round:
 *
 *     s = round(q k^T);  s = round(s * scale);  s = round(s + mask)
 *     p = round(softmax(s));  out = round(p v)
 *
 * Both products are chains of multiply-adds, over d and over the keys, ascending.  Run as
 * block.h says. */
#ifndef ANF_KERNELS_BLOCK_ATTENTION_H
#define ANF_KERNELS_BLOCK_ATTENTION_H

#include "kernels/block.h"

struct attention_job {
    size_t heads;        /* batch times heads */
    size_t sq, skv;      /* query rows, keys */
    size_t d, dv;        /* length of a query and key, of a value */
    const f16 *q, *k, *v;
    size_t q_head, q_row, k_head, k_row, v_head, v_row; /* strides */
    f16 *out;
    size_t out_head, out_row;
    bool has_scale;
    f16 scale;
    const f16 *mask;     /* added to the scores; NULL: none */
    size_t mask_head;    /* stride; 0: the same for all heads */
    size_t mask_row;     /* stride; 0: one row for all queries */
    size_t n_threads;
};

size_t attention_tasks(const struct kern *kern, const struct attention_job *job);
size_t attention_thread_bytes(const struct kern *kern, const struct attention_job *job);
void attention_task(const struct kern *kern, const struct attention_job *job, size_t task,
                    void *own);

#endif
