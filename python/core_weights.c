/* Model.compression: a record for each weight, a named tuple. */
#include "core.h"

static PyTypeObject *record_type;

static PyObject *record_of(const anf_weight_info *w)
{
    PyObject *record = PyStructSequence_New(record_type);
    PyObject *const fields[] = {
        PyUnicode_FromString(w->name),
        core_dims_tuple(w->shape),
        PyUnicode_FromString(anf_encoding_name(w->encoding)),
        PyLong_FromSize_t(w->bytes_before),
        PyLong_FromSize_t(w->bytes_after),
        PyFloat_FromDouble(w->error),
        PyBool_FromLong(w->streams),
        PyUnicode_FromString(w->why),
    };
    bool whole = record != NULL;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        whole = whole && fields[i];
        if (record && fields[i])
            PyStructSequence_SetItem(record, (Py_ssize_t)i, fields[i]); /* takes the reference */
        else
            Py_XDECREF(fields[i]);
    }
    if (!whole)
        Py_CLEAR(record);
    return record;
}

PyObject *core_weights(const anf_model *m)
{
    anf_weight_info w;
    PyObject *list = PyList_New(0);
    for (int i = 0; list && anf_model_weight(m, i, &w); i++) {
        PyObject *record = record_of(&w);
        if (!record || PyList_Append(list, record) < 0)
            Py_CLEAR(list);
        Py_XDECREF(record);
    }
    return list;
}

int core_weights_init(PyObject *module)
{
    static PyStructSequence_Field fields[] = {
        {"name", "of the operator and operand it is, such as 'mha_0.wq'"},
        {"shape", "[K,N] of a matmul, [N,K] of a linear"},
        {"encoding", "'float16', 'int8', 'int4', 'sparse' or 'blockwise'"},
        {"bytes_before", "as float16"},
        {"bytes_after", "as encoded"},
        {"error", "relative L2 error of the decoded weight"},
        {"streams", "whether the target reads the encoding as it is"},
        {"why", "why this encoding was chosen"},
        {NULL, NULL},
    };
    static PyStructSequence_Desc desc = {"aneforge.CompressedWeight",
                                         "What became of one weight of a compressed model.",
                                         fields, sizeof fields / sizeof *fields - 1};
    record_type = PyStructSequence_NewType(&desc);
    return record_type ? PyModule_AddObjectRef(module, "CompressedWeight", (PyObject *)record_type)
                       : -1;
}
