/* Strided copies.
 *
 * move_prepare brings any geometry to a few shapes: ordered by the destination, merged, its last
 * two dimensions are one of
 *     copy       both strides of the last dimension are 1: runs of memcpy;
 *     transpose  the last dimension is contiguous in the destination, the one before in the source;
 *     fill       the last dimension repeats one source element;
 *     strided    anything else: two plain nested loops.
 * An odometer over the other dimensions calls that inner move.  Tasks cut one dimension into
 * ranges, so each is a smaller geometry of the same kind, and every element is written by exactly
 * one of them. */
#include "kernels/move.h"

#include <string.h>

enum {
    MOVE_TASK_MIN = 16384, /* elements; 32 KiB take about as long as starting a thread's share */
    FILL_MIN = 16,         /* shorter repeats are a transpose of a matrix with equal rows */
    CUT_GRAIN = 32,        /* one cache line */
};

enum move_kind { MOVE_COPY, MOVE_TRANSPOSE, MOVE_FILL, MOVE_STRIDED };

static size_t magnitude(ptrdiff_t stride)
{
    return stride < 0 ? 0 - (size_t)stride : (size_t)stride;
}

static void put_dim(struct move_geom *g, int at, size_t n, ptrdiff_t ss, ptrdiff_t ds)
{
    g->dims[at] = n;
    g->src_stride[at] = ss;
    g->dst_stride[at] = ds;
}

static void copy_dim(struct move_geom *g, int to, int from)
{
    put_dim(g, to, g->dims[from], g->src_stride[from], g->dst_stride[from]);
}

static void move_dim(struct move_geom *g, int from, int to)
{
    size_t n = g->dims[from];
    ptrdiff_t ss = g->src_stride[from], ds = g->dst_stride[from];
    for (; from < to; from++)
        copy_dim(g, from, from + 1);
    for (; from > to; from--)
        copy_dim(g, from, from - 1);
    put_dim(g, to, n, ss, ds);
}

/* The dimension that makes a transpose with the last one, or -1. */
static int transpose_partner(const struct move_geom *g)
{
    int last = g->rank - 1, best = -1;
    if (last < 1 || g->dst_stride[last] != 1 || g->src_stride[last] == 1 || g->src_stride[last] < 0)
        return -1;
    if (g->src_stride[last] == 0 && g->dims[last] >= FILL_MIN)
        return -1;
    for (int d = 0; d < last; d++)
        if (g->src_stride[d] == 1 && g->dst_stride[d] > 0
            && (best < 0 || g->dims[d] > g->dims[best]))
            best = d;
    return best;
}

static enum move_kind inner_kind(const struct move_geom *g)
{
    int last = g->rank - 1;
    if (last >= 0 && g->dst_stride[last] == 1 && g->src_stride[last] == 1)
        return MOVE_COPY;
    if (last >= 1 && transpose_partner(g) == last - 1)
        return MOVE_TRANSPOSE;
    if (last >= 0 && g->dst_stride[last] == 1 && g->src_stride[last] == 0)
        return MOVE_FILL;
    return MOVE_STRIDED;
}

void move_prepare(struct move_geom *g)
{
    int rank = 0;
    for (int d = 0; d < g->rank; d++) {
        if (g->dims[d] == 0) {
            g->rank = 1;
            put_dim(g, 0, 0, 1, 1);
            return;
        }
        if (g->dims[d] != 1)
            copy_dim(g, rank++, d);
    }
    g->rank = rank;

    for (int d = 1; d < rank; d++) {
        int to = d;
        while (to > 0 && magnitude(g->dst_stride[to - 1]) < magnitude(g->dst_stride[d]))
            to--;
        move_dim(g, d, to);
    }

    int out = 0;
    for (int d = 1; d < rank; d++) {
        ptrdiff_t n = (ptrdiff_t)g->dims[d];
        if (g->src_stride[out] == g->src_stride[d] * n
            && g->dst_stride[out] == g->dst_stride[d] * n)
            put_dim(g, out, g->dims[out] * g->dims[d], g->src_stride[d], g->dst_stride[d]);
        else
            copy_dim(g, ++out, d);
    }
    if (rank)
        g->rank = out + 1;

    int partner = transpose_partner(g);
    if (partner >= 0)
        move_dim(g, partner, g->rank - 2);
}

static size_t count(const struct move_geom *g)
{
    size_t n = 1;
    for (int d = 0; d < g->rank; d++)
        n *= g->dims[d];
    return n;
}

/* The dimension tasks cut: the outermost if it gives even shares, else the longest. */
static int cut_dim(const struct move_geom *g, size_t n_tasks)
{
    int longest = 0;
    if (g->rank && (g->dims[0] >= 4 * n_tasks || g->dims[0] == n_tasks))
        return 0;
    for (int d = 1; d < g->rank; d++)
        if (g->dims[d] > g->dims[longest])
            longest = d;
    return longest;
}

