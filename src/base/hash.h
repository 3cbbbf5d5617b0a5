/* FNV-1a over 64-bit words, mixed after each: for tables inside one process, and for the checksum
 * of saved models (whose job is to notice damage, not malice: program_check stands behind). */
#ifndef ANF_BASE_HASH_H
#define ANF_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_SEED 0xcbf29ce484222325u

static inline uint64_t hash_word(uint64_t h, uint64_t w)
{
    h = (h ^ w) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static inline uint64_t hash_bytes(uint64_t h, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t w;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&w, p, 8);
        h = hash_word(h, w);
    }
    if (n) {
        w = 0;
        memcpy(&w, p, n);
        h = hash_word(h, w ^ ((uint64_t)n << 56));
    }
    return h;
}

/* For what is long: hash_word in eight independent lanes, word i into lane i mod 8.  One lane waits
 * for its multiplications (2.5 GB/s), eight keep up with memory.  Every step is a bijection of the
 * lane for a given word and of the word for a given lane, so a change inside one word is always
 * noticed. */
enum { CHECKSUM_LANES = 8, CHECKSUM_STEP = CHECKSUM_LANES * 8, CHECKSUM_AHEAD = 8192 };
struct checksum {
    uint64_t lane[CHECKSUM_LANES];
};

static inline void checksum_init(struct checksum *c)
{
    for (uint64_t i = 0; i < CHECKSUM_LANES; i++)
        c->lane[i] = HASH_SEED + i;
}

static inline void checksum_step(struct checksum *c, const unsigned char *p)
{
    uint64_t w;
    for (int i = 0; i < CHECKSUM_LANES; i++) {
        memcpy(&w, p + 8 * i, 8);
        c->lane[i] = hash_word(c->lane[i], w);
    }
}

/* Counts as padded with zeros to a multiple of CHECKSUM_STEP bytes. */
static inline void checksum_put(struct checksum *c, const void *data, size_t n)
{
    const unsigned char *p = data;
    unsigned char padded[CHECKSUM_STEP] = {0};
    struct checksum s = *c; /* its own, so that lanes may stay in registers */
    for (; n >= CHECKSUM_STEP; p += CHECKSUM_STEP, n -= CHECKSUM_STEP) {
        /* Processors do not look ahead beyond a page of 4 KiB, of which a mapped file is made. */
        __builtin_prefetch((const void *)((uintptr_t)p + CHECKSUM_AHEAD));
        checksum_step(&s, p);
    }
    if (n) {
        memcpy(padded, p, n);
        checksum_step(&s, padded);
    }
    *c = s;
}

static inline uint64_t checksum_end(const struct checksum *c)
{
    uint64_t h = HASH_SEED;
    for (int i = 0; i < CHECKSUM_LANES; i++)
        h = hash_word(h, c->lane[i]);
    return h;
}

#endif
