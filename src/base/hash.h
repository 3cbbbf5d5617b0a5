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

#endif
