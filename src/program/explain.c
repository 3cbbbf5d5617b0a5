/* The program as text: what `aneforge explain` prints and golden tests compare.  One line per
 * instruction, then its buffers; nothing in it depends on addresses. */
#include "program/exec_table.h"

#include <inttypes.h>
#include <string.h>

static const char *const kind_names[BUF_KIND_COUNT] = {
#define X(id, text) [BUF_##id] = text,
    BUFFER_KINDS(X)
#undef X
};

static void put_operand(const struct program *p, const struct operand *o, struct buf *out)
{
    const struct buffer *b = &p->buffers[o->buf];
    switch (b->kind) {
    case BUF_INPUT:
        buf_str(out, p->inputs[b->port].info.name);
        break;
    case BUF_OUTPUT:
        buf_str(out, p->outputs[b->port].info.name);
        break;
    default:
        buf_printf(out, "%c%u", b->kind == BUF_CONST ? 'w' : 'b', o->buf);
    }
    if (o->offset)
        buf_printf(out, "+%" PRIu64, o->offset);
}

static void put_bytes(uint64_t n, struct buf *out)
{
    if (n >= 10u * 1024 * 1024)
        buf_printf(out, "%.1f MiB", (double)n / (1024 * 1024));
    else if (n >= 10 * 1024)
        buf_printf(out, "%.1f KiB", (double)n / 1024);
    else
        buf_printf(out, "%" PRIu64 " B", n);
}

/* ---- the geometry of each instruction -------------------------------------------------------- */
void text_gemm(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct gemm_param *g = PARAM(p, i, gemm_param);
    static const char *const kinds[GEMM_B_COUNT] = {
#define X(kind, encoding, text) text,
        GEMM_KINDS(X)
#undef X
    };
    buf_printf(out, "batch=%" PRId64 " m=%" PRId64 " n=%" PRId64 " k=%" PRId64 " b=%s", g->batch,
               g->m, g->n, g->k, kinds[g->b_kind]);
    if (g->b_kind == GEMM_B_BLOCKWISE)
        buf_printf(out, " block=%" PRId64, g->b_row);
}

void text_conv(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct conv_param *c = PARAM(p, i, conv_param);
    buf_printf(out,
               "[%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "] -> [%" PRId64 ",%" PRId64
               ",%" PRId64 ",%" PRId64 "] kernel=%" PRId64 "x%" PRId64,
               c->images, c->groups * c->cin, c->in_h, c->in_w, c->images, c->groups * c->cout,
               c->out_h, c->out_w, c->kh, c->kw);
    if (c->stride_h != 1)
        buf_printf(out, " stride=%" PRId64, c->stride_h);
    if (c->dil_h != 1)
        buf_printf(out, " dilation=%" PRId64, c->dil_h);
    if (c->groups != 1)
        buf_printf(out, " groups=%" PRId64, c->groups);
    if (c->up != 1)
        buf_printf(out, " upsampled=%" PRId64, c->up);
}

void text_attention(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct attention_param *a = PARAM(p, i, attention_param);
    buf_printf(out, "heads=%" PRId64 " sq=%" PRId64 " skv=%" PRId64 " d=%" PRId64, a->heads,
               a->sq, a->skv, a->d);
}

static void text_rows(struct buf *out, int64_t rows, int64_t n, int64_t inner)
{
    buf_printf(out, "rows=%" PRId64 " n=%" PRId64, rows, n);
    if (inner != 1)
        buf_printf(out, " inner=%" PRId64, inner);
}

void text_reduce(const struct program *p, const struct instr *i, struct buf *out)
{
    static const char *const kinds[REDUCE_KIND_COUNT] = {
#define X(id, what) [REDUCE_##id] = "reduce_" #what,
        REDUCE_KINDS(X)
#undef X
    };
    const struct reduce_param *r = PARAM(p, i, reduce_param);
    buf_printf(out, "%s ", kinds[r->kind]);
    text_rows(out, r->rows, r->n, r->inner);
}

void text_softmax(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct softmax_param *s = PARAM(p, i, softmax_param);
    text_rows(out, s->rows, s->n, s->inner);
}

void text_norm(const struct program *p, const struct instr *i, struct buf *out)
{
    static const char *const kinds[NORM_KIND_COUNT] = {
#define X(id, slot) [NORM_##id] = #slot,
        NORM_KINDS(X)
#undef X
    };
    const struct norm_param *n = PARAM(p, i, norm_param);
    buf_printf(out, "%s rows=%" PRId64 " n=%" PRId64, kinds[n->kind], n->rows, n->n);
}

