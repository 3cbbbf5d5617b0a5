/* The functions of exec.c and explain.c that instr_table.c puts into the table. */
#ifndef ANF_PROGRAM_EXEC_TABLE_H
#define ANF_PROGRAM_EXEC_TABLE_H

#include "program/program.h"

typedef void exec_fn(struct exec *x, const struct instr *i);
exec_fn exec_gemm, exec_conv, exec_attention, exec_reduce, exec_softmax, exec_norm, exec_affine,
    exec_pool, exec_tile, exec_move, exec_pack;

typedef void scratch_fn(const struct program *p, const struct instr *i, const struct kern *k,
                        int n_threads, size_t *shared, size_t *per_thread);
scratch_fn scratch_gemm, scratch_conv, scratch_attention, scratch_softmax;

typedef void text_fn(const struct program *p, const struct instr *i, struct buf *out);
text_fn text_gemm, text_conv, text_attention, text_reduce, text_softmax, text_norm, text_affine,
    text_pool, text_move;

#endif
