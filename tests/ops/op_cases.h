/* Graphs from the cases of the operator table: one operator, its operands as inputs or
 * constants. */
#ifndef ANF_TESTS_OP_CASES_H
#define ANF_TESTS_OP_CASES_H

#include "base/buf.h"
#include "ops/op.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct case_operand {
    bool absent, is_const;
    char kind; /* 0: plain, 'b' bool, 'u' uint8, 'p' positive */
    anf_dims shape;
};

struct case_spec {
    int n;
    struct case_operand operand[MAX_OPERANDS];
};

static inline uint64_t case_random(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545f4914f6cdd1du;
}

/* Values of a case's operand: uniform in [-2, 2), positive ones in [1/4, 2); `special` sprinkles
 * NaN, infinities, signed zeros and subnormals. */
static inline f16 case_value(uint64_t *s, char kind, bool special)
{
    static const f16 rare[] = {0x7e00, 0x7c00, 0xfc00, 0x0000, 0x8000, 0x0001, 0x8001, 0x7bff};
    uint64_t r = case_random(s);
    double u = (double)(r >> 11) * 0x1p-53;
    if (kind == 'b')
        return r >> 63 ? 0x3c00 : 0;
    if (special && (r & 15) == 0)
        return rare[(r >> 4) & 7];
    return f64_to_f16(kind == 'p' ? 0.25 + 1.75 * u : 4 * u - 2);
}

/* "[2,3] w[3,4] - b[5]" */
static inline void case_parse(const char *text, struct case_spec *out)
{
    memset(out, 0, sizeof *out);
    for (const char *p = text; *p;) {
        struct case_operand *o = &out->operand[out->n];
        if (*p == ' ') {
            p++;
            continue;
        }
        out->n++;
        if (*p == '-') {
            o->absent = true;
            p++;
            continue;
        }
        for (; isalpha((unsigned char)*p); p++) {
            if (*p == 'w')
                o->is_const = true;
            else
                o->kind = *p;
        }
        if (*p != '[')
            abort();
        p++;
        while (*p != ']') {
            char *end;
            o->shape.dim[o->shape.rank++] = strtol(p, &end, 10);
            p = *end == ',' ? end + 1 : end;
        }
        p++;
    }
}

#endif
