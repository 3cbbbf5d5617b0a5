/* Micro-ops and conversions: every table against mathematics, and against each other.
 *
 * Unary micro-ops are evaluated on all 65,536 binary16 values and compared with the correctly
 * rounded double result (bounds in `specs`); binary ones on a lattice of special values and on
 * seeded random pairs.  Every table must then equal "ref" bit for bit, for any count, in place or
 * not, without touching a byte outside its operands: runs end at an inaccessible page, and outputs
 * are framed.
 *
 * The rounding to binary16 used as the yardstick is a binary search over the values of all halves;
 * it shares no idea with the conversions under test. */
#include "fenced.h"
#include "plain.h"

#include "kernels/kern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALL = 65536, LATTICE_MAX = 400, RANDOM_PAIRS = 1 << 20, MAX_TAIL = 70, FRAME = 32 };
#define ONE_ANSWER 0x7dbdb5f3981224dcu

/* ---- an independent binary16 ------------------------------------------------------------------*/
static double half_value(f16 h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    if (e == 31)
        v = m ? NAN : INFINITY;
    return h & 0x8000 ? -v : v;
}

static bool half_is_nan(f16 h)
{
    return (h & 0x7fff) > 0x7c00;
}

/* Infinity takes part as the next value of the grid, 65536. */
static double grid(unsigned mag)
{
    return mag == 0x7c00 ? 65536.0 : half_value((f16)mag);
}

static f16 slow_round(double v)
{
    if (isnan(v))
        return 0x7e00;
    f16 sign = signbit(v) ? 0x8000 : 0;
    double a = fabs(v);
    unsigned lo = 0, hi = 0x7c00;
    if (a >= grid(hi))
        return (f16)(sign | hi);
    while (hi - lo > 1) {
        unsigned mid = (lo + hi) / 2;
        if (grid(mid) <= a)
            lo = mid;
        else
            hi = mid;
    }
    double below = a - grid(lo), above = grid(hi) - a;
    bool up = above < below || (above == below && (lo & 1));
    return (f16)(sign | (up ? hi : lo));
}

/* Distance in units in the last place; a wrong NaN, infinity sign or zero sign is as far as can be.
 */
static int ulp_distance(f16 got, f16 want)
{
    if (half_is_nan(got) || half_is_nan(want))
        return got == want ? 0 : ALL;
    if (!((got | want) & 0x7fff))
        return got == want ? 0 : ALL;
    int a = got & 0x8000 ? -(got & 0x7fff) : got, b = want & 0x8000 ? -(want & 0x7fff) : want;
    return abs(a - b);
}

