/* From text to a graph (docs/graph-text.md).
 *
 * One pass over the bytes, no recursion, one token of lookahead.  The text is hostile: a storage
 * size is believed only after the bytes that fill it are known to be there (hex, braces) or after
 * the limit MAX_CONST_ELEMENTS (fill, random, file).  Statements go through graph_add, so what
 * parses is well-typed.  A failure returns from the innermost place with a message that says what
 * was found and what is needed; graph_parse alone puts the line in front.  What is wrong with the
 * text itself is ANF_E_FORMAT; the status of an operator's check or of the loader of files is
 * passed on. */
#include "ir/text.h"

#include "ops/op.h"
#include "ops/op_attrs.h"

#include <inttypes.h>
#include <string.h>

#define MAX_CONST_ELEMENTS ((size_t)1 << 28)

struct parser {
    struct cursor c;
    struct graph *g;
    const anf_parse_opts *opts;
    struct name_table names;
    struct arena scratch;
    void *attrs; /* room for the attributes of any operator */
    node_id *list; /* operands of a variadic operator */
    size_t n_list, cap_list;
    size_t line; /* of the statement's first word */
    bool returned;
};

/* ---- attributes ------------------------------------------------------------------------------ */

static const char *attr_name(const void *op, int i)
{
    return ((const struct op *)op)->attrs[i].name;
}

/* Names that may stand before '=' in a call: the attributes, then the optional operands. */
static const char *keyword_name(const void *user, int i)
{
    const struct op *op = user;
    if (i < op->n_attrs)
        return attr_name(op, i);
    i -= op->n_attrs;
    return op_operand_optional(op, i) ? op_operand_name(op, i) : NULL;
}

static int find_attr(const struct op *op, struct span name)
{
    for (int i = 0; i < op->n_attrs; i++)
        if (span_is(name, op->attrs[i].name))
            return i;
    return -1;
}

static anf_status unknown_keyword(const struct op *op, struct span name, bool operands)
{
    int n = op->n_attrs + (operands ? op_n_operands(op) : 0);
    const char *near = text_nearest(name, n, keyword_name, op);
    const char *kind = operands ? "attribute or optional operand" : "attribute";
    int len = name.n > 40 ? 40 : (int)name.n;
    if (near)
        FAIL(FORMAT, "%s has no %s '%.*s'; did you mean '%s'?", op->name, kind, len, name.at, near);
    FAIL(FORMAT, "%s has no %s '%.*s'", op->name, kind, len, name.at);
}

static anf_status parse_dims(struct cursor *c, const char *what, anf_dims *out)
{
    *out = (anf_dims){0};
    TRY(text_expect(c, '['));
    while (!text_take(c, ']')) {
        if (out->rank > 0)
            TRY(text_comma(c, ']'));
        if (out->rank == ANF_MAX_RANK)
            FAIL(FORMAT, "%s has more than %d entries", what, ANF_MAX_RANK);
        TRY(text_int(c, "a whole number", &out->dim[out->rank]));
        out->rank++;
    }
    return ANF_OK;
}

static anf_status parse_attr(struct cursor *c, const struct op *op, int i, void *attrs,
                             uint64_t *seen)
{
    const struct attr_desc *d = &op->attrs[i];
    char *field = (char *)attrs + d->offset;
    if (*seen >> i & 1)
        FAIL(FORMAT, "%s: '%s' is given twice", op->name, d->name);
    *seen |= (uint64_t)1 << i;
    if (d->type == ANF_ATTR_INT) {
        int64_t v;
        TRY(text_int(c, "a whole number", &v));
        memcpy(field, &v, sizeof v);
    } else if (d->type == ANF_ATTR_FLOAT) {
        double v;
        TRY(text_double(c, "a number", &v));
        memcpy(field, &v, sizeof v);
    } else {
        anf_dims v;
        TRY(parse_dims(c, d->name, &v));
        memcpy(field, &v, sizeof v);
    }
    return ANF_OK;
}

static anf_status check_required(const struct op *op, uint64_t seen)
{
    for (int i = 0; i < op->n_attrs; i++)
        if (!(seen >> i & 1) && (op->attrs[i].required || op->attrs[i].type == ANF_ATTR_INTS))
            FAIL(FORMAT, "%s: attribute '%s' is missing", op->name, op->attrs[i].name);
    return ANF_OK;
}

