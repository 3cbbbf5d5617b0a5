/* Writes everything that follows from the operator table: include/aneforge_ops.h (one typed builder
 * per operator) and docs/ops.md.
 *
 *     gen_ops [--check] --header PATH --docs PATH
 *
 * It knows no operator: it walks the table with the public introspection calls, in roster order, so
 * the same table always gives the same bytes.  A file is written under a temporary name and
 * renamed. With --check nothing is written; a file that differs is named and the exit status is 1.
 *
 * How a builder looks follows from the descriptors alone:
 *   - required operands are arguments, in table order, then the positional attributes;
 *   - optional operands and all other attributes are members of a struct anf_<op>_opts, in which
 *     zero means absent or default; with none of these the builder is a plain function;
 *   - the macro appends ".unused_ = 0" to what the caller wrote: the variable part of a macro is
 *     then never empty (C11 needs one argument there), the initialiser always has a designator (so
 *     no compiler asks for the other members), and a tensor without a name cannot become an option:
 *     it would initialise unused_, an int. */
#include "aneforge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 100, MAX_PARTS = 32 };

struct op_view {
    int id;
    anf_op_info info;
    anf_operand_info operand[MAX_PARTS];
    anf_attr_info attr[MAX_PARTS];
};

static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("gen_ops: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static void check_doc(const char *op, const char *doc)
{
    if (!doc || !*doc || strstr(doc, "*/") || strchr(doc, '\n'))
        die("%s: a doc string must be one line without the end of a C comment", op);
}

static struct op_view view(int i)
{
    struct op_view v = {.id = i};
    if (!anf_op_get(i, &v.info))
        die("operator %d has no description", i);
    if (v.info.n_operands > MAX_PARTS || v.info.n_attrs > MAX_PARTS)
        die("%s has more than %d operands or attributes", v.info.name, MAX_PARTS);
    check_doc(v.info.name, v.info.doc);
    check_doc(v.info.name, v.info.category);
    for (int k = 0; k < v.info.n_operands; k++)
        if (!anf_op_operand(i, k, &v.operand[k]))
            die("%s: operand %d has no description", v.info.name, k);
    for (int k = 0; k < v.info.n_attrs; k++) {
        if (!anf_op_attr(i, k, &v.attr[k]))
            die("%s: attribute %d has no description", v.info.name, k);
        check_doc(v.info.name, v.attr[k].doc);
    }
    return v;
}

/* input and const take no operands and have builders of their own in aneforge.h. */
static bool is_leaf(const struct op_view *v)
{
    return v->info.n_operands == 0;
}

static bool is_variadic(const struct op_view *v)
{
    return v->info.n_operands > 0 && v->operand[v->info.n_operands - 1].variadic;
}

static bool has_options(const struct op_view *v)
{
    for (int k = 0; k < v->info.n_operands; k++)
        if (v->operand[k].optional)
            return true;
    for (int k = 0; k < v->info.n_attrs; k++)
        if (!v->attr[k].positional)
            return true;
    return false;
}

static const char *c_type(const anf_attr_info *a)
{
    return a->type == ANF_ATTR_INT ? "int64_t" : a->type == ANF_ATTR_FLOAT ? "double" : "anf_dims";
}

static const char *prose_type(const anf_attr_info *a)
{
    return a->type == ANF_ATTR_INT ? "integer" : a->type == ANF_ATTR_FLOAT ? "number" : "integers";
}

/* The fewest digits that read back the same. */
static void put_number(FILE *f, double x)
{
    char s[64];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, x);
        if (strtod(s, NULL) == x)
            break;
    }
    fputs(s, f);
}

/* ---- the header ------------------------------------------------------------------------------ */

/* Words, or arguments with their types, wrapped; `column` is where the line stands, later lines
 * begin with `prefix`. */
static void wrap(FILE *f, const char *text, size_t column, const char *prefix, bool arguments)
{
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " ");
        while (arguments && text[n] && text[n - 1] != ',')
            n += 1 + strcspn(text + n + 1, " ");
        if (!first && column + 1 + n > LINE) {
            fprintf(f, "\n%s", prefix);
            column = strlen(prefix);
        } else if (!first) {
            fputc(' ', f);
            column++;
        }
        fwrite(text, 1, n, f);
        column += n;
        first = false;
        text += n + strspn(text + n, " ");
    }
}

