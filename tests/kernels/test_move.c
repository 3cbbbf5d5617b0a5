/* Moves and the transpose slot, on every table, against one index loop.
 *
 * Geometries are made the way the operators make them: permutations, slices, repeats and writes
 * into a larger tensor, at random ranks up to 8.  Elements of the destination that no index names
 * must keep their value, and the result must not depend on the number of tasks. */
#include "fenced.h"
#include "plain.h"

#include "kernels/move.h"

#include <string.h>

enum { REGION = 1024 * 1024, ROUNDS = 4000, COUNT_MAX = 40000 };

static uint64_t seed = 88172645463325252u;

static size_t below(size_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 33) % n;
}

/* ---- transpose ------------------------------------------------------------------------------- */
static unsigned char *region[2];

static void open_regions(void)
{
    for (size_t i = 0; i < 2; i++)
        region[i] = fenced(REGION);
}

static void close_regions(void)
{
    for (size_t i = 0; i < 2; i++)
        unfence(region[i]);
}

/* n elements that end at the inaccessible page. */
static f16 *guarded(size_t i, size_t n)
{
    return (f16 *)(void *)(region[i] + REGION) - n;
}

static void check_transpose(const struct kern *k, size_t rows, size_t cols, size_t ldx, size_t ldy)
{
    size_t n_x = (rows - 1) * ldx + cols, n_y = (cols - 1) * ldy + rows;
    f16 *x = guarded(0, n_x), *y = guarded(1, n_y);
    for (size_t i = 0; i < n_x; i++)
        x[i] = (f16)below(65536);
    memset(y - 32, 0xab, (n_y + 32) * sizeof *y);
    k->transpose(x, ldx, y, ldy, rows, cols);
    for (size_t i = 1; i <= 32; i++)
        assert_int_equal(y[-(ptrdiff_t)i], 0xabab);
    for (size_t c = 0; c < cols; c++) {
        for (size_t r = 0; r < rows; r++)
            assert_int_equal(y[c * ldy + r], x[r * ldx + c]);
        for (size_t r = rows; r < ldy && c + 1 < cols; r++)
            assert_int_equal(y[c * ldy + r], 0xabab);
    }
}

/* As rows and as columns, packed and not, and as repeats of one row.  Matrices end at the fence,
 * so their alignment changes with n. */
static void check_short_side(const struct kern *k, size_t side, size_t n)
{
    static const size_t gaps[] = {0, 1, 5};
    for (size_t i = 0; i < 3; i++) {
        const size_t ld = side + gaps[i];
        check_transpose(k, side, n, 0, ld);
        check_transpose(k, n, side, 0, n);
        for (size_t j = 0; j < 3; j++) {
            check_transpose(k, side, n, n + gaps[j], ld);
            check_transpose(k, n, side, ld, n + gaps[j]);
        }
    }
}

static void test_transpose(void **state)
{
    (void)state;
    open_regions();
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        if (!k->available())
            continue;
        for (size_t rows = 1; rows <= 40; rows++)
            for (size_t cols = 1; cols <= 40; cols++)
                check_transpose(k, rows, cols, cols + below(3), rows + below(3));
        for (size_t side = 1; side <= 9; side++)
            for (size_t n = 1; n <= 70; n++)
                check_short_side(k, side, n);
        check_transpose(k, 333, 131, 131, 333);
        check_transpose(k, 131, 333, 400, 140);
        k->transpose(NULL, 0, NULL, 0, 0, 0);
        k->transpose(NULL, 0, NULL, 0, 0, 9);
        k->transpose(NULL, 0, NULL, 0, 9, 0);
    }
    close_regions();
}

/* ---- moves ----------------------------------------------------------------------------------- */
static size_t elements(const struct move_geom *g)
{
    size_t n = 1;
    for (int d = 0; d < g->rank; d++)
        n *= g->dims[d];
    return n;
}

static void naive(const struct move_geom *g, const f16 *src, f16 *dst)
{
    for (size_t i = 0, n = elements(g); i < n; i++) {
        size_t rest = i;
        ptrdiff_t from = 0, to = 0;
        for (int d = g->rank - 1; d >= 0; d--) {
            ptrdiff_t at = (ptrdiff_t)(rest % g->dims[d]);
            rest /= g->dims[d];
            from += at * g->src_stride[d];
            to += at * g->dst_stride[d];
        }
        dst[to] = src[from];
    }
}

struct extent {
    size_t n;      /* elements the strides reach */
    size_t origin; /* where index 0 lies, above 0 if strides are negative */
};