anf_status attrs_parse(const struct op *op, const char *text, size_t n, void *attrs)
{
    struct cursor c;
    uint64_t seen = 0;
    text_start(&c, text, n);
    c.depth = 1;
    op_attrs_default(op, attrs);
    while (text_peek(&c), c.at < c.end) {
        struct span name;
        if (seen)
            TRY(text_expect(&c, ','));
        TRY(text_word(&c, "the name of an attribute", &name));
        int i = find_attr(op, name);
        if (i < 0)
            return unknown_keyword(op, name, false);
        TRY(text_expect(&c, '='));
        TRY(parse_attr(&c, op, i, attrs, &seen));
    }
    return check_required(op, seen);
}

/* ---- types and names ------------------------------------------------------------------------- */

static anf_status parse_type(struct parser *p, struct value_type *out)
{
    static const anf_dtype possible[] = {ANF_F16, ANF_U8, ANF_BOOL};
    struct span word;
    size_t i = 0, count;
    TRY(text_word(&p->c, "a type like f16[2,3]", &word));
    while (i < 3 && !span_is(word, graph_text_dtype(possible[i])))
        i++;
    if (i == 3)
        FAIL(FORMAT, "unknown element type '%.*s', f16, u8 and bool exist",
             word.n > 40 ? 40 : (int)word.n, word.at);
    out->dtype = possible[i];
    TRY(parse_dims(&p->c, "a shape", &out->shape));
    if (!dims_count(&out->shape, &count))
        FAIL(FORMAT, "shape %s needs dims of at least 1 and at most 2^40 elements",
             dims_text(&out->shape));
    return ANF_OK;
}

static anf_status define(struct parser *p, struct span name, node_id id)
{
    if (id == 0) {
        p->c.line = p->line; /* the statement is at fault, not the line it ends on */
        return status_last();
    }
    if (name.at[0] != '%' && !graph_node(p->g, id)->name) {
        const char *copy = arena_strndup(&p->g->arena, name.at, name.n);
        if (!copy)
            return ANF_E_NOMEM;
        p->g->nodes[id].name = copy;
    }
    return names_add(&p->names, name, id, p->line);
}

static anf_status parse_value(struct parser *p, node_id *out)
{
    struct span name;
    TRY(text_value_name(&p->c, &name));
    const struct name_entry *e = names_find(&p->names, name);
    if (!e)
        FAIL(FORMAT, "'%.*s' is not defined above", name.n > 40 ? 40 : (int)name.n, name.at);
    *out = e->id;
    return ANF_OK;
}

static bool take_word(struct cursor *c, const char *word)
{
    struct cursor ahead = *c;
    struct span s;
    if (!text_at_word(&ahead) || text_word(&ahead, word, &s) != ANF_OK || !span_is(s, word))
        return false;
    *c = ahead;
    return true;
}

/* ---- inputs and constants -------------------------------------------------------------------- */

static anf_status parse_input(struct parser *p, struct span name)
{
    struct value_type type;
    const char *port = NULL;
    TRY(parse_type(p, &type));
    if (type.dtype == ANF_BOOL)
        FAIL(FORMAT, "input: found type bool where f16 or u8 is needed");
    if (take_word(&p->c, "as"))
        TRY(text_string(&p->c, &p->scratch, &port));
    else if (name.at[0] != '%' && !(port = arena_strndup(&p->scratch, name.at, name.n)))
        return ANF_E_NOMEM;
    return define(p, name, graph_add_input(p->g, port, &type));
}

/* Room for the elements, of which the text needs at least `least` bytes each. */
static anf_status const_room(struct parser *p, size_t count, size_t least, f16 **out)
{
    if ((size_t)(p->c.end - p->c.at) / least < count)
        FAIL(FORMAT, "const: the rest of the text is too short for the %zu elements its type needs",
             count);
    *out = arena_alloc_array(&p->g->arena, count, sizeof **out);
    return *out ? ANF_OK : ANF_E_NOMEM;
}

