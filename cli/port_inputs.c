/* The INPUT operands of a run.
 *
 * An operand is SOURCE or NAME=SOURCE, and a source is zeros, random[:SEED], an image, or an array
 * file, with ":ENTRY" behind it to take one entry of several.  Operands that say their port by
 * name, or by the names of their entries, are placed first; the others fill what is left, in port
 * order. Every check that needs the file name is made here; what is left for the run cannot fail.
 */
#include "port_inputs.h"

#include "image_file.h"

#include <stdlib.h>
#include <string.h>

enum source_kind { SOURCE_ZEROS, SOURCE_RANDOM, SOURCE_IMAGE, SOURCE_ARRAY };

struct source {
    enum source_kind kind;
    int port; /* -1: the next free one */
    const char *path;
    struct input file; /* bytes of an image */
    uint64_t seed;
    anf_array array;
    bool placed; /* by the names of its entries */
};

struct placing {
    struct cli *cli;
    const anf_model *model;
    struct port_inputs *in;
    bool resize;
};

/* ---- values without a file ------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void fill_random(const anf_port *port, uint64_t seed, int port_number, void *data)
{
    uint64_t state = (uint64_t)port_number, mixed = next_random(&state) ^ seed;
    uint16_t *half = data;
    unsigned char *byte = data;
    for (size_t i = 0; i < port->n_elements; i++) {
        uint64_t r = next_random(&mixed);
        if (port->dtype == ANF_U8)
            byte[i] = (unsigned char)(r >> 56);
        else
            half[i] = anf_f16_from_f32((float)((int)(r >> 53) - 1024) / 1024.0f);
    }
}

/* ---- ports ----------------------------------------------------------------------------------- */

static int find_port(const anf_model *m, const char *name, size_t n)
{
    const anf_port *p;
    for (int i = 0; (p = anf_model_input(m, i)); i++)
        if (strlen(p->name) == n && memcmp(p->name, name, n) == 0)
            return i;
    return -1;
}

static void list_ports(const anf_model *m, char *out, size_t cap)
{
    const anf_port *p;
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; (p = anf_model_input(m, i)) && at + 1 < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s'%.60s' %s %s", i ? ", " : "", p->name,
                               anf_dtype_name(p->dtype), shape_text(&p->shape).s);
}

static anf_status set_port(const struct placing *p, int i, const char *path, anf_array a)
{
    const anf_port *port = anf_model_input(p->model, i);
    bool same = a.shape.rank == port->shape.rank;
    for (int k = 0; same && k < a.shape.rank; k++)
        same = a.shape.dim[k] == port->shape.dim[k];
    bool is_float = a.dtype == ANF_F16 || a.dtype == ANF_F32 || a.dtype == ANF_F64;
    bool takes = port->dtype == ANF_U8 ? a.dtype == ANF_U8 : is_float;
    if (p->in->arrays[i].data)
        return cli_fail(p->cli, ANF_E_ARG, "input '%s' is given twice, the second time by %s",
                        port->name, path);
    if (!same || !takes)
        return cli_fail(p->cli, same ? ANF_E_DTYPE : ANF_E_SHAPE,
                        "%s: %s %s, input '%s' needs %s %s", path, anf_dtype_name(a.dtype),
                        shape_text(&a.shape).s, port->name,
                        port->dtype == ANF_U8 ? "uint8" : "float16, float32 or float64",
                        shape_text(&port->shape).s);
    p->in->arrays[i] = a;
    return ANF_OK;
}

/* ---- operands -------------------------------------------------------------------------------- */

/* An array of a file, with the path in front of a message where the library does not know it. */
static anf_status find_array(const struct placing *p, const anf_arrays *file, const char *name,
                             struct source *s)
{
    anf_status st = anf_arrays_find(file, name, &s->array);
    return s->file.whole ? cli_check_at(p->cli, st, s->path) : cli_check(p->cli, st);
}

