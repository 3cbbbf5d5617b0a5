/* State: one executing instance of a model, and the arrays that are its ports' memory.
 *
 *   - A View keeps its State alive, a State keeps the program alive: an array over a port stays
 *     valid after everything else is gone, and after release().
 *   - A state runs in one thread at a time; a second execute() meanwhile is refused, not queued.
 *   - The C library may exchange the memory of two ports (share_buffer): a View stands for the
 *     memory its port had when it was taken. */
#include "core.h"

struct state {
    PyObject ob_base;
    struct handle *handle;
    anf_run_state *run;
    bool running;
};

struct view {
    PyObject ob_base;
    PyObject *state;
    void *data;
    bool readonly;
    int ndim;
    Py_ssize_t shape[ANF_MAX_RANK], strides[ANF_MAX_RANK], size, itemsize;
    char *format;
};

static PyTypeObject *state_type, *view_type;

static struct state *of(PyObject *self)
{
    return (struct state *)(void *)self;
}

PyObject *core_state_new(struct handle *h)
{
    PyObject *self = core_new_object(state_type);
    if (!self)
        return NULL;
    of(self)->handle = handle_take(h);
    anf_status st = anf_run_state_new(h->model, &of(self)->run);
    if (st == ANF_OK)
        return self;
    core_raise(st, anf_last_error());
    Py_DECREF(self);
    return NULL;
}

static void state_dealloc(PyObject *self)
{
    anf_run_state_free(of(self)->run);
    handle_drop(of(self)->handle);
    core_free_object(self);
}

/* Asked last: converting an argument may let another thread start a run. */
static int refuse_running(const struct state *s, const char *what)
{
    if (s->running)
        PyErr_Format(PyExc_RuntimeError,
                     "%s: this state is running in another thread; use Model.new_state() per "
                     "thread",
                     what);
    return s->running ? -1 : 0;
}

PyObject *core_state_execute(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct state *s = of(self);
    if (refuse_running(s, "execute") < 0)
        return NULL;
    anf_status st;
    s->running = true;
    Py_INCREF(self);
    Py_BEGIN_ALLOW_THREADS
    st = anf_execute(s->run);
    Py_END_ALLOW_THREADS
    s->running = false;
    Py_DECREF(self);
    return st == ANF_OK ? Py_NewRef(Py_None) : core_raise(st, anf_last_error());
}

/* ---- views ----------------------------------------------------------------------------------- */

static int view_getbuffer(PyObject *self, Py_buffer *b, int flags)
{
    struct view *v = (struct view *)(void *)self;
    b->obj = NULL;
    if (v->readonly && (flags & PyBUF_WRITABLE)) {
        PyErr_SetString(PyExc_BufferError, "output_view: is read only");
        return -1;
    }
    *b = (Py_buffer){
        .buf = v->data, .obj = Py_NewRef(self), .len = v->size, .itemsize = v->itemsize,
        .readonly = v->readonly, .ndim = v->ndim,
        .format = flags & PyBUF_FORMAT ? v->format : NULL,
        .shape = flags & PyBUF_ND ? v->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? v->strides : NULL,
    };
    return 0;
}

static void view_dealloc(PyObject *self)
{
    Py_CLEAR(((struct view *)(void *)self)->state);
    core_free_object(self);
}

/* The port called `which`, or numbered so; the first where it is NULL. */
static int find_port(const anf_model *m, PyObject *which, bool output)
{
    int n = output ? anf_model_n_outputs(m) : anf_model_n_inputs(m);
    const char *kind = output ? "output" : "input", *what = output ? "output_view" : "input_view";
    int64_t i;
    if (!which || which == Py_None)
        return 0;
    if (PyUnicode_Check(which)) {
        for (int k = 0; k < n; k++) {
            const anf_port *p = output ? anf_model_output(m, k) : anf_model_input(m, k);
            if (PyUnicode_CompareWithASCIIString(which, p->name) == 0)
                return k;
        }
        PyErr_Format(PyExc_KeyError, "the model has no %s called %R", kind, which);
        return -1;
    }
    if (core_parse_int(which, what, "a number or a name", &i) < 0)
        return -1;
    if (i >= 0 && i < n)
        return (int)i;
    PyErr_Format(PyExc_IndexError, "%s: the model has %d %ss, given %R", what, n, kind, which);
    return -1;
}

static PyObject *as_array(PyObject *view)
{
    PyObject *convert = core_numpy("asarray");
    PyObject *array = convert ? PyObject_CallFunctionObjArgs(convert, view, NULL) : NULL;
    Py_XDECREF(convert);
    return array;
}