/* ---- the mathematics --------------------------------------------------------------------------*/
static double f_copy(double a, double b, const float *p) { (void)b, (void)p; return a; }
static double f_relu(double a, double b, const float *p) { (void)b, (void)p; return 0 > a ? 0 : a; }
static double f_relu6(double a, double b, const float *p)
{
    double r = f_relu(a, b, p);
    return 6 < r ? 6 : r;
}
static double f_silu(double a, double b, const float *p)
{
    (void)b, (void)p;
    return a == -INFINITY ? -0.0 : a / (1 + exp(-a));
}
static double f_gelu(double a, double b, const float *p)
{
    (void)b, (void)p;
    return a == -INFINITY ? -0.0 : a / 2 * erfc(-a / sqrt(2));
}
static double f_sigmoid(double a, double b, const float *p)
{
    (void)b, (void)p;
    return 1 / (1 + exp(-a));
}
static double f_tanh(double a, double b, const float *p) { (void)b, (void)p; return tanh(a); }
static double f_exp(double a, double b, const float *p) { (void)b, (void)p; return exp(a); }
static double f_sqrt(double a, double b, const float *p) { (void)b, (void)p; return sqrt(a); }
static double f_abs(double a, double b, const float *p) { (void)b, (void)p; return fabs(a); }
static double f_square(double a, double b, const float *p) { (void)b, (void)p; return a * a; }
static double f_sin(double a, double b, const float *p) { (void)b, (void)p; return sin(a); }
static double f_cos(double a, double b, const float *p) { (void)b, (void)p; return cos(a); }
static double f_erf(double a, double b, const float *p) { (void)b, (void)p; return erf(a); }
static double f_softplus(double a, double b, const float *p)
{
    (void)b, (void)p;
    return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
}
static double f_log(double a, double b, const float *p) { (void)b; return log(a + p[0]); }
static double f_rsqrt(double a, double b, const float *p) { (void)b; return 1 / sqrt(a + p[0]); }
static double f_elu(double a, double b, const float *p)
{
    (void)b;
    return a > 0 ? a : p[0] * (a == 0 ? 0 : expm1(a));
}
static double f_leaky_relu(double a, double b, const float *p)
{
    (void)b;
    return a > 0 ? a : p[0] * a;
}
static double f_scale(double a, double b, const float *p)
{
    (void)b;
    return p[0] * a;
}
static double f_clip(double a, double b, const float *p)
{
    (void)b;
    a = p[0] > a ? p[0] : a;
    return p[1] < a ? p[1] : a;
}
static double f_neg(double a, double b, const float *p) { (void)b, (void)p; return -a; }
static double f_add(double a, double b, const float *p) { (void)p; return a + b; }
static double f_sub(double a, double b, const float *p) { (void)p; return a - b; }
static double f_mul(double a, double b, const float *p) { (void)p; return a * b; }
static double f_div(double a, double b, const float *p) { (void)p; return a / b; }
static double f_max(double a, double b, const float *p)
{
    (void)p;
    return a > b || isnan(a) ? a : b;
}
static double f_min(double a, double b, const float *p)
{
    (void)p;
    return a < b || isnan(a) ? a : b;
}
static double f_pow(double a, double b, const float *p) { (void)p; return pow(a, b); }
static double f_eq(double a, double b, const float *p) { (void)p; return a == b; }
static double f_ne(double a, double b, const float *p) { (void)p; return a != b; }
static double f_lt(double a, double b, const float *p) { (void)p; return a < b; }
static double f_le(double a, double b, const float *p) { (void)p; return a <= b; }
static double f_gt(double a, double b, const float *p) { (void)p; return a > b; }
static double f_ge(double a, double b, const float *p) { (void)p; return a >= b; }
static double f_not(double a, double b, const float *p) { (void)b, (void)p; return a == 0; }

static const struct {
    double (*value)(double a, double b, const float *p);
    int max_ulp;
    float params[4][2]; /* parameter sets; a set of zeros after the first ends the list */
} specs[UOP_COUNT] = {
    [UOP_copy] = {f_copy, 0, {{0}}},
    [UOP_relu] = {f_relu, 0, {{0}}},
    [UOP_silu] = {f_silu, 1, {{0}}},
    [UOP_gelu] = {f_gelu, 1, {{0}}},
    [UOP_sigmoid] = {f_sigmoid, 1, {{0}}},
    [UOP_tanh] = {f_tanh, 1, {{0}}},
    [UOP_exp] = {f_exp, 1, {{0}}},
    [UOP_sqrt] = {f_sqrt, 0, {{0}}},
    [UOP_abs] = {f_abs, 0, {{0}}},
    [UOP_square] = {f_square, 0, {{0}}},
    [UOP_sin] = {f_sin, 1, {{0}}},
    [UOP_cos] = {f_cos, 1, {{0}}},
    [UOP_erf] = {f_erf, 1, {{0}}},
    [UOP_softplus] = {f_softplus, 1, {{0}}},
    [UOP_relu6] = {f_relu6, 0, {{0}}},
    [UOP_log] = {f_log, 1, {{0}, {1e-5f}, {1.0f}, {1e-40f}}},
    [UOP_rsqrt] = {f_rsqrt, 1, {{0}, {1e-5f}, {1e-12f}}},
    [UOP_elu] = {f_elu, 1, {{1.0f}, {0.3f}, {-2.5f}}},
    [UOP_leaky_relu] = {f_leaky_relu, 1, {{0.01f}, {0.3f}, {-1.0f}}},
    [UOP_clip] = {f_clip, 0, {{0.0f, 6.0f}, {-1.0f, 1.0f}, {-3e38f, 100.0f}, {2.0f, 1.0f}}},
    [UOP_neg] = {f_neg, 0, {{0}}},
    [UOP_add] = {f_add, 0, {{0}}},
    [UOP_sub] = {f_sub, 0, {{0}}},
    [UOP_mul] = {f_mul, 0, {{0}}},
    [UOP_div] = {f_div, 0, {{0}}},
    [UOP_maximum] = {f_max, 0, {{0}}},
    [UOP_minimum] = {f_min, 0, {{0}}},
    [UOP_pow] = {f_pow, 1, {{0}}},
    [UOP_equal] = {f_eq, 0, {{0}}},
    [UOP_not_equal] = {f_ne, 0, {{0}}},
    [UOP_less] = {f_lt, 0, {{0}}},
    [UOP_less_equal] = {f_le, 0, {{0}}},
    [UOP_greater] = {f_gt, 0, {{0}}},
    [UOP_greater_equal] = {f_ge, 0, {{0}}},
    [UOP_logical_not] = {f_not, 0, {{0}}},
    /* The float32 product is rounded before the last rounding: 1 at a tie. */
    [UOP_scale] = {f_scale, 1, {{1.0f / 255}, {0.1f}, {-3.0f}}},
};

