/* Arenas: every piece is aligned, zeroed and its own, whatever the order of sizes. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PIECES = 400 };

struct piece {
    unsigned char *at;
    size_t n;
};

static size_t size_of(int i)
{
    const size_t sizes[] = {0, 1, 63, 64, 65, 700, 4000, 5000, 200000, 3, 5 << 20, 1024};
    return i % 50 ? sizes[i % 9] : sizes[i / 50 % 12];
}

static void fill(struct arena *a, struct piece *pieces)
{
    for (int i = 0; i < PIECES; i++) {
        struct piece *p = &pieces[i];
        p->n = size_of(i);
        p->at = i % 3 ? arena_alloc(a, p->n) : arena_alloc_raw(a, p->n);
        assert_non_null(p->at);
        assert_int_equal((uintptr_t)p->at % ANF_CACHE_LINE, 0);
        for (size_t k = 0; i % 3 && k < p->n; k++)
            assert_int_equal(p->at[k], 0);
        memset(p->at, i % 251 + 1, p->n);
    }
    for (int i = 0; i < PIECES; i++)
        for (size_t k = 0; k < pieces[i].n; k++)
            assert_int_equal(pieces[i].at[k], i % 251 + 1);
}

static void test_pieces(void **state)
{
    struct piece pieces[PIECES];
    struct arena a;
    (void)state;
    arena_init(&a, &alloc_default);
    arena_reset(&a); /* of nothing */
    fill(&a, pieces);
    arena_reset(&a);
    fill(&a, pieces); /* in memory that was written to */
    arena_free(&a);
    fill(&a, pieces);
    arena_free(&a);
}

static void test_too_large(void **state)
{
    struct arena a;
    (void)state;
    arena_init(&a, &alloc_default);
    assert_null(arena_alloc(&a, SIZE_MAX - 10));
    assert_null(arena_alloc_array(&a, SIZE_MAX / 2, 4));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_too_large)};
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
