/* Chips and what their families can do: chips.def as tables. */
#ifndef ANF_TARGETS_CHIPS_H
#define ANF_TARGETS_CHIPS_H

#include "base/status.h"

/* The architecture string as the table writes it, from one in any case with blanks around it; NULL
 * if unknown. */
const char *chip_find(const char *name);

/* The family of a chip; 0 if unknown. */
int chip_family(const char *name);

/* Whether chips of a family run compiled programs.  False for an unknown family. */
bool family_runs(int family);

/* Whether chips of a family read weights of this encoding as they are: float16 always.  False for
 * an unknown family. */
bool family_streams(int family, anf_encoding e);

/* "h11, h12, ...": what chip_family knows. */
const char *chip_names(char *text, size_t cap);

#endif