static bool params_end(size_t op, size_t set)
{
    return set == 4 || (set && specs[op].params[set][0] == 0 && specs[op].params[set][1] == 0);
}

/* ---- memory -----------------------------------------------------------------------------------*/
enum { REGION = 4096 }; /* bytes, of which operands are the last */

static uint32_t random_bits(uint64_t *s)
{
    *s += 0x9e3779b97f4a7c15u;
    uint64_t z = (*s ^ *s >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(z >> 32);
}

/* Every binary16 beside a power of two and some of each binade, both signs, NaNs with payloads. */
static size_t lattice(f16 *v)
{
    size_t n = 0;
    for (unsigned e = 0; e < 31; e++) {
        const unsigned m[] = {0, 1, 0x155, 0x200, 0x3ff};
        for (size_t i = 0; i < 5; i++)
            v[n++] = (f16)(e << 10 | m[i]);
    }
    const f16 more[] = {0x4200, 0x4500, 0x4700, 0x4880, 0x5640, 0x6401, 0x67ff, 0x6801,
                        0x7c00, 0x7e00, 0x7c01, 0x7fff, 0x3e00, 0x4100, 0x0003, 0x2e66};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        v[n++] = more[i];
    for (size_t i = 0, half = n; i < half; i++)
        v[n++] = (f16)(v[i] | 0x8000);
    return n;
}

static const struct kern *ref_table(void)
{
    const struct kern *ref = kern_select("ref");
    assert_non_null(ref);
    return ref;
}

/* ---- tests ------------------------------------------------------------------------------------*/
static void test_tables(void **state)
{
    (void)state;
    assert_ptr_equal(kern_select("no such table"), NULL);
    assert_true(kern_select(NULL)->available());
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        print_message("table %-7s %-24s %s\n", k->name, k->needs,
                      k->available() ? "available" : "not available");
        assert_ptr_equal(kern_select(k->name), k->available() ? k : NULL);
        assert_true(k->mr && k->nv && k->kc && k->mc && k->nc % ANF_PANEL == 0);
        for (size_t op = 0; op < UOP_COUNT; op++)
            assert_non_null(k->uops[op]);
    }
    assert_string_equal(uop_info[UOP_select].name, "select");
    assert_int_equal(uop_info[UOP_clip].n_params, 2);
}

static void check_unary(const struct kern *k, size_t op, const f16 *x, f16 *y, const f16 *want,
                        const float *p)
{
    k->uops[op](y, x, NULL, NULL, ALL, uop_info[op].n_params ? p : NULL);
    for (size_t i = 0; i < ALL; i++)
        if (ulp_distance(y[i], want[i]) > specs[op].max_ulp)
            fail_msg("%s on %s: f(0x%04x = %g) is 0x%04x, needs 0x%04x within %d ulp (p %g)\n",
                     uop_info[op].name, k->name, x[i], half_value(x[i]), y[i], want[i],
                     specs[op].max_ulp, (double)p[0]);
}