static struct extent extent_of(const struct move_geom *g, const ptrdiff_t *stride)
{
    ptrdiff_t low = 0, high = 0;
    for (int d = 0; d < g->rank; d++) {
        ptrdiff_t reach = (ptrdiff_t)(g->dims[d] ? g->dims[d] - 1 : 0) * stride[d];
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    return (struct extent){(size_t)(high - low) + 1, (size_t)-low};
}

static void check_move(const struct kern *k, const struct move_geom *given)
{
    struct extent from = extent_of(given, given->src_stride);
    struct extent to = extent_of(given, given->dst_stride);
    f16 *src = fenced(from.n * sizeof *src);
    f16 *want = fenced(to.n * sizeof *want), *got = fenced(to.n * sizeof *got);
    assert_true(src && want && got);
    for (size_t i = 0; i < from.n; i++)
        src[i] = (f16)below(65536);
    memset(want, 0xab, to.n * sizeof *want);
    naive(given, src + from.origin, want + to.origin);

    struct move_geom g = *given;
    move_prepare(&g);
    assert_int_equal(elements(&g), elements(given));
    struct move_geom again = g;
    move_prepare(&again);
    assert_int_equal(again.rank, g.rank);
    for (int d = 0; d < g.rank; d++) {
        assert_int_equal(again.dims[d], g.dims[d]);
        assert_true(again.src_stride[d] == g.src_stride[d]);
        assert_true(again.dst_stride[d] == g.dst_stride[d]);
    }

    static const size_t task_counts[] = {1, 2, 3, 7, 16};
    for (size_t c = 0; c < sizeof task_counts / sizeof *task_counts; c++) {
        memset(got, 0xab, to.n * sizeof *got);
        for (size_t task = 0; task < task_counts[c]; task++)
            move_task(k, &g, src + from.origin, got + to.origin, task, task_counts[c]);
        assert_memory_equal(got, want, to.n * sizeof *got);
    }
    unfence(src), unfence(want), unfence(got);
}

static const struct kern *any_table(void)
{
    size_t n = 0;
    while (kern_tables[n])
        n++;
    for (;;) {
        const struct kern *k = kern_tables[below(n)];
        if (k->available())
            return k;
    }
}

/* Row-major strides of a tensor at least as large as dims, visited in the order of `perm`. */
static void random_strides(ptrdiff_t *stride, const size_t *dims, const int *perm, int rank,
                           bool roomy)
{
    ptrdiff_t s = 1;
    for (int i = rank - 1; i >= 0; i--) {
        stride[perm[i]] = s;
        s *= (ptrdiff_t)(dims[perm[i]] + (roomy && below(4) == 0 ? below(3) : 0));
        if (roomy && below(8) == 0)
            s *= 2;
    }
}

static void shuffle(int *perm, int rank)
{
    for (int i = rank - 1; i > 0; i--) {
        int j = (int)below((size_t)i + 1), t = perm[i];
        perm[i] = perm[j];
        perm[j] = t;
    }
}

static void test_random_moves(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        struct move_geom g = {.rank = (int)below(MOVE_MAX_RANK + 1)};
        int perm[MOVE_MAX_RANK];
        size_t room = 1 + below(COUNT_MAX / (1 + below(50)));
        for (int d = 0; d < g.rank; d++) {
            size_t most = room < 70 ? room : 70;
            g.dims[d] = below(5) == 0 ? 1 : 1 + below(most);
            room /= g.dims[d];
            room = room ? room : 1;
            perm[d] = d;
        }
        if (g.rank && below(50) == 0)
            g.dims[below((size_t)g.rank)] = 0;
        if (below(3))
            shuffle(perm, g.rank);
        random_strides(g.dst_stride, g.dims, perm, g.rank, below(2));
        if (below(3))
            shuffle(perm, g.rank);
        random_strides(g.src_stride, g.dims, perm, g.rank, below(2));
        for (int d = 0; d < g.rank; d++) {
            if (below(6) == 0)
                g.src_stride[d] = 0;
            else if (below(12) == 0)
                g.src_stride[d] = -g.src_stride[d];
            if (below(20) == 0)
                g.dst_stride[d] = -g.dst_stride[d];
        }
        check_move(any_table(), &g);
    }
}

