/* How far each instruction is from what the machine allows: bench --roofline. */
#ifndef ANF_CLI_ROOFLINE_H
#define ANF_CLI_ROOFLINE_H

#include "common.h"
#include "machine_peak.h"

/* The two limits, the best rates of the probes so far. */
struct roof {
    rate_loop *loop;
    struct peak_memory memory;
    double flops, bytes; /* a second */
};

/* For the kernel set and threads of a context and the bytes that a call touches. */
anf_status roof_new(struct cli *c, const anf_ctx *ctx, size_t touched, struct roof *out);
void roof_free(struct roof *roof);

/* Measure once more; some milliseconds. */
anf_status roof_probe(struct cli *c, struct roof *roof);

/* Of the profile of `rs`: every instruction in order, the sum, and the largest gaps. */
anf_status roofline_print(struct cli *c, const anf_run_state *rs, const struct roof *roof);

/* The same as members of a JSON object: "roof":{...},"instructions":[...],"total":{...},
 * "largest_gaps":[...].  Without a roof only the instructions and what was measured of them. */
anf_status roofline_json(struct cli *c, const anf_run_state *rs, const struct roof *roof);

#endif