static anf_status parse_braces(struct parser *p, size_t count, f16 **out)
{
    TRY(const_room(p, count, 2, out));
    for (size_t i = 0; i < count; i++) {
        if (text_peek(&p->c) == '}')
            FAIL(FORMAT, "const: found %zu elements where its type needs %zu", i, count);
        if (i > 0)
            TRY(text_expect(&p->c, ','));
        TRY(text_f16(&p->c, &(*out)[i]));
    }
    if (text_peek(&p->c) == ',')
        FAIL(FORMAT, "const: found more than the %zu elements its type needs", count);
    return text_expect(&p->c, '}');
}

static anf_status parse_hex(struct parser *p, size_t count, f16 **out)
{
    size_t n = 0;
    TRY(text_expect(&p->c, '('));
    TRY(const_room(p, count, 4, out));
    for (int ch; (ch = text_peek(&p->c)) != ')'; p->c.at++, n++) {
        int v = ch >= '0' && ch <= '9' ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 :
                ch >= 'A' && ch <= 'F' ? ch - 'A' + 10 : -1;
        if (v < 0)
            FAIL(FORMAT, "found %s where a hexadecimal digit or ')' is needed", text_found(&p->c));
        if (n == count * 4)
            FAIL(FORMAT, "hex: found more than the %zu digits that %zu elements need", n, count);
        (*out)[n / 4] = (f16)((*out)[n / 4] << 4 | v);
    }
    if (n != count * 4)
        FAIL(FORMAT, "hex: found %zu digits where %zu elements need %zu", n, count, count * 4);
    return text_expect(&p->c, ')');
}

static anf_status parse_random(struct parser *p, const anf_dims *shape, node_id *out)
{
    uint64_t seed = 0;
    double std = 0;
    bool has_seed = false, has_std = false;
    TRY(text_expect(&p->c, '('));
    while (!text_take(&p->c, ')')) {
        struct span word;
        if (has_seed || has_std)
            TRY(text_comma(&p->c, ')'));
        TRY(text_word(&p->c, "seed or std", &word));
        bool is_seed = span_is(word, "seed");
        if (!is_seed && !span_is(word, "std"))
            FAIL(FORMAT, "random: found '%.*s' where seed or std is needed",
                 word.n > 40 ? 40 : (int)word.n, word.at);
        if (is_seed ? has_seed : has_std)
            FAIL(FORMAT, "random: '%s' is given twice", is_seed ? "seed" : "std");
        TRY(text_expect(&p->c, '='));
        if (is_seed)
            TRY(text_uint(&p->c, "a whole number of 64 bits", &seed));
        else
            TRY(text_double(&p->c, "a number", &std));
        has_seed |= is_seed;
        has_std |= !is_seed;
    }
    if (!has_seed || !has_std)
        FAIL(FORMAT, "random: '%s' is missing", has_seed ? "std" : "seed");
    *out = graph_add_random(p->g, shape, seed, std);
    return ANF_OK;
}

/* The bytes of a file may lie at any address. */
static f16 element_at(const anf_array *a, size_t i)
{
    f16 h;
    float f;
    double d;
    if (a->dtype == ANF_F16) {
        memcpy(&h, (const char *)a->data + i * sizeof h, sizeof h);
        return h;
    }
    if (a->dtype == ANF_F32) {
        memcpy(&f, (const char *)a->data + i * sizeof f, sizeof f);
        return f32_to_f16(f);
    }
    memcpy(&d, (const char *)a->data + i * sizeof d, sizeof d);
    return f64_to_f16(d);
}

