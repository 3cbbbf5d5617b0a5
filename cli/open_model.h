/* A model from a file that is either a saved model or a graph text. */
#ifndef ANF_CLI_OPEN_MODEL_H
#define ANF_CLI_OPEN_MODEL_H

#include "common.h"

struct model_opts {
    anf_opt opt;
    bool text_only;     /* refuse a saved model, */
    const char *needs;  /* since this is wanted: "--stages needs a graph text" */
    anf_stage_fn stage;
    void *stage_user;
    anf_compress compress; /* this and what follows as in anf_compile_opts */
    double compress_atol;
    int32_t block_size;
    const char *target;
};

struct open_model {
    anf_model *model;
    bool from_text;
    double seconds; /* of the compile */
};

anf_status model_open(struct cli *c, anf_ctx *ctx, const char *path, const struct model_opts *opts,
                      struct open_model *out);

/* What became of each weight, JSON where the path ends in .json: output_finish makes it appear. */
anf_status model_report(struct cli *c, const anf_model *m, const char *path, struct output *out);

/* "x float16 [1,3,32,32]" */
struct port_text {
    char s[256];
};
struct port_text port_text(const anf_port *p);

#endif
