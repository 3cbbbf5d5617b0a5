/* The base class of Tensor: its operators, and the one function behind every builder.
 *
 * No operator of the table is named here but those that Python spells as symbols: `core_op` takes
 * operands in table order (Tensors, arrays, None where an optional one is absent, a list for a
 * variadic one) and attributes by name, and what is missing or wrong is said by the library.  The
 * result has the class of the first Tensor among the operands. */
#include "core.h"

#include <stdio.h>
#include <string.h>

PyTypeObject *core_tensor_type;

struct tensor {
    PyObject ob_base;
    struct node *node;
};

struct node *core_tensor_node(PyObject *o)
{
    return PyObject_TypeCheck(o, core_tensor_type) ? ((struct tensor *)(void *)o)->node : NULL;
}

/* Takes the node. */
static PyObject *wrap(PyTypeObject *type, struct node *node)
{
    if (!node)
        return NULL;
    if (!PyType_IsSubtype(type, core_tensor_type)) {
        PyErr_SetString(PyExc_TypeError, "the class of a Tensor must derive from Node");
        node_drop(node);
        return NULL;
    }
    PyObject *o = core_new_object(type);
    if (o)
        ((struct tensor *)(void *)o)->node = node;
    else
        node_drop(node);
    return o;
}

static void tensor_dealloc(PyObject *self)
{
    node_drop(((struct tensor *)(void *)self)->node);
    core_free_object(self);
}

enum { MOST_ITEMS = 1 << 20 }; /* of a variadic operand: what the library takes */

/* ---- operands -------------------------------------------------------------------------------- */

static int find_op(const char *name)
{
    anf_op_info info;
    for (int i = 0; anf_op_get(i, &info); i++)
        if (strcmp(info.name, name) == 0)
            return i;
    PyErr_Format(PyExc_ValueError, "unknown operator '%.60s'", name);
    return -1;
}

/* A reference to the node of a Tensor, or of a new constant made from an array. */
static struct node *operand(PyObject *o, const char *op, const char *name, enum core_cast cast)
{
    struct node *n = core_tensor_node(o);
    if (n) {
        n->refs++;
        return n;
    }
    char what[128];
    double value;
    struct core_array a;
    snprintf(what, sizeof what, "%s: %s", op, name);
    int number = core_number(o, what, &value);
    if (number)
        return number > 0 ? node_scalar(value) : NULL;
    if (core_borrow(&a, o, cast, what) < 0)
        return NULL;
    if (a.view.len == 0) {
        PyObject *shape = core_dims_tuple(a.array.shape);
        if (shape)
            PyErr_Format(PyExc_ValueError, "%s: has shape %S, needs dims of at least 1", what,
                         shape);
        Py_XDECREF(shape);
    } else {
        n = node_const(&a.array);
    }
    core_return(&a);
    return n;
}

struct operands {
    struct node **in;
    int n;
    PyTypeObject *type; /* of the first Tensor, which may be gone before the result is made */
};

static void note_type(struct operands *list, PyObject *tensor)
{
    if (list->type)
        return;
    list->type = Py_TYPE(tensor);
    Py_INCREF((PyObject *)list->type);
}

static int add_operand(struct operands *list, PyObject *o, const char *op, const char *name,
                       enum core_cast cast)
{
    struct node **more = PyMem_Realloc(list->in, ((size_t)list->n + 1) * sizeof *more);
    if (!more) {
        PyErr_NoMemory();
        return -1;
    }
    list->in = more;
    struct node *n = o ? operand(o, op, name, cast) : NULL;
    if (o && !n)
        return -1;
    if (o && core_tensor_node(o))
        note_type(list, o);
    list->in[list->n++] = n;
    return 0;
}

