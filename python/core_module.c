/* The module aneforge._core: its functions, the context, and how a status becomes an exception.
 *
 * Process-wide state: the context (it lives as long as the process, because tensors and models may)
 * and the types.  The module therefore has single-phase initialisation, and CPython keeps it out of
 * isolated subinterpreters. */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

PyObject *core_raise(anf_status st, const char *message)
{
    PyObject *const class_of[] = {
        [ANF_OK] = PyExc_SystemError,
        [ANF_E_NOMEM] = PyExc_MemoryError,
        [ANF_E_ARG] = PyExc_ValueError,
        [ANF_E_SHAPE] = PyExc_ValueError,
        [ANF_E_DTYPE] = PyExc_TypeError,
        [ANF_E_ATTR] = PyExc_ValueError,
        [ANF_E_STATE] = PyExc_RuntimeError,
        [ANF_E_UNSUPPORTED] = PyExc_NotImplementedError,
        [ANF_E_IO] = PyExc_OSError,
        [ANF_E_FORMAT] = PyExc_ValueError,
        [ANF_E_CANCELLED] = PyExc_KeyboardInterrupt,
        [ANF_E_INTERNAL] = PyExc_SystemError,
    };
    if (!PyErr_Occurred())
        PyErr_SetString(class_of[st], message);
    return NULL;
}

static long threads_wanted(const char *text)
{
    char *end = NULL;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || *end || n < 1 || n > 1024) {
        PyErr_Format(PyExc_ValueError, "ANEFORGE_THREADS is '%.60s', needs a number from 1 to 1024",
                     text);
        return -1;
    }
    return n;
}

anf_ctx *core_ctx(void)
{
    static anf_ctx *ctx;
    if (ctx)
        return ctx;
    const char *threads = getenv("ANEFORGE_THREADS"), *isa = getenv("ANEFORGE_ISA");
    anf_ctx_desc desc = {.isa = isa && *isa ? isa : NULL};
    if (threads && *threads) {
        long n = threads_wanted(threads);
        if (n < 0)
            return NULL;
        desc.threads = (int32_t)n;
    }
    anf_status st = anf_ctx_new(&desc, &ctx);
    if (st != ANF_OK)
        core_raise(st, anf_last_error());
    return ctx;
}

PyObject *core_dims_tuple(anf_dims d)
{
    PyObject *t = PyTuple_New(d.rank);
    for (int i = 0; t && i < d.rank; i++) {
        PyObject *n = PyLong_FromLongLong(d.dim[i]);
        if (!n || PyTuple_SetItem(t, i, n) < 0) {
            Py_DECREF(t);
            return NULL;
        }
    }
    return t;
}

/* Takes `n`, an int. */
static int take_int(PyObject *n, const char *what, int64_t *out)
{
    *out = PyLong_AsLongLong(n);
    if (*out == -1 && PyErr_Occurred() && core_may_replace())
        PyErr_Format(PyExc_ValueError, "%s: %.200R does not fit 64 bits", what, n);
    Py_DECREF(n);
    return PyErr_Occurred() ? -1 : 0;
}

int core_parse_int(PyObject *o, const char *what, const char *needs, int64_t *out)
{
    PyObject *n = PyNumber_Index(o);
    if (n)
        return take_int(n, what, out);
    if (core_may_replace())
        PyErr_Format(PyExc_TypeError, "%s: needs %s, given %.200R", what, needs, o);
    return -1;
}

