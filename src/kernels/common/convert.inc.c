/* Conversions between the element types, and the store of finished sums with a run of biases.
 *
 * A bias belongs to the operator whose sum it ends: the float32 chain plus the bias is one float32
 * addition, and only the store rounds to binary16. */

static void ISA(f16_from_f32)(const float *x, f16 *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, v_load(x + i));
    if (i < n)
        v_store_f16_n(y + i, v_load_n(x + i, n - i), n - i);
}

static void ISA(f32_from_f16)(const f16 *x, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(y + i, v_load_f16(x + i));
    if (i < n)
        v_store_n(y + i, v_load_f16_n(x + i, n - i), n - i);
}

static void ISA(f16_from_u8)(const uint8_t *x, f16 *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, v_load_u8(x + i));
    if (i < n)
        v_store_f16_n(y + i, v_load_u8_n(x + i, n - i), n - i);
}

static void ISA(add_bias_run)(const float *x, const f16 *bias, f16 *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store_f16(y + i, v_add(v_load(x + i), v_load_f16(bias + i)));
    if (i < n)
        v_store_f16_n(y + i, v_add(v_load_n(x + i, n - i), v_load_f16_n(bias + i, n - i)), n - i);
}