/* Every entry that has the name of a port. */
static anf_status place_entries(const struct placing *p, const anf_arrays *file, struct source *s)
{
    char ports[600];
    for (int i = 0; i < anf_arrays_count(file); i++) {
        const char *name = anf_arrays_name(file, i);
        int port = find_port(p->model, name, strlen(name));
        if (port < 0)
            continue;
        TRY(find_array(p, file, name, s));
        TRY(set_port(p, port, s->path, s->array));
        s->placed = true;
    }
    if (s->placed)
        return ANF_OK;
    list_ports(p->model, ports, sizeof ports);
    return cli_fail(p->cli, ANF_E_ARG,
                    "%s: none of its %d arrays has the name of an input (%s); FILE:ENTRY takes one",
                    s->path, anf_arrays_count(file), ports);
}

static anf_status open_array(const struct placing *p, const char *entry, struct source *s)
{
    anf_arrays *file;
    anf_ctx *ctx = p->cli->ctx;
    const struct text *bytes = &s->file.bytes;
    if (s->file.whole)
        TRY(cli_check_at(p->cli, anf_arrays_open_memory(ctx, bytes->s, bytes->n, &file), s->path));
    else
        TRY(cli_check(p->cli, anf_arrays_open(ctx, s->path, &file)));
    p->in->files[p->in->n_files++] = file;
    if (!entry && s->port >= 0 && anf_arrays_count(file) > 1)
        entry = anf_model_input(p->model, s->port)->name;
    if (entry)
        return find_array(p, file, entry, s);
    bool single = anf_arrays_count(file) == 1 && !*anf_arrays_name(file, 0);
    if (!single && s->port < 0)
        return place_entries(p, file, s);
    if (anf_arrays_count(file) == 0)
        return cli_fail(p->cli, ANF_E_ARG, "%s: has no arrays", s->path);
    return find_array(p, file, anf_arrays_name(file, 0), s);
}

/* "FILE:ENTRY" is split at the last colon behind a file that exists: names of files and of entries
 * may have colons too.  Where there is none, at the first.  NULL: a file has the whole name. */
static char *split_entry(char *text)
{
    char *entry = NULL;
    while (!file_exists(text)) {
        char *colon = strrchr(text, ':');
        if (!colon)
            break;
        if (entry)
            entry[-1] = ':';
        *colon = 0;
        entry = colon + 1;
    }
    return entry;
}

static anf_status open_file(const struct placing *p, char *text, struct source *s)
{
    char *entry = split_entry(text);
    s->path = text;
    TRY(input_read(p->cli, text, 16, &s->file));
    if (!entry && image_magic(s->file.bytes.s, s->file.bytes.n)) {
        s->kind = SOURCE_IMAGE;
        return ANF_OK;
    }
    s->kind = SOURCE_ARRAY;
    anf_status st = open_array(p, entry, s);
    input_free(&s->file);
    return st;
}

static anf_status read_operand(const struct placing *p, char *arg, struct source *s)
{
    char *equals = strchr(arg, '=');
    s->port = equals ? find_port(p->model, arg, (size_t)(equals - arg)) : -1;
    if (s->port >= 0) {
        arg = equals + 1;
    } else if (equals && !file_exists(arg)) {
        char ports[600];
        list_ports(p->model, ports, sizeof ports);
        return cli_fail(p->cli, ANF_E_ARG, "no input '%.*s', the model has %s",
                        (int)(equals - arg > 60 ? 60 : equals - arg), arg, *ports ? ports : "none");
    }
    s->path = arg;
    if (strcmp(arg, "zeros") == 0) {
        s->kind = SOURCE_ZEROS;
        return ANF_OK;
    }
    if (strcmp(arg, "random") == 0 || strncmp(arg, "random:", 7) == 0) {
        s->kind = SOURCE_RANDOM;
        return arg[6] ? cli_count(p->cli, "the seed in random:SEED", arg + 7, 0, INT64_MAX,
                                  &s->seed)
                      : ANF_OK;
    }
    return open_file(p, arg, s);
}

