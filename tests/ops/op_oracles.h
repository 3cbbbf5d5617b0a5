/* Independent float64 oracles of the operators, one per family, in naive loops.
 *
 * An oracle fills v, the exact result, and e, a bound of what float32 arithmetic may differ from it
 * before the final rounding; where e is 0 the result must be v rounded, exactly.  Bounds, with
 * u = 2^-24, the float32 rounding unit:
 *
 *   products         (k + 2) u sum |a b|            k fused multiply-adds and a bias; convolutions
 *                                                   by Winograd's formula meet it as well here
 *   sums             depth(n) u sum |x|             depth: additions an element passes through
 *   functions        half a binary16 ulp            1 ulp in all, the contract of the micro-ops
 *   softmax, norms   the same rules carried through the formula, written at each oracle
 *   composites       e of each step is carried into the next, as interval arithmetic would
 *   + - * / sqrt, moves, maxima, comparisons               0 */
#ifndef ANF_TESTS_OP_ORACLES_H
#define ANF_TESTS_OP_ORACLES_H

#include "op_trial.h"

#include <math.h>

static const double U = 0x1p-24;

struct oracle_args {
    const struct trial *t;
    double *x[MAX_OPERANDS];  /* NULL where absent */
    const anf_dims *in[MAX_OPERANDS], *out;
    const void *attrs;
    size_t n;                 /* result elements */
    double *v, *e;
    struct arena *arena;
};

static double half_ulp16(double x)
{
    x = fabs(x);
    int exponent = x < 0x1p-14 ? -14 : ilogb(x);
    return ldexp(1.0, exponent - 11);
}

/* Additions on the way of one element in the lane order of kern.h. */
static double depth(size_t n)
{
    return 64 + 6 + 1 + (double)(n / ANF_REDUCE_BLOCK) + 1;
}

static int64_t last_dim(const anf_dims *d)
{
    return d->dim[d->rank - 1];
}

/* Index of element `at` of a dense tensor. */
static size_t index_of(const anf_dims *d, const int64_t *at)
{
    size_t i = 0;
    for (int k = 0; k < d->rank; k++)
        i = i * (size_t)d->dim[k] + (size_t)at[k];
    return i;
}

static void coordinates(const anf_dims *d, size_t i, int64_t *at)
{
    for (int k = d->rank - 1; k >= 0; k--) {
        at[k] = (int64_t)(i % (size_t)d->dim[k]);
        i /= (size_t)d->dim[k];
    }
}

/* Element of a broadcast operand that meets element `i` of the result. */
static double broadcast_at(const struct oracle_args *o, int operand, size_t i)
{
    int64_t at[ANF_MAX_RANK], own[ANF_MAX_RANK];
    const anf_dims *d = o->in[operand];
    coordinates(o->out, i, at);
    for (int k = 0; k < d->rank; k++)
        own[k] = d->dim[k] == 1 ? 0 : at[o->out->rank - d->rank + k];
    return o->x[operand][index_of(d, own)];
}

/* ---- products -------------------------------------------------------------------------------- */

struct sum {
    double v, mag;
    size_t terms;
};

static void sum_add(struct sum *s, double a, double b)
{
    s->v += a * b;
    s->mag += fabs(a * b);
    s->terms++;
}

static void sum_done(const struct oracle_args *o, size_t i, const struct sum *s, const double *bias)
{
    double b = bias ? *bias : 0;
    o->v[i] = s->v + b;
    o->e[i] = (double)(s->terms + 2) * U * (s->mag + fabs(b));
}

static void oracle_matmul(const struct oracle_args *o)
{
    size_t k = (size_t)o->in[1]->dim[0], n = (size_t)o->in[1]->dim[1];
    for (size_t i = 0; i < o->n; i++) {
        struct sum s = {0, 0, 0};
        for (size_t j = 0; j < k; j++)
            sum_add(&s, o->x[0][i / n * k + j], o->x[1][j * n + i % n]);
        sum_done(o, i, &s, NULL);
    }
}

static void oracle_linear(const struct oracle_args *o)
{
    size_t k = (size_t)o->in[1]->dim[1], n = (size_t)o->in[1]->dim[0];
    for (size_t i = 0; i < o->n; i++) {
        struct sum s = {0, 0, 0};
        for (size_t j = 0; j < k; j++)
            sum_add(&s, o->x[0][i / n * k + j], o->x[1][i % n * k + j]);
        sum_done(o, i, &s, o->x[2] ? &o->x[2][i % n] : NULL);
    }
}