PyObject *core_state_view(PyObject *self, PyObject *which, bool output)
{
    static char half[] = "e", byte[] = "B";
    struct state *s = of(self);
    const anf_model *m = s->handle->model;
    int i = find_port(m, which, output);
    if (i < 0 || refuse_running(s, output ? "output_view" : "input_view") < 0)
        return NULL;
    const anf_port *p = output ? anf_model_output(m, i) : anf_model_input(m, i);
    PyObject *made = core_new_object(view_type);
    if (!made)
        return NULL;
    struct view *v = (struct view *)(void *)made;
    const union {
        const void *in;
        void *out;
    } data = {output ? anf_output_view(s->run, i) : anf_input_view(s->run, i)};
    v->state = Py_NewRef(self);
    v->data = data.out;
    v->readonly = output;
    v->format = p->dtype == ANF_U8 ? byte : half;
    v->itemsize = (Py_ssize_t)anf_dtype_size(p->dtype);
    v->size = v->itemsize;
    v->ndim = p->shape.rank;
    for (int k = v->ndim - 1; k >= 0; k--) {
        v->shape[k] = (Py_ssize_t)p->shape.dim[k];
        v->strides[k] = v->size;
        v->size *= v->shape[k];
    }
    PyObject *array = as_array(made);
    Py_DECREF(made);
    return array;
}

static PyObject *state_input_view(PyObject *self, PyObject *args)
{
    PyObject *which = NULL;
    return PyArg_ParseTuple(args, "|O:input_view", &which) ? core_state_view(self, which, false)
                                                           : NULL;
}

static PyObject *state_output_view(PyObject *self, PyObject *args)
{
    PyObject *which = NULL;
    return PyArg_ParseTuple(args, "|O:output_view", &which) ? core_state_view(self, which, true)
                                                            : NULL;
}

static PyObject *state_share(PyObject *self, PyObject *args)
{
    PyObject *output, *input;
    struct state *s = of(self);
    if (!PyArg_ParseTuple(args, "OO:share_buffer", &output, &input))
        return NULL;
    int from = find_port(s->handle->model, output, true);
    int to = from < 0 ? -1 : find_port(s->handle->model, input, false);
    if (to < 0 || refuse_running(s, "share_buffer") < 0)
        return NULL;
    anf_status st = anf_share_buffer(s->run, from, to);
    return st == ANF_OK ? Py_NewRef(Py_None) : core_raise(st, anf_last_error());
}

/* ---- the types ------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"input_view", state_input_view, METH_VARARGS,
     "input_view($self, which=0, /)\n--\n\nThe memory of an input port as an array."},
    {"output_view", state_output_view, METH_VARARGS,
     "output_view($self, which=0, /)\n--\n\nThe memory of an output port as a read-only array."},
    {"execute", core_state_execute, METH_NOARGS, "execute($self, /)\n--\n\nRun once."},
    {"share_buffer", state_share, METH_VARARGS,
     "share_buffer($self, output, input, /)\n--\n\n"
     "Feed an output back as an input of the next execute(), "
     "with no copy.\nTake the views again after each execute()."},
    {"__reduce__", core_refuse_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

int core_state_init(PyObject *module)
{
    static const char doc[] = "One executing instance of a Model, for one thread at a time.";
    static PyType_Slot state_slots[] = {
        CORE_SLOT(Py_tp_dealloc, state_dealloc), CORE_SLOT(Py_tp_methods, methods),
        {Py_tp_doc, (void *)(uintptr_t)doc}, {0, NULL},
    };
    static PyType_Slot view_slots[] = {
        CORE_SLOT(Py_tp_dealloc, view_dealloc),
        CORE_SLOT(Py_bf_getbuffer, view_getbuffer),
        {0, NULL},
    };
    static PyType_Spec state_spec = {
        .name = "aneforge.State", .basicsize = (int)sizeof(struct state),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = state_slots,
    };
    static PyType_Spec view_spec = {
        .name = "aneforge._core.View", .basicsize = (int)sizeof(struct view),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = view_slots,
    };
    PyObject *type = PyType_FromSpec(&state_spec);
    state_type = (PyTypeObject *)(void *)type;
    view_type = type ? (PyTypeObject *)(void *)PyType_FromSpec(&view_spec) : NULL;
    return view_type ? PyModule_AddObjectRef(module, "State", type) : -1;
}
