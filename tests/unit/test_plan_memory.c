/* The memory plan against its definition: the largest buffer first, each at the lowest offset that
 * no buffer of the same time stands in the way of. */
#include "program/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t below(uint64_t *seed, uint64_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % n;
}

static uint64_t rounded(const struct buffer *b)
{
    return size_round_up(b->n_bytes, ANF_CACHE_LINE);
}

static bool meet(const struct buffer *a, const struct buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The next to be placed: the largest one that is not, of equal ones the first. */
static struct buffer *next_of(struct program *p, const bool *placed)
{
    struct buffer *next = NULL;
    for (size_t i = 1; i < p->n_buffers; i++)
        if (p->buffers[i].kind == BUF_ARENA && p->buffers[i].first != UINT32_MAX && !placed[i] &&
            (!next || rounded(&p->buffers[i]) > rounded(next)))
            next = &p->buffers[i];
    return next;
}

/* Moves up until nothing that is placed stands in the way. */
static uint64_t lowest(const struct program *p, const bool *placed, const struct buffer *b)
{
    uint64_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t i = 1; i < p->n_buffers; i++) {
            const struct buffer *q = &p->buffers[i];
            if (placed[i] && meet(b, q) && q->offset < at + rounded(b) &&
                q->offset + rounded(q) > at) {
                at = q->offset + rounded(q);
                moved = true;
            }
        }
    }
    return at;
}

static void check_plan(struct program *p)
{
    uint64_t most = 0;
    bool *placed = test_calloc(p->n_buffers, sizeof *placed);
    for (struct buffer *b; (b = next_of(p, placed)); placed[b - p->buffers] = true) {
        assert_int_equal(b->offset, lowest(p, placed, b));
        most = b->offset + rounded(b) > most ? b->offset + rounded(b) : most;
    }
    assert_int_equal(p->arena_bytes, most);
    test_free(placed);
}

static void add_buffer(struct program *p, uint64_t n_bytes, uint64_t first, uint64_t last)
{
    uint32_t id = program_buffer(p, BUF_ARENA, n_bytes);
    assert_int_not_equal(id, 0);
    p->buffers[id].first = (uint32_t)first;
    p->buffers[id].last = (uint32_t)last;
}

/* Only their number counts: the plan does not look at instructions. */
static void plan_and_check(struct program *p, uint64_t n_instrs)
{
    p->n_instrs = n_instrs;
    assert_int_equal(plan_memory(p), ANF_OK);
    check_plan(p);
    p->n_instrs = 0;
    program_free(p);
}

static void test_random(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int round = 0; round < 300; round++) {
        struct program p;
        uint64_t n_instrs = 1 + below(&seed, round % 3 ? 20 : 300);
        uint64_t longest = 1 + below(&seed, n_instrs), sizes = 1 + below(&seed, 40);
        assert_int_equal(program_init(&p, &alloc_default), ANF_OK);
        for (uint64_t n = below(&seed, 150); n > 0; n--) {
            uint64_t first = below(&seed, n_instrs), last = first + below(&seed, longest);
            add_buffer(&p, 2 + 60 * below(&seed, sizes), first,
                       last < n_instrs ? last : n_instrs - 1);
        }
        plan_and_check(&p, n_instrs);
    }
}

/* What branches look like: all alive at once, given up in another order than begun. */
static void test_many_alive(void **state)
{
    struct program p;
    (void)state;
    assert_int_equal(program_init(&p, &alloc_default), ANF_OK);
    for (uint64_t i = 0; i < 400; i++)
        add_buffer(&p, i % 5 ? 128 : 64 * (1 + i % 7), i, 400 + i * 7 % 400);
    add_buffer(&p, 128, 0, 799);
    plan_and_check(&p, 800);
}

static void test_nothing(void **state)
{
    struct program p;
    (void)state;
    assert_int_equal(program_init(&p, &alloc_default), ANF_OK);
    assert_int_not_equal(program_buffer(&p, BUF_ARENA, 64), 0); /* no instruction uses it */
    plan_and_check(&p, 0);
    assert_int_equal(program_init(&p, &alloc_default), ANF_OK);
    add_buffer(&p, 1, 0, 0);
    plan_and_check(&p, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_many_alive),
                                       cmocka_unit_test(test_nothing)};
    return cmocka_run_group_tests_name("plan_memory", tests, NULL, NULL);
}
