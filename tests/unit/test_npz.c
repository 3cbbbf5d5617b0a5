/* .npz: a zip made here with one wrong number at a time, files of numpy, and zip64 in small. */
#include "arrays_fixture.h"

#ifdef ANF_HAVE_ZLIB

#include "io/npz.h"

/* A zip with one entry: local header at 0, directory at C, end record at E. */
struct zip {
    unsigned char b[1200];
    size_t central, end, n;
};

static uint32_t crc32_plain(const unsigned char *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static void zip_entry(struct zip *z, size_t central, size_t local, const char *name,
                      const unsigned char *content, size_t n)
{
    unsigned char *l = z->b + local, *c = z->b + central;
    size_t len = strlen(name);
    memset(l, 0, 30);
    memset(c, 0, 46);
    put(l, 0x04034b50, 4);
    put(l + 26, len, 2);
    memcpy(l + 30, name, len);
    memcpy(l + 30 + len, content, n);
    put(c, 0x02014b50, 4);
    put(c + 16, crc32_plain(content, n), 4);
    put(c + 20, n, 4);
    put(c + 24, n, 4);
    put(c + 28, len, 2);
    put(c + 42, local, 4);
    memcpy(c + 46, name, len);
}

static void zip_end(struct zip *z, size_t end, unsigned count)
{
    unsigned char *e = z->b + end;
    memset(e, 0, 22);
    put(e, 0x06054b50, 4);
    put(e + 8, count, 2);
    put(e + 10, count, 2);
    put(e + 12, end - z->central, 4);
    put(e + 16, z->central, 4);
    z->end = end;
    z->n = end + 22;
}

static void zip_one(struct zip *z, const char *name)
{
    unsigned char npy[200];
    size_t n = make_npy(npy, 1, KEYS("'<f4'", "False", "(2,)"), 8);
    z->central = 30 + strlen(name) + n;
    zip_entry(z, z->central, 0, name, npy, n);
    zip_end(z, z->central + 46 + strlen(name), 1);
}

static void npz_refuses(void **state)
{
    (void)state;
    static const struct {
        char base; /* L, C or E */
        int offset, width;
        uint64_t value;
        anf_status status;
        const char *message;
    } cases[] = {
        {'E', 0, 1, 0, ANF_E_FORMAT,
         "zip file without an end record, it may be cut off at 183 bytes"},
        {'E', 4, 2, 1, ANF_E_UNSUPPORTED, "zip file in several volumes, one is read"},
        {'E', 8, 2, 2, ANF_E_UNSUPPORTED, "zip file in several volumes, one is read"},
        {'E', 16, 4, 99999, ANF_E_FORMAT,
         "zip directory of 51 bytes at 99999 does not fit before its end record at 161"},
        {'E', 12, 4, 52, ANF_E_FORMAT,
         "zip directory of 52 bytes at 110 does not fit before its end record at 161"},
        {'E', 8, 4, 0, ANF_E_FORMAT, "zip directory has 51 bytes more than its 0 entries"},
        {'E', 8, 4, 0x20002, ANF_E_FORMAT, "zip directory is damaged or ends early"},
        {'C', 0, 1, 0, ANF_E_FORMAT, "zip directory is damaged or ends early"},
        {'C', 28, 2, 6, ANF_E_FORMAT, "zip directory is damaged or ends early"},
        {'C', 42, 4, 5, ANF_E_FORMAT, "entry 'a.npy': no local header at offset 5"},
        {'C', 42, 4, 180, ANF_E_FORMAT, "entry 'a.npy': no local header at offset 180"},
        {'C', 20, 4, 184, ANF_E_FORMAT,
         "zip entries overlap: together they are larger than the file of 183 bytes"},
        {'C', 20, 4, 183, ANF_E_FORMAT,
         "entry 'a.npy': 183 bytes at offset 0 run past the end of the file"},
        {'L', 28, 2, 999, ANF_E_FORMAT,
         "entry 'a.npy': 75 bytes at offset 0 run past the end of the file"},
        {'L', 30, 1, 'b', ANF_E_FORMAT,
         "entry 'a.npy': the local header at offset 0 has another name"},
        {'C', 8, 2, 1, ANF_E_UNSUPPORTED, "entry 'a.npy': it is encrypted"},
        {'C', 10, 2, 12, ANF_E_UNSUPPORTED,
         "entry 'a.npy': compression method 12, only stored (0) and deflate (8) are read"},
        /* The magic of .npy happens to be a deflate stream of six bytes. */
        {'C', 10, 2, 8, ANF_E_FORMAT,
         "entry 'a.npy': deflated data gives 6 bytes from 8, the directory says 75 from 75"},
        {'C', 24, 4, 76, ANF_E_FORMAT, "entry 'a.npy': stored with 75 bytes for an entry of 76"},
        {'C', 16, 4, 0x12345678, ANF_E_FORMAT,
         "entry 'a.npy': CRC-32 is 07eebc0e, the directory says 12345678"},
        {'C', 46, 1, 0xff, ANF_E_FORMAT, "entry '\\xff.npy': its name is not UTF-8"},
        {'C', 46, 1, 0, ANF_E_FORMAT, "entry '\\x00.npy': its name is not UTF-8"},
        {'C', 46, 5, 0x7478742e61, ANF_E_FORMAT,
         "zip file without a .npy entry, the first of 1 is 'a.txt'"},
    };
    struct zip z;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        zip_one(&z, "a.npy");
        size_t at = cases[i].base == 'L' ? 0 : cases[i].base == 'C' ? z.central : z.end;
        put(z.b + at + cases[i].offset, cases[i].value, cases[i].width);
        open_fails(z.b, z.n, cases[i].status, cases[i].message);
    }
    zip_one(&z, "a.npy");
    put(z.b + z.central + 10, 8, 2);
    put(z.b + z.central + 24, 1032 * 76, 4);
    open_fails(z.b, z.n, ANF_E_FORMAT,
               "entry 'a.npy': 78432 bytes cannot come from 75 deflated ones");
    zip_one(&z, "a.npy");
    z.b[35] = 0;
    put(z.b + z.central + 16, crc32_plain(z.b + 35, 75), 4);
    open_fails(z.b, z.n, ANF_E_FORMAT,
               "entry 'a.npy': does not begin with the six bytes of a .npy file");
}