size_t move_tasks(const struct move_geom *g, size_t n_threads)
{
    size_t n = count(g) / MOVE_TASK_MIN;
    n = n < n_threads ? n : n_threads;
    if (n <= 1)
        return 1;
    size_t most = g->dims[cut_dim(g, n)];
    return n < most ? n : most;
}

static void copy_rows(const f16 *src, ptrdiff_t ss, f16 *dst, ptrdiff_t ds, size_t rows, size_t n)
{
    /* Constant sizes become single instructions; short rows are common in pixel and head
     * layouts. */
    switch (n) {
    case 2:
        for (; rows; rows--, src += ss, dst += ds)
            memcpy(dst, src, 4);
        break;
    case 4:
        for (; rows; rows--, src += ss, dst += ds)
            memcpy(dst, src, 8);
        break;
    case 8:
        for (; rows; rows--, src += ss, dst += ds)
            memcpy(dst, src, 16);
        break;
    default:
        for (; rows; rows--, src += ss, dst += ds)
            memcpy(dst, src, n * sizeof *dst);
    }
}

static void fill(f16 *dst, f16 value, size_t n)
{
    size_t i = 0;
    for (; n - i >= CUT_GRAIN; i += CUT_GRAIN)
        for (size_t j = 0; j < CUT_GRAIN; j++)
            dst[i + j] = value;
    for (; i < n; i++)
        dst[i] = value;
}

/* The last two dimensions; a missing one counts as size 1. */
static void move_inner(const struct kern *k, enum move_kind kind, const struct move_geom *g,
                       const f16 *src, f16 *dst)
{
    int in = g->rank - 1, out = g->rank - 2;
    size_t n = in >= 0 ? g->dims[in] : 1, rows = out >= 0 ? g->dims[out] : 1;
    ptrdiff_t ss = in >= 0 ? g->src_stride[in] : 0, ds = in >= 0 ? g->dst_stride[in] : 0;
    ptrdiff_t row_ss = out >= 0 ? g->src_stride[out] : 0;
    ptrdiff_t row_ds = out >= 0 ? g->dst_stride[out] : 0;
    switch (kind) {
    case MOVE_COPY:
        copy_rows(src, row_ss, dst, row_ds, rows, n);
        break;
    case MOVE_TRANSPOSE:
        k->transpose(src, (size_t)ss, dst, (size_t)row_ds, n, rows);
        break;
    case MOVE_FILL:
        for (size_t r = 0; r < rows; r++)
            fill(dst + (ptrdiff_t)r * row_ds, src[(ptrdiff_t)r * row_ss], n);
        break;
    case MOVE_STRIDED:
        for (size_t r = 0; r < rows; r++) {
            const f16 *s = src + (ptrdiff_t)r * row_ss;
            f16 *d = dst + (ptrdiff_t)r * row_ds;
            for (size_t i = 0; i < n; i++)
                d[(ptrdiff_t)i * ds] = s[(ptrdiff_t)i * ss];
        }
        break;
    }
}

void move_task(const struct kern *k, const struct move_geom *g, const f16 *src, f16 *dst,
               size_t task, size_t n_tasks)
{
    struct move_geom part = *g;
    enum move_kind kind = inner_kind(g); /* of the whole, so that a cut cannot change it */
    if (n_tasks > 1) {
        if (g->rank == 0 && task > 0)
            return;
        if (g->rank > 0) {
            int d = cut_dim(g, n_tasks);
            size_t grain = g->dims[d] >= 2 * CUT_GRAIN * n_tasks ? CUT_GRAIN : 1;
            size_t units = (g->dims[d] + grain - 1) / grain;
            size_t from = units * task / n_tasks * grain, to = units * (task + 1) / n_tasks * grain;
            to = to < g->dims[d] ? to : g->dims[d];
            part.dims[d] = to - from;
            src += (ptrdiff_t)from * g->src_stride[d];
            dst += (ptrdiff_t)from * g->dst_stride[d];
        }
    }
    if (count(&part) == 0)
        return;

    size_t index[MOVE_MAX_RANK] = {0};
    ptrdiff_t from = 0, to = 0;
    for (;;) {
        move_inner(k, kind, &part, src + from, dst + to);
        int d = part.rank - 3;
        for (; d >= 0; d--) {
            from += part.src_stride[d];
            to += part.dst_stride[d];
            if (++index[d] < part.dims[d])
                break;
            from -= (ptrdiff_t)part.dims[d] * part.src_stride[d];
            to -= (ptrdiff_t)part.dims[d] * part.dst_stride[d];
            index[d] = 0;
        }
        if (d < 0)
            return;
    }
}
