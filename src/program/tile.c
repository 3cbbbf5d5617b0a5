/* Elementwise chains over L1-sized tiles.
 *
 * A tile is a run of consecutive elements of the dense destination.  An operand that is dense over
 * the destination is read in place; any other one (broadcast, strided, bytes) is gathered into a
 * slot first, so that every micro-op is one call over contiguous binary16 values.  Micro-ops round
 * to binary16 each, which is why a fused chain has the bits of the separate operators. */
#include "program/program.h"

#include <string.h>

enum { MAX_VALUES = TILE_MAX_OPERANDS + TILE_MAX_REGS };

static bool is_dense(const struct tile_prog *t, const struct tile_operand *o)
{
    int64_t want = 1;
    for (int d = (int)t->rank - 1; d >= 0; d--) {
        if (t->dims[d] != 1 && o->stride[d] != want)
            return false;
        want *= t->dims[d];
    }
    return true;
}

/* One run of the innermost dimension. */
static void gather_run(const struct kern *k, const void *base, bool is_u8, int64_t at,
                       int64_t stride, f16 *out, size_t n)
{
    if (is_u8) {
        const uint8_t *x = (const uint8_t *)base + at;
        if (stride == 1) {
            k->f16_from_u8(x, out, n);
            return;
        }
        for (size_t i = 0; i < n; i++)
            k->f16_from_u8(x + (int64_t)i * stride, out + i, 1);
        return;
    }
    const f16 *x = (const f16 *)base + at;
    if (stride == 1) {
        memcpy(out, x, n * sizeof *out);
    } else if (stride == 0) {
        f16 v = *x;
        for (size_t i = 0; i < n; i++)
            out[i] = v;
    } else {
        for (size_t i = 0; i < n; i++)
            out[i] = x[(int64_t)i * stride];
    }
}

static void gather(const struct tile_run *r, const struct tile_operand *o, const void *base,
                   size_t offset, f16 *out, size_t n)
{
    const struct tile_prog *t = r->t;
    int64_t index[ANF_MAX_RANK], at = 0;
    size_t rest = offset;
    for (int d = (int)t->rank - 1; d >= 0; d--) {
        index[d] = (int64_t)(rest % (size_t)t->dims[d]);
        rest /= (size_t)t->dims[d];
        at += index[d] * o->stride[d];
    }
    if (t->rank == 0) {
        gather_run(r->kern, base, o->is_u8, 0, 0, out, n);
        return;
    }
    int inner = (int)t->rank - 1;
    while (n > 0) {
        size_t run = (size_t)(t->dims[inner] - index[inner]);
        if (run > n)
            run = n;
        gather_run(r->kern, base, o->is_u8, at, o->stride[inner], out, run);
        out += run;
        n -= run;
        if (n == 0)
            return;
        at -= index[inner] * o->stride[inner];
        index[inner] = 0;
        for (int d = inner - 1; d >= 0; d--) {
            at += o->stride[d];
            if (++index[d] < t->dims[d])
                break;
            at -= index[d] * o->stride[d];
            index[d] = 0;
        }
    }
}

void tile_run(const struct tile_run *r, size_t offset, size_t n)
{
    const struct tile_prog *t = r->t;
    f16 slots[MAX_VALUES][ANF_TILE];
    bool dense[TILE_MAX_OPERANDS], splat[TILE_MAX_OPERANDS];
    for (uint32_t v = 0; v < t->n_operands; v++) {
        const struct tile_operand *o = &t->operands[v];
        dense[v] = !o->is_u8 && is_dense(t, o);
        splat[v] = !dense[v];
        for (uint32_t d = 0; d < t->rank && splat[v]; d++)
            splat[v] = o->stride[d] == 0;
        if (splat[v]) /* one element: the slot is the same for every tile */
            gather(r, o, r->base[v], 0, slots[v], n < ANF_TILE ? n : ANF_TILE);
    }
    for (size_t done = 0; done < n; done += ANF_TILE) {
        size_t run = n - done < ANF_TILE ? n - done : ANF_TILE, at = offset + done;
        const f16 *value[MAX_VALUES];
        for (uint32_t v = 0; v < t->n_operands; v++) {
            if (dense[v]) {
                value[v] = (const f16 *)r->base[v] + at;
                continue;
            }
            if (!splat[v])
                gather(r, &t->operands[v], r->base[v], at, slots[v], run);
            value[v] = slots[v];
        }
        for (uint32_t g = 0; g < t->n_regs; g++)
            value[t->n_operands + g] = slots[t->n_operands + g];
        for (uint32_t k = 0; k < t->n_ops; k++) {
            const struct tile_op *op = &t->ops[k];
            f16 *y = k + 1 == t->n_ops ? r->dst + at : slots[t->n_operands + op->dst];
            r->kern->uops[op->uop](y, value[op->src[0]], op->n_src > 1 ? value[op->src[1]] : NULL,
                                   op->n_src > 2 ? value[op->src[2]] : NULL, run, op->p);
        }
    }
}