static double batched_at(const anf_dims *d, const double *x, const anf_dims *out, const int64_t *at,
                         int64_t row, int64_t col)
{
    int64_t own[ANF_MAX_RANK];
    for (int k = 0; k < d->rank - 2; k++)
        own[k] = d->dim[k] == 1 ? 0 : at[out->rank - d->rank + k];
    own[d->rank - 2] = row;
    own[d->rank - 1] = col;
    return x[index_of(d, own)];
}

static void oracle_bmm(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK], m, n;
        coordinates(o->out, i, at);
        m = at[o->out->rank - 2];
        n = at[o->out->rank - 1];
        struct sum s = {0, 0, 0};
        for (int64_t k = 0; k < last_dim(o->in[0]); k++)
            sum_add(&s, batched_at(o->in[0], o->x[0], o->out, at, m, k),
                    batched_at(o->in[1], o->x[1], o->out, at, k, n));
        sum_done(o, i, &s, NULL);
    }
}

static void oracle_conv(const struct oracle_args *o)
{
    const struct conv_attrs *a = o->attrs;
    const anf_dims *x = o->in[0], *w = o->in[1];
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        struct sum s = {0, 0, 0};
        int64_t group = at[1] / (o->out->dim[1] / a->groups);
        for (int64_t ci = 0; ci < w->dim[1]; ci++)
            for (int64_t u = 0; u < w->dim[2]; u++)
                for (int64_t v = 0; v < w->dim[3]; v++) {
                    int64_t from[4] = {at[0], group * w->dim[1] + ci,
                                       at[2] * a->stride - a->pad + u * a->dilation,
                                       at[3] * a->stride - a->pad + v * a->dilation};
                    bool inside = from[2] >= 0 && from[2] < x->dim[2] && from[3] >= 0 &&
                                  from[3] < x->dim[3];
                    if (inside)
                        sum_add(&s, o->x[0][index_of(x, from)],
                                o->x[1][index_of(w, (int64_t[]){at[1], ci, u, v})]);
                }
        sum_done(o, i, &s, o->x[2] ? &o->x[2][at[1]] : NULL);
    }
}

/* Scatters each input element, as the definition of the transposed convolution does. */
static void oracle_conv_transpose(const struct oracle_args *o)
{
    const struct conv_attrs *a = o->attrs;
    const anf_dims *x = o->in[0], *w = o->in[1];
    struct sum *s = arena_alloc_array(o->arena, o->n, sizeof *s);
    for (size_t i = 0; i < trial_count(x); i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(x, i, at);
        int64_t group = at[1] / (w->dim[0] / a->groups);
        for (int64_t co = 0; co < w->dim[1]; co++)
            for (int64_t u = 0; u < w->dim[2]; u++)
                for (int64_t v = 0; v < w->dim[3]; v++) {
                    int64_t to[4] = {at[0], group * w->dim[1] + co,
                                     at[2] * a->stride - a->pad + u * a->dilation,
                                     at[3] * a->stride - a->pad + v * a->dilation};
                    if (to[2] < 0 || to[2] >= o->out->dim[2] || to[3] < 0 ||
                        to[3] >= o->out->dim[3])
                        continue;
                    sum_add(&s[index_of(o->out, to)], o->x[0][i],
                            o->x[1][index_of(w, (int64_t[]){at[1], co, u, v})]);
                }
    }
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        sum_done(o, i, &s[i], o->x[2] ? &o->x[2][at[1]] : NULL);
    }
}

/* ---- elementwise ----------------------------------------------------------------------------- */

static double param(const struct oracle_args *o, int i)
{
    double p;
    memcpy(&p, (const char *)o->attrs + (size_t)i * sizeof p, sizeof p);
    return (double)(float)p;
}

static double f_relu(double x) { return x > 0 ? x : 0; }
static double f_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_silu(double x) { return x / (1 + exp(-x)); }
static double f_gelu(double x) { return 0.5 * x * (1 + erf(x * sqrt(0.5))); }
static double f_square(double x) { return x * x; }
static double f_softplus(double x) { return log1p(exp(x)); }
static double f_relu6(double x) { return fmin(fmax(x, 0), 6); }
static double f_neg(double x) { return -x; }
static double f_not(double x) { return x == 0; }
static double f_same(double x) { return x; }

static const struct unary {
    const char *name;
    double (*f)(double);
    bool exact;
} unary[] = {
    {"relu", f_relu, true},     {"silu", f_silu, false},   {"gelu", f_gelu, false},
    {"sigmoid", f_sigmoid, false}, {"tanh", tanh, false},  {"exp", exp, false},
    {"sqrt", sqrt, true},       {"abs", fabs, true},       {"square", f_square, true},
    {"sin", sin, false},        {"cos", cos, false},       {"erf", erf, false},
    {"softplus", f_softplus, false}, {"relu6", f_relu6, true}, {"neg", f_neg, true},
    {"logical_not", f_not, true}, {"cast", f_same, true},
};

