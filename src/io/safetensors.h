/* .safetensors: a JSON header and one buffer that the tensors tile. */
#ifndef ANF_IO_SAFETENSORS_H
#define ANF_IO_SAFETENSORS_H

#include "io/arrays.h"

bool safetensors_magic(const void *bytes, size_t n);

/* Add the tensors of a->bytes. */
anf_status safetensors_read(struct anf_arrays *a);

#endif
