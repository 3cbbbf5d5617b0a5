/* Elementwise operators of several tensors, comparisons, selection and cast: one micro-op each,
 * over operands broadcast by NumPy's rule (shapes aligned at the right; a dim of 1 repeats).
 *
 * Booleans are stored as fp16 0 and 1; only select, logical_not and cast take them. */
#include "ops/op.h"

#define BINARY "Elementwise, binary"

/* The same shape, each kind of broadcasting from either side, ranks that differ, odd sizes. */
#define BROADCAST_CASES(p)                                                                         \
    {p "[2,3,4] [2,3,4]", ""}, {p "[1] [1]", ""}, {p "[] []", ""}, {p "[37,5] []", ""},            \
        {p "[1] [5,37]", ""}, {p "[7,129] [129]", ""}, {p "[7,1] [7,129]", ""},                    \
        {p "[37,1] [1,5]", ""}, {p "[2,5,3,7] [5,1,1]", ""}, {p "[3,1,5] [2,1,4,1]", ""},          \
        {p "[1031] w[1031]", ""}, {p "[2,6,9] w[1,6,1]", ""}

static const struct op_case any_cases[] = {BROADCAST_CASES("")};
static const struct op_case positive_cases[] = {BROADCAST_CASES("p")};

#define ARITHMETIC(id, more_traits, text, cases_of)                                                \
    OP_DEF(id) = {.name = #id, .category = BINARY, .doc = (text), .operands = {"a", "b"},          \
                  .traits = OP_ELEMENTWISE | (more_traits), .uop = UOP_##id, OP_CASES(cases_of)}

ARITHMETIC(add, OP_COMMUTES, "a + b.", any_cases);
ARITHMETIC(sub, 0, "a - b.", any_cases);
ARITHMETIC(mul, OP_COMMUTES, "a times b.", any_cases);
ARITHMETIC(maximum, 0, "The larger of a and b; NaN where either is.", any_cases);
ARITHMETIC(minimum, 0, "The smaller of a and b; NaN where either is.", any_cases);
ARITHMETIC(pow, 0, "a to the power b.", positive_cases);

static const struct op_case div_cases[] = {
    {"[2,3,4] p[2,3,4]", ""}, {"[1] p[1]", ""},       {"[37,5] p[]", ""}, {"[7,129] p[129]", ""},
    {"[7,1] p[7,129]", ""},   {"[37,1] p[1,5]", ""},  {"[] p[5,37]", ""},
};
ARITHMETIC(div, 0, "a / b.", div_cases);

/* ---- comparisons ----------------------------------------------------------------------------- */

static anf_status infer_compare(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    out->dtype = ANF_BOOL;
    return op_broadcast(c, &c->in[0].shape, &c->in[1].shape, &out->shape);
}

/* Booleans on both sides make equal elements common. */
#define COMPARISON(id, more_traits, text)                                                          \
    OP_DEF(id) = {.name = #id, .category = BINARY, .doc = (text), .operands = {"a", "b"},          \
                  .traits = OP_ELEMENTWISE | (more_traits), .uop = UOP_##id,                       \
                  .infer = infer_compare, OP_CASES(any_cases)}

COMPARISON(equal, OP_COMMUTES, "Where a == b, a boolean.");
COMPARISON(not_equal, OP_COMMUTES, "Where a != b, a boolean; true where either is NaN.");
COMPARISON(less, 0, "Where a < b, a boolean.");
COMPARISON(less_equal, 0, "Where a <= b, a boolean.");
COMPARISON(greater, 0, "Where a > b, a boolean.");
COMPARISON(greater_equal, 0, "Where a >= b, a boolean.");

static anf_status infer_logical_not(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    TRY(op_need_dtype(c, 0, ANF_BOOL));
    *out = c->in[0];
    return ANF_OK;
}

static const struct op_case logical_not_cases[] = {{"b[2,3]", ""}, {"b[1]", ""}, {"b[5,129]", ""}};

OP_DEF(logical_not) = {
    .name = "logical_not",
    .category = BINARY,
    .doc = "The other boolean.",
    .operands = {"x"},
    .traits = OP_ELEMENTWISE | OP_DTYPES,
    .uop = UOP_logical_not,
    .infer = infer_logical_not,
    OP_CASES(logical_not_cases),
};

/* ---- select, cast ---------------------------------------------------------------------------- */

static anf_status infer_select(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    TRY(op_need_dtype(c, 0, ANF_BOOL));
    TRY(op_need_dtype(c, 1, ANF_F16));
    TRY(op_need_dtype(c, 2, ANF_F16));
    TRY(op_broadcast(c, &c->in[1].shape, &c->in[2].shape, &out->shape));
    return op_broadcast(c, &c->in[0].shape, &out->shape, &out->shape);
}

static const struct op_case select_cases[] = {
    {"b[2,3,4] [2,3,4] [2,3,4]", ""}, {"b[1] [1] [1]", ""},        {"b[5,129] [129] []", ""},
    {"b[7,1] [1,37] [7,37]", ""},     {"b[] [3,5] [5]", ""},       {"b[37,1] [5] w[37,5]", ""},
};

OP_DEF(select) = {
    .name = "select",
    .category = BINARY,
    .doc = "a where cond is true, else b; all three broadcast.",
    .operands = {"cond", "a", "b"},
    .traits = OP_ELEMENTWISE | OP_DTYPES,
    .uop = UOP_select,
    .infer = infer_select,
    OP_CASES(select_cases),
};

static anf_status infer_cast(const struct op_call *c, void *attrs, struct value_type *out)
{
    (void)attrs;
    if (c->in[0].dtype != ANF_U8 && c->in[0].dtype != ANF_BOOL)
        FAIL(DTYPE, "cast: x is %s, needs uint8 or bool", dtype_info[c->in[0].dtype].name);
    out->shape = c->in[0].shape;
    return ANF_OK;
}

static const struct op_case cast_cases[] = {
    {"u[1,3,8,9]", ""}, {"u[1]", ""}, {"u[5,129]", ""}, {"b[4,7]", ""}, {"u[75]", ""},
};

OP_DEF(cast) = {
    .name = "cast",
    .category = BINARY,
    .doc = "A uint8 image or a boolean as fp16, exactly.",
    .operands = {"x"},
    .traits = OP_ELEMENTWISE | OP_DTYPES,
    .uop = UOP_copy,
    .infer = infer_cast,
    OP_CASES(cast_cases),
};
