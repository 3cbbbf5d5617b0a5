/* Elementwise chains over L1-sized tiles.
 *
 * A tile is a run of consecutive elements of the dense destination.  An operand that is dense over
 * the destination is read in place; any other one (broadcast, strided, bytes) is gathered into a
 * slot first, so that every micro-op is one call over contiguous binary16 values.  Micro-ops round
 * to binary16 each, which is why a fused chain has the bits of the separate operators.
 *
 * Cheap micro-ops in a row are one call, which keeps the value in registers from one to the next
 * (uop_chain); only what is needed later, or in another place than the one it was left in, goes
 * through a slot. */
#include "program/program.h"

#include <string.h>

enum { MAX_VALUES = TILE_MAX_OPERANDS + TILE_MAX_REGS };
_Static_assert(MAX_VALUES < 32, "sets of values are the bits of an uint32_t");

bool tile_operand_dense(const struct tile_prog *t, const struct tile_operand *o)
{
    int64_t want = 1;
    if (o->is_u8)
        return false;
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

/* ---- chains ---------------------------------------------------------------------------------- */
/* Where the operands of a micro-op are, when the one before it left `held` in registers (or
 * nothing, MAX_VALUES).  A value that is needed from memory is noted in `*from_memory`, as bits. */
static struct uop_step step_of(const struct tile_run *r, const struct tile_op *op, uint32_t held,
                               uint32_t *from_memory)
{
    struct uop_step s = {.uop = op->uop, .form = op->n_src > 1 ? UOP_WITH : UOP_ALONE,
                         .reads = op->src[0] != held, .a = op->src[0], .b = op->src[1],
                         .c = op->src[2]};
    if (op->n_src == 2 && op->src[0] == op->src[1]) {
        s.form = UOP_SELF;
    } else if (op->n_src == 2 && op->src[1] == held) {
        s.form = UOP_SWAPPED;
        s.reads = false;
        s.b = op->src[0];
    }
    if (s.reads)
        *from_memory |= 1u << s.a;
    if (s.form == UOP_WITH || s.form == UOP_SWAPPED)
        *from_memory |= 1u << s.b;
    if (op->n_src > 2)
        *from_memory |= 1u << s.c;
    s.a_splat = s.a < r->t->n_operands && r->splat[s.a];
    s.b_splat = s.b < r->t->n_operands && r->splat[s.b];
    return s;
}

/* The last step before `k` that wrote a value somebody reads from memory has to keep it. */
static void keep_values(struct tile_run *r, uint32_t k, uint32_t from_memory)
{
    for (uint32_t j = k; j-- > 0;) {
        const uint32_t y = 1u << r->steps[j].y;
        r->steps[j].keeps = r->steps[j].keeps || (from_memory & y);
        from_memory &= ~y;
    }
}

void tile_prepare(struct tile_run *r)
{
    const struct tile_prog *t = r->t;
    for (uint32_t v = 0; v < t->n_operands; v++) {
        const struct tile_operand *o = &t->operands[v];
        r->dense[v] = tile_operand_dense(t, o);
        r->splat[v] = !r->dense[v];
        for (uint32_t d = 0; d < t->rank && r->splat[v]; d++)
            r->splat[v] = o->stride[d] == 0;
    }
    uint32_t first = 0, held = MAX_VALUES; /* of the chain that is open */
    for (uint32_t k = 0; k < t->n_ops; k++) {
        const struct tile_op *op = &t->ops[k];
        const bool chains = uop_chains[op->uop];
        uint32_t from_memory = 0;
        if (!chains || !uop_chains[t->ops[first].uop]) {
            first = k;
            held = MAX_VALUES;
        }
        r->steps[k] = step_of(r, op, held, &from_memory);
        if (first == k && k > 0) /* the end of a chain is stored anyway */
            from_memory &= ~(1u << r->steps[k - 1].y);
        keep_values(r, k, from_memory);
        held = t->n_operands + op->dst;
        r->steps[k].y = (uint8_t)held;
        r->chain[k] = 0;
        r->chain[first]++;
    }
}

void tile_run(const struct tile_run *r, size_t offset, size_t n)
{
    const struct tile_prog *t = r->t;
    f16 slots[MAX_VALUES][ANF_TILE];
    f16 *value[MAX_VALUES];
    for (uint32_t v = 0; v < t->n_operands + t->n_regs; v++)
        value[v] = slots[v];
    for (uint32_t v = 0; v < t->n_operands; v++)
        if (r->splat[v]) /* one element: the slot is the same for every tile */
            gather(r, &t->operands[v], r->base[v], 0, slots[v], n < ANF_TILE ? n : ANF_TILE);
    for (size_t done = 0; done < n; done += ANF_TILE) {
        size_t run = n - done < ANF_TILE ? n - done : ANF_TILE, at = offset + done;
        for (uint32_t v = 0; v < t->n_operands; v++) {
            if (r->dense[v])
                value[v] = (f16 *)r->base[v] + at;
            else if (!r->splat[v])
                gather(r, &t->operands[v], r->base[v], at, slots[v], run);
        }
        for (uint32_t k = 0; k < t->n_ops; k += r->chain[k]) {
            const uint32_t last = k + r->chain[k] - 1;
            const struct tile_op *op = &t->ops[k];
            f16 *y = last + 1 == t->n_ops ? r->dst + at : value[r->steps[last].y];
            if (last > k)
                r->kern->uop_chain(r->steps + k, r->chain[k], value, y, run);
            else
                r->kern->uops[op->uop](y, value[op->src[0]],
                                       op->n_src > 1 ? value[op->src[1]] : NULL,
                                       op->n_src > 2 ? value[op->src[2]] : NULL, run, op->p);
        }
    }
}
