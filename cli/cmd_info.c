/* aneforge info: what this build can do on this machine, or what is in a saved model.
 *
 * What the library can read is found by asking it to read the smallest file of each kind, so the
 * answer is about the library that is linked, not about how this command was compiled. */
#include "open_model.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct option_desc options[] = {{0}};

static bool can_read(anf_ctx *ctx, const void *bytes, size_t n)
{
    anf_arrays *a;
    anf_status st = anf_arrays_open_memory(ctx, bytes, n, &a);
    anf_arrays_free(a);
    return st != ANF_E_UNSUPPORTED;
}

static void print_kernels(const struct cli *c)
{
    printf("kernels   %s\n", anf_ctx_isa(c->ctx));
    for (int i = 0; i < anf_isa_count(); i++)
        printf("          %-8s %-13s needs %s\n", anf_isa_name(i),
               anf_isa_available(i) ? "available" : "not available",
               *anf_isa_needs(i) ? anf_isa_needs(i) : "nothing");
}

static void print_formats(const struct cli *c)
{
    static const unsigned char zip[22] = {'P', 'K', 5, 6};
    static const unsigned char tensors[10] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    printf("arrays    npy%s%s\n", can_read(c->ctx, zip, sizeof zip) ? ", npz" : "",
           can_read(c->ctx, tensors, sizeof tensors) ? ", safetensors" : "");
#if defined(ANF_HAVE_PNG) && defined(ANF_HAVE_JPEG)
    puts("images    png, jpeg");
#elif defined(ANF_HAVE_PNG)
    puts("images    png");
#elif defined(ANF_HAVE_JPEG)
    puts("images    jpeg");
#else
    puts("images    none");
#endif
}

static void print_processor(void)
{
#ifdef __linux__
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value) {
            printf(", %.*s", (int)strcspn(value + 2, "\n"), value + 2);
            break;
        }
    }
    if (f)
        fclose(f);
#endif
}

static void print_machine(void)
{
    struct utsname u;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (uname(&u) == 0)
        printf("machine   %s %s", u.sysname, u.machine);
    else
        printf("machine   unknown");
    print_processor();
    if (cores > 0)
        printf(", %ld cores", cores);
#ifdef _SC_PHYS_PAGES
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0)
        printf(", %s", bytes_text((double)pages * (double)page).s);
#endif
    puts("");
}

static void print_ports(const char *what, const anf_model *m, int n,
                        const anf_port *(*port)(const anf_model *m, int i))
{
    for (int i = 0; i < n; i++)
        printf("%-11s %s\n", i ? "" : what, port_text(port(m, i)).s);
}

static anf_status print_model(struct cli *c, const char *path)
{
    anf_model *m;
    anf_model_stats s;
    TRY(cli_check(c, anf_model_load(c->ctx, path, &m)));
    anf_model_get_stats(m, &s);
    print_ports("inputs", m, anf_model_n_inputs(m), anf_model_input);
    print_ports("outputs", m, anf_model_n_outputs(m), anf_model_output);
    printf("program     %d instructions from %d operators, %s\n", s.n_instructions,
           anf_model_n_ops(m), count_text((double)s.flops, "FLOP").s);
    printf("weights     %s\n", bytes_text((double)s.weight_bytes).s);
    printf("activations %s\n", bytes_text((double)s.activation_bytes).s);
    anf_status st = ANF_OK;
    if (anf_model_n_weights(m) > 0) {
        struct output report;
        puts("\ncompressed weights");
        st = model_report(c, m, "-", &report);
        if (st == ANF_OK)
            st = output_finish(c, &report);
    }
    anf_model_free(m);
    return st;
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    (void)opts;
    TRY(cli_need_args(c, n_args, 0, 1));
    TRY(cli_context(c));
    if (n_args == 1)
        return print_model(c, args[0]);
    printf("aneforge  %s, header %d.%d.%d\n", anf_version(), ANF_VERSION_MAJOR, ANF_VERSION_MINOR,
           ANF_VERSION_PATCH);
    print_kernels(c);
    printf("threads   %d\n", anf_ctx_threads(c->ctx));
    print_formats(c);
    printf("operators %d\n", anf_op_count());
#if defined(__clang__)
    printf("compiler  clang %s\n", __clang_version__);
#elif defined(__GNUC__)
    printf("compiler  gcc %s\n", __VERSION__);
#endif
    print_machine();
    return ANF_OK;
}

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    (void)opts, (void)id, (void)value;
    return cli_fail(c, ANF_E_INTERNAL, "info has no options");
}

const struct verb verb_info = {
    .name = "info",
    .operands = "[MODEL]",
    .summary = "Show version, kernels, formats and machine, or what is in a saved model.",
    .text = "With a MODEL, as aneforge compile writes it: its ports, sizes, and what became of\n"
            "each weight if it was compressed.\n\n"
            "Without, the build and the machine. Kernel sets are listed best first; the one in\n"
            "the first line is used, as chosen by --isa, ANEFORGE_ISA or, without them, the best\n"
            "available.\n\n"
            "Examples:\n"
            "  aneforge info\n"
            "  aneforge info --isa ref --threads 1\n"
            "  aneforge info net.anf\n",
    .options = options,
    .opts_size = 0,
    .option = take,
    .run = run,
};
