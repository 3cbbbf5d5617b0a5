/* Heapsort.  After every turn no item i from `start` to end - 1 is less than those of 2i + 1 and
 * 2i + 2 that are among them; those from `end` on are in order, none less than one before. */
#include "base/sort.h"

static void swap_items(char *x, char *y, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char t = x[i];
        x[i] = y[i];
        y[i] = t;
    }
}

void sort_items(void *items, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    char *p = items;
    size_t start = n / 2, end = n;
    while (end > 1) {
        if (start > 0)
            start--;
        else
            swap_items(p, p + --end * size, size);
        for (size_t root = start, child; (child = 2 * root + 1) < end; root = child) {
            if (child + 1 < end && compare(p + child * size, p + (child + 1) * size) < 0)
                child++;
            if (compare(p + root * size, p + child * size) >= 0)
                break;
            swap_items(p + root * size, p + child * size, size);
        }
    }
}