static void oracle_unary(const struct oracle_args *o)
{
    const struct unary *f = unary;
    while (strcmp(f->name, o->t->op->name) != 0)
        f++;
    for (size_t i = 0; i < o->n; i++) {
        o->v[i] = f->f(o->x[0][i]);
        o->e[i] = f->exact ? 0 : half_ulp16(o->v[i]);
    }
}

static void oracle_log(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        double a = o->x[0][i] + param(o, 0);
        o->v[i] = log(a);
        o->e[i] = half_ulp16(o->v[i]) + 2 * U; /* a is rounded: d log a = da / a */
    }
}

static void oracle_rsqrt(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        o->v[i] = 1 / sqrt(o->x[0][i] + param(o, 0));
        o->e[i] = 4 * U * o->v[i];
    }
}

static void oracle_elu(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        double x = o->x[0][i];
        o->v[i] = x > 0 ? x : param(o, 0) * expm1(x);
        o->e[i] = x > 0 ? 0 : half_ulp16(o->v[i]);
    }
}

static void oracle_leaky_relu(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        double x = o->x[0][i];
        o->v[i] = x > 0 ? x : param(o, 0) * x;
        o->e[i] = x > 0 ? 0 : U * fabs(o->v[i]);
    }
}

static void oracle_scale(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++) {
        o->v[i] = param(o, 0) * o->x[0][i];
        o->e[i] = U * fabs(o->v[i]);
    }
}

static void oracle_clip(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->v[i] = fmin(fmax(o->x[0][i], param(o, 0)), param(o, 1));
}

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_equal(double a, double b) { return a == b; }
static double f_not_equal(double a, double b) { return a != b; }
static double f_less(double a, double b) { return a < b; }
static double f_less_equal(double a, double b) { return a <= b; }
static double f_greater(double a, double b) { return a > b; }
static double f_greater_equal(double a, double b) { return a >= b; }

static const struct binary {
    const char *name;
    double (*f)(double, double);
    bool exact;
} binary[] = {
    {"add", f_add, true},         {"sub", f_sub, true},
    {"mul", f_mul, true},         {"div", f_div, true},
    {"maximum", fmax, true},      {"minimum", fmin, true},
    {"pow", pow, false},          {"equal", f_equal, true},
    {"not_equal", f_not_equal, true}, {"less", f_less, true},
    {"less_equal", f_less_equal, true}, {"greater", f_greater, true},
    {"greater_equal", f_greater_equal, true},
};

static void oracle_binary(const struct oracle_args *o)
{
    const struct binary *f = binary;
    while (strcmp(f->name, o->t->op->name) != 0)
        f++;
    for (size_t i = 0; i < o->n; i++) {
        o->v[i] = f->f(broadcast_at(o, 0, i), broadcast_at(o, 1, i));
        o->e[i] = f->exact ? 0 : half_ulp16(o->v[i]);
    }
}

static void oracle_select(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->v[i] = broadcast_at(o, broadcast_at(o, 0, i) != 0 ? 1 : 2, i);
}

/* ---- reductions, softmax, norms -------------------------------------------------------------- */

static void oracle_reduce(const struct oracle_args *o)
{
    const char *name = o->t->op->name;
    double *mag = arena_alloc_array(o->arena, o->n, sizeof *mag);
    size_t count = trial_count(o->in[0]), terms = count / o->n;
    bool max = strcmp(name, "amax") == 0, min = strcmp(name, "amin") == 0;
    for (size_t i = 0; i < o->n; i++)
        o->v[i] = max ? -INFINITY : min ? INFINITY : 0;
    for (size_t i = 0; i < count; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->in[0], i, at);
        for (int d = 0; d < o->out->rank; d++)
            at[d] = o->out->dim[d] == 1 ? 0 : at[d];
        size_t to = index_of(o->out, at);
        double x = o->x[0][i];
        o->v[to] = max ? fmax(o->v[to], x) : min ? fmin(o->v[to], x) : o->v[to] + x;
        mag[to] += fabs(x);
    }
    if (max || min)
        return;
    for (size_t i = 0; i < o->n; i++) {
        double n = strcmp(name, "mean") == 0 ? (double)terms : 1;
        o->v[i] /= n;
        o->e[i] = (depth(terms) + 1) * U * mag[i] / n;
    }
}