static int add_operands(struct operands *list, int op, const char *name, PyObject *given)
{
    anf_operand_info info;
    for (int i = 0; i < (int)PyTuple_Size(given) && anf_op_operand(op, i, &info); i++) {
        PyObject *o = PyTuple_GetItem(given, i);
        /* Integers are no weights, since quantised ones lack their scale.  The operands that may be
         * absent are biases, which are added as they are. */
        enum core_cast cast = info.optional ? CORE_NUMBERS : CORE_FLOATS;
        if (!info.variadic) {
            if (info.optional && o == Py_None)
                o = NULL;
            if (add_operand(list, o, name, info.name, cast) < 0)
                return -1;
            continue;
        }
        PyObject *items = core_tensor_node(o) ? NULL : core_items(o, MOST_ITEMS);
        if (!items) {
            if (core_may_replace())
                PyErr_Format(PyExc_TypeError, "%s: %s: needs a sequence of Tensors, given %R", name,
                             info.name, (PyObject *)Py_TYPE(o));
            return -1;
        }
        int result = 0;
        if (PyTuple_Size(items) == 0) {
            PyErr_Format(PyExc_ValueError, "%s: %s: is empty, needs at least one Tensor", name,
                         info.name);
            result = -1;
        } else if (PyTuple_Size(items) > MOST_ITEMS) {
            PyErr_Format(PyExc_ValueError, "%s: %s: more than %d are given", name, info.name,
                         MOST_ITEMS);
            result = -1;
        }
        for (Py_ssize_t k = 0; k < PyTuple_Size(items) && result == 0; k++)
            result = add_operand(list, PyTuple_GetItem(items, k), name, info.name, cast);
        Py_DECREF(items);
        if (result < 0)
            return -1;
    }
    if (!list->type) {
        PyErr_Format(PyExc_TypeError, "%s: needs a Tensor among its operands", name);
        return -1;
    }
    return 0;
}

static void drop_operands(struct operands *list)
{
    for (int i = 0; i < list->n; i++)
        node_drop(list->in[i]);
    PyMem_Free(list->in);
    Py_XDECREF((PyObject *)list->type);
}

