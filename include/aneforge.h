/* aneforge: compile a small tensor graph into one fused fp16 program, and run it.
 *
 *     anf_ctx *ctx;     anf_ctx_new(NULL, &ctx);
 *     anf_graph *g;     anf_graph_new(ctx, &g);
 *     anf_tensor x = anf_input(g, "x", ANF_SHAPE(1, 3, 32, 32));
 *     anf_tensor h = anf_relu(anf_conv(x, anf_weight(g, w1), .pad = 1));
 *     anf_tensor y = anf_matmul(anf_reshape(anf_mean(h, ANF_AXES(2, 3)), ANF_SHAPE(1, 16)),
 *                               anf_weight(g, wfc));
 *     anf_model *net;
 *     if (anf_compile(y, NULL, &net) != ANF_OK)
 *         puts(anf_last_error());       // "conv: weight [16,4,3,3] needs Cin 4, x has 3"
 *     anf_run(net, &image, &logits);
 *
 * Sections, in the order a reader needs them: version and errors, types, context, graph, operators
 * (aneforge_ops.h), compiling, running, saving, looking inside, array files.
 *
 * Conventions
 *   - What you `_new`, `_open`, `_load` or `_compile` you `_free` (NULL is fine).  A getter lends:
 *   what
 *     it returns lives as long as its parent.
 *   - Every function that can fail returns anf_status; out-parameters come last and are set to
 *   NULL on
 *     failure.  The library never exits, aborts, prints or reads the environment.
 *   - Structs named `..._desc` and `..._opts`: zero means default, NULL means all defaults.  They
 *     begin with `size`, and only grow at the end.  0 stands for the size in the header of the
 *     library that is linked; a program that shall also run with newer ones writes the sizeof.
 *   - Threads: anf_ctx may be used from several threads once created; an anf_graph belongs to one
 *   thread
 *     at a time; an anf_model is immutable and may be run from several threads; an anf_run_state
 *     belongs to one thread at a time.
 *   - The child of a fork may use everything made before it; worker threads start anew there.
 *   - Numerics: a tensor between two operators is IEEE binary16 (round to nearest even, subnormals
 *     kept, overflow to infinity, NaN propagated).  Inside an operator arithmetic is float32,
 *     rounded once at its end.  The result does not depend on the instruction set, the number of
 *     threads, or the fusion chosen: docs/numerics.md.
 */
#ifndef ANEFORGE_H
#define ANEFORGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(ANF_STATIC) || !defined(__GNUC__)
#define ANF_API
#else
#define ANF_API __attribute__((visibility("default")))
#endif

/* ---- Version and errors ---------------------------------------------------------------------- */

#define ANF_VERSION_MAJOR 0
#define ANF_VERSION_MINOR 1
#define ANF_VERSION_PATCH 0

/* "0.1.0" of the library linked at run time. */
ANF_API const char *anf_version(void);

/* Pinned values.  ORDER src/base/status.def */
typedef enum anf_status {
    ANF_OK = 0,
    ANF_E_NOMEM = 1,       /* the allocator returned NULL */
    ANF_E_ARG = 2,         /* an argument outside its domain */
    ANF_E_SHAPE = 3,       /* shapes that do not fit together */
    ANF_E_DTYPE = 4,       /* a dtype that is not accepted there */
    ANF_E_ATTR = 5,        /* an operator attribute outside its domain */
    ANF_E_STATE = 6,       /* the object cannot do that now */
    ANF_E_UNSUPPORTED = 7, /* a capability this build or machine does not have */
    ANF_E_IO = 8,          /* the operating system refused */
    ANF_E_FORMAT = 9,      /* a file or text that is not what it claims to be */
    ANF_E_CANCELLED = 10,  /* the progress callback asked to stop */
    ANF_E_INTERNAL = 11    /* a bug in aneforge: please report it with the message */
} anf_status;

enum { ANF_ERROR_MAX = 1024 };