static anf_status parse_file(struct parser *p, const anf_dims *shape, size_t count, f16 **out)
{
    const char *file, *name;
    anf_array a = {0};
    TRY(text_expect(&p->c, '('));
    TRY(text_string(&p->c, &p->scratch, &file));
    TRY(text_expect(&p->c, ','));
    TRY(text_string(&p->c, &p->scratch, &name));
    TRY(text_expect(&p->c, ')'));
    if (!p->opts || !p->opts->load)
        FAIL(FORMAT, "file \"%.200s\" is needed, but the caller gave no way to load files", file);
    status_forget();
    anf_status st = p->opts->load(p->opts->load_user, file, name, &a);
    /* A loader may leave it unsaid. */
    if (st != ANF_OK && (status_last() == ANF_OK || !*status_message()))
        return status_fail(st, "file \"%.200s\": array '%.200s' could not be loaded", file, name);
    TRY(st);
    if (!dims_equal(&a.shape, shape))
        FAIL(FORMAT, "file \"%.200s\": array '%.200s' has shape %s, the text says %s", file, name,
             dims_text(&a.shape), dims_text(shape));
    if (a.dtype != ANF_F16 && a.dtype != ANF_F32 && a.dtype != ANF_F64)
        FAIL(FORMAT, "file \"%.200s\": array '%.200s' is %s, needs float16, float32 or float64",
             file, name, anf_dtype_name(a.dtype));
    *out = arena_alloc_array(&p->g->arena, count, sizeof **out);
    if (!*out)
        return ANF_E_NOMEM;
    for (size_t i = 0; i < count; i++)
        (*out)[i] = element_at(&a, i);
    return ANF_OK;
}

static anf_status parse_const(struct parser *p, struct span name)
{
    struct value_type type;
    struct span form;
    size_t count;
    f16 *data = NULL;
    node_id id = 0;
    TRY(parse_type(p, &type));
    if (type.dtype == ANF_U8)
        FAIL(FORMAT, "const: found type u8 where f16 or bool is needed");
    if (!dims_count(&type.shape, &count) || count > MAX_CONST_ELEMENTS)
        FAIL(FORMAT, "const: shape %s has more than 2^28 elements", dims_text(&type.shape));
    if (text_take(&p->c, '{')) {
        TRY(parse_braces(p, count, &data));
    } else {
        TRY(text_word(&p->c, "'{', fill, random, hex or file", &form));
        if (span_is(form, "fill")) {
            f16 value;
            TRY(text_expect(&p->c, '('));
            TRY(text_f16(&p->c, &value));
            TRY(text_expect(&p->c, ')'));
            id = graph_add_fill(p->g, &type.shape, value);
        } else if (span_is(form, "random")) {
            TRY(parse_random(p, &type.shape, &id));
        } else if (span_is(form, "hex")) {
            TRY(parse_hex(p, count, &data));
        } else if (span_is(form, "file")) {
            TRY(parse_file(p, &type.shape, count, &data));
        } else {
            FAIL(FORMAT, "unknown form of constant '%.*s', {...}, fill, random, hex and file exist",
                 form.n > 40 ? 40 : (int)form.n, form.at);
        }
    }
    if (data) {
        for (size_t i = 0; i < count; i++)
            data[i] = (data[i] & 0x7fff) > F16_INF ? F16_NAN : data[i]; /* the one NaN: fp16.h */
        id = graph_add_const(p->g, &type.shape, data);
    }
    TRY(define(p, name, id));
    if (type.dtype == ANF_BOOL) {
        const f16 *x = graph_node(p->g, id)->data;
        for (size_t i = 0; i < count; i++)
            if (x[i] != 0 && x[i] != 0x3c00)
                FAIL(FORMAT, "const: element %zu of a bool is neither 0 nor 1", i);
        p->g->nodes[id].type.dtype = ANF_BOOL;
    }
    return ANF_OK;
}

/* ---- operators ------------------------------------------------------------------------------- */

static const char *op_name(const void *user, int i)
{
    (void)user;
    return op_table[i]->traits & OP_LEAF ? NULL : op_table[i]->name;
}

static const struct op *find_op(struct span name)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (span_is(name, op_table[i]->name))
            return op_table[i];
    return NULL;
}

static anf_status unknown_op(struct span name)
{
    const char *near = text_nearest(name, OP_COUNT, op_name, NULL);
    int len = name.n > 40 ? 40 : (int)name.n;
    if (near)
        FAIL(FORMAT, "unknown operator '%.*s'; did you mean '%s'?", len, name.at, near);
    FAIL(FORMAT, "unknown operator '%.*s'", len, name.at);
}

