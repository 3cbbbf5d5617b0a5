/* Array files: .npy, and what holds for every format.
 *
 * Three kinds of input: bytes put together here, one mistake at a time; files that numpy and
 * safetensors wrote (tests/data); and those files cut off at every length and damaged at every
 * byte. */
#include "arrays_fixture.h"

static void npy_accepts(void **state)
{
    (void)state;
    static const struct {
        int major;
        size_t data;
        anf_dtype dtype;
        const char *shape, *header;
    } cases[] = {
        {1, 8, ANF_F32, "[2]", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }   \n"},
        {2, 12, ANF_F16, "[2,3]", "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 3)}"},
        {3, 8, ANF_F64, "[]", "{\"shape\":(),\"descr\":\"<f8\",\"fortran_order\":False}"},
        {1, 3, ANF_BOOL, "[1,3]", " { 'shape' : ( 1 , 3 , ) ,'fortran_order':True,'descr':'|b1'}"},
        {1, 2, ANF_U8, "[2]", "{'descr': '>u1', 'fortran_order': False, 'shape': (2L,), }"},
        {1, 1, ANF_I8, "[1,1,1,1,1,1,1,1]",
         "{'descr': '|i1', 'fortran_order': True, 'shape': (1,1,1,1,1,1,1,1), }"},
        {1, 0, ANF_I16, "[3,0]", "{'descr': '<i2', 'fortran_order': True, 'shape': (3, 0), }"},
        {1, 0, ANF_U16, "[0,9223372036854775807,9223372036854775807]",
         "{'descr': '<u2', 'fortran_order': False, "
         "'shape': (0, 9223372036854775807, 9223372036854775807), }"},
        {1, 4, ANF_I32, "[1]", "{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }"},
        {1, 4, ANF_U32, "[1]", "{'descr': '<u4', 'fortran_order': False, 'shape': (1,), }"},
        {1, 8, ANF_I64, "[1]", "{'descr': '<i8', 'fortran_order': False, 'shape': (1,), }"},
        {1, 8, ANF_U64, "[1]", "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }"},
    };
    unsigned char b[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make_npy(b, cases[i].major, cases[i].header, cases[i].data);
        char text[120] = "[";
        anf_arrays *a = open_ok(b, n);
        assert_int_equal(anf_arrays_count(a), 1);
        assert_string_equal(anf_arrays_name(a, 0), "");
        anf_array x = anf_arrays_get(a, 0);
        assert_non_null(x.data);
        assert_int_equal(x.dtype, cases[i].dtype);
        for (int d = 0; d < x.shape.rank; d++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%lld", d ? "," : "",
                     (long long)x.shape.dim[d]);
        strcat(text, "]");
        assert_string_equal(text, cases[i].shape);
        assert_memory_equal(x.data, b + n - cases[i].data, cases[i].data);
        assert_null(anf_arrays_get(a, 1).data);
        assert_null(anf_arrays_get(a, -1).data);
        assert_null(anf_arrays_name(a, 1));
        anf_arrays_free(a);
    }
}