static void test_unary_exhaustive(void **state)
{
    (void)state;
    f16 *x = fenced(ALL * sizeof(f16)), *y = fenced(ALL * sizeof(f16));
    f16 *want = fenced(ALL * sizeof(f16)), *first = fenced(ALL * sizeof(f16));
    for (size_t i = 0; i < ALL; i++)
        x[i] = (f16)i;
    for (size_t op = 0; op < UOP_COUNT; op++) {
        for (size_t set = 0; uop_info[op].n_in == 1 && !params_end(op, set); set++) {
            const float *p = specs[op].params[set];
            for (size_t i = 0; i < ALL; i++)
                want[i] = slow_round(specs[op].value(half_value(x[i]), 0, p));
            check_unary(ref_table(), op, x, first, want, p);
            size_t off = 0;
            for (size_t i = 0; i < ALL; i++)
                off += first[i] != want[i];
            if (off)
                print_message("%-12s p %-8g %5zu of 65536 one ulp off\n", uop_info[op].name,
                              (double)p[0], off);
            for (size_t t = 0; kern_tables[t]; t++) {
                if (!kern_tables[t]->available())
                    continue;
                check_unary(kern_tables[t], op, x, y, want, p);
                assert_memory_equal(y, first, ALL * sizeof(f16));
            }
        }
    }
    unfence(x), unfence(y), unfence(want), unfence(first);
}

/* The same bits on every machine and compiler: a hash of what every micro-op gives for all first
 * operands.  It changes only when a formula is changed on purpose. */
static void test_one_answer(void **state)
{
    (void)state;
    f16 *x = fenced(ALL * sizeof(f16)), *b = fenced(ALL * sizeof(f16));
    f16 *y = fenced(ALL * sizeof(f16)), v[LATTICE_MAX];
    size_t n_v = lattice(v);
    for (size_t i = 0; i < ALL; i++)
        x[i] = (f16)i, b[i] = v[(i >> 8) % n_v];
    for (size_t t = 0; kern_tables[t]; t++) {
        uint64_t h = 0xcbf29ce484222325u; /* FNV-1a over 16-bit units */
        if (!kern_tables[t]->available())
            continue;
        for (size_t op = 0; op < UOP_COUNT; op++) {
            const float *p = uop_info[op].n_params ? specs[op].params[0] : NULL;
            kern_tables[t]->uops[op](y, x, b, b, ALL, p);
            for (size_t i = 0; i < ALL; i++)
                h = (h ^ y[i]) * 0x100000001b3u;
        }
        if (h != ONE_ANSWER)
            fail_msg("results on %s hash to 0x%016llx, need 0x%016llx\n", kern_tables[t]->name,
                     (unsigned long long)h, (unsigned long long)ONE_ANSWER);
    }
    unfence(x), unfence(b), unfence(y);
}

/* n pairs through one binary micro-op on every table. */
static void check_binary(size_t op, const f16 *a, const f16 *b, size_t n, f16 *y, f16 *first)
{
    const float none[2] = {0};
    ref_table()->uops[op](first, a, b, NULL, n, NULL);
    for (size_t i = 0; i < n; i++) {
        f16 want = slow_round(specs[op].value(half_value(a[i]), half_value(b[i]), none));
        if (ulp_distance(first[i], want) > specs[op].max_ulp)
            fail_msg("%s(0x%04x = %g, 0x%04x = %g) is 0x%04x, needs 0x%04x within %d ulp\n",
                     uop_info[op].name, a[i], half_value(a[i]), b[i], half_value(b[i]), first[i],
                     want, specs[op].max_ulp);
    }
    for (size_t t = 0; kern_tables[t]; t++) {
        if (!kern_tables[t]->available())
            continue;
        kern_tables[t]->uops[op](y, a, b, NULL, n, NULL);
        for (size_t i = 0; i < n; i++)
            if (y[i] != first[i])
                fail_msg("%s(0x%04x, 0x%04x) is 0x%04x on %s, 0x%04x on ref\n", uop_info[op].name,
                         a[i], b[i], y[i], kern_tables[t]->name, first[i]);
    }
}

