/* Attribute structs: the operator's block describes them, its lowering reads them. Only int64_t,
 * double and anf_dims fields, so that equality and hashing can be bytewise. */
#ifndef ANF_OPS_OP_ATTRS_H
#define ANF_OPS_OP_ATTRS_H

#include "aneforge.h"

struct conv_attrs {
    int64_t stride, pad, dilation, groups;
};
struct eps_attrs { /* log, rsqrt, rms_norm, layer_norm, batch_norm */
    double eps;
};
struct alpha_attrs { /* elu, leaky_relu */
    double alpha;
};
struct scale_by_attrs { /* scale */
    double factor;
};
struct clip_attrs {
    double lo, hi;
};
struct axes_attrs { /* reductions, squeeze, expand_dims */
    anf_dims axes;
};
struct axis_attrs { /* softmax, concat */
    int64_t axis;
};
struct l2_norm_attrs {
    int64_t axis;
    double eps;
};
struct group_norm_attrs {
    int64_t num_groups;
    double eps;
};
struct pool_attrs { /* infer replaces stride 0 by k */
    int64_t k, stride, pad;
};
struct scale_attrs { /* upsample */
    int64_t scale;
};
struct shape_attrs { /* reshape, expand */
    anf_dims shape;
};
struct perm_attrs { /* transpose */
    anf_dims perm;
};
struct factor_attrs { /* pixel_shuffle, pixel_unshuffle */
    int64_t r;
};
struct slice_attrs { /* out dim i is size[i], from begin[i] on */
    anf_dims begin, size;
};
struct split_attrs { /* part `index` of `parts` equal ones along axis */
    int64_t parts, axis, index;
};
struct heads_attrs { /* mha, cross_attention */
    int64_t n_heads;
};

#endif
