/* How a weight is stored: the names behind anf_encoding. */
#ifndef ANF_BASE_ENCODING_H
#define ANF_BASE_ENCODING_H

#include "aneforge.h"

enum {
#define E(id, name) ENCODING_##id,
#include "base/encoding.def"
#undef E
    ENCODING_COUNT
};

extern const char *const encoding_names[ENCODING_COUNT];

#endif
