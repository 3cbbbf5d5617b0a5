/* Arrays from Python, by the buffer protocol.
 *
 *   - Dense row-major memory is lent, never copied; anything else is copied once, dense.
 *   - An object without the protocol (a list, a tensor of another package) goes through
 *     numpy.asarray first, which owns what it makes until core_return.
 *   - A subclass of numpy.ndarray stands for its elements, but a masked array is refused: it has
 *     none where it is masked.
 *   - Memory in the other byte order is refused: a silent conversion would hide a mistake. */
#include "core.h"

#include <string.h>

enum { FOREIGN_ORDER = -2, UNKNOWN = -1 };

static int dtype_of(const char *format, Py_ssize_t size)
{
    const union {
        uint16_t word;
        uint8_t byte;
    } probe = {1};
    const char foreign = probe.byte ? '>' : '<';
    if (!format)
        return ANF_U8;
    if ((*format == foreign || (*format == '!' && foreign == '>')) && size > 1)
        return FOREIGN_ORDER;
    if (*format && strchr("@=<>!", *format))
        format++;
    if (!*format || format[1])
        return UNKNOWN;
    switch (*format) {
    case 'e':
        return ANF_F16;
    case 'f':
        return ANF_F32;
    case 'd':
        return ANF_F64;
    case '?':
        return ANF_BOOL;
    }
    static const anf_dtype with_sign[] = {ANF_I8, ANF_I16, ANF_I32, ANF_I64};
    static const anf_dtype without[] = {ANF_U8, ANF_U16, ANF_U32, ANF_U64};
    int log2 = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : -1;
    if (log2 >= 0 && strchr("bhilq", *format))
        return (int)with_sign[log2];
    if (log2 >= 0 && strchr("BHILQ", *format))
        return (int)without[log2];
    return UNKNOWN;
}

static const char *const needs[] = {
    [CORE_FLOATS] = "float16, float32 or float64",
    [CORE_NUMBERS] = "float16, float32, float64, integers or bool",
    [CORE_BYTES] = "uint8 or other integers",
};

static int refuse(PyObject *o, enum core_cast cast, const char *what)
{
    if (!core_may_replace())
        return -1;
    if (core_tensor_node(o)) {
        PyErr_Format(PyExc_TypeError,
                     "%s: needs an array of %s, given a Tensor of a graph, which holds no values",
                     what, needs[cast]);
        return -1;
    }
    PyObject *dtype = PyObject_GetAttrString(o, "dtype");
    if (!core_may_replace()) {
        Py_XDECREF(dtype);
        return -1;
    }
    if (dtype)
        PyErr_Format(PyExc_TypeError, "%s: has dtype %.200S, needs %s", what, dtype, needs[cast]);
    else
        PyErr_Format(PyExc_TypeError, "%s: needs an array of %s, given %R", what, needs[cast],
                     (PyObject *)Py_TYPE(o));
    Py_XDECREF(dtype);
    return -1;
}

/* NumPy has just said why it makes no array of `o`. */
static int refuse_as_numpy(PyObject *o, enum core_cast cast, const char *what)
{
    PyObject *type, *reason, *trace;
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyErr_Fetch(&type, &reason, &trace);
    PyErr_NormalizeException(&type, &reason, &trace);
    PyErr_Format(PyExc_TypeError, "%s: needs an array of %s, given %R: %.300S", what, needs[cast],
                 (PyObject *)Py_TYPE(o), reason);
    Py_XDECREF(type);
    Py_XDECREF(reason);
    Py_XDECREF(trace);
    return -1;
}

/* numpy.asarray(o) or numpy.asarray(o, dtype). */
static PyObject *as_numpy(PyObject *o, const char *dtype)
{
    PyObject *convert = core_numpy("asarray"), *type = NULL, *made = NULL;
    if (convert && dtype)
        type = core_numpy(dtype);
    if (convert && (type || !dtype))
        made = PyObject_CallFunctionObjArgs(convert, o, type, NULL);
    Py_XDECREF(convert);
    Py_XDECREF(type);
    return made;
}

static bool is_integer(int t)
{
    return t == ANF_U8 || (t >= ANF_I8 && t <= ANF_U64);
}

/* What the dtype must be converted to first: NULL if it is fine as it is, "" if it is refused. */
static const char *cast_needed(int dtype, enum core_cast cast)
{
    if (cast == CORE_BYTES)
        return dtype == ANF_U8 ? NULL : is_integer(dtype) ? "uint8" : "";
    if (dtype == ANF_F16 || dtype == ANF_F32 || dtype == ANF_F64)
        return NULL;
    return cast == CORE_NUMBERS && (is_integer(dtype) || dtype == ANF_BOOL) ? "float64" : "";
}

static int make_dense(struct core_array *a)
{
    if (PyBuffer_IsContiguous(&a->view, 'C'))
        return 0;
    a->copy = PyMem_Malloc((size_t)a->view.len ? (size_t)a->view.len : 1);
    if (!a->copy) {
        PyErr_NoMemory();
        return -1;
    }
    a->array.data = a->copy;
    return PyBuffer_ToContiguous(a->copy, &a->view, a->view.len, 'C');
}

