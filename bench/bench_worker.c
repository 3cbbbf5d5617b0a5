/* One contender of the benchmarks: aneforge behind a line protocol.
 *
 * bench/compare.py starts one such process per engine and lets them take turns, so that what
 * disturbs the machine disturbs all of them.  Commands come on stdin, each is answered by one line
 * of JSON:
 *
 *     load FILE THREADS ISA [COMPRESS]
 *                             compile a graph text; ISA `-`: the best one, THREADS 0: one per core,
 *                             COMPRESS a number of anf_compress, whatever the error
 *     save FILE               the compiled model
 *     start FILE THREADS ISA  a saved model: the time to load it, and the time to the first result
 *     memory                  the most memory this process ever had resident
 *     input FILE              float16 elements of all inputs, one after the other
 *     time SECONDS            run for that long: median, p10 and min of one call in ns, and the
 *                             mean CPU time of all threads
 *     output FILE             float32 elements of the first output
 *     profile SECONDS         the same as time, per instruction
 *     quit
 *
 * Answers are {"ok":true, ...} or {"ok":false,"error":"..."}.  A timed call is anf_execute: inputs
 * and outputs stay in the program's own memory.  A sample is the mean of as many calls as take
 * about 50 us, so that reading the clock does not show. */
#include <aneforge.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_BYTES = 4096, BATCH_NS = 50000, MOST_SAMPLES = 1 << 20 };

struct worker {
    anf_ctx *ctx;
    anf_model *model;
    anf_run_state *state;
};

static double clock_of(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double now_ns(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void print_json_text(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 32)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void refuse(const char *message)
{
    printf("{\"ok\":false,\"error\":");
    print_json_text(message);
    printf("}\n");
}

/* ---- load ------------------------------------------------------------------------------------ */

static void unload(struct worker *w)
{
    anf_run_state_free(w->state);
    anf_model_free(w->model);
    anf_ctx_free(w->ctx);
    *w = (struct worker){0};
}

static char *read_file(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    char *data = NULL;
    if (!f)
        return NULL;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        rewind(f);
        data = size >= 0 ? malloc((size_t)size + 1) : NULL;
        if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
            free(data);
            data = NULL;
        }
        *n = data ? (size_t)size : 0;
    }
    fclose(f);
    return data;
}

static anf_status load_graph(struct worker *w, const char *text, size_t n, int threads,
                             const char *isa, int compress, double *parse_ns, double *compile_ns)
{
    const anf_compile_opts opts = {.compress = (anf_compress)compress, .compress_atol = 1};
    anf_graph *g = NULL;
    double start = now_ns(), parsed;
    anf_status st = anf_ctx_new(&(anf_ctx_desc){.threads = threads, .isa = isa}, &w->ctx);
    if (st == ANF_OK)
        st = anf_graph_parse(w->ctx, text, n, NULL, &g);
    parsed = now_ns();
    if (st == ANF_OK)
        st = anf_compile_graph(g, &opts, &w->model);
    *parse_ns = parsed - start;
    *compile_ns = now_ns() - parsed;
    anf_graph_free(g);
    if (st == ANF_OK)
        st = anf_run_state_new(w->model, &w->state);
    return st;
}

static void load(struct worker *w, const char *path, int threads, const char *isa, int compress)
{
    size_t n = 0;
    double parse_ns, compile_ns;
    unload(w);
    char *text = read_file(path, &n);
    if (!text) {
        refuse("load: the file cannot be read");
        return;
    }
    anf_status st = load_graph(w, text, n, threads, isa, compress, &parse_ns, &compile_ns);
    free(text);
    if (st != ANF_OK) {
        refuse(anf_last_error());
        unload(w);
        return;
    }
    anf_model_stats stats;
    anf_model_get_stats(w->model, &stats);
    printf("{\"ok\":true,\"version\":\"%s\",\"isa\":\"%s\",\"threads\":%d,\"parse_ms\":%.3f,"
           "\"compile_ms\":%.3f,\"instructions\":%d,\"operators\":%d,\"flops\":%llu,"
           "\"weight_bytes\":%zu,\"state_bytes\":%zu}\n",
           anf_version(), anf_ctx_isa(w->ctx), anf_ctx_threads(w->ctx), parse_ns / 1e6,
           compile_ns / 1e6, stats.n_instructions, anf_model_n_ops(w->model),
           (unsigned long long)stats.flops, stats.weight_bytes, anf_run_state_bytes(w->state));
}

