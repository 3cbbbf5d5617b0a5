/* Oracles of the composite operators: matrices of float64 values, each with a running bound of its
 * error.  Every step adds what its own float32 arithmetic may lose and half a binary16 ulp where
 * the operator it stands for rounds. */
#ifndef ANF_TESTS_OP_ORACLES_COMPOSITE_H
#define ANF_TESTS_OP_ORACLES_COMPOSITE_H

#include "op_oracles.h"

struct matrix {
    double *v, *e; /* [rows][cols] */
    int64_t rows, cols;
};

static struct matrix matrix_new(const struct oracle_args *o, int64_t rows, int64_t cols)
{
    size_t n = (size_t)(rows * cols);
    return (struct matrix){arena_alloc_array(o->arena, n, sizeof(double)),
                           arena_alloc_array(o->arena, n, sizeof(double)), rows, cols};
}

/* The rounding at the end of an operator. */
static void matrix_round(struct matrix *m)
{
    for (int64_t i = 0; i < m->rows * m->cols; i++)
        m->e[i] += half_ulp16(fabs(m->v[i]) + m->e[i]);
}

/* a b' + bias with column `first_a`, `first_b` onwards of `k` columns, before its rounding. */
static struct matrix matrix_product(const struct oracle_args *o, const struct matrix *a,
                                    const struct matrix *b, int64_t first, int64_t k,
                                    const double *bias)
{
    struct matrix y = matrix_new(o, a->rows, b->rows);
    for (int64_t i = 0; i < y.rows; i++)
        for (int64_t j = 0; j < y.cols; j++) {
            double v = 0, e = 0, mag = 0;
            for (int64_t t = first; t < first + k; t++) {
                double av = a->v[i * a->cols + t], ae = a->e[i * a->cols + t];
                double bv = b->v[j * b->cols + t], be = b->e[j * b->cols + t];
                v += av * bv;
                e += fabs(av) * be + fabs(bv) * ae + ae * be;
                mag += (fabs(av) + ae) * (fabs(bv) + be);
            }
            if (bias) {
                v += bias[j];
                mag += fabs(bias[j]);
            }
            y.v[i * y.cols + j] = v;
            y.e[i * y.cols + j] = e + (double)(k + 2) * U * mag;
        }
    return y;
}

static struct matrix operand_matrix(const struct oracle_args *o, double *x, int64_t rows,
                                    int64_t cols)
{
    struct matrix m = matrix_new(o, rows, cols);
    m.v = x;
    return m;
}

/* x [rows][d] through weight operand w and bias operand b, rounded. */
static struct matrix projected(const struct oracle_args *o, const struct matrix *x, int w, int b)
{
    struct matrix weight = operand_matrix(o, o->x[w], o->in[w]->dim[0], o->in[w]->dim[1]);
    struct matrix y = matrix_product(o, x, &weight, 0, x->cols, o->x[b]);
    matrix_round(&y);
    return y;
}

/* Multiplied by the fp16 constant `by`, rounded; then softmax of each row, rounded: a change of the
 * scores by at most d changes each result by a factor of at most exp(2 d). */
static void attention_rows(struct matrix *s, double by)
{
    for (int64_t i = 0; i < s->rows * s->cols; i++) {
        s->v[i] *= by;
        s->e[i] = s->e[i] * by + U * fabs(s->v[i]);
    }
    matrix_round(s);
    for (int64_t i = 0; i < s->rows; i++) {
        double *v = s->v + i * s->cols, *e = s->e + i * s->cols, m = -INFINITY, d = 0, total = 0;
        for (int64_t j = 0; j < s->cols; j++) {
            m = fmax(m, v[j]);
            d = fmax(d, e[j]);
        }
        for (int64_t j = 0; j < s->cols; j++)
            total += exp(v[j] - m);
        for (int64_t j = 0; j < s->cols; j++) {
            double far = m - v[j];
            v[j] = exp(-far) / total;
            const double units = 2 * (1.23 * far + 10.5) + depth((size_t)s->cols) + 3;
            e[j] = v[j] * (expm1(2 * d) + units * U);
        }
    }
    matrix_round(s);
}