static void npz_deflate_ends_exactly(void **state)
{
    (void)state;
    static const unsigned char stored_block[] = {1, 2, 0, 0xfd, 0xff, 'h', 'i'};
    struct zip z = {.central = 30 + 5 + sizeof stored_block};
    zip_entry(&z, z.central, 0, "a.npy", stored_block, sizeof stored_block);
    zip_end(&z, z.central + 51, 1);
    put(z.b + z.central + 10, 8, 2);
    put(z.b + z.central + 16, crc32_plain((const unsigned char *)"hi", 2), 4);
    open_fails(z.b, z.n, ANF_E_FORMAT,
               "entry 'a.npy': deflated data gives 2 bytes from 7, the directory says 7 from 7");
    put(z.b + z.central + 24, 1, 4);
    open_fails(z.b, z.n, ANF_E_FORMAT,
               "entry 'a.npy': deflated data is damaged or does not end after 1 bytes");
    put(z.b + z.central + 24, 2, 4);
    open_fails(z.b, z.n, ANF_E_FORMAT,
               "entry 'a.npy': does not begin with the six bytes of a .npy file");
}

static void npz_names_and_comment(void **state)
{
    (void)state;
    unsigned char npy[200];
    struct zip z;
    size_t n = make_npy(npy, 1, KEYS("'<f4'", "False", "(2,)"), 8), local2 = 35 + n;
    z.central = 2 * local2;
    zip_entry(&z, z.central, 0, "a.npy", npy, n);
    zip_entry(&z, z.central + 51, local2, "a.npy", npy, n);
    zip_end(&z, z.central + 102, 2);
    open_fails(z.b, z.n, ANF_E_FORMAT, "two arrays are called 'a'");

    zip_entry(&z, z.central + 51, local2, "b.txt", npy, n); /* not an array: skipped */
    put(z.b + z.end + 20, 7, 2);
    memcpy(z.b + z.n, "comment", 7);
    anf_arrays *a = open_ok(z.b, z.n + 7);
    assert_int_equal(anf_arrays_count(a), 1);
    expect_array(a, "a", ANF_F32, ANF_SHAPE(2), npy + n - 8);
    anf_arrays_free(a);

    memset(z.b, 0, 22);
    put(z.b, 0x06054b50, 4);
    a = open_ok(z.b, 22);
    assert_int_equal(anf_arrays_count(a), 0);
    anf_array x;
    expect(anf_arrays_find(a, "w", &x), ANF_E_ARG, "no array 'w', there is none");
    anf_arrays_free(a);
}

