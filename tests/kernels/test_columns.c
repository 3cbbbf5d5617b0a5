/* Column kernels: a column of a matrix gives what the row of its elements gives by the yardstick of
 * row_yardstick.h, bit for bit, and nothing beside it is touched. */
#include "row_yardstick.h"

static float wide[50000]; /* elements of a matrix, each column after the other */

enum { UNTOUCHED = 0x5a5a }; /* what lies between the columns of a result */

/* The rows of a matrix [cols][n] as columns of one of row stride ld, whose last row ends with the
 * last column. */
static void turn(const f16 *rows, size_t n, size_t cols, f16 *x, size_t ld)
{
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < cols; c++)
            x[k * ld + c] = rows[c * n + k];
}

static void check_columns(const struct kern *k, size_t n, size_t cols, size_t ld, enum kind kind)
{
    reduce_columns_fn *const fn[REDUCES] = {k->columns_sum, k->columns_mean, k->columns_max,
                                            k->columns_min};
    const size_t size = ((n - 1) * ld + cols) * sizeof(f16);
    f16 *x = guarded(0, size), *y = guarded(1, size), *one = guarded(2, cols * sizeof *one);
    f16 *rows = guarded(3, cols * n * sizeof *rows);
    make_rows(rows, cols, n, kind);
    widen(rows, wide, cols * n);
    memset(x, UNTOUCHED & 0xff, size);
    memset(y, UNTOUCHED & 0xff, size);
    turn(rows, n, cols, x, ld);
    for (int which = 0; which < REDUCES; which++) {
        fn[which](x, ld, n, cols, one);
        for (size_t c = 0; c < cols; c++)
            assert_int_equal(one[c], slow_reduction(which, wide + c * n, n));
        assert_true(frame_intact(one));
    }
    if (n > 1000) /* as many as there is guarded memory for */
        return;
    float *scratch = guarded(4, softmax_columns_floats(n) * sizeof *scratch);
    for (size_t c = 0; c < cols; c++)
        slow_softmax(wide + c * n, rows + c * n, n);
    k->softmax_columns(x, y, ld, n, cols, scratch);
    k->softmax_columns(x, x, ld, n, cols, scratch);
    assert_memory_equal(x, y, size);
    for (size_t j = 0; j < n; j++)
        for (size_t c = 0; c < ld && j * ld + c < size / sizeof *y; c++)
            assert_int_equal(y[j * ld + c], c < cols ? rows[c * n + j] : UNTOUCHED);
    assert_true(frame_intact(x) && frame_intact(y) && frame_intact(scratch));
}

static void test_columns(void **state)
{
    (void)state;
    static const size_t lengths[] = {63, 64, 65, 127, 128, 129, 255, 256, 257, 320, 513, 999};
    open_regions();
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        if (!k->available())
            continue;
        for (size_t cols = 1; cols <= 131; cols++)
            for (int kind = 0; kind < KINDS; kind++) {
                const size_t length = lengths[next_random() % (sizeof lengths / sizeof *lengths)];
                check_columns(k, 1 + next_random() % 70, cols, cols + next_random() % 3,
                              (enum kind)kind);
                check_columns(k, length, 1 + cols % 50, 1 + cols % 50 + next_random() % 3,
                              (enum kind)kind);
            }
        for (size_t n = 4095; n <= 4200; n += 21)
            for (int kind = 0; kind < KINDS; kind++)
                check_columns(k, n, 5, 7, (enum kind)kind);
        check_columns(k, 8200, 1, 15, WIDE);
        check_columns(k, 700, 67, 70, WIDE);
        k->columns_sum(NULL, 0, 7, 0, NULL);
        k->softmax_columns(NULL, NULL, 0, 7, 0, NULL);
    }
    close_regions();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_columns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