static void npy_refuses(void **state)
{
    (void)state;
    static const struct {
        int major;
        size_t data;
        anf_status status;
        const char *header, *message;
    } cases[] = {
        {4, 0, ANF_E_FORMAT, "", "npy version 4.0, known are 1.0, 2.0 and 3.0"},
        {1, 0, ANF_E_FORMAT, "", "npy header ends where '{' is needed"},
        {1, 0, ANF_E_FORMAT, "(1,)", "npy header has '(' at byte 0, '{' is needed"},
        {1, 0, ANF_E_FORMAT, "{'descr'", "npy header ends where ':' is needed"},
        {1, 0, ANF_E_FORMAT, "{'descr", "npy header ends where the end of a string is needed"},
        {1, 0, ANF_E_FORMAT, "{'de\\scr'",
         "npy header has '\\' at byte 4, a string without escapes is needed"},
        {1, 0, ANF_E_FORMAT, "{descr: 1}",
         "npy header has 'd' at byte 1, a key in quotes is needed"},
        {1, 0, ANF_E_FORMAT, "{'descr': 7}",
         "npy header has '7' at byte 10, a dtype in quotes is needed"},
        {1, 0, ANF_E_FORMAT, "{'order': 7}",
         "npy header has key 'order', only descr, fortran_order and shape are known"},
        {1, 0, ANF_E_FORMAT, "{'shape': (), 'shape': ()}", "npy header has key 'shape' twice"},
        {1, 0, ANF_E_FORMAT, "{'shape': ()}", "npy header has no key 'descr'"},
        {1, 0, ANF_E_FORMAT, "{'shape': () 'descr': '<f4'}",
         "npy header has ''' at byte 13, ',' or '}' is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(0,)") " x",
         "npy header has 'x' at byte 58, nothing more is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "0", "(0,)"),
         "npy header has '0' at byte 34, True or False is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "[0]"),
         "npy header has '[' at byte 50, '(' is needed"},
        {1, 4, ANF_E_FORMAT, KEYS("'<f4'", "False", "(1)"),
         "npy header has a number for a shape, a tuple as in (3,) is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(2 3)"),
         "npy header has '3' at byte 53, ',' or ')' is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(-1,)"),
         "npy header has '-' at byte 51, a dimension is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(\x01,)"),
         "npy header has '\\x01' at byte 51, a dimension is needed"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(9223372036854775808,)"),
         "npy header has a dimension at byte 51 that does not fit 63 bits"},
        {1, 0, ANF_E_FORMAT, KEYS("'<f4'", "False", "(4294967296, 4294967296)"),
         "npy shape [4294967296,4294967296] of float32 overflows"},
        {1, 7, ANF_E_FORMAT, KEYS("'<f4'", "False", "(2,)"),
         "npy shape [2] of float32 needs 8 bytes of data, the file has 7"},
        {1, 9, ANF_E_FORMAT, KEYS("'<f4'", "False", "(2,)"),
         "npy shape [2] of float32 needs 8 bytes of data, the file has 9"},
        {1, 4, ANF_E_DTYPE, KEYS("'>f4'", "False", "(1,)"),
         "dtype '>f4' is big-endian, only little-endian ('<f4') is read"},
        {1, 4, ANF_E_DTYPE, KEYS("'|O'", "False", "(1,)"),
         "dtype '|O' is Python objects (pickle), which are never read"},
        {1, 8, ANF_E_DTYPE, KEYS("'<c8'", "False", "(1,)"),
         "dtype '<c8' has no counterpart here, read are '<f2', '<f4', '<f8', '|b1' and '|i1' to "
         "'<u8'"},
        {1, 8, ANF_E_DTYPE, KEYS("''", "False", "(1,)"),
         "dtype '' has no counterpart here, read are '<f2', '<f4', '<f8', '|b1' and '|i1' to "
         "'<u8'"},
        {1, 8, ANF_E_DTYPE, KEYS("[('x', '<f4'), ('y]', '<f4', (1,))]", "False", "(1,)"),
         "the dtype is structured, only plain element types are read"},
        {1, 8, ANF_E_FORMAT, "{'descr': [('x', '<f4'",
         "npy header ends where a closing bracket is needed"},
        {1, 4, ANF_E_SHAPE, KEYS("'<f4'", "False", "(1,1,1,1,1,1,1,1,1)"),
         "rank 9, at most 8 is read"},
        {1, 4, ANF_E_SHAPE,
         "{'shape': (1,1,1,1,1,1,1,1,1), 'descr': '>f4', 'fortran_order': False}",
         "rank 9, at most 8 is read"},
    };
    unsigned char b[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make_npy(b, cases[i].major, cases[i].header, cases[i].data);
        open_fails(b, n, cases[i].status, cases[i].message);
    }
    make_npy(b, 1, "", 0);
    open_fails(b, 7, ANF_E_FORMAT, "npy file of 7 bytes ends before its header");
    open_fails(b, 9, ANF_E_FORMAT, "npy file of 9 bytes ends before its header");
    put(b + 8, 5, 2);
    open_fails(b, 14, ANF_E_FORMAT, "npy header needs 5 bytes, 4 are left in the file");
    b[7] = 1;
    open_fails(b, 14, ANF_E_FORMAT, "npy version 1.1, known are 1.0, 2.0 and 3.0");
}

