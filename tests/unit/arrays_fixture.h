/* Shared by the tests of array files: a context whose allocator counts what is alive and can fail
 * its k-th call, a directory of its own for each test program, and a maker of .npy bytes. */
#ifndef ANF_TESTS_ARRAYS_FIXTURE_H
#define ANF_TESTS_ARRAYS_FIXTURE_H

#include "io/arrays.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef ANF_TEST_DATA
#define ANF_TEST_DATA "tests/data"
#endif

static struct {
    long live_bytes, live;
    int fail_at; /* 0: never; counts down */
} mem;

static inline void *counting_alloc(void *user, size_t n, size_t align)
{
    (void)user;
    void *p = NULL;
    if (mem.fail_at && --mem.fail_at == 0)
        return NULL;
    if (posix_memalign(&p, align < sizeof p ? sizeof p : align, n ? n : 1) != 0)
        return NULL;
    memset(p, 0xab, n);
    mem.live++;
    mem.live_bytes += (long)n;
    return p;
}

static inline void counting_free(void *user, void *p, size_t n)
{
    (void)user;
    mem.live--;
    mem.live_bytes -= (long)n;
    free(p);
}

static anf_ctx *ctx;
static char dir[] = "/tmp/anf_arrays_XXXXXX";
static char paths[4][300];

static inline const char *in_dir(const char *name)
{
    static unsigned turn;
    char *p = paths[turn++ % 4];
    snprintf(p, sizeof paths[0], "%s/%s", dir, name);
    return p;
}

static inline const char *in_data(const char *name)
{
    static unsigned turn;
    static char names[2][600];
    char *p = names[turn++ % 2];
    snprintf(p, sizeof names[0], "%s/%s", ANF_TEST_DATA, name);
    return p;
}

static inline int set_up(void **state)
{
    (void)state;
    anf_allocator a = {NULL, counting_alloc, counting_free};
    anf_ctx_desc desc = {.threads = 1, .allocator = &a};
    return anf_ctx_new(&desc, &ctx) != ANF_OK || !mkdtemp(dir);
}

static inline int tear_down(void **state)
{
    (void)state;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        unlink(in_dir(e->d_name));
    closedir(d);
    anf_ctx_free(ctx);
    return rmdir(dir) != 0 || mem.live != 0;
}

static inline void expect(anf_status st, anf_status want, const char *message)
{
    assert_string_equal(st == ANF_OK ? "" : anf_last_error(), message);
    assert_int_equal(st, want);
}

/* The bytes of each array are looked at, for the sanitizers to see. */
static inline unsigned walk(const anf_arrays *a)
{
    unsigned sum = 0;
    for (int i = 0; i < anf_arrays_count(a); i++) {
        anf_array found, x = anf_arrays_get(a, i);
        size_t n;
        anf_status st = anf_arrays_find(a, anf_arrays_name(a, i), &found);
        assert_int_equal(st == ANF_OK, x.data != NULL);
        assert_ptr_equal(found.data, x.data);
        if (!x.data)
            continue;
        assert_true(shape_bytes(&x.shape, anf_dtype_size(x.dtype), &n));
        for (size_t b = 0; b < n; b++)
            sum += ((const unsigned char *)x.data)[b];
    }
    return sum;
}

static inline void open_fails(const void *bytes, size_t n, anf_status want, const char *message)
{
    anf_arrays *a = (anf_arrays *)&ctx;
    long live = mem.live;
    expect(anf_arrays_open_memory(ctx, bytes, n, &a), want, message);
    assert_null(a);
    assert_int_equal(mem.live, live);
}

static inline anf_arrays *open_ok(const void *bytes, size_t n)
{
    anf_arrays *a;
    expect(anf_arrays_open_memory(ctx, bytes, n, &a), ANF_OK, "");
    walk(a);
    return a;
}

static inline anf_arrays *open_data(const char *name)
{
    anf_arrays *a;
    expect(anf_arrays_open(ctx, in_data(name), &a), ANF_OK, "");
    walk(a);
    return a;
}

static inline void expect_array(const anf_arrays *a, const char *name, anf_dtype dtype,
                                anf_dims shape, const void *data)
{
    anf_array x;
    size_t n;
    expect(anf_arrays_find(a, name, &x), ANF_OK, "");
    assert_int_equal(x.dtype, dtype);
    assert_int_equal(x.shape.rank, shape.rank);
    for (int i = 0; i < shape.rank; i++)
        assert_int_equal(x.shape.dim[i], shape.dim[i]);
    assert_true(shape_bytes(&shape, anf_dtype_size(dtype), &n));
    assert_memory_equal(x.data, data, n);
    assert_int_equal((uintptr_t)x.data % anf_dtype_size(dtype), 0);
}

static inline void put(unsigned char *to, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (unsigned char)(v >> (8 * i));
}

static inline unsigned char *slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    unsigned char *b = malloc(1 << 16);
    *n = fread(b, 1, 1 << 16, f);
    fclose(f);
    return b;
}

static inline size_t make_npy(unsigned char *to, int major, const char *header, size_t data)
{
    size_t len = strlen(header), start = major == 1 ? 10 : 12;
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)major;
    to[7] = 0;
    put(to + 8, len, major == 1 ? 2 : 4);
    memcpy(to + start, header, len);
    for (size_t i = 0; i < data; i++)
        to[start + len + i] = (unsigned char)(i + 1);
    return start + len + data;
}

#define KEYS(descr, fortran, shape)                                                                \
    "{'descr': " descr ", 'fortran_order': " fortran ", 'shape': " shape ", }"

#endif
