/* Classify handwritten digits: raw bytes into one fused program, class scores out.
 *
 *     digits FOLDER [IMAGES]      FOLDER holds digits.safetensors, test_images.npy, test_labels.npy
 *
 * The network is the first example of the API page: image_input, convolutions with relu, a mean
 * over the picture, one matrix product.  examples/digits/train.py made the weights. */
#include <aneforge.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void check(anf_status st)
{
    if (st != ANF_OK) {
        fprintf(stderr, "digits: %s\n", anf_last_error());
        exit(1);
    }
}

static anf_arrays *open_in(anf_ctx *ctx, const char *folder, const char *file)
{
    char path[4096];
    anf_arrays *a;
    snprintf(path, sizeof path, "%s/%s", folder, file);
    check(anf_arrays_open(ctx, path, &a));
    return a;
}

/* Weights "conv1.weight", "conv1.bias", "conv2.weight", ... "fc.weight", "fc.bias". */
static anf_tensor named(anf_graph *g, const anf_arrays *weights, const char *layer,
                        const char *part)
{
    char name[64];
    anf_array w;
    snprintf(name, sizeof name, "%s.%s", layer, part);
    check(anf_arrays_find(weights, name, &w));
    return anf_weight(g, w);
}

static anf_model *build_network(anf_ctx *ctx, const anf_arrays *weights)
{
    anf_graph *g;
    anf_model *net;
    const double scale = 1.0 / 16; /* the data set has 17 grey levels */
    check(anf_graph_new(ctx, &g));

    anf_tensor h = anf_image_input(g, "image", ANF_SHAPE(1, 1, 8, 8), &scale, NULL, 1);
    for (int i = 1; i < anf_arrays_count(weights) / 2; i++) {
        char layer[32];
        snprintf(layer, sizeof layer, "conv%d", i);
        h = anf_relu(anf_conv(h, named(g, weights, layer, "weight"), .pad = 1,
                              .bias = named(g, weights, layer, "bias")));
    }
    h = anf_mean(h, ANF_AXES(2, 3));
    h = anf_reshape(h, ANF_SHAPE(1, -1));
    h = anf_add(anf_matmul(h, named(g, weights, "fc", "weight")), named(g, weights, "fc", "bias"));

    check(anf_compile(h, NULL, &net)); /* the one check: a builder's mistake arrives here */
    anf_graph_free(g);
    return net;
}

static void draw(const uint8_t *image, int label, int answer, double confidence)
{
    static const char shades[] = " .:-=+*#%@@@@@@@@";
    for (int y = 0; y < 8; y++) {
        printf("    ");
        for (int x = 0; x < 8; x++) {
            char c = shades[image[y * 8 + x] > 16 ? 16 : image[y * 8 + x]];
            printf("%c%c", c, c);
        }
        if (y == 3)
            printf("   %d  (%.1f %%)%s", answer, 100 * confidence,
                   answer == label ? "" : "   wrong, it is labelled:");
        if (y == 3 && answer != label)
            printf(" %d", label);
        printf("\n");
    }
    printf("\n");
}

static int best(const float *scores, double *confidence)
{
    int k = 0;
    double sum = 0;
    for (int i = 1; i < 10; i++)
        if (scores[i] > scores[k])
            k = i;
    for (int i = 0; i < 10; i++)
        sum += exp((double)scores[i] - (double)scores[k]);
    *confidence = 1 / sum;
    return k;
}

static anf_status to_stdout(void *user, const char *text, size_t n)
{
    (void)user;
    fwrite(text, 1, n, stdout);
    return ANF_OK;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static void time_calls(anf_model *net, const uint8_t *image)
{
    enum { CALLS = 2001 };
    static double took[CALLS];
    anf_run_state *rs;
    check(anf_run_state_new(net, &rs));
    memcpy(anf_input_view(rs, 0), image, 64);
    for (int i = 0; i < CALLS; i++) {
        double start = seconds();
        check(anf_execute(rs));
        took[i] = seconds() - start;
    }
    qsort(took, CALLS, sizeof *took, by_value);
    printf("latency of one image: %.1f us (median of %d calls, %zu bytes of run state)\n\n",
           1e6 * took[CALLS / 2], CALLS, anf_run_state_bytes(rs));
    anf_run_state_free(rs);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: digits FOLDER [IMAGES]\n");
        return 2;
    }
    int shown = argc > 2 ? atoi(argv[2]) : 4;
    anf_ctx_desc desc = {.threads =
                             atoi(getenv("ANEFORGE_THREADS") ? getenv("ANEFORGE_THREADS") : "0"),
                         .isa = getenv("ANEFORGE_ISA")};
    anf_ctx *ctx;
    check(anf_ctx_new(&desc, &ctx));
    anf_arrays *weights = open_in(ctx, argv[1], "digits.safetensors");
    anf_arrays *image_file = open_in(ctx, argv[1], "test_images.npy");
    anf_arrays *label_file = open_in(ctx, argv[1], "test_labels.npy");
    anf_array images = anf_arrays_get(image_file, 0), labels = anf_arrays_get(label_file, 0);
    if (images.dtype != ANF_U8 || images.shape.rank != 4 || labels.dtype != ANF_U8 ||
        labels.shape.rank != 1 || labels.shape.dim[0] != images.shape.dim[0]) {
        fprintf(stderr, "digits: the test files must hold uint8 [n,1,8,8] and uint8 [n]\n");
        return 1;
    }
    anf_model *net = build_network(ctx, weights);

    const uint8_t *pixels = images.data, *truth = labels.data;
    int n = (int)images.shape.dim[0], right = 0;
    printf("Handwritten digits the network has never seen, and what it makes of them:\n\n");
    for (int i = 0; i < n; i++) {
        float scores[10];
        double confidence;
        anf_array in = ANF_ARRAY_U8(pixels + i * 64, 1, 1, 8, 8);
        anf_array out = ANF_ARRAY_F32(scores, 1, 10);
        check(anf_run(net, &in, &out));
        int answer = best(scores, &confidence);
        right += answer == truth[i];
        if (i < shown)
            draw(pixels + i * 64, truth[i], answer, confidence);
    }
    printf("accuracy on %d unseen images: %.2f %% (%d wrong)\n", n, 100.0 * right / n, n - right);
    time_calls(net, pixels);

    printf("What runs, on the %s kernels with %d threads:\n\n", anf_ctx_isa(ctx),
           anf_ctx_threads(ctx));
    check(anf_model_explain(net, to_stdout, NULL));
    check(anf_model_save(net, "build/digits.anf"));
    printf("\nThe compiled model is saved as build/digits.anf. To try next:\n"
           "    build/aneforge explain build/digits.anf\n"
           "    build/aneforge run build/digits.anf random --top 3\n"
           "    build/aneforge bench build/digits.anf --isa ref,avx2\n"
           "    ANEFORGE_ISA=ref ./quickstart       the same bits from plain C\n"
           "    less examples/digits.c              the program you have just run\n");
    anf_model_free(net);
    anf_arrays_free(label_file);
    anf_arrays_free(image_file);
    anf_arrays_free(weights);
    anf_ctx_free(ctx);
    return 0;
}