/* [a, b, c] */
static anf_status parse_list(struct parser *p, const struct op *op)
{
    TRY(text_expect(&p->c, '['));
    for (p->n_list = 0; !text_take(&p->c, ']'); p->n_list++) {
        void *list = p->list;
        if (p->n_list > 0)
            TRY(text_comma(&p->c, ']'));
        if (p->n_list == MAX_LIST)
            FAIL(FORMAT, "%s: more than %d operands", op->name, MAX_LIST);
        TRY(mem_grow(p->g->allocator, &list, &p->cap_list, p->n_list + 1, sizeof *p->list));
        p->list = list;
        TRY(parse_value(p, &p->list[p->n_list]));
    }
    if (p->n_list == 0)
        FAIL(FORMAT, "%s: the list of operands is empty", op->name);
    return ANF_OK;
}

/* name=... : an optional operand or an attribute. */
static anf_status parse_keyword(struct parser *p, const struct op *op, struct span name,
                                node_id *in, uint64_t *seen)
{
    int i = find_attr(op, name), n_operands = op_n_operands(op), k = 0;
    TRY(text_expect(&p->c, '='));
    if (i >= 0)
        return parse_attr(&p->c, op, i, p->attrs, seen);
    while (k < n_operands &&
           !(op_operand_optional(op, k) && span_is(name, op_operand_name(op, k))))
        k++;
    if (k == n_operands)
        return unknown_keyword(op, name, true);
    if (in[k])
        FAIL(FORMAT, "%s: '%s' is given twice", op->name, op_operand_name(op, k));
    return parse_value(p, &in[k]);
}

/* Where the next operand without a name goes: the first required one that is still absent. */
static int next_operand(const struct op *op, const node_id *in)
{
    int n = op_n_operands(op), i = 0;
    while (i < n && (in[i] || op_operand_optional(op, i)))
        i++;
    return i;
}

static anf_status parse_call(struct parser *p, struct span name, const struct op *op)
{
    node_id in[OP_NAMES_MAX] = {0};
    int n_operands = op_n_operands(op);
    bool variadic = n_operands > 0 && op_operand_variadic(op, n_operands - 1);
    bool first = true, named = false;
    uint64_t seen = 0;
    p->n_list = 0;
    if (op->attrs_size) {
        memset(p->attrs, 0, op->attrs_size);
        op_attrs_default(op, p->attrs);
    }
    TRY(text_expect(&p->c, '('));
    while (!text_take(&p->c, ')')) {
        if (!first)
            TRY(text_comma(&p->c, ')'));
        if (first && variadic) {
            TRY(parse_list(p, op));
            first = false;
            continue;
        }
        first = false;
        struct cursor before = p->c;
        struct span word;
        TRY(text_value_name(&p->c, &word));
        if (text_peek(&p->c) == '=') {
            named = true;
            TRY(parse_keyword(p, op, word, in, &seen));
            continue;
        }
        p->c = before;
        int i = variadic ? n_operands : next_operand(op, in);
        if (named)
            FAIL(FORMAT, "%s: found %s without a name after a named argument", op->name,
                 text_found(&p->c));
        if (i == n_operands)
            FAIL(FORMAT, "%s: found %s, but every operand that needs no name is already given",
                 op->name, text_found(&p->c));
        TRY(parse_value(p, &in[i]));
    }
    int missing = variadic ? (p->n_list ? n_operands : 0) : next_operand(op, in);
    if (missing < n_operands)
        FAIL(FORMAT, "%s: operand '%s' is missing", op->name, op_operand_name(op, missing));
    TRY(check_required(op, seen));
    return define(p, name, graph_add(p->g, op_id_of(op), variadic ? p->list : in,
                                     variadic ? (int)p->n_list : n_operands,
                                     op->attrs_size ? p->attrs : NULL));
}

static anf_status check_type(struct parser *p, node_id id)
{
    struct value_type said;
    const struct value_type *is = &graph_node(p->g, id)->type;
    TRY(parse_type(p, &said));
    if (said.dtype != is->dtype || !dims_equal(&said.shape, &is->shape))
        FAIL(FORMAT, "the text says %s%s, the operator gives %s%s", graph_text_dtype(said.dtype),
             dims_text(&said.shape), graph_text_dtype(is->dtype), dims_text(&is->shape));
    return ANF_OK;
}

/* ---- statements ------------------------------------------------------------------------------ */