static void save_model(struct worker *w, const char *path)
{
    if (anf_model_save(w->model, path) != ANF_OK)
        refuse(anf_last_error());
    else
        printf("{\"ok\":true}\n");
}

/* Everything a program does before its first result, the threads of its context included. */
static void start_saved(struct worker *w, const char *path, int threads, const char *isa)
{
    unload(w);
    double begin = now_ns(), loaded = begin;
    anf_status st = anf_ctx_new(&(anf_ctx_desc){.threads = threads, .isa = isa}, &w->ctx);
    if (st == ANF_OK)
        st = anf_model_load(w->ctx, path, &w->model);
    loaded = now_ns();
    if (st == ANF_OK)
        st = anf_run_state_new(w->model, &w->state);
    if (st == ANF_OK)
        st = anf_execute(w->state);
    double end = now_ns();
    if (st != ANF_OK) {
        refuse(anf_last_error());
        unload(w);
        return;
    }
    printf("{\"ok\":true,\"load_ms\":%.3f,\"first_ms\":%.3f}\n", (loaded - begin) / 1e6,
           (end - begin) / 1e6);
}

/* The high-water mark of this program alone: that of getrusage starts with its parent's. */
static void memory(void)
{
    char line[256];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtoul(line + 6, NULL, 10);
    if (f)
        fclose(f);
    if (kib)
        printf("{\"ok\":true,\"peak_bytes\":%lu}\n", kib * 1024);
    else
        refuse("memory: /proc/self/status cannot be read");
}

/* ---- input and output ------------------------------------------------------------------------ */

static void put_inputs(struct worker *w, const char *path)
{
    size_t n = 0, at = 0, need = 0;
    char *data = read_file(path, &n);
    for (int i = 0; i < anf_model_n_inputs(w->model); i++)
        need += anf_model_input(w->model, i)->n_elements * sizeof(uint16_t);
    if (!data || n != need) {
        refuse("input: the file cannot be read, or its size is not that of the inputs");
        free(data);
        return;
    }
    for (int i = 0; i < anf_model_n_inputs(w->model); i++) {
        size_t bytes = anf_model_input(w->model, i)->n_elements * sizeof(uint16_t);
        memcpy(anf_input_view(w->state, i), data + at, bytes);
        at += bytes;
    }
    free(data);
    printf("{\"ok\":true}\n");
}

static void write_output(struct worker *w, const char *path)
{
    if (anf_execute(w->state) != ANF_OK) {
        refuse(anf_last_error());
        return;
    }
    const uint16_t *y = anf_output_view(w->state, 0);
    size_t n = anf_model_output(w->model, 0)->n_elements;
    FILE *f = fopen(path, "wb");
    bool good = f != NULL;
    for (size_t i = 0; good && i < n; i++) {
        float v = anf_f16_to_f32(y[i]);
        good = fwrite(&v, sizeof v, 1, f) == 1;
    }
    if (f && fclose(f) != 0)
        good = false;
    if (good)
        printf("{\"ok\":true,\"elements\":%zu}\n", n);
    else
        refuse("output: the file cannot be written");
}

/* ---- time ------------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One call takes about this long, after a warm-up of a tenth of the time. */
static double warm_up(struct worker *w, double seconds)
{
    double start = now_ns(), once = INFINITY, now = start;
    do {
        double from = now;
        if (anf_execute(w->state) != ANF_OK)
            return 0;
        now = now_ns();
        once = fmin(once, now - from);
    } while (now - start < seconds * 1e8);
    return once;
}