/* The layouts operators ask for, at sizes that reach every inner loop. */
static void test_named_moves(void **state)
{
    (void)state;
    static const struct move_geom cases[] = {
        {0, {0}, {0}, {0}},                                           /* a scalar */
        {1, {0}, {1}, {1}},                                           /* nothing */
        {1, {100000}, {1}, {1}},                                      /* copy */
        {1, {1000}, {0}, {1}},                                        /* expand of a scalar */
        {1, {1000}, {-1}, {1}},                                       /* reverse */
        {1, {1000}, {1}, {7}},                                        /* into one column */
        {2, {200, 300}, {1, 200}, {300, 1}},                          /* matrix transpose */
        {3, {4, 64, 96}, {64 * 96, 1, 64}, {64 * 96, 96, 1}},         /* the same per image */
        {3, {8, 50, 32}, {32, 256, 1}, {1600, 32, 1}},                /* heads first */
        {4, {3, 9, 21, 2}, {189, 21, 1, 0}, {756, 84, 2, 1}},         /* each pixel twice */
        {5, {3, 9, 2, 21, 2}, {189, 21, 0, 1, 0}, {756, 84, 42, 2, 1}}, /* upsample by 2 */
        {5, {3, 9, 3, 21, 3}, {189, 21, 0, 1, 0}, {1701, 189, 63, 3, 1}}, /* by 3 */
        {5, {3, 9, 5, 21, 5}, {189, 21, 0, 1, 0}, {4725, 525, 105, 5, 1}}, /* by 5 */
        {5, {3, 9, 4, 21, 4}, {189, 21, 0, 1, 0}, {6048, 672, 168, 4, 1}}, /* by 4, with gaps */
        {5, {2, 3, 17, 5, 17}, {15, 5, 0, 1, 0}, {4335, 1445, 85, 17, 1}}, /* by 17 */
        {3, {1, 5, 40000}, {1, 0, 1}, {200000, 40000, 1}},            /* one row again and again */
        {3, {2, 30000, 2}, {60000, 1, 30000}, {60000, 2, 1}},         /* to pixels of 2 channels */
        {2, {2, 30000}, {1, 2}, {30000, 1}},                          /* and back, of one image */
        {2, {9, 5000}, {1, 9}, {5000, 1}},                            /* of 9 channels */
        {5, {5, 7, 3, 19, 3}, {1197, 19, 399, 1, 133}, {1197, 171, 57, 3, 1}}, /* pixel shuffle */
        {5, {5, 7, 2, 19, 2}, {532, 19, 266, 1, 133}, {532, 76, 38, 2, 1}}, /* pixel shuffle by 2 */
        {5, {5, 2, 2, 7, 19}, {532, 38, 1, 76, 2}, {532, 266, 133, 19, 1}}, /* and back */
        {3, {6, 40, 40}, {1600, 40, 1}, {5000, 40, 1}},               /* concat */
        {3, {6, 11, 4}, {1600, 80, 3}, {44, 4, 1}},                   /* slice with a step */
        {2, {500, 4}, {4, 1}, {9, 1}},                                /* short rows */
        {2, {64, 33}, {1, 0}, {33, 1}},                               /* expand of a column */
    };
    for (size_t t = 0; kern_tables[t]; t++)
        if (kern_tables[t]->available())
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                check_move(kern_tables[t], &cases[i]);
    for (size_t n = 1; n <= 70; n++) {
        const ptrdiff_t row = (ptrdiff_t)n;
        const struct move_geom short_rows = {2, {13, n}, {row + 3, 1}, {row + 1, 1}};
        check_move(any_table(), &short_rows);
    }
}

static void test_prepare(void **state)
{
    (void)state;
    /* NCHW to NHWC is, per image, one matrix transpose. */
    struct move_geom g = {4, {2, 5, 7, 3}, {105, 7, 1, 35}, {105, 21, 3, 1}};
    move_prepare(&g);
    assert_int_equal(g.rank, 3);
    assert_int_equal(g.dims[0], 2);
    assert_int_equal(g.dims[1], 35);
    assert_int_equal(g.dims[2], 3);
    /* A permutation that moves nothing is one run. */
    struct move_geom same = {3, {4, 1, 6}, {1, 99, 4}, {1, 5, 4}};
    move_prepare(&same);
    assert_int_equal(same.rank, 1);
    assert_int_equal(same.dims[0], 24);
    assert_int_equal(move_tasks(&same, 8), 1);
}

static void test_task_count(void **state)
{
    (void)state;
    struct move_geom big = {1, {1 << 20}, {1}, {1}};
    assert_int_equal(move_tasks(&big, 1), 1);
    assert_int_equal(move_tasks(&big, 4), 4);
    struct move_geom none = {1, {0}, {1}, {1}}, one = {.rank = 0};
    assert_int_equal(move_tasks(&none, 4), 1);
    assert_int_equal(move_tasks(&one, 4), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transpose),    cmocka_unit_test(test_named_moves),
        cmocka_unit_test(test_random_moves), cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_task_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
