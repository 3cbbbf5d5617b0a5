/* Every allocation of a whole task fails once: context, graph, compile, run, profile, explain,
 * save, load.  Each failure must come back as ANF_E_NOMEM with a message, leak nothing, and leave
 * the library able to do the task when memory is there again. */
#include "plain.h"

#include <aneforge.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Counts live bytes and fails one allocation. */
struct failing {
    pthread_mutex_t lock;
    long fail_at, n_calls;
    size_t live;
};

static void *failing_alloc(void *user, size_t n, size_t align)
{
    struct failing *f = user;
    void *p = NULL;
    pthread_mutex_lock(&f->lock);
    if (++f->n_calls != f->fail_at) {
        if (posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, n ? n : 1) != 0)
            p = NULL;
        if (p) {
            memset(p, 0xab, n);
            f->live += n;
        }
    }
    pthread_mutex_unlock(&f->lock);
    return p;
}

static void failing_free(void *user, void *p, size_t n)
{
    struct failing *f = user;
    pthread_mutex_lock(&f->lock);
    f->live -= n;
    pthread_mutex_unlock(&f->lock);
    free(p);
}

static anf_tensor random_weight(anf_graph *g, anf_dims shape)
{
    return anf_random_weight(g, shape, 7, 0.2);
}

/* A CNN with a residual, an attention block and two outputs: every pass and most instructions. */
static void build(anf_graph *g)
{
    double scale[3] = {0.01, 0.02, 0.03};
    anf_tensor x = anf_image_input(g, "image", ANF_SHAPE(1, 3, 9, 9), scale, scale, 3);
    anf_tensor h = anf_relu(anf_conv(x, random_weight(g, ANF_SHAPE(8, 3, 3, 3)), .pad = 1,
                                     .bias = random_weight(g, ANF_SHAPE(8))));
    h = anf_add(h, anf_silu(anf_conv(h, random_weight(g, ANF_SHAPE(8, 8, 3, 3)), .pad = 1)));
    h = anf_max_pool(h, 2);
    anf_tensor y = anf_matmul(anf_reshape(anf_mean(h, ANF_AXES(2, 3)), ANF_SHAPE(1, -1)),
                              random_weight(g, ANF_SHAPE(8, 4)));
    anf_tensor t = anf_transpose(anf_reshape(h, ANF_SHAPE(8, 16)), ANF_AXES(1, 0));
    anf_tensor w = random_weight(g, ANF_SHAPE(8, 8));
    anf_tensor z = anf_layer_norm(anf_mha(t, w, w, w, w, 2), random_weight(g, ANF_SHAPE(8)),
                                  random_weight(g, ANF_SHAPE(8)));
    z = anf_geglu(z, random_weight(g, ANF_SHAPE(12, 8)));
    anf_tensor list[70]; /* more than a node takes */
    for (int i = 0; i < 70; i++)
        list[i] = z;
    z = anf_slice(anf_concat(list, 70, 0), ANF_DIMS(0, 0), ANF_SHAPE(16, 6));
    (void)anf_output(y, "class");
    (void)anf_output(anf_softmax(z, 0), "map");
}

static anf_status discard(void *user, const char *text, size_t n)
{
    (void)user;
    (void)text;
    (void)n;
    return ANF_OK;
}

static anf_status use_model(anf_model *m, float *y)
{
    static float z[16 * 6];
    uint8_t image[243];
    anf_run_state *rs;
    for (int i = 0; i < 243; i++)
        image[i] = (uint8_t)(i * 7);
    anf_array in = ANF_ARRAY_U8(image, 1, 3, 9, 9);
    anf_array out[2] = {ANF_ARRAY_F32(y, 1, 4), ANF_ARRAY_F32(z, 16, 6)};
    anf_status st = anf_run(m, &in, out);
    if (st == ANF_OK)
        st = anf_model_explain(m, discard, NULL);
    if (st == ANF_OK)
        st = anf_model_weights_print(m, true, discard, NULL);
    if (st == ANF_OK)
        st = anf_run_state_new(m, &rs);
    if (st != ANF_OK)
        return st;
    st = anf_profile(rs, true);
    if (st == ANF_OK)
        st = anf_execute(rs);
    if (st == ANF_OK)
        st = anf_profile_trace(rs, discard, NULL);
    anf_run_state_free(rs);
    return st;
}

