/* Kernel tests without a test framework.
 *
 * A kernel test includes this instead of <cmocka.h> and uses only the names below.  Normally they
 * are cmocka's; with ANF_TEST_PLAIN they are a few lines of C here, so that the same test runs
 * where the framework is not installed, such as a cross build under an emulator. */
#ifndef ANF_TESTS_PLAIN_H
#define ANF_TESTS_PLAIN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifndef ANF_TEST_PLAIN
#include <cmocka.h>
#else
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*fn)(void **state);
};

static jmp_buf plain_failed;

static inline void plain_check(int ok, const char *what, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    longjmp(plain_failed, 1);
}

typedef int plain_fixture(void **state);

static inline int plain_run(const char *group, const struct CMUnitTest *tests, size_t n,
                            plain_fixture *setup, plain_fixture *teardown)
{
    volatile int failures = 0;
    void *all = NULL;
    if (setjmp(plain_failed) != 0 || (setup && setup(&all) != 0)) {
        printf("%s: setup failed\n", group);
        return 1;
    }
    for (volatile size_t i = 0; i < n; i++) {
        void *state = NULL;
        if (setjmp(plain_failed) == 0) {
            tests[i].fn(&state);
            printf("ok      %s\n", tests[i].name);
        } else {
            failures = failures + 1;
            printf("FAILED  %s\n", tests[i].name);
        }
    }
    if (setjmp(plain_failed) != 0 || (teardown && teardown(&all) != 0))
        failures = failures + 1;
    printf("%s: %zu tests, %d failed\n", group, n, failures);
    return failures;
}

#define cmocka_unit_test(f) {#f, f}
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    plain_run(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define print_message(...) ((void)printf(__VA_ARGS__))
#define fail_msg(...)                                                                              \
    ((void)fprintf(stderr, __VA_ARGS__), plain_check(0, "", __FILE__, __LINE__))
#define fail() plain_check(0, "fail()", __FILE__, __LINE__)
#define assert_true(c) plain_check(!!(c), "not true: " #c, __FILE__, __LINE__)
#define assert_false(c) plain_check(!(c), "not false: " #c, __FILE__, __LINE__)
#define assert_null(p) plain_check((p) == NULL, "not NULL: " #p, __FILE__, __LINE__)
#define assert_non_null(p) plain_check((p) != NULL, "NULL: " #p, __FILE__, __LINE__)
#define assert_ptr_equal(a, b) plain_check((a) == (b), #a " != " #b, __FILE__, __LINE__)
#define assert_int_equal(a, b) plain_check((a) == (b), #a " != " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) plain_check((a) != (b), #a " == " #b, __FILE__, __LINE__)
#define assert_string_equal(a, b) plain_check(!strcmp(a, b), #a " != " #b, __FILE__, __LINE__)
#define assert_memory_equal(a, b, n)                                                               \
    plain_check(!memcmp(a, b, n), #a " and " #b " differ", __FILE__, __LINE__)
#endif

#endif
