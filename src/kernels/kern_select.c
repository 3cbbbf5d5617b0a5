/* The list of kernel tables, best first, and the choice of one.
 *
 * The choice is made once per context.  All tables give the same bits, so it changes speed only;
 * "ref" is plain C and always available. */
#include "kernels/cpu.h"
#include "kernels/kern.h"

#include <string.h>

#if defined(__x86_64__)
extern const struct kern kern_avx512fp16, kern_avx512, kern_avx2;
#elif defined(__aarch64__)
extern const struct kern kern_neon;
#endif
extern const struct kern kern_ref;

const struct kern *const kern_tables[] = {
#if defined(__x86_64__)
#ifdef CPU_KNOWS_AVX512FP16
    &kern_avx512fp16,
#endif
    &kern_avx512, &kern_avx2,
#elif defined(__aarch64__)
    &kern_neon,
#endif
    &kern_ref, NULL,
};

const struct uop_info uop_info[UOP_COUNT] = {
#define U(name, n_in, n_p, doc) {#name, n_in, n_p},
#include "kernels/uops.def"
#undef U
};

const bool uop_chains[UOP_COUNT] = {
#define UOP1(name, expr) [UOP_##name] = true,
#define UOP2 UOP1
#define UOP3 UOP1
#define UOP1_ROUNDS UOP1
#define UOP2_ROUNDS UOP1
#include "kernels/common/uops_exact.inc.c"
};

const struct kern *kern_select(const char *name)
{
    for (size_t i = 0; kern_tables[i]; i++) {
        const struct kern *k = kern_tables[i];
        if ((!name || !strcmp(name, k->name)) && k->available())
            return k;
    }
    return NULL;
}
