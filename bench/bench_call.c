/* What a call of a tiny model costs in C: the other half of bench_python.py.
 *
 *     bench_call SECONDS
 *
 * Compiles input [4] + 1 and prints, as nanoseconds of one call, the medians of anf_execute and of
 * anf_run with float16 and with float32 inputs, float32 results. */
#include <aneforge.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLS = 2000, MOST_ROUNDS = 4096 };

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "bench_call: %s\n", anf_last_error());
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static double took[3][MOST_ROUNDS];
    static float results[4];
    static uint16_t halves[4];
    static float floats[4];
    const anf_array in[] = {ANF_ARRAY_F16(halves, 4), ANF_ARRAY_F32(floats, 4)};
    const anf_array out = ANF_ARRAY_F32(results, 4);
    const double seconds = argc > 1 ? atof(argv[1]) : 1;
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *m;
    anf_run_state *rs;
    check(anf_ctx_new(NULL, &ctx));
    check(anf_graph_new(ctx, &g));
    check(anf_compile(anf_add(anf_input(g, NULL, ANF_SHAPE(4)), anf_scalar(g, 1)), NULL, &m));
    anf_graph_free(g);
    check(anf_run_state_new(m, &rs));

    int rounds = 0;
    for (double end = now_ns() + seconds * 1e9; now_ns() < end && rounds < MOST_ROUNDS; rounds++)
        for (int kind = 0; kind < 3; kind++) {
            double start = now_ns();
            for (int i = 0; i < CALLS; i++)
                check(kind ? anf_run(m, &in[kind - 1], &out) : anf_execute(rs));
            took[kind][rounds] = (now_ns() - start) / CALLS;
        }
    for (int kind = 0; kind < 3; kind++) {
        qsort(took[kind], (size_t)rounds, sizeof **took, by_value);
        printf("%.1f%c", took[kind][rounds / 2], kind < 2 ? ' ' : '\n');
    }
    anf_run_state_free(rs);
    anf_model_free(m);
    anf_ctx_free(ctx);
    return 0;
}
