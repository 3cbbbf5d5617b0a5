/* State that stays inside: a running sum and a running maximum over a stream of samples.
 *
 * The program has an input for each state and an output for its new value.  anf_share_buffer feeds
 * the output of one call back as the input of the next, without a copy; this is how a key-value
 * cache or the parameters of a training step stay resident. */
#include <aneforge.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "two_outputs_state: %s\n", anf_last_error());
        exit(1);
    }
}

int main(void)
{
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *net;
    anf_run_state *rs;
    check(anf_ctx_new(NULL, &ctx));
    check(anf_graph_new(ctx, &g));

    anf_tensor sample = anf_input(g, "sample", ANF_SHAPE(4));
    anf_tensor sum = anf_input(g, "sum", ANF_SHAPE(4));
    anf_tensor most = anf_input(g, "most", ANF_SHAPE(4));
    anf_output(anf_add(sum, sample), "new_sum");
    anf_output(anf_maximum(most, sample), "new_most");
    check(anf_compile_graph(g, NULL, &net)); /* the outputs marked above, in that order */
    anf_graph_free(g);

    check(anf_run_state_new(net, &rs));
    check(anf_share_buffer(rs, 0, 1)); /* output 0 becomes input 1 of the next call */
    check(anf_share_buffer(rs, 1, 2));

    /* Views are the memory of the ports, in fp16.  The first state is written through them. */
    uint16_t *start = anf_input_view(rs, 2);
    memset(anf_input_view(rs, 1), 0, 4 * sizeof(uint16_t));
    for (int i = 0; i < 4; i++)
        start[i] = anf_f16_from_f32(-1000);

    for (int step = 0; step < 5; step++) {
        uint16_t *in = anf_input_view(rs, 0);
        for (int i = 0; i < 4; i++)
            in[i] = anf_f16_from_f32((float)((step * 7 + i * 5) % 11 - 4));
        check(anf_execute(rs));
        /* The shared ports exchanged their memory: the new state is now what the inputs show. */
        const uint16_t *now = anf_input_view(rs, 1), *top = anf_input_view(rs, 2);
        printf("step %d: sum", step);
        for (int i = 0; i < 4; i++)
            printf(" %3g", (double)anf_f16_to_f32(now[i]));
        printf("   most");
        for (int i = 0; i < 4; i++)
            printf(" %2g", (double)anf_f16_to_f32(top[i]));
        printf("\n");
    }
    anf_run_state_free(rs);
    anf_model_free(net);
    anf_ctx_free(ctx);
    return 0;
}