static void npz_zip64(void **state)
{
    (void)state;
    struct zip z;
    zip_one(&z, "a.npy");
    unsigned char *x = z.b + z.end; /* the extra field takes the place of the end record */
    put(z.b + z.central + 24, UINT32_MAX, 4);
    put(z.b + z.central + 30, 8, 2);
    put(x, 1, 2);
    put(x + 2, 4, 2);
    put(x + 4, 75, 4);
    zip_end(&z, z.end + 8, 1);
    open_fails(z.b, z.n, ANF_E_FORMAT, "zip64 field is too short");

    zip_one(&z, "a.npy"); /* only the saturated number is in the field */
    x = z.b + z.end;
    put(z.b + z.central + 24, UINT32_MAX, 4);
    put(z.b + z.central + 30, 12, 2);
    put(x, 1, 2);
    put(x + 2, 8, 2);
    put(x + 4, 75, 8);
    zip_end(&z, z.end + 12, 1);
    anf_arrays_free(open_ok(z.b, z.n));

    zip_one(&z, "a.npy");
    put(z.b + z.end, 0x07064b50, 4);
    memset(z.b + z.end + 4, 0, 16);
    put(z.b + z.end + 8, 7, 8);
    size_t directory = z.central;
    z.central = directory;
    zip_end(&z, z.end + 20, 1);
    open_fails(z.b, z.n, ANF_E_FORMAT, "zip64 locator points to offset 7, where no end record is");

    float w[3] = {1, 2, 3};
    uint8_t u[2] = {4, 5};
    anf_array arrays[2] = {ANF_ARRAY_F32(w, 3), ANF_ARRAY_U8(u, 2, 1)};
    const char *names[2] = {"w", "d\xc3\xa9j\xc3\xa0"};
    const anf_allocator allocator = {NULL, counting_alloc, counting_free};
    for (uint64_t from = 0; from < 400; from += 100) {
        anf_arrays *a;
        const char *path = in_dir("zip64.npz");
        expect(npz_write(&allocator, path, arrays, names, 2, from), ANF_OK, "");
        expect(anf_arrays_open(ctx, path, &a), ANF_OK, "");
        expect_array(a, names[0], ANF_F32, ANF_SHAPE(3), w);
        expect_array(a, names[1], ANF_U8, ANF_SHAPE(2, 1), u);
        anf_arrays_free(a);
        unlink(path);
    }
}

static void npz_write_checks_names(void **state)
{
    (void)state;
    float w[2] = {1, 2};
    anf_array a[3] = {ANF_ARRAY_F32(w, 2), ANF_ARRAY_F32(w, 1, 2), ANF_ARRAY_F32(w, 1)};
    static char huge[65533];
    memset(huge, 'x', sizeof huge - 1);
    const struct {
        const char *names[3], *message;
    } cases[] = {
        {{"x", "", "y"}, ": array 1 has no name"},
        {{NULL, "x", "y"}, ": array 0 has no name"},
        {{"y", "x", "y"}, ": two arrays are called 'y'"},
        {{"y", "\xffx", "z"}, ": the name of array 1, '\\xffx', is not UTF-8"},
        {{"y", huge, "z"}, ": array 1 has a name of 65532 bytes, at most 65531 fit"},
    };
    const char *path = in_dir("names.npz");
    char message[400];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(message, sizeof message, "%s%s", path, cases[i].message);
        expect(anf_npz_write(ctx, path, a, cases[i].names, 3), ANF_E_ARG, message);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    const char *good[3] = {"a", "b", "c"};
    a[1].dtype = ANF_BF16;
    snprintf(message, sizeof message, "%s: array 'b': npy has no element type for bfloat16", path);
    expect(anf_npz_write(ctx, path, a, good, 3), ANF_E_DTYPE, message);
    assert_int_not_equal(access(path, F_OK), 0);
    expect(anf_npz_write(ctx, path, a, good, -1), ANF_E_ARG, "anf_npz_write: n is negative");
    expect(anf_npz_write(ctx, path, NULL, good, 1), ANF_E_ARG,
           "anf_npz_write: a or names is NULL");
    expect(anf_npz_write(ctx, path, NULL, NULL, 0), ANF_OK, "");
    unlink(path);
}

