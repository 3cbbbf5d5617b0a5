/* The functions of exec.c and explain.c that instr_table.c puts into the table. */
#ifndef ANF_PROGRAM_EXEC_TABLE_H
#define ANF_PROGRAM_EXEC_TABLE_H

#include "program/program.h"

exec_fn exec_gemm, exec_conv, exec_attention, exec_reduce, exec_softmax, exec_norm, exec_affine,
    exec_pool, exec_tile, exec_move, exec_pack;

scratch_fn scratch_gemm, scratch_conv, scratch_attention, scratch_softmax, scratch_pool;

text_fn text_gemm, text_conv, text_attention, text_reduce, text_softmax, text_norm, text_affine,
    text_pool, text_move;

#endif