/* The Tensor that an operator makes of its operands and attributes, all of which it takes. */
static PyObject *take_operands(struct operands *list, int op, anf_attr *attrs, int n_attrs)
{
    PyObject *made = wrap(list->type, node_op(op, list->in, list->n, attrs, n_attrs));
    Py_DECREF((PyObject *)list->type);
    return made;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static int parse_attr(anf_attr *a, const anf_attr_info *info, PyObject *value, const char *op)
{
    char what[128];
    snprintf(what, sizeof what, "%s: %s", op, info->name);
    *a = (anf_attr){info->name, info->type, 0, 0, ANF_SCALAR};
    if (info->type == ANF_ATTR_INTS)
        return core_parse_dims(value, what, &a->ints);
    if (info->type == ANF_ATTR_FLOAT) {
        int number = core_number(value, what, &a->f);
        if (number == 0)
            PyErr_Format(PyExc_TypeError, "%s: needs a number, given %.200R", what, value);
        return number > 0 ? 0 : -1;
    }
    return core_parse_int(value, what, "an integer", &a->i);
}

/* None stands for the default. */
static anf_attr *parse_attrs(int op, const char *name, PyObject *given, int *n)
{
    anf_op_info info;
    anf_attr_info attr;
    anf_op_get(op, &info);
    anf_attr *attrs = PyMem_Calloc((size_t)info.n_attrs + 1, sizeof *attrs);
    *n = 0;
    if (!attrs) {
        PyErr_NoMemory();
        return NULL;
    }
    for (int i = 0; i < info.n_attrs && anf_op_attr(op, i, &attr); i++) {
        PyObject *value = PyDict_GetItemString(given, attr.name);
        if (!value || value == Py_None)
            continue;
        Py_INCREF(value); /* its own methods may take it out of the dict */
        int parsed = parse_attr(&attrs[(*n)++], &attr, value, name);
        Py_DECREF(value);
        if (parsed < 0) {
            PyMem_Free(attrs);
            return NULL;
        }
    }
    return attrs;
}

PyObject *core_op(PyObject *module, PyObject *args)
{
    (void)module;
    const char *name;
    PyObject *operands, *given;
    if (!PyArg_ParseTuple(args, "sO!O!", &name, &PyTuple_Type, &operands, &PyDict_Type, &given))
        return NULL;
    struct operands list = {0};
    int op = find_op(name), n_attrs;
    if (op < 0)
        return NULL;
    if (add_operands(&list, op, name, operands) < 0) {
        drop_operands(&list);
        return NULL;
    }
    anf_attr *attrs = parse_attrs(op, name, given, &n_attrs);
    if (!attrs) {
        drop_operands(&list);
        return NULL;
    }
    return take_operands(&list, op, attrs, n_attrs);
}

/* ---- symbols --------------------------------------------------------------------------------- */

static PyObject *binary(const char *op, PyObject *a, PyObject *b)
{
    PyObject *side[] = {a, b};
    struct operands list = {PyMem_Calloc(2, sizeof *list.in), 0, NULL};
    if (!list.in)
        return PyErr_NoMemory();
    for (int i = 0; i < 2; i++) {
        double value;
        struct node *n = core_tensor_node(side[i]);
        int number = n ? 0 : core_number(side[i], op, &value);
        if (n) {
            n->refs++;
            note_type(&list, side[i]);
        } else if (number > 0) {
            n = node_scalar(value);
        } else if (number == 0) {
            PyErr_Format(PyExc_TypeError,
                         "%s: takes Tensors and numbers, given %R (weights go through @, linear or "
                         "conv)",
                         op, (PyObject *)Py_TYPE(side[i]));
        }
        if (!n) {
            drop_operands(&list);
            return NULL;
        }
        list.in[list.n++] = n;
    }
    return take_operands(&list, find_op(op), NULL, 0);
}

#define SYMBOL(name)                                                                               \
    static PyObject *tensor_##name(PyObject *a, PyObject *b)                                       \
    {                                                                                              \
        return binary(#name, a, b);                                                                \
    }
SYMBOL(add)
SYMBOL(sub)
SYMBOL(mul)
SYMBOL(div)

static PyObject *tensor_pow(PyObject *a, PyObject *b, PyObject *modulus)
{
    if (modulus != Py_None) {
        PyErr_SetString(PyExc_TypeError, "pow: takes no modulus");
        return NULL;
    }
    return binary("pow", a, b);
}

static PyObject *tensor_neg(PyObject *self)
{
    PyObject *args = Py_BuildValue("(s(O){})", "neg", self);
    PyObject *result = args ? core_op(NULL, args) : NULL;
    Py_XDECREF(args);
    return result;
}

static PyObject *tensor_matmul(PyObject *a, PyObject *b)
{
    if (!core_tensor_node(a)) {
        PyErr_Format(PyExc_TypeError, "matmul: the left operand must be a Tensor, given %R",
                     (PyObject *)Py_TYPE(a));
        return NULL;
    }
    const char *op = core_tensor_node(b) ? "bmm" : "matmul";
    PyObject *args = Py_BuildValue("(s(OO){})", op, a, b);
    PyObject *result = args ? core_op(NULL, args) : NULL;
    Py_XDECREF(args);
    return result;
}

/* ---- looking --------------------------------------------------------------------------------- */

static const char *op_name(const struct node *n)
{
    return n->kind == NODE_OP ? n->op : n->kind == NODE_IMAGE ? "image_input" : "input";
}

static PyObject *tensor_shape(PyObject *self, void *unused)
{
    (void)unused;
    return core_dims_tuple(core_tensor_node(self)->shape);
}

static PyObject *tensor_op(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(op_name(core_tensor_node(self)));
}

static PyObject *tensor_dtype(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(anf_dtype_name(core_tensor_node(self)->dtype));
}

static PyObject *tensor_ndim(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(core_tensor_node(self)->shape.rank);
}

static PyObject *tensor_repr(PyObject *self)
{
    struct node *n = core_tensor_node(self);
    PyObject *shape = core_dims_tuple(n->shape);
    PyObject *text = shape ? PyUnicode_FromFormat("<aneforge.Tensor %s %s %R>", op_name(n),
                                                  anf_dtype_name(n->dtype), shape)
                           : NULL;
    Py_XDECREF(shape);
    return text;
}

static PyObject *tensor_array(PyObject *self, PyObject *args)
{
    (void)args;
    PyErr_Format(PyExc_TypeError,
                 "%R holds no values: compile it with aneforge.compile, then call the model", self);
    return NULL;
}

/* ---- leaves ---------------------------------------------------------------------------------- */

PyObject *core_input(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *type;
    PyObject *given;
    anf_dims shape;
    if (!PyArg_ParseTuple(args, "O!O", &PyType_Type, &type, &given) ||
        core_parse_dims(given, "input: shape", &shape) < 0)
        return NULL;
    return wrap(type, node_input(shape));
}

/* 1 for None and for a tuple or list that holds it, of which NumPy makes NaN; -1 with an
 * exception. */
static int holds_none(PyObject *o)
{
    if (o == Py_None)
        return 1;
    return PyTuple_Check(o) || PyList_Check(o) ? PySequence_Contains(o, Py_None) : 0;
}

/* A number as an array of one, or a sequence of them. */
static double *numbers(PyObject *o, const char *what, int *n)
{
    struct core_array a;
    PyObject *convert = holds_none(o) == 0 ? core_numpy("asarray") : NULL;
    PyObject *made = convert ? PyObject_CallFunction(convert, "Os", o, "float64") : NULL;
    Py_XDECREF(convert);
    if (!made) {
        if (core_may_replace())
            PyErr_Format(PyExc_TypeError,
                         "%s: needs a number or a sequence of numbers, given %.200R", what, o);
        return NULL;
    }
    double *copy = NULL;
    if (core_borrow(&a, made, CORE_FLOATS, what) == 0) {
        if (a.array.shape.rank > 1 || a.view.len / 8 > INT32_MAX) {
            PyErr_Format(PyExc_ValueError, "%s: needs a number or one per channel, given %d dims",
                         what, (int)a.array.shape.rank);
        } else if (!(copy = PyMem_Malloc((size_t)a.view.len + 1))) {
            PyErr_NoMemory();
        } else {
            *n = a.array.shape.rank ? (int)a.array.shape.dim[0] : 1;
            memcpy(copy, a.array.data, (size_t)a.view.len);
        }
        core_return(&a);
    }
    Py_DECREF(made);
    return copy;
}

/* One number for all channels, where the other of the pair has one for each. */
static int repeat(double **values, int n, int wanted)
{
    if (n == wanted)
        return 0;
    if (n != 1) {
        PyErr_Format(PyExc_ValueError,
                     "image_input: scale and bias need one number or equally many, given %d and %d",
                     n, wanted);
        return -1;
    }
    double *more = PyMem_Malloc((size_t)wanted * sizeof *more);
    if (!more) {
        PyErr_NoMemory();
        return -1;
    }
    for (int i = 0; i < wanted; i++)
        more[i] = **values;
    PyMem_Free(*values);
    *values = more;
    return 0;
}

PyObject *core_image_input(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *type;
    PyObject *given, *scale_given, *bias_given;
    anf_dims shape;
    int n_scale = 0, n_bias = 0;
    if (!PyArg_ParseTuple(args, "O!OOO", &PyType_Type, &type, &given, &scale_given, &bias_given) ||
        core_parse_dims(given, "image_input: shape", &shape) < 0)
        return NULL;
    double *scale = numbers(scale_given, "image_input: scale", &n_scale);
    double *bias = scale ? numbers(bias_given, "image_input: bias", &n_bias) : NULL;
    int n = n_scale > n_bias ? n_scale : n_bias;
    if (!bias || repeat(&scale, n_scale, n) < 0 || repeat(&bias, n_bias, n) < 0) {
        PyMem_Free(scale);
        PyMem_Free(bias);
        return NULL;
    }
    return wrap(type, node_image(shape, scale, bias, n));
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"__array__", tensor_array, METH_VARARGS, NULL},
    {"__reduce__", core_refuse_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef getters[] = {
    {"shape", tensor_shape, NULL, "The shape, a tuple of ints.", NULL},
    {"ndim", tensor_ndim, NULL, "The number of dims.", NULL},
    {"dtype", tensor_dtype, NULL, "'float16', or 'bool' for the result of a comparison.", NULL},
    {"op", tensor_op, NULL, "The name of the operator that makes this tensor.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

int core_tensor_init(PyObject *module)
{
    static PyType_Slot slots[] = {
        CORE_SLOT(Py_tp_dealloc, tensor_dealloc), CORE_SLOT(Py_tp_repr, tensor_repr),
        CORE_SLOT(Py_tp_methods, methods),        CORE_SLOT(Py_tp_getset, getters),
        CORE_SLOT(Py_nb_add, tensor_add),         CORE_SLOT(Py_nb_subtract, tensor_sub),
        CORE_SLOT(Py_nb_multiply, tensor_mul),    CORE_SLOT(Py_nb_true_divide, tensor_div),
        CORE_SLOT(Py_nb_power, tensor_pow),       CORE_SLOT(Py_nb_negative, tensor_neg),
        CORE_SLOT(Py_nb_matrix_multiply, tensor_matmul), {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "aneforge._core.Node", .basicsize = (int)sizeof(struct tensor),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };
    PyObject *type = PyType_FromSpec(&spec);
    core_tensor_type = (PyTypeObject *)(void *)type;
    /* NumPy then leaves `array + tensor` to the tensor, whose message says what to do instead. */
    if (!type || PyObject_SetAttrString(type, "__array_ufunc__", Py_None) < 0)
        return -1;
    return PyModule_AddObjectRef(module, "Node", type);
}
