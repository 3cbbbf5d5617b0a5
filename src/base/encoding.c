/* encoding.def as a table that anf_encoding indexes, whatever the order of its lines. */
#include "base/encoding.h"

const char *const encoding_names[ENCODING_COUNT] = {
#define E(id, name) [ANF_ENCODING_##id] = name,
#include "base/encoding.def"
#undef E
};