/* The message of the last call that failed on this thread: what was given, what was needed, where.
 * One line (control bytes of names are written \xHH), never NULL, valid until the next failing call
 * of the thread. */
ANF_API const char *anf_last_error(void);

/* For callbacks that fail: makes `message` what anf_last_error returns on this thread, cut where it
 * is longer than ANF_ERROR_MAX, and returns `st`. */
ANF_API anf_status anf_set_error(anf_status st, const char *message);

/* "shape mismatch" for ANF_E_SHAPE. Never NULL. */
ANF_API const char *anf_status_text(anf_status st);

/* ---- Types ----------------------------------------------------------------------------------- */

/* Element types of arrays.  Tensors in a graph are ANF_F16 (results of comparisons are ANF_BOOL,
 * image ports ANF_U8).  Weights and inputs may come as F16, F32 or F64; the others exist so that
 * files can be read and refused by name.  Pinned values.  ORDER src/base/dtype.def */
typedef enum anf_dtype {
    ANF_F16 = 0,
    ANF_F32 = 1,
    ANF_F64 = 2,
    ANF_U8 = 3,
    ANF_BOOL = 4,
    ANF_I8 = 5,
    ANF_I16 = 6,
    ANF_I32 = 7,
    ANF_I64 = 8,
    ANF_U16 = 9,
    ANF_U32 = 10,
    ANF_U64 = 11,
    ANF_BF16 = 12
} anf_dtype;

ANF_API const char *anf_dtype_name(anf_dtype t);   /* "float16"; "?" for an unknown value */
ANF_API size_t anf_dtype_size(anf_dtype t);        /* bytes of an element; 0 for an unknown value */

enum { ANF_MAX_RANK = 8 };

/* A shape, a list of axes, or any other short list of integers. */
typedef struct anf_dims {
    int32_t rank;
    int64_t dim[ANF_MAX_RANK];
} anf_dims;