static void put_comment(FILE *f, const struct op_view *v)
{
    fprintf(f, "/* %s: ", v->info.name);
    wrap(f, v->info.doc, strlen(v->info.name) + 5, " * ", false);
    for (int k = 0; k < v->info.n_operands; k++)
        if (v->operand[k].optional)
            fprintf(f, "\n *   %-12s optional operand", v->operand[k].name);
    for (int k = 0; k < v->info.n_attrs; k++) {
        const anf_attr_info *a = &v->attr[k];
        char s[512];
        FILE *m = fmemopen(s, sizeof s, "w");
        if (!m)
            die("out of memory");
        fprintf(m, "%s", a->doc);
        if (!a->required) {
            fputs(" (default ", m);
            put_number(m, a->default_number);
            fputc(')', m);
        }
        if (fclose(m) != 0)
            die("%s: the description of %s is too long", v->info.name, a->name);
        fprintf(f, "\n *   %-12s ", a->name);
        wrap(f, s, 18, " *                ", false);
    }
    fputs(" */\n", f);
}

/* "anf_tensor x, anf_tensor weight, int64_t k" with types, or the bare names. */
static void put_arguments(FILE *f, const struct op_view *v, bool types)
{
    const char *comma = "";
    for (int k = 0; k < v->info.n_operands; k++) {
        if (v->operand[k].optional)
            continue;
        const char *name = v->operand[k].name;
        if (v->operand[k].variadic)
            fprintf(f, types ? "%sconst anf_tensor *%s, int n" : "%s%s, n", comma, name);
        else
            fprintf(f, "%s%s%s", comma, types ? "anf_tensor " : "", name);
        comma = ", ";
    }
    for (int k = 0; k < v->info.n_attrs; k++) {
        if (!v->attr[k].positional)
            continue;
        fprintf(f, "%s%s%s%s", comma, types ? c_type(&v->attr[k]) : "", types ? " " : "",
                v->attr[k].name);
        comma = ", ";
    }
}

static int n_arguments(const struct op_view *v)
{
    int n = is_variadic(v) ? 1 : 0;
    for (int k = 0; k < v->info.n_operands; k++)
        n += !v->operand[k].optional;
    for (int k = 0; k < v->info.n_attrs; k++)
        n += v->attr[k].positional;
    return n;
}

static void put_options(FILE *f, const struct op_view *v)
{
    fprintf(f, "typedef struct anf_%s_opts {\n    int unused_;\n", v->info.name);
    for (int k = 0; k < v->info.n_operands; k++)
        if (v->operand[k].optional)
            fprintf(f, "    anf_tensor %s;\n", v->operand[k].name);
    for (int k = 0; k < v->info.n_attrs; k++)
        if (!v->attr[k].positional)
            fprintf(f, "    %s %s;\n", c_type(&v->attr[k]), v->attr[k].name);
    fprintf(f, "} anf_%s_opts;\n", v->info.name);
}

static void put_body(FILE *f, const struct op_view *v)
{
    const char *list = "in_";
    char count[16];
    snprintf(count, sizeof count, "%d", v->info.n_operands);
    fputs("{\n", f);
    if (is_variadic(v)) {
        list = v->operand[0].name;
        snprintf(count, sizeof count, "n");
    } else {
        fprintf(f, "    const anf_tensor in_[] = {");
        for (int k = 0; k < v->info.n_operands; k++)
            fprintf(f, "%s%s%s", k ? ", " : "", v->operand[k].optional ? "o." : "",
                    v->operand[k].name);
        fputs("};\n", f);
    }
    if (v->info.n_attrs)
        fprintf(f, "    anf_attr at_[%d];\n    int n_ = 0;\n", v->info.n_attrs);
    for (int k = 0; k < v->info.n_attrs; k++) {
        const anf_attr_info *a = &v->attr[k];
        const char *make = a->type == ANF_ATTR_INT ? "int"
                           : a->type == ANF_ATTR_FLOAT ? "float" : "ints";
        if (a->positional)
            fprintf(f, "    at_[n_++] = anf_attr_%s_(\"%s\", %s);\n", make, a->name, a->name);
        else
            fprintf(f, "    if (%so.%s%s)\n        at_[n_++] = anf_attr_%s_(\"%s\", o.%s);\n",
                    a->type == ANF_ATTR_FLOAT ? "!(" : "", a->name,
                    a->type == ANF_ATTR_FLOAT ? " == 0)" : a->type == ANF_ATTR_INTS ? ".rank" : "",
                    make, a->name, a->name);
    }
    fprintf(f, "    return anf_op(anf_graph_of_(%s, %s), \"%s\", %s, %s, %s);\n}\n", list, count,
            v->info.name, list, count, v->info.n_attrs ? "at_, n_" : "NULL, 0");
}

