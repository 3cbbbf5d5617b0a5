/* Options, errors, exit codes, the context, progress and the environment.
 *
 * Options are parsed twice with one table: main parses what stands before the verb, the verb what
 * stands behind it, and the global options are part of both.  A verb's own option hides the global
 * one of the same name (bench takes lists of threads).
 *
 * The environment (ANEFORGE_THREADS, ANEFORGE_ISA, ANEFORGE_TARGET) is read here and nowhere else;
 * an option wins. */
#include "common.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    OPT_ISA = 1000,
    OPT_THREADS,
    OPT_QUIET,
    OPT_PROGRESS,
    OPT_HELP,
    OPT_VERSION,
    MAX_OPTIONS = 32,
    LONG_ID = 256 /* getopt returns table positions from here on: none is mistaken for a letter */
};

const struct option_desc cli_global_options[] = {
    {"isa", 0, "NAME", OPT_ISA, "kernels to use, such as ref or avx2 (see aneforge info)"},
    {"threads", 0, "N", OPT_THREADS, "threads of a run; 0: one per core"},
    {"quiet", 'q', NULL, OPT_QUIET, "print no summary and no progress"},
    {"progress", 0, NULL, OPT_PROGRESS, "show progress even if stderr is no terminal"},
    {"help", 'h', NULL, OPT_HELP, "show this help"},
    {"version", 'V', NULL, OPT_VERSION, "show the version"},
    {0},
};

/* ---- errors ---------------------------------------------------------------------------------- */

anf_status cli_fail(struct cli *c, anf_status st, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->message, sizeof c->message, fmt, ap);
    va_end(ap);
    return st;
}

/* Some messages of the library begin with the name of the call, which may be that of the verb. */
static const char *library_message(const struct cli *c)
{
    const char *message = anf_last_error();
    size_t n = strlen(c->verb->name);
    bool repeats = strncmp(message, c->verb->name, n) == 0 && strncmp(message + n, ": ", 2) == 0;
    return repeats ? message + n + 2 : message;
}

anf_status cli_check(struct cli *c, anf_status st)
{
    return st == ANF_OK ? st : cli_fail(c, st, "%s", library_message(c));
}

anf_status cli_check_at(struct cli *c, anf_status st, const char *where)
{
    return st == ANF_OK ? st : cli_fail(c, st, "%s: %s", where, library_message(c));
}

/* ORDER src/base/status.def: its second column, which aneforge.1 documents. */
int cli_exit_code(anf_status st)
{
    static const int codes[] = {
        [ANF_OK] = 0,          [ANF_E_NOMEM] = 5,     [ANF_E_ARG] = 2,
        [ANF_E_SHAPE] = 2,     [ANF_E_DTYPE] = 2,     [ANF_E_ATTR] = 2,
        [ANF_E_STATE] = 2,     [ANF_E_UNSUPPORTED] = 3, [ANF_E_IO] = 4,
        [ANF_E_FORMAT] = 4,    [ANF_E_CANCELLED] = 6, [ANF_E_INTERNAL] = 7,
    };
    return (size_t)st < sizeof codes / sizeof *codes ? codes[st] : 7;
}

void *cli_alloc(struct cli *c, size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        cli_fail(c, ANF_E_NOMEM, "out of memory: %zu elements of %zu bytes", n, size);
    return p;
}

anf_status cli_need_args(struct cli *c, int n, int least, int most)
{
    if (n >= least && (most < 0 || n <= most))
        return ANF_OK;
    return cli_fail(c, ANF_E_ARG, "%s, usage: aneforge %s%s%s",
                    n < least ? "an operand is missing" : "too many operands", c->verb->name,
                    *c->verb->operands ? " " : "", c->verb->operands);
}