static void a_message_lists_what_fits(void **state)
{
    (void)state;
    enum { N = 40 };
    float w[1] = {1};
    anf_array a[N], x;
    anf_arrays *opened;
    char text[N][110];
    const char *names[N], *path = in_dir("many.npz");
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "%d.%0100d", i, 0);
        a[i] = ANF_ARRAY_F32(w, 1);
        names[i] = text[i];
    }
    expect(anf_npz_write(ctx, path, a, names, N), ANF_OK, "");
    expect(anf_arrays_open(ctx, path, &opened), ANF_OK, "");
    for (int i = 0; i < N; i++)
        expect_array(opened, names[i], ANF_F32, ANF_SHAPE(1), w);
    assert_int_equal(anf_arrays_find(opened, "w", &x), ANF_E_ARG);
    assert_non_null(strstr(anf_last_error(), ": no array 'w', there is '0.0000"));
    assert_non_null(strstr(anf_last_error(), "0000...', '1.0000"));
    assert_non_null(strstr(anf_last_error(), "0000...' and 34 more"));
    anf_arrays_free(opened);
    unlink(path);
}

static void npz_of_numpy(void **state)
{
    (void)state;
    float w[24];
    uint16_t f[24];
    for (int i = 0; i < 24; i++) {
        w[i] = (float)i;
        f[i] = (uint16_t)i;
    }
    static const uint8_t b[3] = {1, 0, 1};
    anf_array x;
    char message[800];
    anf_arrays *a = open_data("arrays_stored.npz");
    assert_int_equal(anf_arrays_count(a), 4);
    expect_array(a, "w", ANF_F32, ANF_SHAPE(2, 3, 4), w);
    expect_array(a, "b", ANF_BOOL, ANF_SHAPE(3), b);
    expect_array(a, "empty", ANF_F32, ANF_SHAPE(0, 4), b);
    snprintf(message, sizeof message,
             "%s: array 'c': dtype '<c16' has no counterpart here, read are '<f2', '<f4', '<f8', "
             "'|b1' and '|i1' to '<u8'", in_data("arrays_stored.npz"));
    expect(anf_arrays_find(a, "c", &x), ANF_E_DTYPE, message);
    assert_null(x.data);
    assert_null(anf_arrays_get(a, 3).data);
    snprintf(message, sizeof message, "%s: no array 'v', there is 'w', 'b', 'empty', 'c'",
             in_data("arrays_stored.npz"));
    expect(anf_arrays_find(a, "v", &x), ANF_E_ARG, message);
    anf_arrays_free(a);

    static const uint16_t zeros[64 * 65];
    a = open_data("arrays_deflated.npz");
    expect_array(a, "zeros", ANF_F16, ANF_SHAPE(64, 65), zeros);
    expect_array(a, "f", ANF_U16, ANF_SHAPE(2, 3, 4), f);
    assert_int_equal(anf_arrays_get(a, 1).dtype, ANF_I64);
    anf_arrays_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npz_refuses),
        cmocka_unit_test(npz_deflate_ends_exactly),
        cmocka_unit_test(npz_names_and_comment),
        cmocka_unit_test(npz_zip64),
        cmocka_unit_test(npz_write_checks_names),
        cmocka_unit_test(a_message_lists_what_fits),
        cmocka_unit_test(npz_of_numpy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

int main(void)
{
    puts("skipped: built without zlib");
    return 0;
}

#endif
