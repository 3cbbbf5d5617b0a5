/* .npy files.  See fuzz_arrays.h. */
#include "fuzz_arrays.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    fuzz_arrays(data, n);
    return 0;
}