const char *cli_nearest(const char *given, int n, const char *(*name)(const void *user, int i),
                        const void *user)
{
    enum { LONGEST = 40 };
    size_t len = strlen(given), best = len / 3 + 1;
    const char *near = NULL;
    if (len > LONGEST)
        return NULL;
    for (int i = 0; i < n; i++) {
        const char *s = name(user, i);
        size_t row[LONGEST + 1];
        for (size_t k = 0; k <= len; k++)
            row[k] = k;
        for (size_t r = 0; s[r]; r++) {
            size_t diagonal = row[0];
            row[0] = r + 1;
            for (size_t k = 1; k <= len; k++) {
                size_t d = diagonal + (s[r] != given[k - 1]);
                diagonal = row[k];
                d = row[k] + 1 < d ? row[k] + 1 : d;
                row[k] = row[k - 1] + 1 < d ? row[k - 1] + 1 : d;
            }
        }
        if (row[len] <= best && !(near && row[len] == best)) {
            best = row[len];
            near = s;
        }
    }
    return near;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool is_hidden(const struct option_desc *o, const struct option_desc *own)
{
    for (; own && own->name; own++)
        if (strcmp(own->name, o->name) == 0)
            return true;
    return false;
}

static int collect_options(const struct verb *verb, const struct option_desc *out[MAX_OPTIONS])
{
    const struct option_desc *own = verb ? verb->options : NULL;
    int n = 0;
    for (const struct option_desc *o = own; o && o->name && n < MAX_OPTIONS; o++)
        out[n++] = o;
    for (const struct option_desc *o = cli_global_options; o->name && n < MAX_OPTIONS; o++)
        if (!is_hidden(o, own))
            out[n++] = o;
    return n;
}

static const char *option_name(const void *table, int i)
{
    return ((const struct option_desc *const *)table)[i]->name;
}

static anf_status bad_option(struct cli *c, const struct option_desc *const *table, int n,
                             const char *word, int letter)
{
    if (letter && letter < LONG_ID)
        return cli_fail(c, ANF_E_ARG, "unknown option '-%c'", letter);
    size_t len = strcspn(word, "=");
    const char *near = NULL;
    int n_like = 0;
    for (int i = 0; i < n; i++) {
        if (len > 2 && strncmp(table[i]->name, word + 2, len - 2) == 0) {
            near = table[i]->name;
            n_like++;
        }
    }
    if (n_like > 1)
        return cli_fail(c, ANF_E_ARG, "option '%.*s' is short for several", (int)len, word);
    if (n_like == 1)
        return cli_fail(c, ANF_E_ARG, "option '--%s' takes no value", near);
    char given[48];
    snprintf(given, sizeof given, "%.*s", len > 2 ? (int)len - 2 : 0, word + 2);
    near = cli_nearest(given, n, option_name, table);
    if (near)
        return cli_fail(c, ANF_E_ARG, "unknown option '%.*s'; did you mean '--%s'?", (int)len, word,
                        near);
    return cli_fail(c, ANF_E_ARG, "unknown option '%.*s'", (int)len, word);
}

static anf_status take_option(struct cli *c, const struct verb *verb, void *opts,
                              const struct option_desc *o, const char *value,
                              enum option_result *result)
{
    switch (o->id) {
    case OPT_ISA:
        c->isa = value;
        return ANF_OK;
    case OPT_THREADS:
        c->threads = value;
        return ANF_OK;
    case OPT_QUIET:
        c->quiet = true;
        return ANF_OK;
    case OPT_PROGRESS:
        c->progress = true;
        return ANF_OK;
    case OPT_HELP:
        *result = OPTIONS_HELP;
        return ANF_OK;
    case OPT_VERSION:
        *result = OPTIONS_VERSION;
        return ANF_OK;
    default:
        return verb->option(c, opts, o->id, value);
    }
}

static void restart_getopt(void)
{
#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
    optreset = 1;
    optind = 1;
#else
    optind = 0;
#endif
    opterr = 0;
}

anf_status cli_options(struct cli *c, int argc, char **argv, const struct verb *verb, void *opts,
                       bool permute, enum option_result *result, int *n_args, char ***args)
{
    const struct option_desc *table[MAX_OPTIONS];
    struct option longs[MAX_OPTIONS + 1] = {{0}};
    char letters[MAX_OPTIONS * 2 + 3];
    int n = collect_options(verb, table), at = 0, ch;
    if (!permute)
        letters[at++] = '+';
    letters[at++] = ':';
    for (int i = 0; i < n; i++) {
        const struct option_desc *o = table[i];
        longs[i] = (struct option){o->name, o->value ? required_argument : no_argument, NULL,
                                   LONG_ID + i};
        if (o->letter)
            letters[at++] = o->letter;
        if (o->letter && o->value)
            letters[at++] = ':';
    }
    letters[at] = 0;
    *result = OPTIONS_RUN;
    restart_getopt();
    while (*result == OPTIONS_RUN && (ch = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        int k = ch - LONG_ID;
        if (ch == ':')
            return cli_fail(c, ANF_E_ARG, "option '%s' needs a value", argv[optind - 1]);
        if (ch == '?')
            return bad_option(c, table, n, argv[optind - 1], optopt);
        for (int i = 0; ch < LONG_ID && i < n; i++)
            if (table[i]->letter == ch)
                k = i;
        TRY(take_option(c, verb, opts, table[k], optarg, result));
    }
    *n_args = argc - optind;
    *args = argv + optind;
    return ANF_OK;
}

void cli_help_options(const struct option_desc *options)
{
    for (const struct option_desc *o = options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        if (o->letter)
            printf("  -%c, %-22s %s\n", o->letter, left, o->help);
        else
            printf("      %-22s %s\n", left, o->help);
    }
}

anf_status cli_count(struct cli *c, const char *what, const char *value, uint64_t least,
                     uint64_t most, uint64_t *out)
{
    uint64_t n = 0;
    const char *s = value;
    for (; *s >= '0' && *s <= '9' && n <= (UINT64_MAX - 9) / 10; s++)
        n = n * 10 + (uint64_t)(*s - '0');
    if (s == value || *s || n < least || n > most)
        return cli_fail(c, ANF_E_ARG, "%s '%.40s' must be a whole number in %llu..%llu", what,
                        value, (unsigned long long)least, (unsigned long long)most);
    *out = n;
    return ANF_OK;
}

anf_status cli_opt_level(struct cli *c, const char *value, anf_opt *out)
{
    if (strcmp(value, "default") == 0)
        *out = ANF_OPT_DEFAULT;
    else if (strcmp(value, "none") == 0)
        *out = ANF_OPT_NONE;
    else
        return cli_fail(c, ANF_E_ARG, "--opt '%.40s' is unknown, default and none exist", value);
    return ANF_OK;
}

/* ORDER anf_compress */
static const char *const compress_modes[] = {"none",   "int8",      "int4",
                                             "sparse", "blockwise", "auto"};
enum { N_MODES = sizeof compress_modes / sizeof *compress_modes };

static const char *mode_name(const void *user, int i)
{
    (void)user;
    return compress_modes[i];
}

anf_status cli_compress(struct cli *c, const char *value, anf_compress *out)
{
    for (int i = 0; i < N_MODES; i++)
        if (strcmp(value, compress_modes[i]) == 0) {
            *out = (anf_compress)i;
            return ANF_OK;
        }
    const char *near = cli_nearest(value, N_MODES, mode_name, NULL);
    return cli_fail(c, ANF_E_ARG, "--compress '%.40s' is unknown%s%s%s", value,
                    near ? "; did you mean '" : "", near ? near : ", see aneforge compile --help",
                    near ? "'?" : "");
}

anf_status cli_number(struct cli *c, const char *what, const char *value, double *out)
{
    char *end;
    *out = strtod(value, &end);
    if (end == value || *end || !(*out > 0) || *out > 1e30)
        return cli_fail(c, ANF_E_ARG, "%s '%.40s' must be a number above 0", what, value);
    return ANF_OK;
}

/* ---- the context ----------------------------------------------------------------------------- */

/* An empty variable counts as unset. */
static const char *variable(const char *name)
{
    const char *s = getenv(name);
    return s && *s ? s : NULL;
}

const char *cli_isa(const struct cli *c)
{
    return c->isa ? c->isa : variable("ANEFORGE_ISA");
}

const char *cli_threads(const struct cli *c)
{
    return c->threads ? c->threads : variable("ANEFORGE_THREADS");
}

const char *cli_target(void)
{
    return variable("ANEFORGE_TARGET");
}

anf_status cli_context_new(struct cli *c, const char *isa, const char *threads, anf_ctx **out)
{
    anf_ctx_desc desc = {.isa = isa};
    uint64_t n = 0;
    *out = NULL;
    if (threads)
        TRY(cli_count(c, threads == variable("ANEFORGE_THREADS") ? "ANEFORGE_THREADS" : "--threads",
                      threads, 0, 1024, &n));
    desc.threads = (int32_t)n;
    return cli_check(c, anf_ctx_new(&desc, out));
}

anf_status cli_context(struct cli *c)
{
    return c->ctx ? ANF_OK : cli_context_new(c, cli_isa(c), cli_threads(c), &c->ctx);
}

/* ---- progress -------------------------------------------------------------------------------- */

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_start(struct progress *p, const struct cli *c, const char *what)
{
    *p = (struct progress){.cli = c, .what = what, .start = seconds_now()};
}

bool progress_step(void *progress, uint64_t done, uint64_t total)
{
    struct progress *p = progress;
    double now = seconds_now();
    if (now - p->start < 1 || now - p->shown < 0.1)
        return true;
    if (p->cli->quiet || !(p->cli->progress || isatty(STDERR_FILENO)))
        return true;
    fprintf(stderr, "\r%s: %3.0f %%", p->what,
            total ? 100 * (double)done / (double)total : 0.0);
    fflush(stderr);
    p->shown = now;
    return true;
}

void progress_end(struct progress *p)
{
    if (p->shown > 0)
        fprintf(stderr, "\r%*s\r", (int)strlen(p->what) + 10, "");
}
