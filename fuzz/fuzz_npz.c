/* .npz files.  A CRC stops nearly every mutation, so the bytes are tried as they are, and again
 * with the CRCs of stored entries made right in the central directory. */
#include "fuzz_arrays.h"

#include <string.h>

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
    }
    return ~c;
}

static uint32_t get(const uint8_t *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

static void repair(uint8_t *b, size_t n)
{
    for (size_t i = 0; i + 46 <= n; i++) {
        if (get(b + i, 4) != 0x02014b50 || get(b + i + 10, 2) != 0)
            continue;
        size_t size = get(b + i + 20, 4), local = get(b + i + 42, 4);
        if (local > n || n - local < 30)
            continue;
        size_t data = local + 30 + get(b + local + 26, 2) + get(b + local + 28, 2);
        if (data > n || size > n - data)
            continue;
        uint32_t crc = crc32_of(b + data, size);
        for (int k = 0; k < 4; k++)
            b[i + 16 + (size_t)k] = (uint8_t)(crc >> (8 * k));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_arrays(data, n);
    if (n < 22 || n > 1 << 16)
        return 0;
    uint8_t *copy = malloc(n);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    repair(copy, n);
    fuzz_arrays(copy, n);
    free(copy);
    return 0;
}
