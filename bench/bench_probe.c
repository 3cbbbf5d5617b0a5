/* What the machine gives at this moment: the yardstick of bench/compare.py.
 *
 *     bench_probe            measure peak, cores and bandwidth once and print them
 *     bench_probe - [ISA]    commands on stdin, one line of JSON each
 *
 *     cores                  multiply-add rate of one thread and of two at once, and how many
 *                            instructions begin, of one thread and of two; some 4 ms
 *     read                   the read bandwidth of memory in one pass, of one thread and of two
 *     peak SECONDS           both, the best of many
 *     quit
 *
 * The rate counts float32 multiply-adds on registers only, in the vectors of the kernel set ISA
 * (the widest the CPU has); no float32 program is faster.  Virtual cores may share one physical
 * core, or be taken away: then two threads are not twice as fast as one, and a sample taken at that
 * time says nothing.  They may also share their cores with somebody else's program, which takes
 * half of the instructions that can begin; a loop that does nothing shows that. */
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

static void print_cores(rate_loop *loop)
{
    double one = peak_rate(loop, 1) * 1e-9, two = peak_rate(loop, 2) * 1e-9;
    double issue_one = peak_rate(peak_issue, 1) * 1e-9, issue_two = peak_rate(peak_issue, 2) * 1e-9;
    printf("{\"ok\":true,\"one\":%.1f,\"two\":%.1f,\"ratio\":%.3f,\"issue_one\":%.2f,"
           "\"issue_two\":%.2f}\n", one, two, two / one, issue_one, issue_two);
}

/* Memory to read by one thread and by two. */
struct blocks {
    struct peak_memory of[2];
    bool had[2];
};

static struct blocks blocks_new(void)
{
    struct blocks b;
    for (int n = 1; n <= 2; n++)
        b.had[n - 1] = peak_memory_new(&b.of[n - 1], READ_BYTES, n);
    return b;
}

static void blocks_free(struct blocks *b)
{
    for (int n = 1; n <= 2; n++)
        peak_memory_free(&b->of[n - 1]);
}

/* GB/s; 0 where there was no memory. */
static double read_rate(const struct blocks *b, int n)
{
    return b->had[n - 1] ? peak_read(&b->of[n - 1]) * 1e-9 : 0;
}

static void print_read(const struct blocks *b)
{
    double one = read_rate(b, 1), two = read_rate(b, 2);
    printf("{\"ok\":true,\"one\":%.1f,\"two\":%.1f}\n", one, two);
}

static void print_peak(rate_loop *loop, double seconds)
{
    double fma[2] = {0}, read[2] = {0}, issue[2] = {0}, end = now() + seconds;
    struct blocks b = blocks_new();
    do {
        for (int n = 1; n <= 2; n++) {
            for (int i = 0; i < FMA_TRIES; i++) { /* much shorter than a read of the memory */
                fma[n - 1] = fmax(fma[n - 1], peak_rate(loop, n) * 1e-9);
                issue[n - 1] = fmax(issue[n - 1], peak_rate(peak_issue, n) * 1e-9);
            }
            read[n - 1] = fmax(read[n - 1], read_rate(&b, n));
        }
    } while (now() < end);
    blocks_free(&b);
    printf("{\"ok\":true,\"fma_one\":%.1f,\"fma_two\":%.1f,\"issue_one\":%.2f,\"issue_two\":%.2f,"
           "\"read_one\":%.1f,\"read_two\":%.1f}\n", fma[0], fma[1], issue[0], issue[1], read[0],
           read[1]);
}

int main(int argc, char **argv)
{
    char text[256];
    struct blocks b;
    bool has_blocks = false;
    rate_loop *loop = peak_loop(argc > 2 ? argv[2] : NULL);
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
        else if (strcmp(text, "read\n") == 0) {
            if (!has_blocks)
                b = blocks_new();
            has_blocks = true;
            print_read(&b);
        } else if (seconds > 0 && seconds < 600)
            print_peak(loop, seconds);
        else
            printf("{\"ok\":false,\"error\":\"cores, read, peak SECONDS and quit exist\"}\n");
        fflush(stdout);
    }
    if (has_blocks)
        blocks_free(&b);
    return 0;
}
