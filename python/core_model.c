/* Model: a compiled program, callable.
 *
 *   - The program is shared through a counted handle by the Model, its states and the calls that
 *     run, so release() during a call in another thread frees it when that call ends, and memory
 *     lent as a view stays valid.
 *   - A call reads dense arrays where they lie and writes into fresh float32 arrays of NumPy; the
 *     GIL is released in between, so several threads may call one model at once.
 *   - Python code runs wherever an argument is converted or an object is made (methods of the
 *     argument, finalizers of what a collection finds) and may release the model: whatever uses the
 *     program holds a reference to the handle, whatever uses the state one to the state.
 *   - A compile gives signal handlers a chance to run, some fifty times a second. */
#include "core.h"

#include <string.h>
#include <time.h>

struct model {
    PyObject ob_base;
    struct handle *handle; /* NULL once released */
    PyObject *shapes;      /* of the outputs, made once: a call asks NumPy for arrays of them */
    PyObject *state;       /* behind input_view, output_view and execute; NULL until needed */
};

static PyTypeObject *model_type;
static PyObject *numpy_empty, *numpy_float32;

struct handle *handle_take(struct handle *h)
{
    h->refs++;
    return h;
}

void handle_drop(struct handle *h)
{
    if (!h || --h->refs > 0)
        return;
    anf_model_free(h->model);
    PyMem_Free(h);
}

static struct model *of(PyObject *self)
{
    return (struct model *)(void *)self;
}

/* ---- making and releasing -------------------------------------------------------------------- */

/* Takes the program. */
static PyObject *model_new(anf_model *program)
{
    struct handle *h = PyMem_Calloc(1, sizeof *h);
    if (!h) {
        anf_model_free(program);
        return PyErr_NoMemory();
    }
    h->model = program;
    h->refs = 1;
    PyObject *self = core_new_object(model_type);
    if (!self) {
        handle_drop(h);
        return NULL;
    }
    of(self)->handle = h;
    int n = anf_model_n_outputs(program);
    of(self)->shapes = PyTuple_New(n);
    for (int i = 0; of(self)->shapes && i < n; i++) {
        PyObject *shape = core_dims_tuple(anf_model_output(program, i)->shape);
        if (!shape || PyTuple_SetItem(of(self)->shapes, i, shape) < 0)
            Py_CLEAR(of(self)->shapes);
    }
    if (!of(self)->shapes)
        Py_CLEAR(self);
    return self;
}

static PyObject *model_release(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct handle *h = of(self)->handle;
    of(self)->handle = NULL;
    Py_CLEAR(of(self)->state);
    handle_drop(h);
    return Py_NewRef(Py_None);
}

static void model_dealloc(PyObject *self)
{
    Py_CLEAR(of(self)->state);
    Py_CLEAR(of(self)->shapes);
    handle_drop(of(self)->handle);
    core_free_object(self);
}

