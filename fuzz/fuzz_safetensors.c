/* .safetensors files.  The bytes are tried as they are, and with the length in front made to fit
 * the header: a mutation that inserts text would nearly always break it. */
#include "fuzz_arrays.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_arrays(data, n);
    if (n < 10 || n > 1 << 16)
        return 0;
    size_t end = n;
    while (end > 9 && data[end - 1] != '}')
        end--;
    uint8_t *copy = malloc(n);
    if (!copy)
        return 0;
    memcpy(copy, data, n);
    for (int i = 0; i < 8; i++)
        copy[i] = (uint8_t)((uint64_t)(end - 8) >> (8 * i));
    fuzz_arrays(copy, n);
    free(copy);
    return 0;
}