static anf_status place_image(const struct placing *p, struct source *s, const anf_port *port,
                              unsigned char **pixels)
{
    if (!s->file.whole) {
        input_free(&s->file);
        TRY(input_read(p->cli, s->path, 0, &s->file));
    }
    anf_status st =
        image_for_port(p->cli, s->path, &s->file.bytes, port, p->resize, pixels);
    input_free(&s->file);
    return st;
}

static anf_status place(const struct placing *p, struct source *s, int i)
{
    const anf_port *port = anf_model_input(p->model, i);
    anf_array a = s->array;
    unsigned char *pixels;
    if (s->kind == SOURCE_ARRAY)
        return set_port(p, i, s->path, a);
    if (s->kind == SOURCE_IMAGE) {
        TRY(place_image(p, s, port, &pixels));
        a = anf_array_of(pixels, ANF_U8, port->shape);
    } else {
        void *block = cli_alloc(p->cli, port->n_elements, anf_dtype_size(port->dtype));
        if (!block)
            return ANF_E_NOMEM;
        if (s->kind == SOURCE_RANDOM)
            fill_random(port, s->seed, i, block);
        a = anf_array_of(block, port->dtype, port->shape);
    }
    anf_status st = set_port(p, i, s->path, a);
    if (st == ANF_OK)
        p->in->blocks[i] = a.data;
    else
        free(a.data);
    return st;
}

static anf_status place_all(const struct placing *p, int n_args, char **args,
                            struct source *sources)
{
    int next = 0, n = p->in->n;
    char ports[600];
    for (int i = 0; i < n_args; i++) {
        TRY(read_operand(p, args[i], &sources[i]));
        if (sources[i].port >= 0)
            TRY(place(p, &sources[i], sources[i].port));
    }
    for (int i = 0; i < n_args; i++) {
        if (sources[i].port >= 0 || sources[i].placed)
            continue;
        while (next < n && p->in->arrays[next].data)
            next++;
        if (next == n) {
            list_ports(p->model, ports, sizeof ports);
            return cli_fail(p->cli, ANF_E_ARG, "no input is left for %s, the model has %s",
                            sources[i].path, *ports ? ports : "none");
        }
        TRY(place(p, &sources[i], next));
    }
    for (int i = 0; i < n; i++) {
        const anf_port *port = anf_model_input(p->model, i);
        if (!p->in->arrays[i].data)
            return cli_fail(p->cli, ANF_E_ARG, "input '%s' %s %s is not given", port->name,
                            anf_dtype_name(port->dtype), shape_text(&port->shape).s);
    }
    return ANF_OK;
}

anf_status port_inputs_open(struct cli *c, const anf_model *m, int n_args, char **args, bool resize,
                            struct port_inputs *out)
{
    struct placing p = {c, m, out, resize};
    *out = (struct port_inputs){.n = anf_model_n_inputs(m)};
    struct source *sources = cli_alloc(c, (size_t)n_args, sizeof *sources);
    out->arrays = cli_alloc(c, (size_t)out->n, sizeof *out->arrays);
    out->blocks = cli_alloc(c, (size_t)out->n, sizeof *out->blocks);
    out->files = cli_alloc(c, (size_t)n_args, sizeof *out->files);
    anf_status st = sources && out->arrays && out->blocks && out->files ? ANF_OK : ANF_E_NOMEM;
    if (st == ANF_OK)
        st = place_all(&p, n_args, args, sources);
    for (int i = 0; sources && i < n_args; i++)
        input_free(&sources[i].file);
    free(sources);
    if (st != ANF_OK)
        port_inputs_free(out);
    return st;
}

void port_inputs_free(struct port_inputs *in)
{
    for (int i = 0; in->blocks && i < in->n; i++)
        free(in->blocks[i]);
    for (int i = 0; i < in->n_files; i++)
        anf_arrays_free(in->files[i]);
    free(in->arrays);
    free(in->blocks);
    free(in->files);
    *in = (struct port_inputs){0};
}