static anf_status save_and_load(anf_ctx *ctx, const anf_model *m, float *y)
{
    char path[64];
    anf_model *again;
    snprintf(path, sizeof path, "/tmp/anf_oom_%ld.anf", (long)getpid());
    anf_status st = anf_model_save(m, path);
    if (st == ANF_OK)
        st = anf_model_load(ctx, path, &again);
    remove(path);
    if (st != ANF_OK)
        return st;
    st = use_model(again, y);
    anf_model_free(again);
    return st;
}

static anf_status task(const anf_allocator *a, anf_opt opt, anf_compress compress, float *y)
{
    anf_ctx_desc d = {.allocator = a, .threads = 2};
    anf_compile_opts o = {.opt = opt, .compress = compress, .compress_atol = 0.0625};
    anf_ctx *ctx;
    anf_graph *g;
    anf_model *m = NULL;
    anf_status st = anf_ctx_new(&d, &ctx);
    if (st != ANF_OK)
        return st;
    st = anf_graph_new(ctx, &g);
    if (st == ANF_OK) {
        build(g);
        st = anf_graph_error(g, NULL);
        if (st == ANF_OK)
            st = anf_graph_print(g, false, discard, NULL);
        if (st == ANF_OK)
            st = anf_compile_graph(g, &o, &m);
        anf_graph_free(g);
    }
    if (st == ANF_OK)
        st = use_model(m, y);
    if (st == ANF_OK)
        st = save_and_load(ctx, m, y);
    anf_model_free(m);
    anf_ctx_free(ctx);
    return st;
}

static void sweep(anf_opt opt, anf_compress compress)
{
    struct failing f = {.fail_at = 0};
    float want[4], y[4];
    pthread_mutex_init(&f.lock, NULL);
    anf_allocator a = {&f, failing_alloc, failing_free};
    if (task(&a, opt, compress, want) != ANF_OK)
        fail_msg("the task fails with memory: %s", anf_last_error());
    assert_int_equal(f.live, 0);
    long total = f.n_calls, failed = 0;
    for (long k = 1;; k++) {
        f.fail_at = k;
        f.n_calls = 0;
        anf_status st = task(&a, opt, compress, y);
        if (f.live != 0)
            fail_msg("allocation %ld of %ld failing leaks %zu bytes", k, total, f.live);
        if (st == ANF_OK && f.n_calls < k)
            break; /* the task needs fewer allocations than k */
        if (st == ANF_OK)
            fail_msg("allocation %ld of %ld failed and nobody noticed", k, total);
        if (st != ANF_E_NOMEM || strncmp(anf_last_error(), "out of memory", 13) != 0)
            if (st != ANF_E_NOMEM)
                fail_msg("allocation %ld of %ld: status %d, %s", k, total, (int)st,
                         anf_last_error());
        failed++;
    }
    assert_true(failed >= total - 2);
    assert_memory_equal(y, want, sizeof y);
    print_message("%ld allocations failed in turn\n", failed);
    pthread_mutex_destroy(&f.lock);
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    sweep(ANF_OPT_DEFAULT, ANF_COMPRESS_NONE);
}

static void test_every_allocation_fails_once_unfused(void **state)
{
    (void)state;
    sweep(ANF_OPT_NONE, ANF_COMPRESS_NONE);
}

static void test_every_allocation_fails_once_compressed(void **state)
{
    (void)state;
    sweep(ANF_OPT_DEFAULT, ANF_COMPRESS_AUTO);
    sweep(ANF_OPT_NONE, ANF_COMPRESS_BLOCKWISE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_every_allocation_fails_once_unfused),
        cmocka_unit_test(test_every_allocation_fails_once_compressed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
