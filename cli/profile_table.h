/* What anf_profile measured, as a table; times of calls and their quantiles. */
#ifndef ANF_CLI_PROFILE_TABLE_H
#define ANF_CLI_PROFILE_TABLE_H

#include "common.h"

/* Instructions by time, longest first. */
anf_status profile_print(struct cli *c, const anf_run_state *rs);

struct samples {
    double *seconds;
    size_t n, cap;
};
anf_status samples_add(struct cli *c, struct samples *s, double seconds);
void samples_sort(struct samples *s);
/* The value below which `part` of the sorted samples lie. */
double samples_quantile(const struct samples *s, double part);
void samples_free(struct samples *s);

#endif
