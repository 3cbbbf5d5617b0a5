/* How work is cut among threads.  Costs are in eighths of the multiplication of a row unit with a
 * column unit; the answers are functions of the arguments alone, so all calls for a job agree. */
#include "kernels/block.h"

enum { ROW_AWAY = 8 }; /* what a row from another core costs */

struct block_grid block_grid(size_t rows, size_t cols, size_t n_threads, size_t row_cost,
                             size_t col_cost)
{
    struct block_grid best = {1, 1};
    size_t best_cost = SIZE_MAX;
    for (size_t r = 1; r <= n_threads && r <= rows; r++) {
        const size_t c = block_least(n_threads / r, cols);
        const size_t rs = (rows + r - 1) / r, cs = (cols + c - 1) / c;
        const size_t away = c > 1 ? ROW_AWAY : 0;
        const size_t cost = 8 * rs * cs + (row_cost + away) * rs + col_cost * cs;
        if (cost < best_cost) {
            best_cost = cost;
            best = (struct block_grid){r, c};
        }
    }
    return best;
}

struct block_grid block_grid_fine(size_t rows, size_t cols, size_t n_threads, size_t row_cost,
                                  size_t col_cost, size_t most_parts)
{
    struct block_grid best = {1, 1};
    size_t least = SIZE_MAX;
    for (size_t m = 1; m == 1 || m * n_threads <= most_parts; m *= 2) {
        const struct block_grid g = block_grid(rows, cols, m * n_threads, row_cost, col_cost);
        const size_t packing = row_cost * rows * g.n_cols + col_cost * cols * g.n_rows;
        least = block_least(least, packing);
        if (m == 1 || (packing - least) * 4 <= rows * cols) /* 8*rows*cols is the product */
            best = g;
    }
    return best;
}

size_t block_threads(size_t n, size_t n_threads)
{
    for (size_t per = 1; per < n_threads; per++) {
        const size_t parts = n * per, rounds = (parts + n_threads - 1) / n_threads;
        if (rounds * n_threads * 8 <= parts * 9) /* at most an eighth of the time idle */
            return per;
    }
    return n_threads;
}