static anf_status parse_definition(struct parser *p)
{
    struct span name, what;
    TRY(text_value_name(&p->c, &name));
    const struct name_entry *old = names_find(&p->names, name);
    if (old)
        FAIL(FORMAT, "'%.*s' is already defined on line %zu", name.n > 40 ? 40 : (int)name.n,
             name.at, old->line);
    p->line = p->c.line;
    TRY(text_expect(&p->c, '='));
    TRY(text_word(&p->c, "input, const or the name of an operator", &what));
    if (span_is(what, "input"))
        return parse_input(p, name);
    if (span_is(what, "const"))
        return parse_const(p, name);
    const struct op *op = find_op(what);
    if (!op)
        return unknown_op(what);
    TRY(parse_call(p, name, op));
    if (text_take(&p->c, ':'))
        TRY(check_type(p, (node_id)(p->g->n_nodes - 1)));
    return ANF_OK;
}

static anf_status parse_return(struct parser *p)
{
    do {
        node_id id;
        const char *name = NULL;
        TRY(parse_value(p, &id));
        if (take_word(&p->c, "as"))
            TRY(text_string(&p->c, &p->scratch, &name));
        TRY(graph_add_output(p->g, id, name));
    } while (text_take(&p->c, ','));
    p->returned = true;
    return ANF_OK;
}

static anf_status parse_header(struct parser *p)
{
    uint64_t version;
    while (text_peek(&p->c) == '\n') {
        p->c.at++;
        p->c.line++;
    }
    const char *start = p->c.at;
    size_t n = strlen(GRAPH_TEXT_HEADER);
    if ((size_t)(p->c.end - start) < n || memcmp(start, GRAPH_TEXT_HEADER, n) != 0)
        FAIL(FORMAT, "found %s where '%s %d' is needed", text_found(&p->c), GRAPH_TEXT_HEADER,
             GRAPH_TEXT_VERSION);
    p->c.at += n;
    TRY(text_uint(&p->c, "the version of the text", &version));
    if (version != GRAPH_TEXT_VERSION)
        FAIL(FORMAT, "the text has version %" PRIu64 ", this library reads version %d", version,
             GRAPH_TEXT_VERSION);
    return ANF_OK;
}

static anf_status end_of_line(struct parser *p)
{
    int ch = text_peek(&p->c);
    if (p->c.at == p->c.end)
        return ANF_OK;
    if (ch != '\n')
        FAIL(FORMAT, "found %s where the end of the line is needed", text_found(&p->c));
    p->c.at++;
    p->c.line++;
    return ANF_OK;
}

static anf_status parse_text(struct parser *p)
{
    const char *nul = p->c.at < p->c.end ? memchr(p->c.at, 0, (size_t)(p->c.end - p->c.at)) : NULL;
    if (nul) {
        for (; p->c.at < nul; p->c.at++)
            p->c.line += *p->c.at == '\n';
        FAIL(FORMAT, "found byte 0x00, a text has none");
    }
    TRY(parse_header(p));
    TRY(end_of_line(p));
    for (;;) {
        if (text_peek(&p->c) == '\n') {
            TRY(end_of_line(p));
            continue;
        }
        if (p->c.at == p->c.end)
            return ANF_OK;
        if (p->returned)
            FAIL(FORMAT, "found %s after return, which is the last statement", text_found(&p->c));
        if (take_word(&p->c, "return"))
            TRY(parse_return(p));
        else
            TRY(parse_definition(p));
        TRY(end_of_line(p));
    }
}

anf_status graph_parse(struct graph *g, const char *text, size_t n, const anf_parse_opts *opts)
{
    struct parser p = {.g = g, .opts = opts};
    size_t most = 1;
    text_start(&p.c, text, n);
    names_init(&p.names, g->allocator);
    arena_init(&p.scratch, g->allocator);
    for (int i = 0; i < OP_COUNT; i++)
        most = op_table[i]->attrs_size > most ? op_table[i]->attrs_size : most;
    p.attrs = arena_alloc(&p.scratch, most);
    anf_status st = p.attrs ? parse_text(&p) : ANF_E_NOMEM;
    if (st != ANF_OK && st != ANF_E_NOMEM)
        st = status_prefix(st, "line %zu", p.c.line);
    mem_free(g->allocator, p.list, p.cap_list * sizeof *p.list);
    names_free(&p.names);
    arena_free(&p.scratch);
    return st;
}
