/* Strided copies.
 *
 * move_prepare brings any geometry to a few shapes: ordered by the destination, merged, its last
 * two dimensions are one of
 *     copy       both strides of the last dimension are 1: runs of memcpy;
 *     transpose  the last dimension is contiguous in the destination, the one before in the source;
 *     fill       the last dimension repeats one source element;
 *     strided    anything else: two plain nested loops.
 * An odometer over the other dimensions calls that inner move, or copies what the one before wrote.
 * Tasks cut one dimension into ranges, so each is a smaller geometry of the same kind, and every
 * element is written by exactly one of them. */
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

/* The dimension tasks cut: the outermost if it gives even shares, else the longest.  The short side
 * of a single transpose is left whole: parts of it are slower than all of it. */
static int cut_dim(const struct move_geom *g, size_t n_tasks)
{
    int longest = 0;
    const bool even = g->rank && (g->dims[0] >= 4 * n_tasks || g->dims[0] == n_tasks);
    if (even && (g->rank > 2 || g->dims[0] >= 8 * n_tasks || inner_kind(g) != MOVE_TRANSPOSE))
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

/* Rows of unit <= n <= 2 * unit elements: the first `unit` and the last, which may overlap.  A
 * constant unit makes each a single instruction or two. */
static inline void copy_ends(const f16 *src, ptrdiff_t ss, f16 *dst, ptrdiff_t ds, size_t rows,
                             size_t n, size_t unit)
{
    for (; rows; rows--, src += ss, dst += ds) {
        memcpy(dst, src, unit * sizeof *dst);
        memcpy(dst + n - unit, src + n - unit, unit * sizeof *dst);
    }
}

/* Short rows are common in pixel and head layouts, and take less time than a call of memcpy. */
static void copy_rows(const f16 *src, ptrdiff_t ss, f16 *dst, ptrdiff_t ds, size_t rows, size_t n)
{
    if (n == 1 || n > 32)
        for (; rows; rows--, src += ss, dst += ds)
            memcpy(dst, src, n * sizeof *dst);
    else if (n <= 4)
        copy_ends(src, ss, dst, ds, rows, n, 2);
    else if (n <= 8)
        copy_ends(src, ss, dst, ds, rows, n, 4);
    else if (n <= 16)
        copy_ends(src, ss, dst, ds, rows, n, 8);
    else
        copy_ends(src, ss, dst, ds, rows, n, 16);
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

/* Whether dimension `outside`, the one before the last two, only repeats them and they are one run
 * of the destination: rows of an upsampled image.  A copy of the run is faster than its move. */
static bool repeats_run(const struct move_geom *g, enum move_kind kind, int outside)
{
    const int in = g->rank - 1;
    return (kind == MOVE_TRANSPOSE || kind == MOVE_FILL) && outside >= 0
           && g->src_stride[outside] == 0 && g->dst_stride[in - 1] == (ptrdiff_t)g->dims[in];
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
    const int outside = part.rank - 3;
    const bool repeats = repeats_run(&part, kind, outside);
    for (;;) {
        if (repeats && index[outside] > 0)
            memcpy(dst + to, dst + to - part.dst_stride[outside],
                   part.dims[outside + 1] * part.dims[outside + 2] * sizeof *dst);
        else
            move_inner(k, kind, &part, src + from, dst + to);
        int d = outside;
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