/* A reference, for handle_drop; NULL with an exception once the model is released. */
static struct handle *hold(PyObject *self)
{
    struct handle *h = of(self)->handle;
    if (!h)
        PyErr_SetString(PyExc_RuntimeError, "this model has been released");
    return h ? handle_take(h) : NULL;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The GIL may have to be waited for while other threads compute, so not every question takes it. */
static bool check_signals(void *user, uint64_t done, uint64_t total)
{
    enum { PAUSE_NS = 20000000 };
    int64_t *last = user, now = now_ns();
    (void)done;
    (void)total;
    if (now - *last < PAUSE_NS)
        return true;
    *last = now;
    PyGILState_STATE gil = PyGILState_Ensure();
    bool go_on = PyErr_CheckSignals() == 0;
    PyGILState_Release(gil);
    return go_on;
}

PyObject *core_compile(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *outs;
    int optimise, compress = ANF_COMPRESS_NONE, block_size = 0;
    double atol = 0;
    const char *target = NULL;
    if (!PyArg_ParseTuple(args, "O!p|idiz", &PyTuple_Type, &outs, &optimise, &compress, &atol,
                          &block_size, &target))
        return NULL;
    int n = (int)PyTuple_Size(outs);
    struct node **nodes = PyMem_Calloc((size_t)n + 1, sizeof *nodes);
    if (!nodes)
        return PyErr_NoMemory();
    for (int i = 0; i < n; i++)
        if (!(nodes[i] = core_tensor_node(PyTuple_GetItem(outs, i)))) {
            PyMem_Free(nodes);
            PyErr_SetString(PyExc_TypeError, "compile: every output must be a Tensor");
            return NULL;
        }
    anf_ctx *ctx = core_ctx();
    struct plan plan;
    int result = ctx ? plan_write(&plan, nodes, n) : -1;
    PyMem_Free(nodes);
    if (result < 0)
        return NULL;
    int64_t start = now_ns();
    anf_compile_opts opts = {.opt = optimise ? ANF_OPT_DEFAULT : ANF_OPT_NONE,
                             .progress = check_signals, .progress_user = &start,
                             .compress = (anf_compress)compress,
                             .compress_atol = atol == 0 ? ANF_ATOL_EXACT : atol,
                             .block_size = block_size, .target = target};
    anf_graph *g;
    anf_tensor out;
    anf_model *program;
    anf_status st;
    Py_BEGIN_ALLOW_THREADS
    st = plan_build(&plan, ctx, &g, &out);
    if (st == ANF_OK)
        st = n == 1 ? anf_compile(out, &opts, &program) : anf_compile_graph(g, &opts, &program);
    anf_graph_free(g);
    Py_END_ALLOW_THREADS
    plan_free(&plan);
    if (st == ANF_E_ARG && target && !anf_target_family(target))
        PyErr_SetString(PyExc_KeyError, anf_last_error());
    return st == ANF_OK ? model_new(program) : core_raise(st, anf_last_error());
}

PyObject *core_load(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *path;
    if (!PyArg_ParseTuple(args, "O&", PyUnicode_FSConverter, &path))
        return NULL;
    anf_model *program;
    anf_status st = ANF_E_NOMEM;
    anf_ctx *ctx = core_ctx();
    if (ctx) {
        Py_BEGIN_ALLOW_THREADS
        st = anf_model_load(ctx, PyBytes_AsString(path), &program);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(path);
    return st == ANF_OK ? model_new(program) : core_raise(st, anf_last_error());
}

static PyObject *model_save(PyObject *self, PyObject *given)
{
    PyObject *path;
    if (!PyUnicode_FSConverter(given, &path))
        return NULL;
    struct handle *h = hold(self);
    if (!h) {
        Py_DECREF(path);
        return NULL;
    }
    anf_status st;
    Py_BEGIN_ALLOW_THREADS
    st = anf_model_save(h->model, PyBytes_AsString(path));
    Py_END_ALLOW_THREADS
    Py_DECREF(path);
    handle_drop(h);
    return st == ANF_OK ? Py_NewRef(Py_None) : core_raise(st, anf_last_error());
}

/* ---- calling --------------------------------------------------------------------------------- */

static int borrow_inputs(const anf_model *m, PyObject *args, struct core_array *lent,
                         anf_array *inputs, int n)
{
    for (int i = 0; i < n; i++) {
        const anf_port *port = anf_model_input(m, i);
        char what[160];
        PyOS_snprintf(what, sizeof what, "run: input '%.100s'", port->name);
        if (core_borrow(&lent[i], PyTuple_GetItem(args, i),
                        port->dtype == ANF_U8 ? CORE_BYTES : CORE_NUMBERS, what) < 0)
            return i;
        inputs[i] = lent[i].array;
    }
    return n;
}

static PyObject *new_result(PyObject *shape, struct core_array *lent)
{
    if (!numpy_empty && !(numpy_empty = core_numpy("empty")))
        return NULL;
    if (!numpy_float32) {
        PyObject *dtype = core_numpy("dtype");
        numpy_float32 = dtype ? PyObject_CallFunction(dtype, "s", "float32") : NULL;
        Py_XDECREF(dtype);
        if (!numpy_float32)
            return NULL;
    }
    PyObject *made = PyObject_CallFunctionObjArgs(numpy_empty, shape, numpy_float32, NULL);
    if (made && core_borrow(lent, made, CORE_FLOATS, "run: output") < 0)
        Py_CLEAR(made);
    return made;
}

/* `lent` has room for all inputs, then all outputs. */
static PyObject *run(anf_model *m, PyObject *shapes, PyObject *args, struct core_array *lent,
                     anf_array *arrays, int n_in, int n_out)
{
    PyObject *results = NULL;
    anf_status st = ANF_OK;
    int held_in = borrow_inputs(m, args, lent, arrays, n_in), held_out = 0;
    if (held_in == n_in)
        results = PyTuple_New(n_out);
    for (int i = 0; results && i < n_out; i++) {
        PyObject *made = new_result(PyTuple_GetItem(shapes, i), &lent[n_in + i]);
        if (!made) {
            Py_CLEAR(results);
            break;
        }
        held_out++;
        arrays[n_in + i] = lent[n_in + i].array;
        if (PyTuple_SetItem(results, i, made) < 0)
            Py_CLEAR(results);
    }
    if (results) {
        Py_BEGIN_ALLOW_THREADS
        st = anf_run(m, arrays, arrays + n_in);
        Py_END_ALLOW_THREADS
        if (st != ANF_OK)
            core_raise(st, anf_last_error());
    }
    for (int i = 0; i < held_in; i++)
        core_return(&lent[i]);
    for (int i = 0; i < held_out; i++)
        core_return(&lent[n_in + i]);
    if (st != ANF_OK)
        Py_CLEAR(results);
    if (!results || n_out > 1)
        return results;
    PyObject *only = Py_NewRef(PyTuple_GetItem(results, 0));
    Py_DECREF(results);
    return only;
}

static PyObject *call(anf_model *m, PyObject *shapes, PyObject *args, PyObject *kwargs)
{
    enum { FEW = 6 };
    struct core_array few[FEW], *lent = few;
    anf_array few_arrays[FEW], *arrays = few_arrays;
    int n_in = anf_model_n_inputs(m), n_out = anf_model_n_outputs(m);
    if (kwargs && PyDict_Size(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "run: inputs are given by position");
        return NULL;
    }
    if (PyTuple_Size(args) != n_in) {
        PyErr_Format(PyExc_ValueError, "run: the model takes %d inputs, given %zd", n_in,
                     PyTuple_Size(args));
        return NULL;
    }
    if (n_in + n_out > FEW) {
        lent = PyMem_Malloc((size_t)(n_in + n_out) * sizeof *lent);
        arrays = PyMem_Malloc((size_t)(n_in + n_out) * sizeof *arrays);
    }
    PyObject *result = NULL;
    if (lent && arrays)
        result = run(m, shapes, args, lent, arrays, n_in, n_out);
    else
        PyErr_NoMemory();
    if (lent != few)
        PyMem_Free(lent);
    if (arrays != few_arrays)
        PyMem_Free(arrays);
    return result;
}

static PyObject *model_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct handle *h = hold(self);
    PyObject *result = h ? call(h->model, of(self)->shapes, args, kwargs) : NULL;
    handle_drop(h);
    return result;
}

/* ---- the state behind the views -------------------------------------------------------------- */

/* A new reference. */
static PyObject *default_state(PyObject *self)
{
    struct handle *h = hold(self);
    if (h && !of(self)->state)
        of(self)->state = core_state_new(h);
    PyObject *state = h ? Py_XNewRef(of(self)->state) : NULL;
    handle_drop(h);
    return state;
}

static PyObject *model_view(PyObject *self, PyObject *args, bool output)
{
    PyObject *which = NULL;
    if (!PyArg_ParseTuple(args, output ? "|O:output_view" : "|O:input_view", &which))
        return NULL;
    PyObject *state = default_state(self);
    PyObject *view = state ? core_state_view(state, which, output) : NULL;
    Py_XDECREF(state);
    return view;
}

static PyObject *model_input_view(PyObject *self, PyObject *args)
{
    return model_view(self, args, false);
}

static PyObject *model_output_view(PyObject *self, PyObject *args)
{
    return model_view(self, args, true);
}

static PyObject *model_execute(PyObject *self, PyObject *unused)
{
    PyObject *state = default_state(self);
    PyObject *result = state ? core_state_execute(state, unused) : NULL;
    Py_XDECREF(state);
    return result;
}

static PyObject *model_new_state(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct handle *h = hold(self);
    PyObject *state = h ? core_state_new(h) : NULL;
    handle_drop(h);
    return state;
}

/* ---- looking --------------------------------------------------------------------------------- */

typedef PyObject *look_fn(const anf_model *m);

static PyObject *look(PyObject *self, look_fn *at)
{
    struct handle *h = hold(self);
    PyObject *seen = h ? at(h->model) : NULL;
    handle_drop(h);
    return seen;
}

static anf_status write_explain(const void *model, anf_sink sink, void *user)
{
    return anf_model_explain(model, sink, user);
}

static PyObject *explain_of(const anf_model *m)
{
    return core_text(write_explain, m);
}

static PyObject *n_ops_of(const anf_model *m)
{
    return PyLong_FromLong(anf_model_n_ops(m));
}

/* A tuple of (name, dtype, shape). */
static PyObject *ports(const anf_model *m, int n, const anf_port *(*get)(const anf_model *m, int i))
{
    PyObject *t = PyTuple_New(n);
    for (int i = 0; t && i < n; i++) {
        const anf_port *p = get(m, i);
        PyObject *shape = core_dims_tuple(p->shape);
        PyObject *port = Py_BuildValue("(ssN)", p->name, anf_dtype_name(p->dtype), shape);
        if (!port || PyTuple_SetItem(t, i, port) < 0)
            Py_CLEAR(t);
    }
    return t;
}

static PyObject *inputs_of(const anf_model *m)
{
    return ports(m, anf_model_n_inputs(m), anf_model_input);
}

static PyObject *outputs_of(const anf_model *m)
{
    return ports(m, anf_model_n_outputs(m), anf_model_output);
}

static PyObject *repr_of(const anf_model *m)
{
    PyObject *in = inputs_of(m), *out = in ? outputs_of(m) : NULL;
    PyObject *text = out ? PyUnicode_FromFormat("<aneforge.Model %d ops, inputs %R, outputs %R>",
                                                anf_model_n_ops(m), in, out)
                         : NULL;
    Py_XDECREF(in);
    Py_XDECREF(out);
    return text;
}

static PyObject *model_explain(PyObject *self, PyObject *unused)
{
    (void)unused;
    return look(self, explain_of);
}

/* ORDER getters */
static look_fn *looks[] = {n_ops_of, core_weights, inputs_of, outputs_of};

static PyObject *model_get(PyObject *self, void *which)
{
    return look(self, *(look_fn **)which);
}

static PyObject *model_repr(PyObject *self)
{
    return of(self)->handle ? look(self, repr_of)
                            : PyUnicode_FromString("<aneforge.Model released>");
}

static PyObject *model_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    struct handle *h = hold(self);
    handle_drop(h);
    return h ? Py_NewRef(self) : NULL;
}