static struct matrix transposed(const struct oracle_args *o, const struct matrix *m)
{
    struct matrix t = matrix_new(o, m->cols, m->rows);
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t j = 0; j < m->cols; j++) {
            t.v[j * t.cols + i] = m->v[i * m->cols + j];
            t.e[j * t.cols + i] = m->e[i * m->cols + j];
        }
    return t;
}

/* w: operands of wq, wk, wv, wo and then of their biases. */
static void oracle_attention(const struct oracle_args *o, int context, const int *w)
{
    const anf_dims *xd = o->in[0], *cd = o->in[context];
    int64_t batches = xd->rank == 3 ? xd->dim[0] : 1, heads;
    int64_t s = xd->dim[xd->rank - 2], t = cd->dim[cd->rank - 2], e = o->in[w[0]]->dim[0];
    memcpy(&heads, o->attrs, sizeof heads);
    int64_t dh = e / heads;
    double scale = (double)f16_to_f32(f64_to_f16(1 / sqrt((double)dh)));
    for (int64_t n = 0; n < batches; n++) {
        struct matrix x = operand_matrix(o, o->x[0] + n * s * last_dim(xd), s, last_dim(xd));
        struct matrix c = operand_matrix(o, o->x[context] + n * t * last_dim(cd), t, last_dim(cd));
        struct matrix q = projected(o, &x, w[0], w[4]), k = projected(o, &c, w[1], w[5]);
        struct matrix v = projected(o, &c, w[2], w[6]), vt = transposed(o, &v);
        struct matrix joined = matrix_new(o, s, e);
        for (int64_t h = 0; h < heads; h++) {
            struct matrix p = matrix_product(o, &q, &k, h * dh, dh, NULL);
            matrix_round(&p);
            attention_rows(&p, scale);
            struct matrix head = {vt.v + h * dh * t, vt.e + h * dh * t, dh, t};
            struct matrix y = matrix_product(o, &p, &head, 0, t, NULL);
            matrix_round(&y);
            for (int64_t i = 0; i < s; i++)
                for (int64_t j = 0; j < dh; j++) {
                    joined.v[i * e + h * dh + j] = y.v[i * dh + j];
                    joined.e[i * e + h * dh + j] = y.e[i * dh + j];
                }
        }
        int64_t width = o->in[w[3]]->dim[0];
        struct matrix wo = operand_matrix(o, o->x[w[3]], width, e);
        struct matrix y = matrix_product(o, &joined, &wo, 0, e, o->x[w[7]]);
        memcpy(o->v + n * s * width, y.v, (size_t)(s * width) * sizeof(double));
        memcpy(o->e + n * s * width, y.e, (size_t)(s * width) * sizeof(double));
    }
}

static void oracle_mha(const struct oracle_args *o)
{
    oracle_attention(o, 0, (const int[]){1, 3, 5, 7, 2, 4, 6, 8});
}

static void oracle_cross_attention(const struct oracle_args *o)
{
    oracle_attention(o, 1, (const int[]){2, 3, 4, 5, 6, 7, 8, 9});
}

/* |gelu'| is at most 1.13. */
static void oracle_geglu(const struct oracle_args *o)
{
    int64_t k = last_dim(o->in[0]), f = o->in[1]->dim[0] / 2, rows = (int64_t)o->n / f;
    struct matrix x = operand_matrix(o, o->x[0], rows, k);
    struct matrix w = operand_matrix(o, o->x[1], 2 * f, k);
    struct matrix y = matrix_product(o, &x, &w, 0, k, o->x[2]);
    matrix_round(&y);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < f; j++) {
            double value = y.v[i * 2 * f + j], ev = y.e[i * 2 * f + j];
            double in = y.v[i * 2 * f + f + j], gate = f_gelu(in);
            double eg = 1.13 * y.e[i * 2 * f + f + j];
            eg += 2 * half_ulp16(fabs(gate) + eg);
            o->v[i * f + j] = value * gate;
            o->e[i * f + j] = fabs(value) * eg + fabs(gate) * ev + ev * eg +
                              U * fabs(value * gate);
        }
}

#endif
