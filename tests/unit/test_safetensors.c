/* .safetensors: every rule of the format, broken one at a time. */
#include "arrays_fixture.h"

#ifdef ANF_HAVE_JANSSON

static size_t make_safetensors(unsigned char *to, const char *header, size_t data)
{
    put(to, strlen(header), 8);
    memcpy(to + 8, header, strlen(header));
    for (size_t i = 0; i < data; i++)
        to[8 + strlen(header) + i] = (unsigned char)(i + 1);
    return 8 + strlen(header) + data;
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape                      \
    ",\"data_offsets\":[" begin "," end "]}"

static void safetensors_accepts(void **state)
{
    (void)state;
    unsigned char b[1024];
    size_t n = make_safetensors(b, "{" TENSOR("b", "F16", "[2]", "7", "11") ","
                                   TENSOR("a", "U8", "[3]", "0", "3") ","
                                   TENSOR("e", "F32", "[0,9223372036854775807,4]", "3", "3") ","
                                   TENSOR("s", "F32", "[]", "3", "7") ","
                                   TENSOR("bf", "BF16", "[1,1]", "11", "13") ","
                                   "\"__metadata__\":{\"k\":\"v\"},"
                                   TENSOR("f8", "F8_E4M3", "[2]", "13", "15") ","
                                   TENSOR("f4", "F4", "[2,2]", "15", "17") ","
                                   TENSOR("new", "Q9", "[2,2]", "17", "18") ","
                                   TENSOR("r9", "U8", "[1,1,1,1,1,1,1,1,1]", "18", "19") "}   ",
                                19);
    anf_arrays *a = open_ok(b, n);
    anf_array x;
    const unsigned char *data = b + n - 19;
    assert_int_equal(anf_arrays_count(a), 9);
    assert_string_equal(anf_arrays_name(a, 0), "b");
    assert_string_equal(anf_arrays_name(a, 4), "bf");
    expect_array(a, "a", ANF_U8, ANF_SHAPE(3), data);
    expect_array(a, "b", ANF_F16, ANF_SHAPE(2), data + 7);
    expect_array(a, "s", ANF_F32, ANF_SCALAR, data + 3);
    expect_array(a, "e", ANF_F32, ANF_SHAPE(0, INT64_MAX, 4), data);
    expect_array(a, "bf", ANF_BF16, ANF_SHAPE(1, 1), data + 11);
    expect(anf_arrays_find(a, "f8", &x), ANF_E_DTYPE,
           "array 'f8': dtype F8_E4M3 has no counterpart here, read are BOOL, F16, BF16, F32, F64, "
           "I8 to I64 and U8 to U64");
    expect(anf_arrays_find(a, "f4", &x), ANF_E_DTYPE,
           "array 'f4': dtype F4 has no counterpart here, read are BOOL, F16, BF16, F32, F64, "
           "I8 to I64 and U8 to U64");
    expect(anf_arrays_find(a, "new", &x), ANF_E_DTYPE,
           "array 'new': dtype Q9 has no counterpart here, read are BOOL, F16, BF16, F32, F64, "
           "I8 to I64 and U8 to U64");
    expect(anf_arrays_find(a, "r9", &x), ANF_E_SHAPE, "array 'r9': rank 9, at most 8 is read");
    anf_arrays_free(a);

    n = make_safetensors(b, "{}", 0);
    a = open_ok(b, n);
    assert_int_equal(anf_arrays_count(a), 0);
    anf_arrays_free(a);
}

static void safetensors_refuses(void **state)
{
    (void)state;
    static const struct {
        size_t data;
        const char *header, *message;
    } cases[] = {
        {0, "{\"a\":{\"shape\":[[1]]}}", "header nests deeper than 3 at byte 15"},
        {0, "{\"a\\\"[[[[\":1}", "tensor 'a\"[[[[': is no object with 'dtype', 'shape' and "
         "'data_offsets'"},
        {0, "{\"a\":[1]}", "tensor 'a': is no object with 'dtype', 'shape' and 'data_offsets'"},
        {0, "{\"a\":{}}", "tensor 'a': 'dtype' is missing or no string"},
        {0, "{\"a\":{\"dtype\":\"F16\"}}", "tensor 'a': 'shape' is missing or no list"},
        {0, "{\"a\":{\"dtype\":\"F16\",\"shape\":[1]}}",
         "tensor 'a': 'data_offsets' is missing or no list of two"},
        {0, "{\"a\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0]}}",
         "tensor 'a': 'data_offsets' is missing or no list of two"},
        {2, "{" TENSOR("a", "F16", "[-1]", "0", "2") "}",
         "tensor 'a': dimension 0 of 'shape' is not an integer >= 0"},
        {2, "{" TENSOR("a", "F16", "[1, 1.0]", "0", "2") "}",
         "tensor 'a': dimension 1 of 'shape' is not an integer >= 0"},
        {2, "{" TENSOR("a", "F16", "[4294967296,4294967296]", "0", "2") "}",
         "tensor 'a': the number of elements of 'shape' overflows"},
        {2, "{" TENSOR("a", "F16", "[9223372036854775807]", "0", "2") "}",
         "tensor 'a': 9223372036854775807 elements of F16 do not take the 2 bytes of "
         "'data_offsets' [0,2]"},
        {2, "{" TENSOR("a", "F16", "[1]", "-1", "2") "}",
         "tensor 'a': 'data_offsets' has an item that is not an integer >= 0"},
        {2, "{" TENSOR("a", "F16", "[1]", "0", "3") "}",
         "tensor 'a': 'data_offsets' [0,3] do not lie in the 2 bytes of data"},
        {2, "{" TENSOR("a", "F16", "[1]", "2", "0") "}",
         "tensor 'a': 'data_offsets' [2,0] do not lie in the 2 bytes of data"},
        {2, "{" TENSOR("a", "F16", "[2]", "0", "2") "}",
         "tensor 'a': 2 elements of F16 do not take the 2 bytes of 'data_offsets' [0,2]"},
        {2, "{" TENSOR("a", "F4", "[3]", "0", "2") "}",
         "tensor 'a': 3 elements of F4 do not take the 2 bytes of 'data_offsets' [0,2]"},
        {4, "{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[1]", "3", "4") "}",
         "tensor 'b' begins at byte 3 of the data, after a hole, byte 2 is next"},
        {3, "{" TENSOR("a", "U8", "[2]", "0", "2") "," TENSOR("b", "U8", "[2]", "1", "3") "}",
         "tensor 'b' begins at byte 1 of the data, inside another, byte 2 is next"},
        {3, "{" TENSOR("a", "U8", "[2]", "0", "2") "}",
         "3 bytes of data, the tensors end at byte 2"},
        {1, "{}", "1 bytes of data, the tensors end at byte 0"},
        {0, "{\"__metadata__\":1}", "'__metadata__' is no object"},
        {0, "{\"__metadata__\":{\"a\\nb\":1}}",
         "'__metadata__' has a value for 'a\\x0ab' that is no string"},
    };
    unsigned char b[1024];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t n = make_safetensors(b, cases[i].header, cases[i].data);
        open_fails(b, n, ANF_E_FORMAT, cases[i].message);
    }
    /* What stands behind the prefix is jansson's wording. */
    static const char *const no_json[] = {
        "{\"a\":{}", "{} x", "{\"a\":{},\"a\":{}}", "{\"a\\u0000\":1}", "{\"\xff\":1}",
        "{\"a\":99999999999999999999}", "{\"a\nb\":1}",
    };
    for (size_t i = 0; i < sizeof no_json / sizeof no_json[0]; i++) {
        anf_arrays *a;
        size_t n = make_safetensors(b, no_json[i], 0);
        assert_int_equal(anf_arrays_open_memory(ctx, b, n, &a), ANF_E_FORMAT);
        assert_int_equal(strncmp(anf_last_error(), "header is not JSON at byte ", 27), 0);
        assert_null(strchr(anf_last_error(), '\n'));
    }
    size_t n = make_safetensors(b, "{}", 0);
    put(b, 3, 8);
    open_fails(b, n, ANF_E_FORMAT, "header needs 3 bytes, 2 are left in the file");
    put(b, 100000001, 8);
    open_fails(b, n, ANF_E_FORMAT, "header of 100000001 bytes, at most 100000000 are allowed");
}

static void safetensors_of_its_library(void **state)
{
    (void)state;
    uint16_t w[24];
    static const uint8_t odd[3] = {1, 2, 3};
    static const int32_t i32[4] = {0, 1, 2, 3};
    static const double f64 = 1.5;
    for (int i = 0; i < 24; i++)
        w[i] = anf_f16_from_f32((float)i);
    anf_arrays *a = open_data("arrays_numpy.safetensors");
    assert_int_equal(anf_arrays_count(a), 4);
    expect_array(a, "w", ANF_F16, ANF_SHAPE(2, 3, 4), w);
    expect_array(a, "odd", ANF_U8, ANF_SHAPE(3), odd);
    expect_array(a, "i32", ANF_I32, ANF_SHAPE(4), i32);
    expect_array(a, "f64", ANF_F64, ANF_SCALAR, &f64);
    anf_arrays_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_accepts),
        cmocka_unit_test(safetensors_refuses),
        cmocka_unit_test(safetensors_of_its_library),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

int main(void)
{
    puts("skipped: built without jansson");
    return 0;
}

#endif