static void test_binary(void **state)
{
    (void)state;
    f16 v[LATTICE_MAX];
    size_t n_v = lattice(v), n = n_v * n_v, cap = n > RANDOM_PAIRS ? n : RANDOM_PAIRS;
    f16 *a = fenced(cap * sizeof(f16)), *b = fenced(cap * sizeof(f16));
    f16 *y = fenced(cap * sizeof(f16)), *first = fenced(cap * sizeof(f16));
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++)
        a[i] = v[i / n_v], b[i] = v[i % n_v];
    for (size_t op = 0; op < UOP_COUNT; op++)
        if (uop_info[op].n_in == 2)
            check_binary(op, a, b, n, y, first);
    for (size_t op = 0; op < UOP_COUNT; op++) {
        if (uop_info[op].n_in != 2)
            continue;
        for (size_t i = 0; i < RANDOM_PAIRS; i++) {
            uint32_t r = random_bits(&seed);
            a[i] = (f16)r, b[i] = (f16)(r >> 16);
            /* Most powers of random pairs are 0, 1, infinity or NaN: keep half of them in range. */
            if (op == UOP_pow && i % 2)
                a[i] = (f16)(0x3800 + r % 0x0c00), b[i] = (f16)((r >> 8) % 0x5400);
        }
        check_binary(op, a, b, RANDOM_PAIRS, y, first);
    }
    unfence(a), unfence(b), unfence(y), unfence(first);
}

static void test_select(void **state)
{
    (void)state;
    f16 v[LATTICE_MAX], b[LATTICE_MAX], c[LATTICE_MAX], y[LATTICE_MAX];
    size_t n = lattice(v);
    for (size_t i = 0; i < n; i++)
        b[i] = v[n - 1 - i], c[i] = v[(i * 7 + 3) % n];
    for (size_t t = 0; kern_tables[t]; t++) {
        if (!kern_tables[t]->available())
            continue;
        kern_tables[t]->uops[UOP_select](y, v, b, c, n, NULL);
        for (size_t i = 0; i < n; i++) {
            f16 pick = v[i] & 0x7fff ? b[i] : c[i];
            assert_int_equal(y[i], half_is_nan(pick) ? 0x7e00 : pick);
        }
    }
}

/* Every count: equal to the head of a long run, in place too, operands ending at an inaccessible
 * page, output framed by bytes that must survive. */
static void check_tails(const struct kern *k, size_t op, unsigned char *const page_end[3])
{
    const float p[2] = {0.25f, 2.0f};
    const int n_in = uop_info[op].n_in;
    f16 in[3][MAX_TAIL], whole[MAX_TAIL], framed[MAX_TAIL + 2 * FRAME];
    uint64_t seed = op + 1;
    for (int j = 0; j < 3; j++)
        for (size_t i = 0; i < MAX_TAIL; i++)
            in[j][i] = (f16)random_bits(&seed);
    k->uops[op](whole, in[0], n_in > 1 ? in[1] : NULL, n_in > 2 ? in[2] : NULL, MAX_TAIL, p);

    for (size_t n = 0; n <= MAX_TAIL; n++) {
        f16 *arg[3] = {NULL, NULL, NULL};
        for (int j = 0; j < n_in; j++) {
            arg[j] = (f16 *)(void *)(page_end[j] - n * sizeof(f16));
            memcpy(arg[j], in[j], n * sizeof(f16));
        }
        for (size_t i = 0; i < MAX_TAIL + 2 * FRAME; i++)
            framed[i] = 0xabcd;
        k->uops[op](framed + FRAME, arg[0], arg[1], arg[2], n, p);
        assert_memory_equal(framed + FRAME, whole, n * sizeof(f16));
        for (size_t i = 0; i < FRAME; i++) {
            assert_int_equal(framed[i], 0xabcd);
            assert_int_equal(framed[FRAME + n + i], 0xabcd);
        }
        for (int j = 0; j < n_in; j++) {
            f16 *y = arg[j];
            k->uops[op](y, arg[0], arg[1], arg[2], n, p);
            assert_memory_equal(y, whole, n * sizeof(f16));
            memcpy(y, in[j], n * sizeof(f16));
        }
    }
}

