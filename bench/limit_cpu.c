/* A processor without AVX-512, for comparisons of AVX2 kernels: preload this into an engine that
 * has no switch for it.
 *
 *     LD_PRELOAD=build/bench/liblimit_cpu.so python3 ...
 *
 * Linux can make the CPUID instruction fault (arch_prctl, ARCH_SET_CPUID; threads inherit it).  The
 * handler runs the instruction with the fault switched off and answers without the bits of AVX-512,
 * AMX and the later forms of AVX: whatever asks the processor takes its AVX2 code.  Only the
 * dynamic loader has asked before, which chooses memcpy and its like.  Where the processor or a
 * virtual machine cannot fault, the process ends with 3. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };

static long let_cpuid_run(bool on)
{
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, (unsigned long)on);
}

/* Bits that are taken away from one leaf; the numbers are those of the processor's manual. */
static const struct mask {
    unsigned leaf, subleaf, eax, ebx, ecx, edx;
} masks[] = {
    {7, 0, 0,
     1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31,
     1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14,
     1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25},
    {7, 1, 1u << 4 | 1u << 5 | 1u << 21 | 1u << 23, 0, 0, 1u << 4 | 1u << 5 | 1u << 10 | 1u << 19},
};

static void answer(int signal_number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    const unsigned leaf = (unsigned)r[REG_RAX], subleaf = (unsigned)r[REG_RCX];
    unsigned a, b, c, d;
    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* not CPUID: fails again, for good */
        signal(signal_number, SIG_DFL);
        return;
    }
    let_cpuid_run(true);
    __cpuid_count(leaf, subleaf, a, b, c, d);
    let_cpuid_run(false);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++)
        if (masks[i].leaf == leaf && masks[i].subleaf == subleaf) {
            a &= ~masks[i].eax;
            b &= ~masks[i].ebx;
            c &= ~masks[i].ecx;
            d &= ~masks[i].edx;
        }
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void)
{
    struct sigaction act = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigemptyset(&act.sa_mask);
    if (sigaction(SIGSEGV, &act, NULL) || let_cpuid_run(false))
        _exit(3);
}
