/* From a graph to its text (docs/graph-text.md).
 *
 * Every node is printed, in order, reachable or not, so node k of the text is node k of the graph
 * and reading the text back gives the same ids.  Names of nodes are words (graph.c and parse.c see
 * to it). A value keeps its name when it is not "return" and no earlier value has it; otherwise it
 * is %id, and a port then gives its name by "as".
 * What is printed depends on the graph alone, hence print(parse(print(g))) == print(g). */
#include "ir/text.h"

#include "ops/op.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TYPE_COLUMN = 48, HEX_PER_LINE = 24 };

struct printer {
    const struct graph *g;
    struct buf *out;
    struct name_table names;
    bool brief;
};

const char *graph_text_dtype(anf_dtype t)
{
    return t == ANF_F16 ? "f16" : t == ANF_U8 ? "u8" : t == ANF_BOOL ? "bool" : "?";
}

static void put_type(struct buf *out, const struct value_type *t)
{
    buf_str(out, graph_text_dtype(t->dtype));
    buf_str(out, dims_text(&t->shape));
}

/* ---- attributes ------------------------------------------------------------------------------ */

static bool is_default(const struct attr_desc *d, const void *field)
{
    int64_t whole = (int64_t)d->number;
    if (d->required || d->type == ANF_ATTR_INTS)
        return false;
    if (d->type == ANF_ATTR_INT)
        return memcmp(field, &whole, sizeof whole) == 0;
    return memcmp(field, &d->number, sizeof d->number) == 0;
}

static void put_attrs(const struct op *op, const void *attrs, bool first, struct buf *out)
{
    for (int i = 0; i < op->n_attrs; i++) {
        const struct attr_desc *d = &op->attrs[i];
        const char *field = (const char *)attrs + d->offset;
        if (is_default(d, field))
            continue;
        buf_printf(out, "%s%s=", first ? "" : ", ", d->name);
        first = false;
        if (d->type == ANF_ATTR_INT) {
            int64_t v;
            memcpy(&v, field, sizeof v);
            buf_printf(out, "%" PRId64, v);
        } else if (d->type == ANF_ATTR_FLOAT) {
            double v;
            memcpy(&v, field, sizeof v);
            text_put_double(out, v);
        } else {
            anf_dims v;
            memcpy(&v, field, sizeof v);
            buf_str(out, dims_text(&v));
        }
    }
}