static void test_tails(void **state)
{
    (void)state;
    unsigned char *base[3], *page_end[3];
    for (int j = 0; j < 3; j++) {
        base[j] = fenced(REGION);
        page_end[j] = base[j] + REGION;
    }
    for (size_t t = 0; kern_tables[t]; t++)
        for (size_t op = 0; kern_tables[t]->available() && op < UOP_COUNT; op++)
            check_tails(kern_tables[t], op, page_end);
    for (int j = 0; j < 3; j++)
        unfence(base[j]);
}

/* ---- chains -----------------------------------------------------------------------------------*/
/* Operands from CHAIN_SPLATS on have the same element everywhere; no step writes an operand. */
enum { CHAIN_VALUES = 8, CHAIN_OPERANDS = 4, CHAIN_SPLATS = 2, CHAIN_STEPS = 12, CHAIN_MAX = 600 };

static bool is_splat(size_t value)
{
    return value >= CHAIN_SPLATS && value < CHAIN_OPERANDS;
}

static struct uop_step random_step(uint64_t *seed, bool first)
{
    const uint32_t r = random_bits(seed);
    struct uop_step s = {.reads = first || r & 1, .keeps = r & 2, .a = r >> 2 & 7, .b = r >> 5 & 7,
                         .c = r >> 8 & 7, .y = (uint8_t)(CHAIN_OPERANDS + (r >> 11 & 3))};
    s.a_splat = is_splat(s.a);
    s.b_splat = is_splat(s.b);
    do
        s.uop = (uint8_t)(random_bits(seed) % UOP_COUNT);
    while (!uop_chains[s.uop]);
    s.form = uop_info[s.uop].n_in > 1 ? (uint8_t)(UOP_WITH + (r >> 13) % 3) : UOP_ALONE;
    return s;
}

/* The step by separate micro-ops of the reference: v becomes its value. */
static void separate_step(const struct uop_step *s, f16 value[][CHAIN_MAX], f16 *v, size_t n)
{
    const int n_in = uop_info[s->uop].n_in;
    f16 y[CHAIN_MAX];
    if (s->reads)
        memcpy(v, value[s->a], n * sizeof *v);
    const f16 *other = s->form == UOP_SELF ? v : value[s->b];
    ref_table()->uops[s->uop](y, s->form == UOP_SWAPPED ? other : v,
                              n_in < 2 ? NULL : s->form == UOP_SWAPPED ? v : other,
                              n_in < 3 ? NULL : value[s->c], n, NULL);
    memcpy(v, y, n * sizeof *v);
    if (s->keeps)
        memcpy(value[s->y], v, n * sizeof *v);
}

/* Operands end at an inaccessible page; the output is framed, or is the first operand. */
static void check_chain(const struct kern *k, uint64_t *seed, size_t n, bool in_place,
                        unsigned char *const page_end[CHAIN_VALUES])
{
    f16 want[CHAIN_VALUES][CHAIN_MAX], v[CHAIN_MAX], framed[CHAIN_MAX + 2 * FRAME];
    f16 *value[CHAIN_VALUES], *y = framed + FRAME;
    struct uop_step steps[CHAIN_STEPS];
    const size_t n_steps = 1 + random_bits(seed) % CHAIN_STEPS;
    for (size_t j = 0; j < CHAIN_VALUES; j++) {
        value[j] = (f16 *)(void *)(page_end[j] - n * sizeof(f16));
        for (size_t i = 0; i < n; i++) /* every fourth is special, the rest of middling size */
            want[j][i] = i && is_splat(j)
                             ? want[j][0]
                             : (f16)(random_bits(seed) & (i % 4 ? 0xbfffu : 0xffffu));
        memcpy(value[j], want[j], n * sizeof(f16));
    }
    for (size_t i = 0; i < CHAIN_MAX + 2 * FRAME; i++)
        framed[i] = 0xabcd;
    for (size_t s = 0; s < n_steps; s++) {
        steps[s] = random_step(seed, s == 0);
        separate_step(&steps[s], want, v, n);
    }
    if (in_place) {
        y = value[0];
        memcpy(want[0], v, n * sizeof(f16));
    }
    k->uop_chain(steps, n_steps, value, y, n);
    assert_memory_equal(y, v, n * sizeof(f16));
    for (size_t j = 0; j < CHAIN_VALUES; j++)
        for (size_t i = 0; i < n; i++)
            assert_true(value[j][i] == want[j][i] ||
                        (half_is_nan(value[j][i]) && half_is_nan(want[j][i])));
    for (size_t i = 0; i < FRAME; i++) {
        assert_int_equal(framed[i], 0xabcd);
        assert_int_equal(framed[FRAME + (in_place ? 0 : n) + i], 0xabcd);
    }
}