static void fortran_order_is_transposed(void **state)
{
    (void)state;
    unsigned char b[512];
    for (int t = 0; t < 4; t++) {
        static const char *const descr[] = {"|u1", "<u2", "<u4", "<u8"};
        char header[120];
        size_t size = (size_t)1 << t;
        snprintf(header, sizeof header, KEYS("'%s'", "True", "(2, 1, 3, 4)"), descr[t]);
        size_t n = make_npy(b, 1, header, 24 * size);
        anf_arrays *a = open_ok(b, n);
        const unsigned char *x = anf_arrays_get(a, 0).data, *from = b + n - 24 * size;
        for (size_t i = 0; i < 2; i++)
            for (size_t j = 0; j < 3; j++)
                for (size_t k = 0; k < 4; k++)
                    assert_memory_equal(x + ((i * 3 + j) * 4 + k) * size,
                                        from + (i + 2 * (j + 3 * k)) * size, size);
        anf_arrays_free(a);
    }
}

/* ---- every format ---------------------------------------------------------------------------- */

static const char *const data_files[] = {
    "arrays_f32_2x3x4.npy", "arrays_f16_fortran_3x5.npy", "arrays_f64_scalar.npy", "arrays_v2.npy",
    "arrays_v3.npy",
#ifdef ANF_HAVE_ZLIB
    "arrays_stored.npz", "arrays_deflated.npz",
#endif
#ifdef ANF_HAVE_JANSSON
    "arrays_numpy.safetensors",
#endif
};
enum { N_DATA_FILES = sizeof data_files / sizeof data_files[0] };

static void npy_of_numpy(void **state)
{
    (void)state;
    float w[24];
    uint16_t f[15];
    static const double scalar = 2.5;
    for (int i = 0; i < 24; i++)
        w[i] = (float)i;
    for (int i = 0; i < 15; i++)
        f[i] = anf_f16_from_f32((float)i);
    anf_arrays *a = open_data("arrays_f32_2x3x4.npy");
    expect_array(a, "", ANF_F32, ANF_SHAPE(2, 3, 4), w);
    anf_arrays_free(a);
    a = open_data("arrays_f16_fortran_3x5.npy");
    expect_array(a, "", ANF_F16, ANF_SHAPE(3, 5), f);
    anf_arrays_free(a);
    a = open_data("arrays_f64_scalar.npy");
    expect_array(a, "", ANF_F64, ANF_SCALAR, &scalar);
    anf_arrays_free(a);

    char message[800];
    snprintf(message, sizeof message,
             "%s: dtype '>f4' is big-endian, only little-endian ('<f4') is read",
             in_data("arrays_big_endian.npy"));
    expect(anf_arrays_open(ctx, in_data("arrays_big_endian.npy"), &a), ANF_E_DTYPE, message);
    snprintf(message, sizeof message,
             "%s: dtype '|O' is Python objects (pickle), which are never read",
             in_data("arrays_object.npy"));
    expect(anf_arrays_open(ctx, in_data("arrays_object.npy"), &a), ANF_E_DTYPE, message);
}

static void cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_DATA_FILES; i++) {
        size_t n;
        unsigned char *b = slurp(in_data(data_files[i]), &n);
        long live = mem.live;
        for (size_t k = 0; k < n; k++) {
            anf_arrays *a;
            unsigned char *exact = malloc(k ? k : 1);
            memcpy(exact, b, k);
            assert_int_equal(anf_arrays_open_memory(ctx, exact, k, &a), ANF_E_FORMAT);
            assert_null(a);
            free(exact);
        }
        assert_int_equal(mem.live, live);
        free(b);
    }
}

static void damaged_anywhere(void **state)
{
    (void)state;
    static const unsigned char flips[] = {0x01, 0x08, 0x20, 0x80, 0xff};
    for (size_t i = 0; i < N_DATA_FILES; i++) {
        size_t n;
        unsigned char *b = slurp(in_data(data_files[i]), &n);
        long live = mem.live;
        for (size_t k = 0; k < n * sizeof flips; k++) {
            anf_arrays *a;
            unsigned char flip = flips[k % sizeof flips], *at = &b[k / sizeof flips];
            *at ^= flip;
            if (anf_arrays_open_memory(ctx, b, n, &a) == ANF_OK)
                walk(a);
            anf_arrays_free(a);
            *at ^= flip;
        }
        assert_int_equal(mem.live, live);
        free(b);
    }
}

