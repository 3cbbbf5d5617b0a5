/* The floating-point environment a run computes in: round to nearest, subnormals kept, no traps.  A
 * host program may have changed it (-ffast-math start-up code sets flush-to-zero), and the numerics
 * contract does not depend on who calls. Saved and restored around every run, per thread. */
#ifndef ANF_RUNTIME_FPENV_H
#define ANF_RUNTIME_FPENV_H

#include <stdint.h>

struct fpenv {
    uint64_t word;
};

#if defined(__x86_64__)
#include <xmmintrin.h>
static inline void fpenv_enter(struct fpenv *saved)
{
    saved->word = _mm_getcsr();
    if (saved->word != 0x1f80)
        _mm_setcsr(0x1f80);
}
static inline void fpenv_leave(const struct fpenv *saved)
{
    if ((uint32_t)saved->word != _mm_getcsr())
        _mm_setcsr((uint32_t)saved->word);
}
#elif defined(__aarch64__)
static inline void fpenv_enter(struct fpenv *saved)
{
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved->word));
    if (saved->word != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0));
}
static inline void fpenv_leave(const struct fpenv *saved)
{
    if (saved->word != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"(saved->word));
}
#else
static inline void fpenv_enter(struct fpenv *saved)
{
    saved->word = 0;
}
static inline void fpenv_leave(const struct fpenv *saved)
{
    (void)saved;
}
#endif

#endif