void text_affine(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct affine_param *a = PARAM(p, i, affine_param);
    buf_printf(out, "images=%" PRId64 " channels=%" PRId64 " n=%" PRId64, a->images, a->channels,
               a->run);
}

void text_pool(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct pool_param *q = PARAM(p, i, pool_param);
    buf_printf(out,
               "%s planes=%" PRId64 " [%" PRId64 ",%" PRId64 "] -> [%" PRId64 ",%" PRId64
               "] k=%" PRId64 " stride=%" PRId64,
               q->kind == POOL_MAX ? "max" : "avg", q->planes, q->in_h, q->in_w, q->out_h,
               q->out_w, q->k, q->stride);
}

void text_move(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct move_param *m = PARAM(p, i, move_param);
    buf_str(out, "[");
    for (int64_t d = 0; d < m->rank; d++)
        buf_printf(out, "%s%" PRId64, d ? "," : "", m->dims[d]);
    buf_str(out, "]");
}

static void put_tile(const struct program *p, const struct instr *i, struct buf *out)
{
    const struct tile_prog *t = &p->tiles[i->tile - 1];
    buf_str(out, i->op == INSTR_TILE ? "" : " then ");
    for (uint32_t k = 0; k < t->n_ops; k++)
        buf_printf(out, "%s%s", k ? " " : "", uop_info[t->ops[k].uop].name);
    if (i->op != INSTR_TILE)
        return;
    buf_str(out, " [");
    for (uint32_t d = 0; d < t->rank; d++)
        buf_printf(out, "%s%" PRId64, d ? "," : "", t->dims[d]);
    buf_str(out, "]");
}

void explain_instr(const struct program *p, const struct instr *i, struct buf *out)
{
    buf_str(out, instr_info[i->op].name);
    buf_pad(out, 14);
    for (uint32_t k = 0; k < i->n_operand; k++) {
        if (k)
            buf_str(out, k == 1 ? " = " : ", ");
        put_operand(p, &p->operands[i->operand + k], out);
    }
    buf_str(out, "  ");
    if (instr_info[i->op].text)
        instr_info[i->op].text(p, i, out);
    if (i->tile)
        put_tile(p, i, out);
}

anf_status explain_program(const struct program *p, const struct kern *k, struct buf *out)
{
    anf_model_stats stats;
    program_stats(p, &stats);
    buf_printf(out, "program: %zu instructions from %" PRIu64 " operators", p->n_instrs, p->n_ops);
    if (k)
        buf_printf(out, ", kernels %s (%zu rows x %d columns)", k->name, k->mr,
                   (int)k->nv * ANF_PANEL);
    buf_printf(out, "\nflops %.3g, weights ", (double)stats.flops);
    put_bytes(stats.weight_bytes, out);
    buf_str(out, ", arena ");
    put_bytes(p->arena_bytes, out);
    buf_str(out, "\n\n");
    for (size_t i = 0; i < p->n_instrs; i++) {
        const struct instr *in = &p->instrs[i];
        buf_printf(out, "%4zu  ", i);
        explain_instr(p, in, out);
        buf_pad(out, 100);
        buf_printf(out, "; %s", p->names + in->source);
        if (in->flops)
            buf_printf(out, ", %.3g flops", (double)in->flops);
        buf_str(out, ", ");
        put_bytes(in->bytes, out);
        buf_str(out, "\n");
    }
    buf_str(out, "\nbuffers\n");
    for (size_t b = 1; b < p->n_buffers; b++) {
        const struct buffer *buf = &p->buffers[b];
        struct operand o = {.buf = (uint32_t)b};
        if (buf->first == UINT32_MAX && buf->kind == BUF_ARENA)
            continue;
        buf_str(out, "  ");
        put_operand(p, &o, out);
        buf_pad(out, 16);
        buf_str(out, kind_names[buf->kind]);
        buf_pad(out, 24);
        put_bytes(buf->n_bytes, out);
        if (buf->kind == BUF_ARENA) {
            buf_pad(out, 38);
            buf_printf(out, "at %" PRIu64, buf->offset);
        }
        if (buf->first != UINT32_MAX) {
            buf_pad(out, 54);
            buf_printf(out, "live %u..%u", buf->first, buf->last);
        }
        buf_str(out, "\n");
    }
    return out->failed ? ANF_E_NOMEM : ANF_OK;
}