static PyObject *model_exit(PyObject *self, PyObject *args)
{
    return model_release(self, args);
}

static PyObject *model_load(PyObject *unused, PyObject *path)
{
    PyObject *args = PyTuple_Pack(1, path);
    PyObject *result = args ? core_load(unused, args) : NULL;
    Py_XDECREF(args);
    return result;
}

/* ---- the type -------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"release", model_release, METH_NOARGS,
     "release($self, /)\n--\n\nFree the program. Views already taken stay valid; calls raise "
     "RuntimeError."},
    {"save", model_save, METH_O,
     "save($self, path, /)\n--\n\n"
     "Write the compiled model to one file, which appears complete or not at all.\n"
     "Models loaded from a file that it replaces go on with what they loaded."},
    {"load", model_load, METH_O | METH_STATIC,
     "load(path, /)\n--\n\nRead a model that save wrote, on any machine: the same results.\n\n"
     "The file is mapped, and must not change while the model lives: writing into it changes\n"
     "results or ends the process (SIGBUS). Renaming another file over it is safe, which is how\n"
     "save and the command aneforge replace one."},
    {"explain", model_explain, METH_NOARGS,
     "explain($self, /)\n--\n\n"
     "The program as text: instructions, kernels, buffers, bytes and flops."},
    {"input_view", model_input_view, METH_VARARGS,
     "input_view($self, which=0, /)\n--\n\n"
     "The memory of an input port as an array: float16, or uint8 for an image.\n"
     "Write it, call execute(), read output_view()."},
    {"output_view", model_output_view, METH_VARARGS,
     "output_view($self, which=0, /)\n--\n\n"
     "The memory of an output port as a read-only float16 array."},
    {"execute", model_execute, METH_NOARGS,
     "execute($self, /)\n--\n\nRun from the input views to the output views, with no copy."},
    {"new_state", model_new_state, METH_NOARGS,
     "new_state($self, /)\n--\n\nViews and execute() of their own: one State per thread."},
    {"__enter__", model_enter, METH_NOARGS, NULL},
    {"__exit__", model_exit, METH_VARARGS, NULL},
    {"__reduce__", core_refuse_pickle, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ORDER looks */
