/* What the files of the extension aneforge._core share.
 *
 *   - Only the limited API of CPython 3.11 and the public header of the library are used: one
 *     binary serves every later CPython.
 *   - A Tensor is a reference to a node of an immutable graph kept here.  A node is checked when it
 *     is made, by building that one operator in a scratch graph of the library, so a mistake is an
 *     exception at the line that made it.  af.compile replays the nodes that its outputs reach.
 *   - Nodes are reference counted and touched only with the GIL held.
 *   - A function that returns NULL, or a negative int, has set an exception. */
#ifndef ANEFORGE_PYTHON_CORE_H
#define ANEFORGE_PYTHON_CORE_H

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "aneforge.h"

/* ---- core_module.c --------------------------------------------------------------------------- */

/* The one context, made at the first call from ANEFORGE_THREADS and ANEFORGE_ISA. */
anf_ctx *core_ctx(void);
/* Sets the exception class of `st` with this message, and returns NULL. */
PyObject *core_raise(anf_status st, const char *message);
PyObject *core_dims_tuple(anf_dims d);
/* `needs` is for the message: "an integer". */
int core_parse_int(PyObject *o, const char *what, const char *needs, int64_t *out);
/* An integer, or integers in anything that can be iterated. */
int core_parse_dims(PyObject *o, const char *what, anf_dims *out);
/* The items of an iterable as a tuple, one more than `most` at the most: it may be endless. */
PyObject *core_items(PyObject *o, Py_ssize_t most);
/* Before an exception is raised in the place of another: false where that one has to be seen,
 * because it is no ordinary one (an interrupt, want of memory).  Clears it otherwise. */
bool core_may_replace(void);
/* A new reference to numpy.<name>, imported at first use. */
PyObject *core_numpy(const char *name);
/* The text a library writer produces, as a str. */
PyObject *core_text(anf_status (*write)(const void *object, anf_sink sink, void *user),
                    const void *object);
/* A zeroed object of a type of this module, and its end. */
PyObject *core_new_object(PyTypeObject *type);
void core_free_object(PyObject *self);
/* CPython keeps functions in slots as void *, which ISO C leaves to the platform. */
#define CORE_SLOT(id, function) {id, __extension__(void *)(function)}
/* For __reduce__ of objects that live in this process only. */
PyObject *core_refuse_pickle(PyObject *self, PyObject *unused);

/* ---- core_array.c ---------------------------------------------------------------------------- */

enum core_cast {
    CORE_FLOATS,  /* float16, float32, float64 as they are; anything else is a TypeError */
    CORE_NUMBERS, /* as above, and integers and booleans as float64 */
    CORE_BYTES    /* uint8 as it is, other integers cast to it; anything else is a TypeError */
};

/* A number of Python or NumPy: 1 with its value, 0 where `o` is none, -1 where it is too large. */
int core_number(PyObject *o, const char *what, double *value);

/* An array lent by a Python object: its own memory where that is dense, else a copy. */
struct core_array {
    anf_array array;
    Py_buffer view;
    void *copy;
};
int core_borrow(struct core_array *a, PyObject *o, enum core_cast cast, const char *what);
void core_return(struct core_array *a);
PyObject *core_address(PyObject *module, PyObject *o);

/* ---- core_node.c ----------------------------------------------------------------------------- */

enum node_kind { NODE_INPUT, NODE_IMAGE, NODE_CONST, NODE_SCALAR, NODE_OP };

struct node {
    enum node_kind kind;
    size_t refs;
    uint64_t id; /* in order of creation: every source of a node has a smaller one */
    anf_dims shape;
    anf_dtype dtype;
    const char *op;  /* static text */
    int n_in, n_attrs, n_scale;
    struct node **in; /* NULL where an optional operand is absent */
    anf_attr *attrs;
    uint16_t *data;       /* NODE_CONST: rounded, and lent to each graph it is part of */
    double *scale, *bias; /* NODE_IMAGE: n_scale each */
    double value;         /* NODE_SCALAR */
    struct node *next;    /* of the list that a walk is using */
    size_t mark;          /* during a walk: 1 + its place in the list; 0 outside */
};

struct node *node_input(anf_dims shape);
struct node *node_image(anf_dims shape, double *scale, double *bias, int n); /* takes the arrays */
struct node *node_const(const anf_array *a); /* may let other threads run */
struct node *node_scalar(double value);
/* Takes `in` (PyMem, with a reference to each) and `attrs` (PyMem), also when it fails. */
struct node *node_op(int op, struct node **in, int n_in, anf_attr *attrs, int n_attrs);
void node_drop(struct node *n);

/* What outputs need, as a list: written with the GIL, built into a graph of the library without it.
 * The outputs must be kept alive meanwhile. */
struct plan {
    struct node **nodes; /* sources first */
    size_t n_nodes;
    size_t *in; /* operands of every node in turn, as places in the list; absent ones: SIZE_MAX */
    size_t *outs;
    int n_outs;
    anf_tensor *made; /* while it is built: of every node, then room for the operands of one */
};
int plan_write(struct plan *p, struct node *const *outs, int n);
/* Of one output `out` is the tensor, of several each is marked.  The message: anf_last_error. */
anf_status plan_build(struct plan *p, anf_ctx *ctx, anf_graph **graph, anf_tensor *out);
void plan_free(struct plan *p);

/* ---- core_tensor.c --------------------------------------------------------------------------- */

extern PyTypeObject *core_tensor_type;
int core_tensor_init(PyObject *module);
struct node *core_tensor_node(PyObject *o); /* NULL, with no exception, if it is not a Tensor */
PyObject *core_op(PyObject *module, PyObject *args);
PyObject *core_input(PyObject *module, PyObject *args);
PyObject *core_image_input(PyObject *module, PyObject *args);

/* ---- core_model.c and core_state.c ----------------------------------------------------------- */

/* A model shared by a Model, its states and the calls that run now. */
struct handle {
    anf_model *model;
    size_t refs;
};
struct handle *handle_take(struct handle *h);
void handle_drop(struct handle *h);

int core_model_init(PyObject *module);
PyObject *core_compile(PyObject *module, PyObject *args);
PyObject *core_load(PyObject *module, PyObject *args);

/* core_weights.c */
int core_weights_init(PyObject *module);
PyObject *core_weights(const anf_model *m);

int core_state_init(PyObject *module);
PyObject *core_state_new(struct handle *h);
PyObject *core_state_view(PyObject *state, PyObject *which, bool output);
PyObject *core_state_execute(PyObject *state, PyObject *unused);

#endif