PyObject *core_items(PyObject *o, Py_ssize_t most)
{
    PyObject *iterator = PyObject_GetIter(o), *list = iterator ? PyList_New(0) : NULL, *item;
    while (list && PyList_Size(list) <= most && (item = PyIter_Next(iterator))) {
        if (PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    PyObject *items = list && !PyErr_Occurred() ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return items;
}

int core_parse_dims(PyObject *o, const char *what, anf_dims *out)
{
    *out = ANF_SCALAR;
    PyObject *one = PyNumber_Index(o);
    if (one) {
        out->rank = 1;
        return take_int(one, what, &out->dim[0]);
    }
    if (!core_may_replace())
        return -1;
    PyObject *s = PyUnicode_Check(o) ? NULL : core_items(o, ANF_MAX_RANK);
    if (!s) {
        if (core_may_replace())
            PyErr_Format(PyExc_TypeError,
                         "%s: needs an integer or a sequence of integers, given %.200R", what, o);
        return -1;
    }
    Py_ssize_t n = PyTuple_Size(s);
    int result = 0;
    if (n > ANF_MAX_RANK) {
        PyErr_Format(PyExc_ValueError, "%s: more than %d numbers", what, ANF_MAX_RANK);
        result = -1;
    }
    for (Py_ssize_t i = 0; i < n && result == 0; i++)
        result = core_parse_int(PyTuple_GetItem(s, i), what, "an integer in every place",
                                &out->dim[i]);
    out->rank = (int32_t)n;
    Py_DECREF(s);
    return result;
}

bool core_may_replace(void)
{
    if (PyErr_Occurred() && (!PyErr_ExceptionMatches(PyExc_Exception) ||
                             PyErr_ExceptionMatches(PyExc_MemoryError)))
        return false;
    PyErr_Clear();
    return true;
}

PyObject *core_numpy(const char *name)
{
    static PyObject *numpy;
    if (!numpy)
        numpy = PyImport_ImportModule("numpy");
    return numpy ? PyObject_GetAttrString(numpy, name) : NULL;
}

struct text {
    char *data;
    size_t n, room;
};

static anf_status collect(void *user, const char *piece, size_t n)
{
    struct text *t = user;
    if (n > t->room - t->n) {
        size_t room = (t->n + n) * 2;
        char *more = PyMem_Realloc(t->data, room);
        if (!more)
            return ANF_E_NOMEM;
        t->data = more;
        t->room = room;
    }
    memcpy(t->data + t->n, piece, n);
    t->n += n;
    return ANF_OK;
}

PyObject *core_text(anf_status (*write)(const void *object, anf_sink sink, void *user),
                    const void *object)
{
    struct text t = {0};
    anf_status st = write(object, collect, &t);
    PyObject *s = st == ANF_OK ? PyUnicode_FromStringAndSize(t.data ? t.data : "", (Py_ssize_t)t.n)
                               : core_raise(st, anf_last_error());
    PyMem_Free(t.data);
    return s;
}

PyObject *core_new_object(PyTypeObject *type)
{
    allocfunc make = __extension__(allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return make(type, 0);
}

void core_free_object(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = __extension__(freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

PyObject *core_refuse_pickle(PyObject *self, PyObject *unused)
{
    (void)unused;
    PyErr_Format(PyExc_TypeError,
                 "a %S cannot be pickled or copied: save a compiled model with Model.save(path) "
                 "and read it with Model.load(path)",
                 (PyObject *)Py_TYPE(self));
    return NULL;
}

/* ---- the operator table ---------------------------------------------------------------------- */

static PyObject *describe_operands(int op, int n)
{
    PyObject *list = PyList_New(0);
    anf_operand_info o;
    for (int i = 0; list && i < n && anf_op_operand(op, i, &o); i++) {
        PyObject *d = Py_BuildValue("{s:s,s:O,s:O}", "name", o.name, "optional",
                                    o.optional ? Py_True : Py_False, "variadic",
                                    o.variadic ? Py_True : Py_False);
        if (!d || PyList_Append(list, d) < 0)
            Py_CLEAR(list);
        Py_XDECREF(d);
    }
    return list;
}

static PyObject *describe_attrs(int op, int n)
{
    static const char *const type_name[] = {"int", "float", "ints"};
    PyObject *list = PyList_New(0);
    anf_attr_info a;
    for (int i = 0; list && i < n && anf_op_attr(op, i, &a); i++) {
        PyObject *d = Py_BuildValue("{s:s,s:s,s:O,s:d,s:s}", "name", a.name, "type",
                                    type_name[a.type], "required", a.required ? Py_True : Py_False,
                                    "default", a.default_number, "doc", a.doc);
        if (!d || PyList_Append(list, d) < 0)
            Py_CLEAR(list);
        Py_XDECREF(d);
    }
    return list;
}

static PyObject *core_ops(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *list = PyList_New(0);
    anf_op_info info;
    for (int i = 0; list && anf_op_get(i, &info); i++) {
        PyObject *d = Py_BuildValue("{s:s,s:s,s:s,s:N,s:N}", "name", info.name, "category",
                                    info.category, "doc", info.doc, "operands",
                                    describe_operands(i, info.n_operands), "attrs",
                                    describe_attrs(i, info.n_attrs));
        if (!d || PyList_Append(list, d) < 0)
            Py_CLEAR(list);
        Py_XDECREF(d);
    }
    return list;
}

/* ---- the module ------------------------------------------------------------------------------ */

static PyMethodDef functions[] = {
    {"ops", core_ops, METH_NOARGS, "The operator table as a list of dicts."},
    {"address", core_address, METH_O,
     "The address the library would read this array at: its own unless a copy is needed."},
    {"op", core_op, METH_VARARGS, "op(name, operands, attributes): one operator of the table."},
    {"input", core_input, METH_VARARGS, "input(type, shape)"},
    {"image_input", core_image_input, METH_VARARGS, "image_input(type, shape, scale, bias)"},
    {"compile", core_compile, METH_VARARGS, "compile(outputs, optimise)"},
    {"load", core_load, METH_VARARGS, "load(path)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "aneforge._core", .m_size = -1, .m_methods = functions,
    .m_doc = "The aneforge C library, as the Python face of the package uses it.",
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    if (PyModule_AddStringConstant(module, "version", anf_version()) < 0 ||
        core_tensor_init(module) < 0 || core_state_init(module) < 0 ||
        core_model_init(module) < 0 || core_weights_init(module) < 0)
        Py_CLEAR(module);
    return module;
}