/* "static inline anf_tensor anf_<op><suffix>(arguments<last>)", wrapped. */
static void put_signature(FILE *f, const struct op_view *v, const char *suffix, const char *last)
{
    char line[1024], prefix[128];
    FILE *m = fmemopen(line, sizeof line, "w");
    if (!m)
        die("out of memory");
    put_arguments(m, v, true);
    fprintf(m, "%s)", last);
    if (fclose(m) != 0)
        die("%s: the argument list is too long", v->info.name);
    int column = fprintf(f, "static inline anf_tensor anf_%s%s(", v->info.name, suffix);
    snprintf(prefix, sizeof prefix, "%*s", column, "");
    wrap(f, line, (size_t)column, prefix, true);
    fputc('\n', f);
}

static void put_builder(FILE *f, const struct op_view *v)
{
    const char *name = v->info.name;
    fputc('\n', f);
    put_comment(f, v);
    if (!has_options(v)) {
        put_signature(f, v, "", "");
        put_body(f, v);
        return;
    }
    char last[256];
    put_options(f, v);
    snprintf(last, sizeof last, ", anf_%s_opts o", name);
    put_signature(f, v, "_opt", last);
    put_body(f, v);
    fputs("#ifdef __cplusplus\n", f);
    snprintf(last, sizeof last, ", anf_%s_opts o = {}", name);
    put_signature(f, v, "", last);
    fprintf(f, "{\n    return anf_%s_opt(", name);
    put_arguments(f, v, false);
    fprintf(f, ", o);\n}\n#else\n#define anf_%s(...) \\\n    ANF_CALL%d_(anf_%s_opt, anf_%s_opts, "
               "__VA_ARGS__, .unused_ = 0)\n#endif\n", name, n_arguments(v), name, name);
}

