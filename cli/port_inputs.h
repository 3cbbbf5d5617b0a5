/* The INPUT operands of a run, brought to the input ports of a model. */
#ifndef ANF_CLI_PORT_INPUTS_H
#define ANF_CLI_PORT_INPUTS_H

#include "common.h"

struct port_inputs {
    int n;
    anf_array *arrays; /* in port order, as anf_run takes them */
    void **blocks;     /* memory of those that no file owns */
    anf_arrays **files; /* by operand */
    int n_files;
};

anf_status port_inputs_open(struct cli *c, const anf_model *m, int n_args, char **args, bool resize,
                            struct port_inputs *out);
void port_inputs_free(struct port_inputs *in);

/* Uniform multiples of 2^-10 in [-1, 1), exact in float16, or bytes: a function of seed and port.
 */
void fill_random(const anf_port *port, uint64_t seed, int port_number, void *data);

#endif
