/* Convolutions of few taps, whose input is read where it lies in patches instead of being gathered:
 * depthwise ones, narrow groups, and the first layer of a network with its few input channels.
 *
 * A task owns a range of the output rows of all planes: of every image and group, one group after
 * the other.  It widens the weights of a group once and makes all of the group's channels, some
 * rows at a time, so that an epilogue finds them in cache. */
#include "kernels/conv_patch.h"
#include "kernels/conv_way.h"

enum {
    OUTPUT = 1 << 17, /* elements made together: 256 KiB */
    PATCH_COST = 16,  /* gathering, in multiplications of eight pixels with a channel panel */
};

static bool direct_chosen(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    (void)kern;
    if (conv_depthwise(g, job->cout))
        return true;
    /* Pixels are along the vector, so the last one of a row is partly empty. */
    const size_t panels = (job->cout + ANF_PANEL - 1) / ANF_PANEL;
    const size_t row = (g->out_w + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    if (g->kh * g->kw == 1) /* nothing is gathered twice */
        return false;
    return g->cin && conv_direct_columns(g) &&
           row * 8 * panels <= g->out_w * (8 * panels + PATCH_COST);
}

static size_t taps(const struct conv_job *job)
{
    return job->geom.cin * job->geom.kh * job->geom.kw;
}

/* Elements of a group's packed weights. */
static size_t group_weights(const struct conv_job *job)
{
    return conv_packed_size(&job->geom, 1, job->cout);
}

static size_t direct_tasks(const struct kern *kern, const struct conv_job *job)
{
    const size_t rows = job->images * job->groups * job->geom.out_h;
    const bool small = rows * job->geom.out_w * job->cout * taps(job) <= CONV_SMALL;
    (void)kern;
    return small || job->n_threads == 1 ? 1 : block_least(rows, BLOCK_FINE * job->n_threads);
}

/* Groups that are made together. */
static size_t groups_together(const struct conv_job *job)
{
    const size_t most = 1 + OUTPUT / (job->cout * job->geom.out_h * job->geom.out_w +
                                      4 * group_weights(job));
    return block_least(job->groups, most);
}

enum scratch { WEIGHTS, BIAS, PATCHES, N_SCRATCH };

static void scratch_floats(const struct conv_job *job, size_t n[N_SCRATCH])
{
    const size_t groups = groups_together(job);
    n[WEIGHTS] = groups * group_weights(job);
    n[BIAS] = groups * job->cout;
    n[PATCHES] = ANF_DIRECT_FLOATS;
}

static size_t direct_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    size_t n[N_SCRATCH];
    (void)kern;
    scratch_floats(job, n);
    return block_bytes(N_SCRATCH, n);
}

static void direct_run(const struct kern *kern, const struct conv_job *job,
                       const struct conv_run *run)
{
    const struct conv_geom *g = &job->geom;
    const size_t cout = job->cout, in = g->cin * g->in_h * g->in_w;
    const size_t out = cout * g->out_h * g->out_w;
    const size_t rows = job->images * job->groups * g->out_h, n_tasks = direct_tasks(kern, job);
    const size_t end = block_start(rows, n_tasks, run->task + 1), n_weights = group_weights(job);
    const size_t groups = groups_together(job);
    const size_t together = block_even(g->out_h, 1 + OUTPUT / (cout * g->out_w));
    float *at[N_SCRATCH];
    size_t floats[N_SCRATCH];
    scratch_floats(job, floats);
    block_lay(N_SCRATCH, floats, run->own, at);
    float *w = at[WEIGHTS], *bias = at[BIAS];
    size_t widened = SIZE_MAX; /* the first group in w */
    struct conv_filters f = {.w = w, .bias = job->bias ? bias : NULL, .w_group = n_weights,
                             .w_k = conv_depthwise(g, cout) ? 1 : ANF_PANEL, .cout = cout,
                             .relu = job->relu};
    for (size_t row = block_start(rows, n_tasks, run->task), n; row < end; row += n * f.n_groups) {
        const size_t plane = row / g->out_h, oy = row % g->out_h, group = plane % job->groups;
        n = block_least(together, block_least(g->out_h - oy, end - row));
        f.n_groups = 1;
        if (n == g->out_h)
            f.n_groups = block_least(block_least(groups, job->groups - group), (end - row) / n);
        if (group != widened || f.n_groups > 1) {
            kern->f32_from_f16(job->weights + group * n_weights, w, f.n_groups * n_weights);
            if (job->bias)
                kern->f32_from_f16(job->bias + group * cout, bias, f.n_groups * cout);
            widened = group;
        }
        kern->conv_direct(g, job->x + plane * in, &f, job->y + plane * out, oy, oy + n,
                          at[PATCHES]);
        conv_hand_on(job, plane * cout, f.n_groups * cout, oy * g->out_w, n * g->out_w);
    }
}

const struct conv_way conv_direct = {
    .chosen = direct_chosen,
    .tasks = direct_tasks,
    .run = direct_run,
    .thread_bytes = direct_thread_bytes,
};