static void put_header(FILE *f)
{
    fputs("/* Typed builders, one per operator.  Written by tools/gen_ops.c from the operator "
          "table: do not\n"
          " * edit.  Included by aneforge.h.\n"
          " *\n"
          " * Arguments are the required operands and the attributes in which zero is a value like "
          "any other.\n"
          " * What may be left out is given by name, and zero means absent or default:\n"
          " *\n"
          " *     anf_tensor h = anf_conv(x, w, .bias = b, .stride = 2, .pad = 1);\n"
          " *     anf_tensor s = anf_sum(h, ANF_AXES(2, 3));\n"
          " *     anf_tensor c = anf_concat(ANF_TENSORS(h, k), 1);\n"
          " *\n"
          " * Each such builder is a macro over a function anf_<op>_opt that takes the options as "
          "a struct.\n"
          " * C++ has no macros of these names: there the options are a last argument, an "
          "anf_<op>_opts.\n"
          " * An error makes the result poisoned and is kept by the graph: see anf_tensor. */\n"
          "#ifndef ANEFORGE_OPS_H\n"
          "#define ANEFORGE_OPS_H\n\n"
          "/* ---- helpers of the builders, not part of the API ---- */\n\n"
          "static inline anf_graph *anf_graph_of_(const anf_tensor *in, int n)\n"
          "{\n"
          "    for (int i = 0; in && i < n; i++)\n"
          "        if (in[i].graph)\n"
          "            return in[i].graph;\n"
          "    return NULL;\n"
          "}\n\n"
          "static inline anf_attr anf_attr_int_(const char *name, int64_t value)\n"
          "{\n"
          "    anf_attr a = {name, ANF_ATTR_INT, value, 0, {0, {0}}};\n"
          "    return a;\n"
          "}\n\n"
          "static inline anf_attr anf_attr_float_(const char *name, double value)\n"
          "{\n"
          "    anf_attr a = {name, ANF_ATTR_FLOAT, 0, value, {0, {0}}};\n"
          "    return a;\n"
          "}\n\n"
          "static inline anf_attr anf_attr_ints_(const char *name, anf_dims value)\n"
          "{\n"
          "    anf_attr a = {name, ANF_ATTR_INTS, 0, 0, value};\n"
          "    return a;\n"
          "}\n",
          f);
    int most = 0, n = anf_op_count();
    bool used[MAX_PARTS * 2 + 1] = {false};
    for (int i = 0; i < n; i++) {
        struct op_view v = view(i);
        if (!is_leaf(&v) && has_options(&v)) {
            int k = n_arguments(&v);
            used[k] = true;
            most = k > most ? k : most;
        }
    }
    fputs("\n#ifndef __cplusplus\n", f);
    for (int k = 1; k <= most; k++) {
        if (!used[k])
            continue;
        fprintf(f, "#define ANF_CALL%d_(f, opts, ", k);
        for (int i = 1; i <= k; i++)
            fprintf(f, "a%d, ", i);
        fputs("...) \\\n    f(", f);
        for (int i = 1; i <= k; i++)
            fprintf(f, "(a%d), ", i);
        fputs("(opts){__VA_ARGS__})\n", f);
    }
    fputs("\n/* The two arguments (array, count) that a builder over any number of tensors takes. "
          "*/\n"
          "#define ANF_TENSORS(...) \\\n    (const anf_tensor[]){__VA_ARGS__}, \\\n"
          "    (int)(sizeof((const anf_tensor[]){__VA_ARGS__}) / sizeof(anf_tensor))\n"
          "#endif\n",
          f);
    const char *category = "";
    for (int i = 0; i < n; i++) {
        struct op_view v = view(i);
        if (is_leaf(&v))
            continue;
        if (strcmp(category, v.info.category) != 0) {
            category = v.info.category;
            fprintf(f, "\n/* ---- %s ", category);
            for (size_t k = strlen(category) + 9; k < LINE - 3; k++)
                fputc('-', f);
            fputs(" */\n", f);
        }
        put_builder(f, &v);
    }
    fputs("\n#endif\n", f);
}

/* ---- the page -------------------------------------------------------------------------------- */

/* Text in which Markdown must see no markup. */
static void put_markdown(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (strchr("*_<>|`[]\\", *s))
            fputc('\\', f);
        fputc(*s, f);
    }
}

static void put_text_form(FILE *f, const struct op_view *v)
{
    const char *comma = "";
    fprintf(f, "    %s(", v->info.name);
    for (int optional = 0; optional < 2; optional++)
        for (int k = 0; k < v->info.n_operands; k++) {
            const anf_operand_info *o = &v->operand[k];
            if (o->optional != (optional == 1))
                continue;
            fprintf(f,
                    o->variadic ? "%s[%s, ...]"
                    : optional  ? "%s%s=..."
                                : "%s%s",
                    comma, o->name);
            comma = ", ";
        }
    for (int k = 0; k < v->info.n_attrs; k++) {
        const anf_attr_info *a = &v->attr[k];
        fprintf(f, "%s%s=", comma, a->name);
        comma = ", ";
        if (a->type == ANF_ATTR_INTS)
            fputs("[...]", f);
        else if (a->required)
            fputs("...", f);
        else
            put_number(f, a->default_number);
    }
    fputs(")\n", f);
}

static void put_c_form(FILE *f, const struct op_view *v)
{
    fprintf(f, "    anf_%s(", v->info.name);
    put_arguments(f, v, false);
    for (int k = 0; k < v->info.n_operands; k++)
        if (v->operand[k].optional)
            fprintf(f, ", .%s = ...", v->operand[k].name);
    for (int k = 0; k < v->info.n_attrs; k++)
        if (!v->attr[k].positional)
            fprintf(f, ", .%s = ...", v->attr[k].name);
    fputs(")\n", f);
}

