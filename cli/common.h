/* What the verbs of the command share.
 *
 * The command uses the public API only.  A function that can fail returns anf_status and leaves
 * one line in cli->message; main prints it as "aneforge: VERB: message" and turns the status into
 * the exit code.  Verbs never print errors and never exit.
 *
 * A verb is one row of the table in main.c: its options are data, from which parsing, --help and
 * the test of the completions and man pages follow. */
#ifndef ANF_CLI_COMMON_H
#define ANF_CLI_COMMON_H

#include "aneforge.h"

#include <stdio.h>

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        anf_status try_status_ = (expr);                                                           \
        if (try_status_ != ANF_OK)                                                                 \
            return try_status_;                                                                    \
    } while (0)

#if defined(__GNUC__)
#define CLI_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CLI_PRINTF(fmt, args)
#endif

struct cli;

/* ---- options --------------------------------------------------------------------------------- */

struct option_desc {
    const char *name; /* NULL ends the table */
    char letter;      /* 0: none */
    const char *value; /* what stands behind it in the help; NULL: takes no value */
    int id;
    const char *help;
};

struct verb {
    const char *name;
    const char *operands; /* "MODEL INPUT..." */
    const char *summary;
    const char *text;     /* paragraphs and examples, after the options in --help */
    const struct option_desc *options;
    size_t opts_size; /* of the struct that `option` fills and `run` reads; starts as zeros */
    anf_status (*option)(struct cli *c, void *opts, int id, const char *value);
    anf_status (*run)(struct cli *c, const void *opts, int n_args, char **args);
};

extern const struct verb verb_run, verb_compile, verb_explain, verb_ops, verb_info, verb_bench;

enum option_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Parse argv with `own` options (NULL: none) and the global ones, up to the first operand or, with
 * `permute`, everywhere.  *n_args and *args are the operands. */
anf_status cli_options(struct cli *c, int argc, char **argv, const struct verb *verb, void *opts,
                       bool permute, enum option_result *result, int *n_args, char ***args);

void cli_help_options(const struct option_desc *options);
extern const struct option_desc cli_global_options[];

/* ---- one invocation -------------------------------------------------------------------------- */

struct cli {
    const struct verb *verb;
    const char *isa, *threads; /* as given; NULL: the environment, then the default */
    bool quiet, progress;
    anf_ctx *ctx;
    char message[ANF_ERROR_MAX + 4096 + 256]; /* a message of the library behind a path */
};

anf_status cli_fail(struct cli *c, anf_status st, const char *fmt, ...) CLI_PRINTF(3, 4);
/* Pass on the status of a library call, with its message. */
anf_status cli_check(struct cli *c, anf_status st);
/* The same with "WHERE: " in front of the message. */
anf_status cli_check_at(struct cli *c, anf_status st, const char *where);
anf_status cli_need_args(struct cli *c, int n, int least, int most);

/* The status as exit code. */
int cli_exit_code(anf_status st);

/* cli->ctx from --isa and --threads, the environment, or the defaults. */
anf_status cli_context(struct cli *c);
anf_status cli_context_new(struct cli *c, const char *isa, const char *threads, anf_ctx **out);
/* Where an option or a variable chose them; NULL: nowhere. */
const char *cli_isa(const struct cli *c);
const char *cli_threads(const struct cli *c);
const char *cli_target(void); /* of the environment */

/* Zeroed; NULL with a message when there is none. */
void *cli_alloc(struct cli *c, size_t n, size_t size);

anf_status cli_opt_level(struct cli *c, const char *value, anf_opt *out);
anf_status cli_compress(struct cli *c, const char *value, anf_compress *out);
anf_status cli_number(struct cli *c, const char *what, const char *value, double *out);
anf_status cli_count(struct cli *c, const char *what, const char *value, uint64_t least,
                     uint64_t most, uint64_t *out);

/* The name nearest to `given` by edit distance, or NULL when none is near. */
const char *cli_nearest(const char *given, int n, const char *(*name)(const void *user, int i),
                        const void *user);

/* ---- progress -------------------------------------------------------------------------------- */

/* A line on a terminal that appears after one second and is wiped at the end. */
struct progress {
    const struct cli *cli;
    const char *what;
    double start, shown;
};

void progress_start(struct progress *p, const struct cli *c, const char *what);
bool progress_step(void *progress, uint64_t done, uint64_t total); /* an anf_progress_fn */
void progress_end(struct progress *p);

double seconds_now(void);

/* ---- text ------------------------------------------------------------------------------------ */

struct short_text {
    char s[32];
};
struct shape_text {
    char s[ANF_MAX_RANK * 21 + 3];
};

/* Three digits and a unit: "1.25 ms", "64.0 KiB", "3.20 GFLOP". */
struct short_text time_text(double seconds);
struct short_text bytes_text(double bytes);
struct short_text count_text(double n, const char *unit);
struct short_text number_text(double x); /* the fewest digits that read back as the same float32 */
struct shape_text shape_text(const anf_dims *shape); /* "[1,3,32,32]" */
void print_json_text(const char *s);                 /* quoted and escaped */

struct text {
    char *s;
    size_t n, cap;
};
anf_status text_sink(void *text, const char *s, size_t n); /* an anf_sink */
void text_free(struct text *t);

/* ---- files ----------------------------------------------------------------------------------- */

bool file_exists(const char *path);
bool path_ends_with(const char *path, const char *ending);

/* What was read of a file.  A regular file can be read again; a pipe cannot, nor can standard
 * input, which "-" stands for: of these there is always all. */
struct input {
    struct text bytes; /* with a NUL behind */
    bool whole;
};
/* The first `first` bytes (0: all of them) of a file, or all of a pipe. */
anf_status input_read(struct cli *c, const char *path, size_t first, struct input *out);
void input_free(struct input *in);
bool input_comes_once(const char *path); /* it is a pipe or the like */

/* A text on its way to a file.  Everything that can go wrong does so in output_start, output_finish
 * makes it appear; between them stands what must not happen if the text cannot be written. */
struct output {
    struct text text;
    FILE *stream;       /* where it goes, or */
    char *target, *tmp; /* the final and the temporary name; NULL: it is written already */
};
/* Takes the text, on failure too.  "-" is standard output.  A regular file is replaced at once (a
 * link: the file it names); devices and pipes are written to. */
anf_status output_start(struct cli *c, const char *path, struct text *text, struct output *out);
anf_status output_finish(struct cli *c, struct output *out);
void output_discard(struct output *out); /* fine for one that is zero or finished */

/* SIGINT, SIGTERM and SIGHUP wait while a file is written under its temporary name, which they
 * would leave behind.  Calls nest. */
void signals_hold(void);
void signals_release(void);

#endif
