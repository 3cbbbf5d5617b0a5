// The public header in C++17: options are the last argument there.
#include <aneforge.h>

anf_tensor block(anf_graph *g, anf_tensor x);

anf_tensor block(anf_graph *g, anf_tensor x)
{
    anf_dims shape{};
    shape.rank = 4;
    shape.dim[0] = 8;
    shape.dim[1] = 3;
    shape.dim[2] = shape.dim[3] = 3;
    anf_conv_opts o{};
    o.pad = 1;
    return anf_relu(anf_conv(x, anf_random_weight(g, shape, 1, 0.1), o));
}
