/* What the machine gives at this moment: the yardstick of bench/compare.py.
 *
 *     bench_probe            measure peak, cores and bandwidth once and print them
 *     bench_probe - [ISA]    commands on stdin, one line of JSON each
 *
 *     cores                  multiply-add rate of one thread and of two at once, some 2 ms
 *     peak SECONDS           the same for the best of many, and the read bandwidth of memory
 *     quit
 *
 * The rate counts float32 multiply-adds on registers only, in the vectors of the kernel set ISA
 * (the widest the CPU has); no float32 program is faster.  Virtual cores may share one physical
 * core, or be taken away: then two threads are not twice as fast as one, and a sample taken at that
 * time says nothing. */
#include "machine_peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    FMA_TRIES = 20,
    READ_BYTES = 1 << 28, /* beyond any last-level cache share */
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_cores(fma_loop *loop)
{
    double one = peak_flops(loop, 1) * 1e-9, two = peak_flops(loop, 2) * 1e-9;
    printf("{\"ok\":true,\"one\":%.1f,\"two\":%.1f,\"ratio\":%.3f}\n", one, two, two / one);
}

static void print_peak(fma_loop *loop, double seconds)
{
    double fma[2] = {0}, read[2] = {0}, end = now() + seconds;
    struct peak_memory memory[2];
    bool had[2];
    for (int n = 1; n <= 2; n++)
        had[n - 1] = peak_memory_new(&memory[n - 1], READ_BYTES, n);
    do {
        for (int n = 1; n <= 2; n++) {
            for (int i = 0; i < FMA_TRIES; i++) /* much shorter than a read of the memory */
                fma[n - 1] = fmax(fma[n - 1], peak_flops(loop, n) * 1e-9);
            if (had[n - 1])
                read[n - 1] = fmax(read[n - 1], peak_read(&memory[n - 1]) * 1e-9);
        }
    } while (now() < end);
    for (int n = 1; n <= 2; n++)
        peak_memory_free(&memory[n - 1]);
    printf("{\"ok\":true,\"fma_one\":%.1f,\"fma_two\":%.1f,\"read_one\":%.1f,\"read_two\":%.1f}\n",
           fma[0], fma[1], read[0], read[1]);
}

int main(int argc, char **argv)
{
    char text[256];
    fma_loop *loop = peak_loop(argc > 2 ? argv[2] : NULL);
    if (argc < 2) {
        print_peak(loop, 1);
        print_cores(loop);
        return 0;
    }
    if (strcmp(argv[1], "-") != 0 || argc > 3) {
        fprintf(stderr, "usage: bench_probe [- [ISA]]\n");
        return 2;
    }
    while (fgets(text, sizeof text, stdin) && strcmp(text, "quit\n") != 0) {
        double seconds = strncmp(text, "peak ", 5) == 0 ? strtod(text + 5, NULL) : 0;
        if (strcmp(text, "cores\n") == 0)
            print_cores(loop);
        else if (seconds > 0 && seconds < 600)
            print_peak(loop, seconds);
        else
            printf("{\"ok\":false,\"error\":\"cores, peak SECONDS and quit exist\"}\n");
        fflush(stdout);
    }
    return 0;
}
