/* The options of a compile, and the encodings that each mode tries.
 *
 * An encoder that a weight does not suit says so with a reason, never with a status, which is for
 * a lack of memory.  So there is always an encoding, float16 in the end, and `why` has the reasons
 * against all that were tried before it. */
#include "compress/choose.h"

#include "targets/chips.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_ATOL 0.05
enum { DEFAULT_BLOCK = 32, MAX_CANDIDATES = 3 };

static encode_fn *const encoders[ENCODING_COUNT] = {
    [ANF_ENCODING_INT8] = encode_int8,
    [ANF_ENCODING_INT4] = encode_int4,
    [ANF_ENCODING_SPARSE] = encode_sparse,
    [ANF_ENCODING_BLOCKWISE] = encode_blockwise,
};

/* ORDER anf_compress.  Lists end with F16, which everything suits. */
static const anf_encoding candidates[][MAX_CANDIDATES + 1] = {
    [ANF_COMPRESS_NONE] = {ANF_ENCODING_F16},
    [ANF_COMPRESS_INT8] = {ANF_ENCODING_INT8},
    [ANF_COMPRESS_INT4] = {ANF_ENCODING_INT4, ANF_ENCODING_INT8},
    [ANF_COMPRESS_SPARSE] = {ANF_ENCODING_SPARSE},
    [ANF_COMPRESS_BLOCKWISE] = {ANF_ENCODING_BLOCKWISE, ANF_ENCODING_INT8},
    [ANF_COMPRESS_AUTO] = {ANF_ENCODING_SPARSE, ANF_ENCODING_INT4, ANF_ENCODING_INT8},
};
enum { N_MODES = sizeof candidates / sizeof *candidates };

static anf_status read_target(const anf_compile_opts *o, struct compress_opts *out)
{
    char names[256];
    if (o->compress == ANF_COMPRESS_NONE)
        FAIL(ARG, "compile: target '%.40s' is given without compress, which alone depends on it",
             o->target);
    out->family = chip_family(o->target);
    out->target = chip_find(o->target);
    if (!out->family)
        FAIL(ARG, "compile: unknown target '%.40s'; known: %s", o->target,
             chip_names(names, sizeof names));
    if (!family_runs(out->family))
        FAIL(UNSUPPORTED, "compile: target '%.40s' runs no compiled program, needs H13+ (h13 or "
             "later)", o->target);
    return ANF_OK;
}

anf_status compress_opts_read(const anf_compile_opts *o, struct compress_opts *out)
{
    *out = (struct compress_opts){.mode = o->compress};
    if ((unsigned)o->compress >= N_MODES)
        FAIL(ARG, "compile: unknown compress mode %d", (int)o->compress);
    if (o->target)
        TRY(read_target(o, out));
    if (!(o->compress_atol >= 0) || isinf(o->compress_atol))
        FAIL(ARG, "compile: compress_atol is %g, needs a finite number of at least 0",
             o->compress_atol);
    if (o->block_size < 0)
        FAIL(ARG, "compile: block_size is %d, needs at least 1 (or 0 for the default)",
             o->block_size);
    out->encode.atol = o->compress_atol > 0 ? o->compress_atol : DEFAULT_ATOL;
    if (out->encode.atol <= ANF_ATOL_EXACT)
        out->encode.atol = 0;
    out->encode.block = o->block_size ? (size_t)o->block_size : DEFAULT_BLOCK;
    return ANF_OK;
}

bool compress_streams(const struct compress_opts *o, anf_encoding e)
{
    return o->family == 0 || family_streams(o->family, e);
}

static void add_reason(char why[WHY_MAX], const char *reason)
{
    size_t at = strlen(why);
    if (*reason)
        snprintf(why + at, WHY_MAX - at, "%s%s", at ? "; " : "", reason);
}

anf_status choose_encoding(const struct weight *w, const struct compress_opts *o,
                           struct encode_memory *m, struct encoded *out, char why[WHY_MAX])
{
    const anf_encoding *try = candidates[o->mode];
    char reason[WHY_MAX];
    why[0] = 0;
    for (; *try != ANF_ENCODING_F16; try++) {
        if (o->mode == ANF_COMPRESS_AUTO && !compress_streams(o, *try)) {
            snprintf(reason, sizeof reason, "%s does not stream on %.40s", encoding_names[*try],
                     o->target);
            add_reason(why, reason);
            continue;
        }
        TRY(encoders[*try](w, &o->encode, m, out, reason));
        add_reason(why, reason);
        if (out->encoding != ANF_ENCODING_F16) {
            if (!why[0])
                snprintf(why, WHY_MAX, "%s was asked for", encoding_names[*try]);
            return ANF_OK;
        }
    }
    *out = (struct encoded){.n = w->n, .k = w->k, .w = w->w};
    out->n_bytes = (uint64_t)w->n * w->k * sizeof(f16);
    return ANF_OK;
}
