/* aneforge info: what this build can do on this machine.
 *
 * What the library can read is found by asking it to read the smallest file of each kind, so the
 * answer is about the library that is linked, not about how this command was compiled. */
#include "common.h"

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

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    (void)opts, (void)args;
    TRY(cli_need_args(c, n_args, 0, 0));
    TRY(cli_context(c));
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
    .operands = "",
    .summary = "Show version, kernels, threads, file formats and machine.",
    .text = "Kernel sets are listed best first; the one in the first line is used, as chosen by\n"
            "--isa, ANEFORGE_ISA or, without them, the best available.\n\n"
            "Examples:\n"
            "  aneforge info\n"
            "  aneforge info --isa ref --threads 1\n",
    .options = options,
    .opts_size = 0,
    .option = take,
    .run = run,
};
