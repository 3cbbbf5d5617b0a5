/* The command: global options, the table of verbs, the one place that prints an error and exits.
 *
 *     aneforge [global options] VERB [options] [operands]
 *
 * Everything a verb makes is written to stdout; stdout is checked once, here, so a full disk is an
 * error like any other. */
#include "common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct verb *const verbs[] = {&verb_run, &verb_compile, &verb_explain,
                                           &verb_ops, &verb_info,    &verb_bench};
enum { N_VERBS = sizeof verbs / sizeof *verbs };

static const char *verb_name(const void *user, int i)
{
    (void)user;
    return verbs[i]->name;
}

static anf_status find_verb(struct cli *c, const char *name, const struct verb **out)
{
    for (int i = 0; i < N_VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0) {
            *out = verbs[i];
            return ANF_OK;
        }
    const char *near = cli_nearest(name, N_VERBS, verb_name, NULL);
    if (near)
        return cli_fail(c, ANF_E_ARG, "unknown verb '%.40s'; did you mean '%s'?", name, near);
    return cli_fail(c, ANF_E_ARG, "unknown verb '%.40s'; aneforge --help lists them", name);
}

static void print_help(void)
{
    puts("Usage: aneforge VERB [options] [operands]\n\n"
         "Compile small tensor graphs into one fused fp16 program, and run it.\n\nVerbs:");
    for (int i = 0; i < N_VERBS; i++)
        printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
    puts("\nGlobal options, before or after the verb:");
    cli_help_options(cli_global_options);
    puts("\nEnvironment:\n"
         "  ANEFORGE_ISA, ANEFORGE_THREADS   used when --isa and --threads are not given\n"
         "  ANEFORGE_TARGET                  used when --compress is given and --target is not\n\n"
         "aneforge VERB --help tells about one verb.\n\n"
         "Examples:\n"
         "  aneforge compile net.graph -o net.anf\n"
         "  aneforge run net.anf x.npy -o y.npy\n"
         "  aneforge explain net.anf");
}

static void print_verb_help(const struct verb *v)
{
    printf("Usage: aneforge %s %s%s[options]\n\n%s\n\n", v->name, v->operands,
           *v->operands ? " " : "", v->summary);
    if (v->options->name) {
        puts("Options:");
        cli_help_options(v->options);
        puts("");
    }
    puts("Global options: --isa NAME, --threads N, --quiet, --progress, --help, --version\n");
    fputs(v->text, stdout);
}

static anf_status run_verb(struct cli *c, int argc, char **argv)
{
    enum option_result result;
    int n_args;
    char **args;
    void *opts = cli_alloc(c, 1, c->verb->opts_size);
    if (!opts)
        return ANF_E_NOMEM;
    anf_status st = cli_options(c, argc, argv, c->verb, opts, true, &result, &n_args, &args);
    if (st == ANF_OK && result == OPTIONS_HELP)
        print_verb_help(c->verb);
    else if (st == ANF_OK && result == OPTIONS_VERSION)
        printf("aneforge %s\n", anf_version());
    else if (st == ANF_OK)
        st = c->verb->run(c, opts, n_args, args);
    free(opts);
    return st;
}

static anf_status run(struct cli *c, int argc, char **argv)
{
    enum option_result result;
    int n_args;
    char **args;
    TRY(cli_options(c, argc, argv, NULL, NULL, false, &result, &n_args, &args));
    if (result == OPTIONS_HELP) {
        print_help();
        return ANF_OK;
    }
    if (result == OPTIONS_VERSION) {
        printf("aneforge %s\n", anf_version());
        return ANF_OK;
    }
    if (n_args == 0)
        return cli_fail(c, ANF_E_ARG, "a verb is missing; aneforge --help lists them");
    TRY(find_verb(c, args[0], &c->verb));
    return run_verb(c, n_args, args);
}

/* One line, whatever the names in it: control bytes become \xHH. */
static void print_error(const struct cli *c)
{
    fprintf(stderr, "aneforge: %s%s", c->verb ? c->verb->name : "", c->verb ? ": " : "");
    for (const char *s = c->message; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch < 0x20 || ch == 0x7f)
            fprintf(stderr, "\\x%02x", ch);
        else
            fputc(ch, stderr);
    }
    fputc('\n', stderr);
}

int main(int argc, char **argv)
{
    static struct cli c;
    anf_status st = run(&c, argc, argv);
    anf_ctx_free(c.ctx);
    if ((fflush(stdout) != 0 || ferror(stdout)) && st == ANF_OK)
        st = cli_fail(&c, ANF_E_IO, "standard output: %s", strerror(errno));
    if (st != ANF_OK)
        print_error(&c);
    return cli_exit_code(st);
}