static void time_calls(struct worker *w, double seconds)
{
    double once = warm_up(w, seconds);
    if (!(once > 0)) {
        refuse(anf_last_error());
        return;
    }
    size_t batch = once < BATCH_NS ? (size_t)(BATCH_NS / once) + 1 : 1, n = 0;
    double *samples = malloc(MOST_SAMPLES * sizeof *samples);
    if (!samples) {
        refuse("time: no memory for the samples");
        return;
    }
    double start = now_ns(), now = start, cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    do {
        double from = now;
        for (size_t i = 0; i < batch; i++)
            (void)anf_execute(w->state);
        now = now_ns();
        samples[n++] = (now - from) / (double)batch;
    } while (now - start < seconds * 1e9 && n < MOST_SAMPLES);
    cpu = (clock_of(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)(n * batch);
    qsort(samples, n, sizeof *samples, compare_doubles);
    printf("{\"ok\":true,\"median_ns\":%.1f,\"p10_ns\":%.1f,\"min_ns\":%.1f,\"cpu_ns\":%.1f,"
           "\"calls\":%zu}\n",
           samples[n / 2], samples[n / 10], samples[0], cpu, n * batch);
    free(samples);
}

static void profile(struct worker *w, double seconds)
{
    double start = now_ns();
    anf_status st = anf_profile(w->state, true);
    do {
        if (st == ANF_OK)
            st = anf_execute(w->state);
    } while (st == ANF_OK && now_ns() - start < seconds * 1e9);
    if (st != ANF_OK) {
        refuse(anf_last_error());
        return;
    }
    printf("{\"ok\":true,\"instructions\":[");
    for (int i = 0; i < anf_profile_count(w->state); i++) {
        anf_timing t = {0};
        (void)anf_profile_get(w->state, i, &t);
        printf("%s{\"text\":", i ? "," : "");
        print_json_text(t.text);
        printf(",\"mean_ns\":%.1f,\"min_ns\":%llu,\"flops\":%llu,\"bytes\":%llu}",
               (double)t.total_ns / (double)(t.calls ? t.calls : 1), (unsigned long long)t.min_ns,
               (unsigned long long)t.flops, (unsigned long long)t.bytes);
    }
    printf("]}\n");
    (void)anf_profile(w->state, false);
}

/* ---- commands -------------------------------------------------------------------------------- */

static bool positive(const char *text, double *value)
{
    char *end;
    *value = text ? strtod(text, &end) : 0;
    return text && *end == '\0' && *value > 0 && *value < 86400;
}

/* False to stop. */
static bool obey(struct worker *w, char *line)
{
    char *save = NULL, *command = strtok_r(line, " \n", &save);
    char *first = strtok_r(NULL, " \n", &save);
    char *second = strtok_r(NULL, " \n", &save), *third = strtok_r(NULL, " \n", &save);
    char *fourth = strtok_r(NULL, " \n", &save);
    double seconds;
    if (!command)
        refuse("an empty line; see the head of bench_worker.c");
    else if (strcmp(command, "quit") == 0)
        return false;
    else if (strcmp(command, "load") == 0 && third)
        load(w, first, atoi(second), strcmp(third, "-") == 0 ? NULL : third,
             fourth ? atoi(fourth) : ANF_COMPRESS_NONE);
    else if (strcmp(command, "start") == 0 && third)
        start_saved(w, first, atoi(second), strcmp(third, "-") == 0 ? NULL : third);
    else if (strcmp(command, "memory") == 0)
        memory();
    else if (!w->state)
        refuse("nothing is loaded; the command is: load FILE THREADS ISA");
    else if (strcmp(command, "save") == 0 && first)
        save_model(w, first);
    else if (strcmp(command, "input") == 0 && first)
        put_inputs(w, first);
    else if (strcmp(command, "output") == 0 && first)
        write_output(w, first);
    else if (strcmp(command, "time") == 0 && positive(first, &seconds))
        time_calls(w, seconds);
    else if (strcmp(command, "profile") == 0 && positive(first, &seconds))
        profile(w, seconds);
    else
        refuse("unknown command or missing argument; see the head of bench_worker.c");
    return true;
}

int main(void)
{
    struct worker w = {0};
    char line[LINE_MAX_BYTES];
    bool go_on = true;
    while (go_on && fgets(line, sizeof line, stdin)) {
        go_on = obey(&w, line);
        fflush(stdout);
    }
    unload(&w);
    return 0;
}
