/* Introspection: version, statuses, dtypes, the operator table. */
#include "base/dtype.h"
#include "base/encoding.h"
#include "base/fp16.h"
#include "ops/op.h"
#include "targets/chips.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *anf_version(void)
{
    return TEXT(ANF_VERSION_MAJOR) "." TEXT(ANF_VERSION_MINOR) "." TEXT(ANF_VERSION_PATCH);
}

anf_status anf_set_error(anf_status st, const char *message)
{
    return status_set(st, message ? message : "");
}

const char *anf_last_error(void)
{
    return status_message();
}

const char *anf_status_text(anf_status st)
{
    static const char *const texts[] = {
#define S(id, exit_code, text) [ANF_##id] = text,
#include "base/status.def"
#undef S
    };
    return (unsigned)st < sizeof texts / sizeof *texts ? texts[st] : "unknown status";
}

const char *anf_dtype_name(anf_dtype t)
{
    return (unsigned)t < DTYPE_COUNT ? dtype_info[t].name : "?";
}

size_t anf_dtype_size(anf_dtype t)
{
    return (unsigned)t < DTYPE_COUNT ? dtype_info[t].n_bytes : 0;
}

uint16_t anf_f16_from_f32(float x)
{
    return f32_to_f16(x);
}

float anf_f16_to_f32(uint16_t h)
{
    return f16_to_f32(h);
}

int anf_op_count(void)
{
    return OP_COUNT;
}

bool anf_op_get(int i, anf_op_info *out)
{
    if (i < 0 || i >= OP_COUNT || !out)
        return false;
    const struct op *op = op_table[i];
    *out = (anf_op_info){op->name, op->category, op->doc, op_n_operands(op), op->n_attrs};
    return true;
}

bool anf_op_operand(int op, int i, anf_operand_info *out)
{
    if (op < 0 || op >= OP_COUNT || i < 0 || i >= op_n_operands(op_table[op]) || !out)
        return false;
    *out =
        (anf_operand_info){op_operand_name(op_table[op], i), op_operand_optional(op_table[op], i),
                           op_operand_variadic(op_table[op], i)};
    return true;
}

bool anf_op_attr(int op, int i, anf_attr_info *out)
{
    if (op < 0 || op >= OP_COUNT || i < 0 || i >= op_table[op]->n_attrs || !out)
        return false;
    const struct attr_desc *d = &op_table[op]->attrs[i];
    *out = (anf_attr_info){d->name, d->type, d->required, d->positional, d->number, d->doc};
    return true;
}

const char *anf_encoding_name(anf_encoding e)
{
    return (unsigned)e < ENCODING_COUNT ? encoding_names[e] : "?";
}

int anf_target_family(const char *target)
{
    return chip_family(target);
}

bool anf_family_streams(int family, anf_encoding e)
{
    return family_streams(family, e);
}