static void test_chains(void **state)
{
    (void)state;
    unsigned char *base[CHAIN_VALUES], *page_end[CHAIN_VALUES];
    size_t n_chains = 0;
    for (size_t op = 0; op < UOP_COUNT; op++)
        n_chains += uop_chains[op];
    assert_int_equal(n_chains, 19);
    for (int j = 0; j < CHAIN_VALUES; j++) {
        base[j] = fenced(REGION);
        page_end[j] = base[j] + REGION;
    }
    for (size_t t = 0; kern_tables[t]; t++) {
        uint64_t seed = 17;
        for (size_t n = 0; kern_tables[t]->available() && n <= CHAIN_MAX; n++)
            for (int turn = 0; turn < 4; turn++)
                check_chain(kern_tables[t], &seed, n, turn & 1, page_end);
    }
    for (int j = 0; j < CHAIN_VALUES; j++)
        unfence(base[j]);
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* x as given and through the store with biases. */
static void check_rounding(const float *x, size_t n, const f16 *bias, f16 *y, f16 *want)
{
    for (size_t i = 0; i < n; i++)
        want[i] = slow_round((double)x[i]);
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        if (!k->available())
            continue;
        k->f16_from_f32(x, y, n);
        for (size_t i = 0; i < n; i++)
            if (y[i] != want[i])
                fail_msg("f16_from_f32(%a) is 0x%04x on %s, needs 0x%04x\n", (double)x[i], y[i],
                         k->name, want[i]);
        k->add_bias_run(x, bias, y, n);
        for (size_t i = 0; i < n; i += 37)
            assert_int_equal(y[i], slow_round((double)(x[i] + (float)half_value(bias[i]))));
    }
}

static void test_f16_from_f32(void **state)
{
    (void)state;
    enum { N = 1 << 19 };
    float *x = fenced(N * sizeof(float));
    f16 *bias = fenced(N * sizeof(f16)), *y = fenced(N * sizeof(f16));
    f16 *want = fenced(N * sizeof(f16));
    size_t n = 0;
    for (size_t i = 0; i < N; i++)
        bias[i] = (f16)(i * 40503);
    for (unsigned mag = 0; mag < 0x7c00; mag++) {
        float points[] = {(float)grid(mag), (float)((grid(mag) + grid(mag + 1)) / 2)};
        for (int j = 0; j < 2; j++) {
            x[n++] = nextafterf(points[j], -INFINITY);
            x[n++] = points[j];
            x[n++] = nextafterf(points[j], INFINITY);
        }
    }
    for (size_t i = 0, half = n; i < half; i++)
        x[n++] = -x[i];
    check_rounding(x, n, bias, y, want);

    const uint32_t special[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000,
                                0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
                                0xffc00000, 0x7f800001, 0xff812345, 0x7fffffff};
    uint64_t seed = 3;
    for (n = 0; n < sizeof(special) / sizeof(special[0]); n++)
        x[n] = from_bits(special[n]);
    for (; n < N; n++) /* half of them in the range of binary16 */
        x[n] = from_bits(n % 2 ? random_bits(&seed)
                               : (random_bits(&seed) & 0x8fffffffu) + 0x33000000u);
    check_rounding(x, N, bias, y, want);
    unfence(x), unfence(bias), unfence(y), unfence(want);
}