#define ANF_DIMS(...)                                                                              \
    ((anf_dims){(int32_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})
#define ANF_SHAPE(...) ANF_DIMS(__VA_ARGS__)
#define ANF_AXES(...) ANF_DIMS(__VA_ARGS__)
#define ANF_SCALAR ((anf_dims){0, {0}}) /* rank 0: one element */

/* A dense row-major array in the caller's memory. */
typedef struct anf_array {
    void *data;     /* read only where the array is an input or a weight */
    anf_dtype dtype;
    anf_dims shape;
} anf_array;

static inline anf_array anf_array_of(const void *data, anf_dtype dtype, anf_dims shape)
{
    union {
        const void *in;
        void *out;
    } p = {data};
    anf_array a = {p.out, dtype, shape};
    return a;
}
#define ANF_ARRAY_F16(data, ...) anf_array_of((data), ANF_F16, ANF_SHAPE(__VA_ARGS__))
#define ANF_ARRAY_F32(data, ...) anf_array_of((data), ANF_F32, ANF_SHAPE(__VA_ARGS__))
#define ANF_ARRAY_F64(data, ...) anf_array_of((data), ANF_F64, ANF_SHAPE(__VA_ARGS__))
#define ANF_ARRAY_U8(data, ...) anf_array_of((data), ANF_U8, ANF_SHAPE(__VA_ARGS__))

/* Scalar conversions with the library's rounding. */
ANF_API uint16_t anf_f16_from_f32(float x);
ANF_API float anf_f16_to_f32(uint16_t h);

/* Receives text in pieces; any status but ANF_OK stops the writer and is returned by it. */
typedef anf_status (*anf_sink)(void *user, const char *text, size_t n);

/* ---- Context --------------------------------------------------------------------------------- */

/* Owns the allocator, the thread pool and the choice of kernels.  Outlives everything made with
 * it. */
typedef struct anf_ctx anf_ctx;

/* All memory of the library goes through one of these, but for what is the system's (stacks of
 * threads, mapped models) and the JSON header of a .safetensors file, which jansson parses in memory
 * of malloc: it has one allocator for the whole process, which may be somebody else's.  `align` is a
 * power of two; `free` gets the size back.  Called from any thread that uses the context, and while
 * weights are compressed from its own threads. */
typedef struct anf_allocator {
    void *user;
    void *(*alloc)(void *user, size_t n_bytes, size_t align);
    void (*free)(void *user, void *p, size_t n_bytes);
} anf_allocator;

typedef enum anf_log_level {
    ANF_LOG_WARNING = 1,
    ANF_LOG_INFO = 2,
    ANF_LOG_DEBUG = 3
} anf_log_level;
typedef void (*anf_log_fn)(void *user, anf_log_level level, const char *line);

typedef struct anf_ctx_desc {
    uint32_t size;
    int32_t threads; /* threads of a run, the caller's included; 0: one per available core */
    const char *isa; /* "ref", "avx2", "avx512", "avx512fp16", "neon"; NULL: the best available */
    const anf_allocator *allocator; /* copied; NULL: malloc and free */
    anf_log_fn log;           /* NULL: silent */
    void *log_user;
} anf_ctx_desc;

/* ANF_E_UNSUPPORTED when `isa` is not available here, ANF_E_ARG when it is unknown. */
ANF_API anf_status anf_ctx_new(const anf_ctx_desc *desc, anf_ctx **out);
ANF_API void anf_ctx_free(anf_ctx *ctx);

ANF_API const char *anf_ctx_isa(const anf_ctx *ctx);
ANF_API int anf_ctx_threads(const anf_ctx *ctx);

/* The kernel sets built into the library, best first. */
ANF_API int anf_isa_count(void);
ANF_API const char *anf_isa_name(int i);       /* NULL past the end */
ANF_API const char *anf_isa_needs(int i);      /* CPU features */
ANF_API bool anf_isa_available(int i);

/* ---- Graph ----------------------------------------------------------------------------------- */

/* A graph under construction; owns its nodes and copies of its weights. */
typedef struct anf_graph anf_graph;

/* A value in a graph: copied freely, owned by the graph.  A builder that finds a mistake records
 * the first error in the graph and returns a poisoned tensor (id 0), which later builders pass on;
 * so a whole network is written as mathematics and checked once, by anf_compile or anf_graph_error.
 * The zero tensor {NULL, 0} means "absent" where an operand is optional. */
typedef struct anf_tensor {
    anf_graph *graph;
    uint32_t id;
} anf_tensor;

ANF_API anf_status anf_graph_new(anf_ctx *ctx, anf_graph **out);
ANF_API void anf_graph_free(anf_graph *g);

/* The first error recorded by a builder, with its message (as anf_last_error would give it). */
ANF_API anf_status anf_graph_error(const anf_graph *g, const char **message);

/* A float16 input port.  Ports are fed in the order they were created.  `name` may be NULL ("x0",
 * "x1", ... are then used); names of ports are unique. */
ANF_API anf_tensor anf_input(anf_graph *g, const char *name, anf_dims shape);

/* A uint8 input port, dequantised inside the program: cast to fp16, times scale, plus bias, the
 * product and the sum rounded to fp16.  `n` is 1 for scalars, or C of a rank-4 shape [N,C,H,W] for
 * one pair per channel; a NULL `scale` is 1, a NULL `bias` 0, and both are dropped then.  A scalar
 * scale has float32 precision (1.0/255 gives exactly the fp16 of byte/255); per-channel scales and
 * all biases are fp16 values. */
ANF_API anf_tensor anf_image_input(anf_graph *g, const char *name, anf_dims shape,
                                   const double *scale, const double *bias, int n);

/* A weight or any other constant, cast to fp16 now (each element rounded once).  F16, F32 and F64
 * are accepted, anything else is ANF_E_DTYPE.  The data is copied. */
ANF_API anf_tensor anf_weight(anf_graph *g, anf_array data);

/* The same without a copy: float16 `data` that does not change while the graph lives, so that
 * several graphs may share it.  A NaN in it must be 0x7e00; anf_f16_from_array makes such data. */
ANF_API anf_tensor anf_weight_borrow(anf_graph *g, anf_array data);

/* Elements as anf_weight stores them: F16, F32 or F64 rounded once, every NaN 0x7e00.  `y` has room
 * for them; it may be the data of `x` where that is F16. */
ANF_API anf_status anf_f16_from_array(const anf_ctx *ctx, anf_array x, uint16_t *y);

/* A one-element constant of rank 0: anf_mul(x, anf_scalar(g, 0.5)). Rounded to fp16. */
ANF_API anf_tensor anf_scalar(anf_graph *g, double value);

/* A constant filled by a documented generator (xorshift64*, seeded; uniform in [-a, a) with
 * standard deviation `std`, so a = std * sqrt 3), for benchmarks and examples that need no real
 * weights. */
ANF_API anf_tensor anf_random_weight(anf_graph *g, anf_dims shape, uint64_t seed, double std);

ANF_API anf_dims anf_shape(anf_tensor t);      /* rank -1 for a poisoned tensor */
ANF_API anf_dtype anf_tensor_dtype(anf_tensor t);

/* One attribute of an operator, by name. */
typedef enum anf_attr_type {
    ANF_ATTR_INT = 0,
    ANF_ATTR_FLOAT = 1,
    ANF_ATTR_INTS = 2
} anf_attr_type;
typedef struct anf_attr {
    const char *name;
    anf_attr_type type; /* ANF_ATTR_INT is accepted where FLOAT is wanted */
    int64_t i;
    double f;
    anf_dims ints;
} anf_attr;

/* Build any operator by name: what the typed builders of aneforge_ops.h, the text form and language
 * bindings call.  Absent optional operands are zero tensors or left out at the end. */
ANF_API anf_tensor anf_op(anf_graph *g, const char *op, const anf_tensor *in, int n_in,
                          const anf_attr *attrs, int n_attrs);

/* Mark a tensor as an output of the graph, in order. `name` may be NULL ("y0", "y1", ...).  A
 * failure is recorded in the graph like a builder's, so the result need not be checked. */
ANF_API anf_status anf_output(anf_tensor t, const char *name);

/* The text form.  Printing and parsing are inverse: docs/graph-text.md.  With `brief`, large
 * constants are shortened for reading, and the text does not parse. */
ANF_API anf_status anf_graph_print(const anf_graph *g, bool brief, anf_sink sink, void *user);

/* Constants of the text may name an array in a file; `load` opens such files (NULL: an error that
 * names the file).  It returns an array that stays valid until parsing returns, or a status with
 * its reason given to anf_set_error. */
typedef anf_status (*anf_load_array)(void *user, const char *file, const char *name,
                                     anf_array *out);
typedef struct anf_parse_opts {
    uint32_t size;
    anf_load_array load;
    void *load_user;
} anf_parse_opts;
/* A message of a bad text begins with "line N: ". */
ANF_API anf_status anf_graph_parse(anf_ctx *ctx, const char *text, size_t n,
                                   const anf_parse_opts *opts, anf_graph **out);

/* ---- Compiling ------------------------------------------------------------------------------- */

/* A compiled program with its weights: immutable, shareable between threads, independent of the
 * graph it came from. */
typedef struct anf_model anf_model;

typedef enum anf_opt {
    ANF_OPT_DEFAULT = 0, /* every lossless rewrite and fusion */
    ANF_OPT_NONE = 1     /* one instruction per operator, as written; the same bits, slower */
} anf_opt;

/* Called at each stage with the text form of the graph or program at that point. */
typedef anf_status (*anf_stage_fn)(void *user, const char *stage, const char *text, size_t n);

/* `done` of `total` steps finished; called after each and every few milliseconds within a long one.
 * Return false to stop: the call then fails with ANF_E_CANCELLED. */
typedef bool (*anf_progress_fn)(void *user, uint64_t done, uint64_t total);

/* How a weight is stored.  Pinned values.  ORDER src/base/encoding.def */
typedef enum anf_encoding {
    ANF_ENCODING_F16 = 0,
    ANF_ENCODING_INT8 = 1,     /* int8 and one float16 scale per output channel */
    ANF_ENCODING_INT4 = 2,     /* 4-bit indices into 16 float16 values of the weight */
    ANF_ENCODING_SPARSE = 3,   /* a bit per element, float16 values of those that are not zero */
    ANF_ENCODING_BLOCKWISE = 4 /* int8 and one float16 scale per output channel and block */
} anf_encoding;

ANF_API const char *anf_encoding_name(anf_encoding e); /* "float16", "int8"; "?" if unknown */

/* What the constant weights of matmul and linear become, also where mha, cross_attention and geglu
 * use them.  Weights of convolutions and norms, biases, and other uses of the same constant stay
 * float16.  A mode that a weight does not suit falls back; anf_model_weight tells for each weight
 * what was chosen and why.  docs/compression.md has the numerics.  Pinned values. */
typedef enum anf_compress {
    ANF_COMPRESS_NONE = 0,      /* float16 */
    ANF_COMPRESS_INT8 = 1,      /* int8 */
    ANF_COMPRESS_INT4 = 2,      /* int4 if its error is within compress_atol, else int8 */
    ANF_COMPRESS_SPARSE = 3,    /* sparse if at least half of the elements are zero */
    ANF_COMPRESS_BLOCKWISE = 4, /* blockwise if its error is within compress_atol, else int8 */
    ANF_COMPRESS_AUTO = 5       /* sparse if it suits, else int4 if it does, else int8 */
} anf_compress;

/* As compress_atol, since 0 is the default: the smallest normal double, below every error but 0. */
#define ANF_ATOL_EXACT 2.2250738585072014e-308

typedef struct anf_compile_opts {
    uint32_t size;
    anf_opt opt;
    anf_stage_fn stage; /* NULL: no text is made */
    void *stage_user;
    anf_progress_fn progress;
    void *progress_user;
    /* Works at both levels of `opt`, which have the same bits here too. */
    anf_compress compress;
    /* Largest relative L2 error |decoded - w| / |w| of an int4 or blockwise weight; 0: 0.05;
     * ANF_ATOL_EXACT: no error at all. */
    double compress_atol;
    /* Elements per scale of a blockwise weight; the largest number up to this that divides the
     * depth is taken.  0: 32. */
    int32_t block_size;
    /* "h13": with ANF_COMPRESS_AUTO, only encodings that this chip streams are candidates, and the
     * report says of every weight whether it does.  Chips before h13 run no program: compiling for
     * one is ANF_E_UNSUPPORTED.  NULL: this machine, where all of them are candidates. */
    const char *target;
} anf_compile_opts;

/* Compile the graph that computes `out`, with one output. Only what `out` needs becomes the
 * program; inputs that it does not reach are not ports of the model. */
ANF_API anf_status anf_compile(anf_tensor out, const anf_compile_opts *opts, anf_model **model);

/* Compile the outputs marked with anf_output. */
ANF_API anf_status anf_compile_graph(anf_graph *g, const anf_compile_opts *opts, anf_model **model);

ANF_API void anf_model_free(anf_model *m);

typedef struct anf_port {
    const char *name;
    anf_dtype dtype; /* ANF_F16 or ANF_U8 */
    anf_dims shape;
    size_t n_elements;
} anf_port;

ANF_API int anf_model_n_inputs(const anf_model *m);
ANF_API int anf_model_n_outputs(const anf_model *m);
/* NULL past the end. */
ANF_API const anf_port *anf_model_input(const anf_model *m, int i);
ANF_API const anf_port *anf_model_output(const anf_model *m, int i);
/* Operators compiled; inputs and constants are none. */
ANF_API int anf_model_n_ops(const anf_model *m);

/* ---- Compressed weights ---------------------------------------------------------------------- */

/* One weight of a model that was compiled with `compress`; saved and loaded with it. */
typedef struct anf_weight_info {
    const char *name;      /* of its line in the graph text; else its use, "mha_0.wq" */
    anf_dims shape;        /* [K,N] of matmul, [N,K] of linear */
    anf_encoding encoding; /* what was chosen */
    const char *why;       /* "int4 has error 0.0981, more than 0.05" */
    size_t bytes_before, bytes_after; /* as float16 and as encoded, without padding */
    double error;          /* relative L2 error of the decoded weight */
    bool streams; /* the target reads this encoding as it is; false: it expands it to float16 */
} anf_weight_info;

ANF_API int anf_model_n_weights(const anf_model *m); /* 0 without `compress` */
/* False past the end. */
ANF_API bool anf_model_weight(const anf_model *m, int i, anf_weight_info *out);
/* The same as text, a line per weight and one of totals, or as JSON. */
ANF_API anf_status anf_model_weights_print(const anf_model *m, bool json, anf_sink sink,
                                           void *user);

/* The family of a chip by its architecture string, such as "h13" (M1) or "H16S" (M4): 1 to 5; 0 if
 * unknown. */
ANF_API int anf_target_family(const char *target);
/* Whether chips of a family stream weights of this encoding; false for an unknown family. */
ANF_API bool anf_family_streams(int family, anf_encoding e);

/* ---- Running --------------------------------------------------------------------------------- */

/* Run once: inputs in port order, results into the caller's arrays.
 *   inputs   F16, F32 or F64 for a float16 port (cast to fp16), U8 for a uint8 port; exact shapes.
 *   outputs  F32 (widened) or F16, exact shapes, memory of the caller.
 * May be called from several threads at once; each uses a run state kept by the model. */
ANF_API anf_status anf_run(anf_model *m, const anf_array *inputs, const anf_array *outputs);

/* One executing instance: the memory of a run.  Use one per thread for runs without copies. */
typedef struct anf_run_state anf_run_state;

ANF_API anf_status anf_run_state_new(anf_model *m, anf_run_state **out);
ANF_API void anf_run_state_free(anf_run_state *rs);

/* The memory of a port: write inputs, anf_execute, read outputs, with no copies. float16 (uint8
 * for an image port), dense, 64-byte aligned.  NULL past the end. */
ANF_API void *anf_input_view(anf_run_state *rs, int i);
ANF_API const void *anf_output_view(anf_run_state *rs, int i);
ANF_API anf_status anf_execute(anf_run_state *rs);

/* As anf_run, in this run state. */
ANF_API anf_status anf_run_state_run(anf_run_state *rs, const anf_array *inputs,
                                     const anf_array *outputs);

/* Feed output `output` back as input `input` of the next call, without a copy: the two ports
 * exchange their memory after every anf_execute, so take the views again after each call.  Shapes
 * and dtypes must match; an input can be shared once.  This is how state (parameters, caches)
 * stays resident. Write the initial state through anf_input_view. */
ANF_API anf_status anf_share_buffer(anf_run_state *rs, int output, int input);

/* Bytes of one run state: activations, ports and scratch. */
ANF_API size_t anf_run_state_bytes(const anf_run_state *rs);

/* Per-instruction wall time of the calls since it was switched on. Costs two clock reads each. */
ANF_API anf_status anf_profile(anf_run_state *rs, bool on);
typedef struct anf_timing {
    const char *text;    /* the instruction, as in anf_model_explain */
    uint64_t calls;
    uint64_t total_ns, min_ns;
    uint64_t flops, bytes; /* of one call */
} anf_timing;
ANF_API int anf_profile_count(const anf_run_state *rs);
ANF_API anf_status anf_profile_get(const anf_run_state *rs, int i, anf_timing *out);
/* The last call as a Chrome trace (chrome://tracing, Perfetto). ANF_E_STATE without anf_profile. */
ANF_API anf_status anf_profile_trace(const anf_run_state *rs, anf_sink sink, void *user);

/* ---- Saving ---------------------------------------------------------------------------------- */

/* One file: versioned, checksummed, loadable on every ISA; the same results, bit for bit.  Written
 * to a temporary name and renamed into place. */
ANF_API anf_status anf_model_save(const anf_model *m, const char *path);

/* Maps the file; weights are used in place.  Every byte is checked before use: a damaged or hostile
 * file is ANF_E_FORMAT with a message.  The file must not change while the model lives. */
ANF_API anf_status anf_model_load(anf_ctx *ctx, const char *path, anf_model **out);
/* From memory that stays valid and unchanged while the model lives. 64-byte aligned. */
ANF_API anf_status anf_model_load_memory(anf_ctx *ctx, const void *data, size_t n, anf_model **out);

/* ---- Looking inside -------------------------------------------------------------------------- */

/* The program as text: instructions, kernels, buffers with lifetimes and offsets, bytes, flops and
 * the operators each instruction came from. */
ANF_API anf_status anf_model_explain(const anf_model *m, anf_sink sink, void *user);

typedef struct anf_model_stats {
    int n_instructions, n_buffers;
    size_t weight_bytes;     /* as stored */
    size_t activation_bytes; /* the planned arena */
    uint64_t flops, bytes;   /* of one run */
} anf_model_stats;
ANF_API void anf_model_get_stats(const anf_model *m, anf_model_stats *out);

typedef struct anf_attr_info {
    const char *name;
    anf_attr_type type;
    bool required;          /* no default */
    bool positional;        /* an argument of the typed builder; the others are named options */
    double default_number;  /* for INT and FLOAT */
    const char *doc;
} anf_attr_info;

typedef struct anf_operand_info {
    const char *name;
    bool optional;
    bool variadic; /* the last operand may repeat */
} anf_operand_info;

typedef struct anf_op_info {
    const char *name;
    const char *category; /* heading in docs/ops.md */
    const char *doc;      /* one line of mathematics with shapes */
    int n_operands, n_attrs;
} anf_op_info;

ANF_API int anf_op_count(void);
ANF_API bool anf_op_get(int i, anf_op_info *out); /* false past the end */
ANF_API bool anf_op_operand(int op, int i, anf_operand_info *out);
ANF_API bool anf_op_attr(int op, int i, anf_attr_info *out);

/* ---- Array files ----------------------------------------------------------------------------- */

/* The arrays of one file: .npy (one, named ""), .npz or .safetensors, told apart by content.
 * ANF_E_UNSUPPORTED names the missing library when the build lacks zlib (.npz) or jansson
 * (.safetensors). */
typedef struct anf_arrays anf_arrays;
ANF_API anf_status anf_arrays_open(anf_ctx *ctx, const char *path, anf_arrays **out);
ANF_API anf_status anf_arrays_open_memory(anf_ctx *ctx, const void *data, size_t n,
                                          anf_arrays **out); /* the bytes are copied */
ANF_API void anf_arrays_free(anf_arrays *a);
ANF_API int anf_arrays_count(const anf_arrays *a);
ANF_API const char *anf_arrays_name(const anf_arrays *a, int i);
/* data is NULL past the end, and for an array the library cannot hold (anf_arrays_find says
 * why). */
ANF_API anf_array anf_arrays_get(const anf_arrays *a, int i);
/* The array called `name`; ANF_E_ARG lists what the file has. */
ANF_API anf_status anf_arrays_find(const anf_arrays *a, const char *name, anf_array *out);

/* Written to a temporary name and renamed into place. */
ANF_API anf_status anf_npy_write(anf_ctx *ctx, const char *path, anf_array a);
ANF_API anf_status anf_npz_write(anf_ctx *ctx, const char *path, const anf_array *a,
                                 const char *const *names, int n);

#ifdef __cplusplus
}
#endif

#include "aneforge_ops.h"

#endif
