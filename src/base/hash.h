/* FNV-1a over 64-bit words, mixed after each: for tables inside one process, and one lane of the
 * checksum of saved models (whose job is to notice damage, not malice: program_check stands
 * behind). */
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

/* The checksum of a model file, and the hash of what is long: hash_word in four independent lanes,
 * word i into lane i mod 4.  One lane waits for its multiplication (2.5 GB/s), four keep up with
 * memory.  Every step is a bijection of the lane for a given word and of the word for a given lane,
 * so a change inside one word is always noticed. */
struct checksum {
    uint64_t lane[4];
};

static inline void checksum_init(struct checksum *c)
{
    for (uint64_t i = 0; i < 4; i++)
        c->lane[i] = HASH_SEED + i;
}

/* Counts as padded with zeros to a multiple of 64 bytes, like everything in a model file. */
static inline void checksum_put(struct checksum *c, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t s0 = c->lane[0], s1 = c->lane[1], s2 = c->lane[2], s3 = c->lane[3], w[8];
    for (; n; p += sizeof w) {
        size_t take = n < sizeof w ? n : sizeof w;
        if (take < sizeof w) {
            memset(w, 0, sizeof w);
            memcpy(w, p, take);
        } else {
            memcpy(w, p, sizeof w);
        }
        s0 = hash_word(hash_word(s0, w[0]), w[4]);
        s1 = hash_word(hash_word(s1, w[1]), w[5]);
        s2 = hash_word(hash_word(s2, w[2]), w[6]);
        s3 = hash_word(hash_word(s3, w[3]), w[7]);
        n -= take;
    }
    *c = (struct checksum){{s0, s1, s2, s3}};
}

static inline uint64_t checksum_end(const struct checksum *c)
{
    uint64_t h = HASH_SEED;
    for (int i = 0; i < 4; i++)
        h = hash_word(h, c->lane[i]);
    return h;
}

#endif