static void test_f32_from_f16(void **state)
{
    (void)state;
    f16 *x = fenced(ALL * sizeof(f16)), *back = fenced(ALL * sizeof(f16));
    float *y = fenced(ALL * sizeof(float)), *first = fenced(ALL * sizeof(float));
    for (size_t i = 0; i < ALL; i++)
        x[i] = (f16)i;
    ref_table()->f32_from_f16(x, first, ALL);
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        if (!k->available())
            continue;
        k->f32_from_f16(x, y, ALL);
        k->f16_from_f32(y, back, ALL);
        assert_memory_equal(y, first, ALL * sizeof(float));
        for (size_t i = 0; i < ALL; i++) {
            double v = half_value(x[i]);
            assert_true(isnan(v) ? isnan(y[i])
                                 : (double)y[i] == v && !signbit(y[i]) == !signbit(v));
            assert_int_equal(back[i], isnan(v) ? 0x7e00 : x[i]);
        }
    }
    unfence(x), unfence(back), unfence(y), unfence(first);
}

/* Every count of the conversions, both sides at the edge of an inaccessible page. */
static void test_convert_tails(void **state)
{
    (void)state;
    unsigned char *in = fenced(REGION), *in2 = fenced(REGION);
    unsigned char *out = fenced(REGION);
    for (size_t t = 0; kern_tables[t]; t++) {
        const struct kern *k = kern_tables[t];
        for (size_t n = 0; k->available() && n <= MAX_TAIL; n++) {
            float *x = (float *)(void *)(in + REGION - n * sizeof(float));
            f16 *h = (f16 *)(void *)(in2 + REGION - n * sizeof(f16));
            f16 *y = (f16 *)(void *)(out + REGION - n * sizeof(f16));
            uint8_t *u = in + REGION - n;
            for (size_t i = 0; i < n; i++)
                x[i] = (float)i * 0.37f - 5.0f, h[i] = slow_round((double)i * 0.11);
            memset(out, 0xab, REGION);
            k->f16_from_f32(x, y, n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(y[i], slow_round((double)x[i]));
            k->add_bias_run(x, h, y, n);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(y[i], slow_round((double)(x[i] + (float)half_value(h[i]))));
            for (size_t i = 0; i < n; i++)
                u[i] = (uint8_t)(i * 73 + 200);
            k->f16_from_u8(u, y, n);
            for (size_t i = 0; i < n; i++)
                assert_true(half_value(y[i]) == (double)u[i]);
            assert_int_equal(((unsigned char *)y)[-1], 0xab);
            float *w = (float *)(void *)(out + REGION - n * sizeof(float));
            memset(out, 0xab, REGION);
            k->f32_from_f16(h, w, n);
            for (size_t i = 0; i < n; i++)
                assert_true((double)w[i] == half_value(h[i]));
            assert_int_equal(((unsigned char *)w)[-1], 0xab);
        }
    }
    unfence(in), unfence(in2), unfence(out);
}

static void test_all_bytes(void **state)
{
    (void)state;
    uint8_t u[256];
    f16 y[256];
    for (size_t i = 0; i < 256; i++)
        u[i] = (uint8_t)i;
    for (size_t t = 0; kern_tables[t]; t++) {
        if (!kern_tables[t]->available())
            continue;
        kern_tables[t]->f16_from_u8(u, y, 256);
        for (size_t i = 0; i < 256; i++)
            assert_true(half_value(y[i]) == (double)i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables),       cmocka_unit_test(test_unary_exhaustive),
        cmocka_unit_test(test_one_answer),   cmocka_unit_test(test_binary),
        cmocka_unit_test(test_select),       cmocka_unit_test(test_tails),
        cmocka_unit_test(test_f16_from_f32), cmocka_unit_test(test_f32_from_f16),
        cmocka_unit_test(test_convert_tails), cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