static int borrow_buffer(struct core_array *a, PyObject *o, enum core_cast cast, const char *what,
                         bool again)
{
    if (PyObject_GetBuffer(o, &a->view, PyBUF_RECORDS_RO) < 0)
        return refuse(o, cast, what);
    int dtype = dtype_of(a->view.format, a->view.itemsize);
    const char *wanted = dtype < 0 ? "" : cast_needed(dtype, cast);
    if (dtype == FOREIGN_ORDER) {
        PyErr_Format(PyExc_TypeError,
                     "%s: is in the other byte order; use a.astype(a.dtype.newbyteorder('='))",
                     what);
    } else if (wanted && (!*wanted || again)) {
        refuse(o, cast, what);
    } else if (wanted) {
        PyObject *made = as_numpy(o, wanted);
        PyBuffer_Release(&a->view);
        int result = made ? borrow_buffer(a, made, cast, what, true) : -1;
        Py_XDECREF(made);
        return result;
    } else if (a->view.ndim > ANF_MAX_RANK) {
        PyErr_Format(PyExc_ValueError, "%s: has %d dims, at most %d are possible", what,
                     a->view.ndim, ANF_MAX_RANK);
    } else {
        a->array = (anf_array){a->view.buf, (anf_dtype)dtype, {a->view.ndim, {0}}};
        for (int i = 0; i < a->view.ndim; i++)
            a->array.shape.dim[i] = a->view.shape[i];
        if (make_dense(a) == 0)
            return 0;
    }
    core_return(a);
    return -1;
}

/* 1 if `o` is a numpy.ma.MaskedArray, -1 with an exception. */
static int is_masked(PyObject *o)
{
    static PyTypeObject *plain;
    static PyObject *masked;
    if (!plain && !(plain = (PyTypeObject *)(void *)core_numpy("ndarray")))
        return -1;
    if (Py_TYPE(o) == plain || !PyObject_TypeCheck(o, plain))
        return 0;
    if (!masked) {
        PyObject *ma = core_numpy("ma");
        masked = ma ? PyObject_GetAttrString(ma, "MaskedArray") : NULL;
        Py_XDECREF(ma);
    }
    return masked ? PyObject_IsInstance(o, masked) : -1;
}

int core_borrow(struct core_array *a, PyObject *o, enum core_cast cast, const char *what)
{
    a->view.obj = NULL;
    a->copy = NULL;
    int refused = is_masked(o);
    if (refused > 0)
        PyErr_Format(PyExc_TypeError,
                     "%s: is a masked array; use a.filled(value), or a.data to ignore the mask",
                     what);
    if (refused)
        return -1;
    if (PyObject_CheckBuffer(o))
        return borrow_buffer(a, o, cast, what, false);
    if (core_tensor_node(o) || o == Py_None || PyUnicode_Check(o))
        return refuse(o, cast, what);
    PyObject *made = as_numpy(o, NULL);
    if (!made)
        return refuse_as_numpy(o, cast, what);
    int result = borrow_buffer(a, made, cast, what, false);
    Py_DECREF(made);
    return result;
}

void core_return(struct core_array *a)
{
    PyMem_Free(a->copy);
    a->copy = NULL;
    PyBuffer_Release(&a->view);
}

int core_number(PyObject *o, const char *what, double *value)
{
    if (!PyFloat_Check(o) && !PyLong_Check(o)) {
        PyObject *ndim = PyObject_GetAttrString(o, "ndim");
        long dims = ndim ? PyLong_AsLong(ndim) : -1;
        Py_XDECREF(ndim);
        PyObject *dtype = dims == 0 ? PyObject_GetAttrString(o, "dtype") : NULL;
        PyObject *kind = dtype ? PyObject_GetAttrString(dtype, "kind") : NULL;
        bool real = kind && PyUnicode_Check(kind) &&
                    (PyUnicode_CompareWithASCIIString(kind, "f") == 0 ||
                     PyUnicode_CompareWithASCIIString(kind, "i") == 0 ||
                     PyUnicode_CompareWithASCIIString(kind, "u") == 0);
        Py_XDECREF(dtype);
        Py_XDECREF(kind);
        if (!core_may_replace())
            return -1;
        if (!real)
            return 0;
    }
    *value = PyFloat_AsDouble(o);
    if (*value != -1.0 || !PyErr_Occurred())
        return 1;
    if (core_may_replace())
        PyErr_Format(PyExc_ValueError, "%s: %.200R does not fit float64", what, o);
    return -1;
}

PyObject *core_address(PyObject *module, PyObject *o)
{
    (void)module;
    struct core_array a;
    if (core_borrow(&a, o, CORE_NUMBERS, "address") < 0)
        return NULL;
    PyObject *n = PyLong_FromVoidPtr(a.array.data);
    core_return(&a);
    return n;
}
