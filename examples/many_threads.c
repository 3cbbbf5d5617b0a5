/* One model, several threads of the caller: a compiled model never changes, so it is shared; each
 * thread runs it in a run state of its own and touches no memory of the others.
 *
 * With many requests at once, one library thread per run is usually fastest: the parallelism is
 * then between the requests. */
#include <aneforge.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, REQUESTS = 200, N = 32 };

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "threads: %s\n", anf_last_error()); /* messages are kept per thread */
        exit(1);
    }
}

struct worker {
    pthread_t thread;
    anf_model *net;
    int id;
    double total;
};

static void *serve(void *user)
{
    struct worker *w = user;
    anf_run_state *rs;
    check(anf_run_state_new(w->net, &rs));
    for (int k = w->id; k < REQUESTS; k += THREADS) {
        uint16_t *x = anf_input_view(rs, 0);
        for (int i = 0; i < N; i++)
            x[i] = anf_f16_from_f32((float)((k + i) % 9) / 8);
        check(anf_execute(rs));
        w->total += (double)anf_f16_to_f32(*(const uint16_t *)anf_output_view(rs, 0));
    }
    anf_run_state_free(rs);
    return NULL;
}

int main(void)
{
    struct worker workers[THREADS];
    anf_ctx_desc desc = {.threads = 1};
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *net;
    double total = 0;
    check(anf_ctx_new(&desc, &ctx));
    check(anf_graph_new(ctx, &g));
    anf_tensor h = anf_input(g, "x", ANF_SHAPE(1, N));
    h = anf_tanh(anf_matmul(h, anf_random_weight(g, ANF_SHAPE(N, N), 1, 0.2)));
    h = anf_matmul(h, anf_random_weight(g, ANF_SHAPE(N, 1), 2, 0.2));
    check(anf_compile(h, NULL, &net));
    anf_graph_free(g);

    for (int t = 0; t < THREADS; t++) {
        workers[t] = (struct worker){.net = net, .id = t};
        if (pthread_create(&workers[t].thread, NULL, serve, &workers[t]) != 0) {
            fprintf(stderr, "threads: cannot start a thread\n");
            return 1;
        }
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(workers[t].thread, NULL);
        total += workers[t].total;
    }
    printf("%d requests on %d threads, sum of the answers %.4f\n", REQUESTS, THREADS, total);
    anf_model_free(net);
    anf_ctx_free(ctx);
    return 0;
}