static PyGetSetDef getters[] = {
    {"n_ops", model_get, NULL, "The number of operators fused into the program.", &looks[0]},
    {"compression", model_get, NULL,
     "A record for each weight of a compressed model: encoding, bytes, error, and why.", &looks[1]},
    {"inputs", model_get, NULL, "(name, dtype, shape) of every input, in call order.", &looks[2]},
    {"outputs", model_get, NULL, "(name, dtype, shape) of every output.", &looks[3]},
    {NULL, NULL, NULL, NULL, NULL},
};

int core_model_init(PyObject *module)
{
    static const char doc[] =
        "A compiled program. Call it with one array per input, in the order the inputs were made;\n"
        "it returns a new float32 array, or a tuple of them when it has several outputs.";
    static PyType_Slot slots[] = {
        CORE_SLOT(Py_tp_dealloc, model_dealloc), CORE_SLOT(Py_tp_repr, model_repr),
        CORE_SLOT(Py_tp_call, model_call),       CORE_SLOT(Py_tp_methods, methods),
        CORE_SLOT(Py_tp_getset, getters),        {Py_tp_doc, (void *)(uintptr_t)doc},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "aneforge.Model", .basicsize = (int)sizeof(struct model),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, .slots = slots,
    };
    PyObject *type = PyType_FromSpec(&spec);
    model_type = (PyTypeObject *)(void *)type;
    return type ? PyModule_AddObjectRef(module, "Model", type) : -1;
}
