/* What became of each weight, for people and for programs. */
#include "base/encoding.h"
#include "program/program.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct shape_text {
    char s[64];
};

static struct shape_text shape_text(const struct weight_record *w)
{
    struct shape_text t;
    snprintf(t.s, sizeof t.s, "[%" PRIu64 ",%" PRIu64 "]", w->dims[0], w->dims[1]);
    return t;
}

static void widen(size_t *width, const char *text)
{
    size_t n = strlen(text);
    *width = n > *width ? n : *width;
}

static struct decimal_text ratio_text(uint64_t after, uint64_t before)
{
    return decimal_text((double)after / (double)(before ? before : 1), 3);
}

/* Sums over all weights. */
static void totals(const struct program *p, uint64_t *before, uint64_t *after)
{
    *before = *after = 0;
    for (size_t i = 0; i < p->n_weights; i++) {
        *before += p->weights[i].bytes_before;
        *after += p->weights[i].bytes_after;
    }
}

void report_text(const struct program *p, struct buf *out)
{
    size_t name = strlen("name"), shape = strlen("shape");
    uint64_t before, after;
    for (size_t i = 0; i < p->n_weights; i++) {
        widen(&name, p->names + p->weights[i].name);
        widen(&shape, shape_text(&p->weights[i]).s);
    }
    totals(p, &before, &after);
    buf_printf(out, "%-*s  %-*s  encoding   %12s %12s  ratio     error  why\n", (int)name,
               "name", (int)shape, "shape", "bytes before", "after");
    for (size_t i = 0; i < p->n_weights; i++) {
        const struct weight_record *w = &p->weights[i];
        buf_printf(out, "%-*s  %-*s  %-9s  %12" PRIu64 " %12" PRIu64 "  %5s  %8s  %s%s\n",
                   (int)name, p->names + w->name, (int)shape, shape_text(w).s,
                   encoding_names[w->encoding], w->bytes_before, w->bytes_after,
                   ratio_text(w->bytes_after, w->bytes_before).s, decimal_text(w->error, 3).s,
                   p->names + w->why, w->streams ? "" : " (expanded on the target)");
    }
    buf_printf(out, "%zu weights, %" PRIu64 " bytes as float16, %" PRIu64 " as encoded: %s\n",
               p->n_weights, before, after, ratio_text(after, before).s);
}

/* Names and reasons hold no quote and no backslash: load.c refuses them, and nothing here makes
 * them. */
void report_json(const struct program *p, struct buf *out)
{
    uint64_t before, after;
    totals(p, &before, &after);
    buf_printf(out, "{\n  \"bytes_before\": %" PRIu64 ",\n  \"bytes_after\": %" PRIu64
                    ",\n  \"weights\": [", before, after);
    for (size_t i = 0; i < p->n_weights; i++) {
        const struct weight_record *w = &p->weights[i];
        buf_printf(out,
                   "%s\n    {\"name\": \"%s\", \"shape\": [%" PRIu64 ", %" PRIu64
                   "], \"encoding\": \"%s\", \"bytes_before\": %" PRIu64
                   ", \"bytes_after\": %" PRIu64
                   ", \"error\": %s, \"streams\": %s, \"why\": \"%s\"}",
                   i ? "," : "", p->names + w->name, w->dims[0], w->dims[1],
                   encoding_names[w->encoding], w->bytes_before, w->bytes_after,
                   decimal_text(w->error, 9).s, w->streams ? "true" : "false", p->names + w->why);
    }
    buf_str(out, p->n_weights ? "\n  ]\n}\n" : "]\n}\n");
}