static void put_op_section(FILE *f, const struct op_view *v)
{
    fprintf(f, "\n### %s\n\n", v->info.name);
    put_markdown(f, v->info.doc);
    fputs("\n", f);
    if (is_leaf(v))
        return;
    fputc('\n', f);
    put_text_form(f, v);
    put_c_form(f, v);
    if (v->info.n_attrs == 0)
        return;
    fputs("\n| attribute | type | default | meaning |\n|---|---|---|---|\n", f);
    for (int k = 0; k < v->info.n_attrs; k++) {
        const anf_attr_info *a = &v->attr[k];
        fprintf(f, "| `%s` | %s | ", a->name, prose_type(a));
        if (a->required)
            fputs("required", f);
        else
            put_number(f, a->default_number);
        fputs(" | ", f);
        put_markdown(f, a->doc);
        fputs(" |\n", f);
    }
}

static void put_docs(FILE *f)
{
    int n = anf_op_count();
    fprintf(
        f,
        "# Operators\n\n"
        "Written by `tools/gen_ops.c` from the operator table: do not edit. Each operator stands "
        "first as in\na graph text (`docs/graph-text.md`), then as a C builder "
        "(`include/aneforge_ops.h`). Options are given\nby name; zero means default in C. "
        "Arithmetic inside an operator is float32, its result is rounded\nonce to float16 "
        "(`docs/numerics.md`).\n");
    for (int i = 0; i < n; i++) {
        struct op_view head = view(i);
        bool seen = false;
        for (int k = 0; k < i && !seen; k++) {
            struct op_view earlier = view(k);
            seen = strcmp(earlier.info.category, head.info.category) == 0;
        }
        if (seen)
            continue;
        fprintf(f, "\n## %s\n", head.info.category);
        for (int k = i; k < n; k++) {
            struct op_view v = view(k);
            if (strcmp(v.info.category, head.info.category) == 0)
                put_op_section(f, &v);
        }
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool same_file(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    size_t at = 0;
    int ch;
    while ((ch = fgetc(f)) != EOF && at < n && (unsigned char)text[at] == ch)
        at++;
    fclose(f);
    return ch == EOF && at == n;
}

static void replace_file(const char *path, const char *text, size_t n)
{
    char temporary[4096];
    if (snprintf(temporary, sizeof temporary, "%s.new", path) >= (int)sizeof temporary)
        die("the path '%s' is too long", path);
    FILE *f = fopen(temporary, "wb");
    if (!f)
        die("cannot write '%s': %s", temporary, strerror(errno));
    bool written = fwrite(text, 1, n, f) == n;
    if (fclose(f) != 0 || !written || rename(temporary, path) != 0) {
        int reason = errno;
        remove(temporary);
        die("cannot write '%s': %s", path, strerror(reason));
    }
}

/* True if the file is, or now is, what the table gives. */
static bool produce(const char *path, void (*put)(FILE *), bool check)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f)
        die("out of memory");
    put(f);
    if (fclose(f) != 0)
        die("out of memory");
    bool same = same_file(path, text, n);
    if (check && !same)
        fprintf(stderr, "gen_ops: %s differs from the operator table; run gen_ops to write it\n",
                path);
    if (!check && !same)
        replace_file(path, text, n);
    free(text);
    return same || !check;
}

int main(int argc, char **argv)
{
    const char *header = NULL, *docs = NULL;
    bool check = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0)
            check = true;
        else if (strcmp(argv[i], "--header") == 0 && i + 1 < argc)
            header = argv[++i];
        else if (strcmp(argv[i], "--docs") == 0 && i + 1 < argc)
            docs = argv[++i];
        else
            die("unknown argument '%s'; gen_ops [--check] --header PATH --docs PATH", argv[i]);
    }
    if (!header && !docs)
        die("nothing to do; gen_ops [--check] --header PATH --docs PATH");
    bool ok = true;
    if (header)
        ok = produce(header, put_header, check) && ok;
    if (docs)
        ok = produce(docs, put_docs, check) && ok;
    return ok ? 0 : 1;
}
