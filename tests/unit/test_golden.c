/* What the compiler makes of small graphs, stage by stage, word for word.
 *
 * For each NAME.graph in tests/golden/explain, NAME.txt holds the graph after every pass and the
 * program, at the default opt level, on the reference kernels with one thread, so that the text is
 * the same on every machine.  A change of a pass, of fusion or of the memory plan shows as a
 * difference here:
 *
 *     ANF_GOLDEN_UPDATE=1 ./test_golden      rewrites the files; read the difference before it is
 *                                            committed, as a compiler engineer would
 *
 * A stage whose text is that of the one before is shown as "(unchanged)". */
#include "plain.h"

#include <aneforge.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER ANF_TEST_DIR "/golden/explain"

struct text {
    char *data;
    size_t n;
};

static void put(struct text *t, const char *s, size_t n)
{
    char *p = realloc(t->data, t->n + n + 1);
    assert_non_null(p);
    memcpy(p + t->n, s, n);
    t->data = p;
    t->n += n;
    p[t->n] = 0;
}

static struct text read_file(const char *path)
{
    struct text t = {NULL, 0};
    char block[4096];
    FILE *f = fopen(path, "rb");
    put(&t, "", 0);
    if (!f)
        return t;
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        put(&t, block, n);
    fclose(f);
    return t;
}

struct stages {
    struct text all, last;
};

static anf_status stage(void *user, const char *name, const char *text, size_t n)
{
    struct stages *s = user;
    char title[80];
    int len = snprintf(title, sizeof title, "%s== %s\n", s->all.n ? "\n" : "", name);
    put(&s->all, title, (size_t)len);
    if (n == s->last.n && memcmp(text, s->last.data, n) == 0) {
        put(&s->all, "(unchanged)\n", strlen("(unchanged)\n"));
        return ANF_OK;
    }
    for (size_t i = 0; i < n;) { /* no spaces at line ends: editors remove them */
        const char *end = memchr(text + i, '\n', n - i);
        size_t line = end ? (size_t)(end - text) - i : n - i, keep = line;
        while (keep && text[i + keep - 1] == ' ')
            keep--;
        put(&s->all, text + i, keep);
        put(&s->all, "\n", 1);
        i += line + 1;
    }
    s->last.n = 0;
    put(&s->last, text, n);
    return ANF_OK;
}

static struct text compile_text(anf_ctx *ctx, const char *name, const struct text *source)
{
    struct stages s = {{NULL, 0}, {NULL, 0}};
    anf_compile_opts opts = {.stage = stage, .stage_user = &s};
    anf_graph *g;
    anf_model *m;
    put(&s.last, "", 0);
    put(&s.all, "", 0);
    if (anf_graph_parse(ctx, source->data, source->n, NULL, &g) != ANF_OK)
        fail_msg("%s: %s", name, anf_last_error());
    if (anf_compile_graph(g, &opts, &m) != ANF_OK)
        fail_msg("%s: %s", name, anf_last_error());
    anf_model_free(m);
    anf_graph_free(g);
    free(s.last.data);
    return s.all;
}

/* The first line that differs, on both sides. */
static void show_difference(const char *name, const char *want, const char *got)
{
    int line = 1;
    while (*want && *got) {
        size_t w = strcspn(want, "\n"), g = strcspn(got, "\n");
        if (w != g || memcmp(want, got, w) != 0)
            break;
        want += w + (want[w] != 0);
        got += g + (got[g] != 0);
        line++;
    }
    fail_msg("%s.txt differs at line %d:\n  expected: %.*s\n  now:      %.*s\n"
             "ANF_GOLDEN_UPDATE=1 rewrites it", name, line, (int)strcspn(want, "\n"), want,
             (int)strcspn(got, "\n"), got);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_explain(void **state)
{
    (void)state;
    const char *names[64];
    int n = 0;
    anf_ctx *ctx;
    anf_ctx_desc desc = {.isa = "ref", .threads = 1};
    DIR *d = opendir(FOLDER);
    assert_non_null(d);
    assert_int_equal(anf_ctx_new(&desc, &ctx), ANF_OK);
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 7 || len > 200 || strcmp(e->d_name + len - 6, ".graph") != 0)
            continue;
        char *name = malloc(len);
        assert_true(name != NULL && n < 64);
        memcpy(name, e->d_name, len - 6);
        name[len - 6] = 0;
        names[n++] = name;
    }
    closedir(d);
    assert_true(n >= 12);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, FOLDER "/%.200s.graph", names[i]);
        struct text source = read_file(path), got = compile_text(ctx, names[i], &source);
        snprintf(path, sizeof path, FOLDER "/%.200s.txt", names[i]);
        if (getenv("ANF_GOLDEN_UPDATE")) {
            FILE *f = fopen(path, "wb");
            if (!f || fwrite(got.data, 1, got.n, f) != got.n || fclose(f) != 0)
                fail_msg("%s: %s", path, strerror(errno));
        }
        struct text want = read_file(path);
        if (strcmp(want.data, got.data) != 0)
            show_difference(names[i], want.data, got.data);
        free(source.data);
        free(got.data);
        free(want.data);
    }
    for (int i = 0; i < n; i++) {
        char *name;
        memcpy(&name, &names[i], sizeof name);
        free(name);
    }
    anf_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_explain)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