static void unknown_content(void **state)
{
    (void)state;
    anf_arrays *a;
    open_fails("", 0, ANF_E_FORMAT, "empty, a .npy, .npz or .safetensors file is needed");
    open_fails("\x89PNG\r\n\x1a\n1234", 12, ANF_E_FORMAT,
               "begins with '\\x89PNG\\x0d\\x0a\\x1a\\x0a', which no .npy, .npz or .safetensors "
               "file does");
#ifndef ANF_HAVE_ZLIB
    anf_array x = ANF_ARRAY_U8("x", 1);
    const char *name = "x";
    open_fails("PK\5\6", 4, ANF_E_UNSUPPORTED, "reading .npz needs zlib, which this build lacks");
    expect(anf_npz_write(ctx, "x.npz", &x, &name, 1), ANF_E_UNSUPPORTED,
           "x.npz: writing .npz needs zlib, which this build lacks");
#endif
#ifndef ANF_HAVE_JANSSON
    open_fails("\2\0\0\0\0\0\0\0{}", 10, ANF_E_UNSUPPORTED,
               "reading .safetensors needs jansson, which this build lacks");
#endif
    expect(anf_arrays_open_memory(ctx, NULL, 3, &a), ANF_E_ARG,
           "anf_arrays_open_memory: data is NULL");
    expect(anf_arrays_open_memory(NULL, "", 0, &a), ANF_E_ARG,
           "anf_arrays_open_memory: ctx is NULL");
    expect(anf_arrays_open_memory(ctx, "", 0, NULL), ANF_E_ARG,
           "anf_arrays_open_memory: out is NULL");
    expect(anf_arrays_open(ctx, NULL, &a), ANF_E_ARG, "anf_arrays_open: path is NULL");
    expect(anf_arrays_find(NULL, "x", NULL), ANF_E_ARG, "anf_arrays_find: arrays is NULL");
    assert_int_equal(anf_arrays_count(NULL), 0);
    anf_arrays_free(NULL);
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    float w[4] = {1, 2, 3, 4};
    anf_array arrays[2] = {ANF_ARRAY_F32(w, 2, 2), ANF_ARRAY_F32(w, 4)};
    for (size_t i = 0; i < N_DATA_FILES + 2; i++) {
        long live = mem.live, bytes = mem.live_bytes;
        anf_status st = ANF_E_NOMEM;
        int k = 0;
        for (; st != ANF_OK && k < 200; k++) {
            anf_arrays *a = NULL;
            mem.fail_at = k + 1;
            if (i < N_DATA_FILES)
                st = anf_arrays_open(ctx, in_data(data_files[i]), &a);
            else if (i == N_DATA_FILES)
                st = anf_npy_write(ctx, in_dir("oom.npy"), arrays[0]);
#ifdef ANF_HAVE_ZLIB
            else
                st = anf_npz_write(ctx, in_dir("oom.npz"), arrays, (const char *[]){"a", "b"}, 2);
#else
            else
                st = ANF_OK;
#endif
            mem.fail_at = 0;
            if (st != ANF_OK) {
                assert_int_equal(st, ANF_E_NOMEM);
                assert_non_null(strstr(anf_last_error(), "out of memory"));
                assert_null(a);
                assert_int_not_equal(access(in_dir("oom.npy"), F_OK), 0);
                assert_int_not_equal(access(in_dir("oom.npz"), F_OK), 0);
            }
            anf_arrays_free(a);
            assert_int_equal(mem.live, live);
            assert_int_equal(mem.live_bytes, bytes);
        }
        assert_int_equal(st, ANF_OK);
        unlink(in_dir("oom.npy"));
        unlink(in_dir("oom.npz"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(npy_accepts),
        cmocka_unit_test(npy_refuses),
        cmocka_unit_test(fortran_order_is_transposed),
        cmocka_unit_test(npy_of_numpy),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(damaged_anywhere),
        cmocka_unit_test(unknown_content),
        cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
