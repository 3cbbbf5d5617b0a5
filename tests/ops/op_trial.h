/* One call of an operator for a test: operand types and kinds from the text of an op_case,
 * attributes from their text form, seeded values. */
#ifndef ANF_TESTS_OP_TRIAL_H
#define ANF_TESTS_OP_TRIAL_H

#include "ops/op.h"
#include "ops/op_attrs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct trial {
    const struct op *op;
    int n_in;
    struct value_type type[MAX_OPERANDS];
    char kind[MAX_OPERANDS]; /* 'x', or the letter of the operand in the text; '-' absent */
    union {                  /* room for any attribute struct, aligned */
        char bytes[4 * sizeof(anf_dims)];
        int64_t align;
    } attrs;
    struct value_type out;
};

static inline size_t trial_count(const anf_dims *d)
{
    return dims_product(d, 0, d->rank);
}

/* "[2,3] w[4] - b[]"; false where the text is not of that form. */
static inline bool trial_operands(struct trial *t, const char *text)
{
    t->n_in = 0;
    while (*text) {
        struct value_type *v = &t->type[t->n_in];
        char kind = *text == '[' ? 'x' : *text++;
        t->kind[t->n_in++] = kind;
        memset(v, 0, sizeof *v);
        v->dtype = kind == 'b' ? ANF_BOOL : kind == 'u' ? ANF_U8 : ANF_F16;
        if (kind == '-') {
            v->shape.rank = -1;
        } else {
            if (*text++ != '[')
                return false;
            while (*text != ']') {
                char *end;
                v->shape.dim[v->shape.rank++] = strtoll(text, &end, 10);
                if (end == text)
                    return false;
                text = end + (*end == ',');
            }
            text++;
        }
        while (*text == ' ')
            text++;
    }
    return true;
}

static inline struct op_call trial_call(const struct trial *t)
{
    return (struct op_call){t->op, t->n_in, t->type, t->attrs.bytes};
}

/* Operands, attributes and inference. */
static inline anf_status trial_make(struct trial *t, const struct op *op, const char *in,
                                    const char *attrs)
{
    memset(t, 0, sizeof *t);
    t->op = op;
    if (!trial_operands(t, in))
        FAIL(FORMAT, "trial: operands '%s'", in);
    TRY(attrs_parse(op, attrs, strlen(attrs), t->attrs.bytes));
    struct op_call call = trial_call(t);
    return op_infer(&call, t->attrs.bytes, &t->out);
}

static inline double trial_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) * 0x1p-53;
}

/* Values in [-2, 2), half of them multiples of 1/4 so that ties occur; 'p' in [0.25, 2.25); 0
 * and 1 for 'b'; all bytes for 'u'.  `exact` are the same values in double. */
static inline void *trial_values(const struct trial *t, int i, uint64_t *state, struct arena *arena,
                                 double **exact)
{
    size_t n = trial_count(&t->type[i].shape);
    f16 *x = arena_alloc_array(arena, n, sizeof *x);
    double *d = arena_alloc_array(arena, n, sizeof *d);
    *exact = d;
    if (!x || !d)
        return NULL;
    for (size_t k = 0; k < n; k++) {
        double u = trial_random(state), v = 4 * u - 2;
        if (k % 2)
            v = 0.25 * (double)(int)(4 * v);
        if (t->kind[i] == 'p')
            v = 0.25 + 2 * u;
        if (t->kind[i] == 'b')
            v = u < 0.5;
        if (t->kind[i] == 'u') {
            ((uint8_t *)x)[k] = (uint8_t)(256 * u);
            d[k] = (double)((uint8_t *)x)[k];
        } else {
            x[k] = f64_to_f16(v);
            d[k] = (double)f16_to_f32(x[k]);
        }
    }
    return x;
}

#endif
