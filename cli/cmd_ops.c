/* aneforge ops: the operator table for people.  Knows no operator. */
#include "common.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_NAMES = 1 };

struct ops_opts {
    bool names;
};

static const struct option_desc options[] = {
    {"names", 'n', NULL, OPT_NAMES, "names only, one per line"},
    {0},
};

static anf_status take(struct cli *c, void *opts, int id, const char *value)
{
    (void)c, (void)id, (void)value;
    ((struct ops_opts *)opts)->names = true;
    return ANF_OK;
}

static const char *op_name(const void *user, int i)
{
    (void)user;
    anf_op_info op;
    return anf_op_get(i, &op) ? op.name : "";
}

static bool first_of_category(int i)
{
    anf_op_info op, earlier;
    anf_op_get(i, &op);
    for (int k = 0; k < i; k++)
        if (anf_op_get(k, &earlier) && strcmp(earlier.category, op.category) == 0)
            return false;
    return true;
}

static void print_category(const char *category)
{
    anf_op_info op;
    printf("%s\n", category);
    for (int i = 0; anf_op_get(i, &op); i++)
        if (strcmp(op.category, category) == 0)
            printf("  %-16s %s\n", op.name, op.doc);
}

static void print_all(const struct ops_opts *o)
{
    anf_op_info op;
    const char *gap = "";
    for (int i = 0; anf_op_get(i, &op); i++) {
        if (o->names) {
            puts(op.name);
        } else if (first_of_category(i)) {
            fputs(gap, stdout);
            print_category(op.category);
            gap = "\n";
        }
    }
}

/* As in a graph text: required operands, then what has a name. */
static void print_call(int id, const anf_op_info *op)
{
    const char *comma = "";
    printf("\n  %s(", op->name);
    for (int optional = 0; optional < 2; optional++)
        for (int i = 0; i < op->n_operands; i++) {
            anf_operand_info operand;
            if (!anf_op_operand(id, i, &operand) || operand.optional != (optional == 1))
                continue;
            if (operand.variadic)
                printf("%s[%s, ...]", comma, operand.name);
            else
                printf("%s%s%s", comma, operand.name, optional ? "=..." : "");
            comma = ", ";
        }
    for (int i = 0; i < op->n_attrs; i++) {
        anf_attr_info a;
        if (!anf_op_attr(id, i, &a))
            continue;
        printf("%s%s=%s", comma, a.name,
               a.type == ANF_ATTR_INTS ? "[...]"
               : a.required            ? "..."
                                       : number_text(a.default_number).s);
        comma = ", ";
    }
    puts(")");
}

static void print_attrs(int id, const anf_op_info *op)
{
    static const char *const types[] = {"integer", "number", "integers"};
    if (op->n_attrs)
        puts("\nAttributes:");
    for (int i = 0; i < op->n_attrs; i++) {
        anf_attr_info a;
        if (!anf_op_attr(id, i, &a))
            continue;
        char value[64];
        if (a.required)
            snprintf(value, sizeof value, "required");
        else if (a.type == ANF_ATTR_INTS)
            snprintf(value, sizeof value, "default none");
        else
            snprintf(value, sizeof value, "default %s", number_text(a.default_number).s);
        printf("  %-12s %-9s %-16s %s\n", a.name, types[a.type], value, a.doc);
    }
}

static anf_status find_op(struct cli *c, const char *name, int *id, anf_op_info *op)
{
    for (*id = 0; anf_op_get(*id, op); ++*id)
        if (strcmp(op->name, name) == 0)
            return ANF_OK;
    const char *near = cli_nearest(name, anf_op_count(), op_name, NULL);
    if (near)
        return cli_fail(c, ANF_E_ARG, "unknown operator '%.40s'; did you mean '%s'?", name, near);
    return cli_fail(c, ANF_E_ARG, "unknown operator '%.40s'; aneforge ops lists them", name);
}

static void print_one(int id, const anf_op_info *op)
{
    printf("%s (%s)\n\n  %s\n", op->name, op->category, op->doc);
    if (op->n_operands)
        print_call(id, op);
    print_attrs(id, op);
}

static anf_status run(struct cli *c, const void *opts, int n_args, char **args)
{
    const struct ops_opts *o = opts;
    TRY(cli_need_args(c, n_args, 0, -1));
    if (n_args == 0)
        print_all(o);
    for (int i = 0; i < n_args; i++) {
        anf_op_info op;
        int id;
        TRY(find_op(c, args[i], &id, &op));
        if (o->names) {
            puts(op.name);
            continue;
        }
        if (i)
            puts("");
        print_one(id, &op);
    }
    return ANF_OK;
}

const struct verb verb_ops = {
    .name = "ops",
    .operands = "[NAME...]",
    .summary = "List the operators, or describe some of them.",
    .text = "Without NAME: every operator with its formula, by category. With NAME: how it is\n"
            "written in a graph text, its attributes and their defaults.\n\n"
            "Examples:\n"
            "  aneforge ops\n"
            "  aneforge ops conv softmax\n",
    .options = options,
    .opts_size = sizeof(struct ops_opts),
    .option = take,
    .run = run,
};