struct stats {
    double sum, mag, squares, max;
};

/* Of the elements first, first + step, ... */
static struct stats stats_of(const double *x, size_t first, size_t step, size_t n, double mean)
{
    struct stats s = {0, 0, 0, -INFINITY};
    for (size_t i = 0; i < n; i++) {
        double d = x[first + i * step] - mean;
        s.sum += d;
        s.mag += fabs(d);
        s.squares += d * d;
        s.max = fmax(s.max, d);
    }
    return s;
}

/* First element and step of the line along `axis` through element i. */
static void line_of(const anf_dims *d, int axis, size_t i, size_t *first, size_t *step)
{
    int64_t at[ANF_MAX_RANK];
    coordinates(d, i, at);
    at[axis] = 0;
    *first = index_of(d, at);
    *step = dims_product(d, axis + 1, d->rank);
}

/* exp carries 10.5 u of its own and 1.23 u |x - max| of its argument (oracle_norms.py), where
 * |x - max| <= 4; then the sum, its reciprocal and the product. */
static void oracle_softmax(const struct oracle_args *o)
{
    int axis = (int)((const struct axis_attrs *)o->attrs)->axis;
    size_t n = (size_t)o->out->dim[axis], first, step;
    for (size_t i = 0; i < o->n; i++) {
        line_of(o->out, axis, i, &first, &step);
        double m = stats_of(o->x[0], first, step, n, 0).max, s = 0;
        for (size_t k = 0; k < n; k++)
            s += exp(o->x[0][first + k * step] - m);
        o->v[i] = exp(o->x[0][i] - m) / s;
        o->e[i] = (2 * 15.5 + depth(n) + 3) * U * o->v[i];
    }
}

/* The square root halves the relative error of the sum of squares. */
static void oracle_l2_norm(const struct oracle_args *o)
{
    const struct l2_norm_attrs *a = o->attrs;
    size_t n = (size_t)o->out->dim[a->axis], first, step;
    for (size_t i = 0; i < o->n; i++) {
        line_of(o->out, (int)a->axis, i, &first, &step);
        o->v[i] = o->x[0][i] / sqrt(stats_of(o->x[0], first, step, n, 0).squares + a->eps);
        o->e[i] = (depth(n) / 2 + 5) * U * fabs(o->v[i]);
    }
}

static void oracle_rms_norm(const struct oracle_args *o)
{
    const struct eps_attrs *a = o->attrs;
    size_t n = (size_t)last_dim(o->out);
    for (size_t i = 0; i < o->n; i++) {
        double ss = stats_of(o->x[0], i / n * n, 1, n, 0).squares;
        o->v[i] = o->x[0][i] / sqrt(ss / (double)n + a->eps) * o->x[1][i % n];
        o->e[i] = (depth(n) / 2 + 7) * U * fabs(o->v[i]);
    }
}

/* Errors: of the mean, dm = depth u mean|x|; of x - mean, dm + u |d|; of the variance, depth u
 * var and 2 dm sigma from the mean, so of 1 / sqrt(var + eps), relatively, depth u / 2 + dm /
 * sigma. */
static void layer_element(const struct oracle_args *o, size_t i, size_t first, size_t n, double eps,
                          double gamma, double beta)
{
    struct stats s = stats_of(o->x[0], first, 1, n, 0);
    double mean = s.sum / (double)n, dm = (depth(n) + 1) * U * s.mag / (double)n;
    double var = stats_of(o->x[0], first, 1, n, mean).squares / (double)n;
    double inv = 1 / sqrt(var + eps), d = o->x[0][i] - mean, t = d * inv;
    o->v[i] = t * gamma + beta;
    o->e[i] = fabs(gamma) * ((dm + 2 * U * fabs(d)) * inv +
                             fabs(t) * ((depth(n) / 2 + 5) * U + dm * inv)) +
              2 * U * (fabs(t * gamma) + fabs(beta));
}

static void oracle_layer_norm(const struct oracle_args *o)
{
    const struct eps_attrs *a = o->attrs;
    size_t n = (size_t)last_dim(o->out);
    for (size_t i = 0; i < o->n; i++)
        layer_element(o, i, i / n * n, n, a->eps, o->x[1][i % n], o->x[2][i % n]);
}

static void oracle_group_norm(const struct oracle_args *o)
{
    const struct group_norm_attrs *a = o->attrs;
    size_t run = dims_product(o->out, 2, o->out->rank), channels = (size_t)o->out->dim[1];
    size_t n = channels / (size_t)a->num_groups * run;
    for (size_t i = 0; i < o->n; i++) {
        size_t ch = i / run % channels;
        layer_element(o, i, i / n * n, n, a->eps, o->x[1][ch], o->x[2][ch]);
    }
}