void attrs_print(const struct op *op, const void *attrs, struct buf *out)
{
    put_attrs(op, attrs, true, out);
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool keeps_name(const struct printer *p, node_id id)
{
    const char *name = graph_node(p->g, id)->name;
    if (!name)
        return false;
    const struct name_entry *e = names_find(&p->names, (struct span){name, strlen(name)});
    return e && e->id == id;
}

static anf_status collect_names(struct printer *p)
{
    for (node_id id = 1; id < p->g->n_nodes; id++) {
        const char *name = graph_node(p->g, id)->name;
        struct span s = {name, name ? strlen(name) : 0};
        if (name && !span_is(s, "return") && !names_find(&p->names, s))
            TRY(names_add(&p->names, s, id, 0));
    }
    return ANF_OK;
}

static void put_value(const struct printer *p, node_id id)
{
    if (keeps_name(p, id))
        buf_str(p->out, graph_node(p->g, id)->name);
    else
        buf_printf(p->out, "%%%" PRIu32, id);
}

/* ---- constants ------------------------------------------------------------------------------- */

static void put_hex(const struct printer *p, const f16 *x, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    bool one_line = n <= HEX_PER_LINE;
    if (p->brief) {
        buf_printf(p->out, "hex(... %zu elements)", n);
        return;
    }
    buf_str(p->out, one_line ? "hex(" : "hex(\n");
    for (size_t i = 0; i < n;) {
        char line[HEX_PER_LINE * 4 + 1];
        size_t len = 0;
        for (; i < n && len < HEX_PER_LINE * 4; i++)
            for (int shift = 12; shift >= 0; shift -= 4)
                line[len++] = digit[x[i] >> shift & 15];
        if (!one_line)
            line[len++] = '\n';
        buf_str(p->out, one_line ? "" : "    ");
        buf_put(p->out, line, len);
    }
    buf_str(p->out, ")");
}

static void put_const(const struct printer *p, const struct node *n)
{
    size_t count = node_count(n);
    buf_str(p->out, "const ");
    put_type(p->out, &n->type);
    buf_str(p->out, " ");
    if (count <= TEXT_INLINE_MAX) {
        for (size_t i = 0; i < count; i++) {
            buf_str(p->out, i ? ", " : "{");
            text_put_f16(p->out, n->data[i]);
        }
        buf_str(p->out, "}");
    } else if (n->const_kind == CONST_FILL) {
        buf_str(p->out, "fill(");
        text_put_f16(p->out, n->data[0]);
        buf_str(p->out, ")");
    } else if (n->const_kind == CONST_RANDOM) {
        buf_printf(p->out, "random(seed=%" PRIu64 ", std=", n->seed);
        text_put_double(p->out, n->std);
        buf_str(p->out, ")");
    } else {
        put_hex(p, n->data, count);
    }
}

/* ---- statements ------------------------------------------------------------------------------ */

static void put_call(const struct printer *p, const struct node *n)
{
    const struct op *op = node_op(n);
    int n_named = op_n_operands(op);
    bool first = true;
    buf_printf(p->out, "%s(", op->name);
    if (n_named > 0 && op_operand_variadic(op, n_named - 1)) {
        for (int i = 0; i < n->n_in; i++) {
            buf_str(p->out, i ? ", " : "[");
            put_value(p, n->in[i]);
        }
        buf_str(p->out, "]");
        first = false;
    } else {
        /* The required operands stand first; the others may then come in any order, by name. */
        for (int optional = 0; optional < 2; optional++)
            for (int i = 0; i < n->n_in; i++) {
                if (n->in[i] == 0 || op_operand_optional(op, i) != (optional == 1))
                    continue;
                buf_str(p->out, first ? "" : ", ");
                if (optional)
                    buf_printf(p->out, "%s=", op_operand_name(op, i));
                put_value(p, n->in[i]);
                first = false;
            }
    }
    put_attrs(op, n->attrs, first, p->out);
    buf_str(p->out, ")");
    buf_pad(p->out, TYPE_COLUMN);
    buf_str(p->out, ": ");
    put_type(p->out, &n->type);
}

static void put_outputs(const struct printer *p)
{
    const struct graph *g = p->g;
    for (size_t i = 0; i < g->n_outputs; i++) {
        char made[32];
        snprintf(made, sizeof made, "y%zu", i);
        buf_str(p->out, i ? ", " : "return ");
        put_value(p, g->outputs[i].node);
        if (strcmp(g->outputs[i].name, made) != 0)
            buf_printf(p->out, " as \"%s\"", g->outputs[i].name);
    }
    if (g->n_outputs)
        buf_str(p->out, "\n");
}

anf_status graph_print(const struct graph *g, bool brief, struct buf *out)
{
    struct printer p = {.g = g, .out = out, .brief = brief};
    names_init(&p.names, g->allocator);
    anf_status st = collect_names(&p);
    if (st == ANF_OK) {
        buf_printf(out, "%s %d\n", GRAPH_TEXT_HEADER, GRAPH_TEXT_VERSION);
        for (node_id id = 1; id < g->n_nodes; id++) {
            const struct node *n = graph_node(g, id);
            put_value(&p, id);
            buf_str(out, " = ");
            if (n->op == OP_input) {
                buf_str(out, "input ");
                put_type(out, &n->type);
                if (!keeps_name(&p, id))
                    buf_printf(out, " as \"%s\"", n->name);
            } else if (n->op == OP_const) {
                put_const(&p, n);
            } else {
                put_call(&p, n);
            }
            buf_str(out, "\n");
        }
        put_outputs(&p);
        if (out->failed)
            st = ANF_E_NOMEM;
    }
    names_free(&p.names);
    return st;
}