static void oracle_batch_norm(const struct oracle_args *o)
{
    const struct eps_attrs *a = o->attrs;
    size_t run = dims_product(o->out, 2, o->out->rank), channels = (size_t)o->out->dim[1];
    for (size_t i = 0; i < o->n; i++) {
        size_t ch = i / run % channels;
        double t = (o->x[0][i] - o->x[3][ch]) * o->x[1][ch] / sqrt(o->x[4][ch] + a->eps);
        o->v[i] = t + o->x[2][ch];
        o->e[i] = 7 * U * (fabs(t) + fabs(o->x[2][ch]));
    }
}

/* ---- pools and moves ------------------------------------------------------------------------- */

static void oracle_pool(const struct oracle_args *o)
{
    const struct pool_attrs *a = o->attrs;
    bool max = strcmp(o->t->op->name, "max_pool") == 0;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        double best = -INFINITY, sum = 0, mag = 0, cells = (double)(a->k * a->k);
        for (int64_t u = 0; u < a->k; u++)
            for (int64_t v = 0; v < a->k; v++) {
                int64_t from[4] = {at[0], at[1], at[2] * a->stride - a->pad + u,
                                   at[3] * a->stride - a->pad + v};
                if (from[2] < 0 || from[2] >= o->in[0]->dim[2] || from[3] < 0 ||
                    from[3] >= o->in[0]->dim[3])
                    continue;
                double x = o->x[0][index_of(o->in[0], from)];
                best = fmax(best, x);
                sum += x;
                mag += fabs(x);
            }
        o->v[i] = max ? best : sum / cells;
        o->e[i] = max ? 0 : (cells + 1) * U * mag / cells;
    }
}

static void oracle_copy(const struct oracle_args *o)
{
    memcpy(o->v, o->x[0], o->n * sizeof *o->v);
}

static void oracle_transpose(const struct oracle_args *o)
{
    const struct perm_attrs *a = o->attrs;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK], from[ANF_MAX_RANK] = {0};
        coordinates(o->out, i, at);
        for (int d = 0; d < o->out->rank; d++)
            from[a->perm.dim[d]] = at[d];
        o->v[i] = o->x[0][index_of(o->in[0], from)];
    }
}

static void oracle_slice(const struct oracle_args *o)
{
    const struct slice_attrs *a = o->attrs;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        for (int d = 0; d < o->out->rank; d++)
            at[d] += a->begin.dim[d];
        o->v[i] = o->x[0][index_of(o->in[0], at)];
    }
}

static void oracle_split(const struct oracle_args *o)
{
    const struct split_attrs *a = o->attrs;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        at[a->axis] += a->index * o->in[0]->dim[a->axis] / a->parts;
        o->v[i] = o->x[0][index_of(o->in[0], at)];
    }
}

static void oracle_expand(const struct oracle_args *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->v[i] = broadcast_at(o, 0, i);
}

static void oracle_concat(const struct oracle_args *o)
{
    int64_t axis = ((const struct axis_attrs *)o->attrs)->axis;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        int k = 0;
        coordinates(o->out, i, at);
        for (; at[axis] >= o->in[k]->dim[axis]; k++)
            at[axis] -= o->in[k]->dim[axis];
        o->v[i] = o->x[k][index_of(o->in[k], at)];
    }
}

static void oracle_upsample(const struct oracle_args *o)
{
    int64_t s = ((const struct scale_attrs *)o->attrs)->scale;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        at[2] /= s;
        at[3] /= s;
        o->v[i] = o->x[0][index_of(o->in[0], at)];
    }
}

static void oracle_pixel_shuffle(const struct oracle_args *o)
{
    int64_t r = ((const struct factor_attrs *)o->attrs)->r;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        int64_t from[4] = {at[0], at[1] * r * r + at[2] % r * r + at[3] % r, at[2] / r, at[3] / r};
        o->v[i] = o->x[0][index_of(o->in[0], from)];
    }
}

static void oracle_pixel_unshuffle(const struct oracle_args *o)
{
    int64_t r = ((const struct factor_attrs *)o->attrs)->r;
    for (size_t i = 0; i < o->n; i++) {
        int64_t at[ANF_MAX_RANK];
        coordinates(o->out, i, at);
        int64_t from[4] = {at[0], at[1] / (r * r), at[2] * r + at[1] / r % r,
                           at[3] * r + at[1] % r};
        o->v[i] = o->x[0][index_of(o->in[0], from)];
    }
}

#endif
