/* Depthwise convolutions whose rows are too short, or too far apart, for vectors of pixels: sixteen
 * planes at a time are the lanes.
 *
 * A task owns a range of the blocks of planes of all images.  It widens the filters of a block and
 * makes all of its pixels. */
#include "kernels/conv_patch.h"
#include "kernels/conv_way.h"

enum { LANES_COLUMNS = 20 }; /* of longer rows block_direct.c is as fast, where no lane is empty */

static size_t blocks(const struct conv_job *job)
{
    return (job->groups + ANF_PANEL - 1) / ANF_PANEL;
}

static bool lanes_chosen(const struct kern *kern, const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    (void)kern;
    return conv_depthwise(g, job->cout) && conv_lanes_rows(g) &&
           g->out_w * blocks(job) * ANF_PANEL <= LANES_COLUMNS * job->groups;
}

static size_t taps(const struct conv_job *job)
{
    return job->geom.kh * job->geom.kw;
}

static size_t lanes_tasks(const struct kern *kern, const struct conv_job *job)
{
    const size_t n = job->images * blocks(job), n_threads = job->n_threads;
    const size_t work = n * ANF_PANEL * job->geom.out_h * job->geom.out_w * taps(job);
    (void)kern;
    return work <= CONV_SMALL || n_threads == 1 ? 1 : block_least(n, BLOCK_FINE * n_threads);
}

enum scratch { WEIGHTS, PLANES, N_SCRATCH };

static void scratch_floats(const struct conv_job *job, size_t n[N_SCRATCH])
{
    n[WEIGHTS] = taps(job) * ANF_PANEL;
    n[PLANES] = ANF_LANES_PIXELS * ANF_PANEL;
}

static size_t lanes_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    size_t n[N_SCRATCH];
    (void)kern;
    scratch_floats(job, n);
    return block_bytes(N_SCRATCH, n);
}

static void lanes_run(const struct kern *kern, const struct conv_job *job,
                      const struct conv_run *run)
{
    const struct conv_geom *g = &job->geom;
    const size_t in = g->in_h * g->in_w, out = g->out_h * g->out_w, k = taps(job);
    const size_t n_tasks = lanes_tasks(kern, job), n = job->images * blocks(job);
    const size_t end = block_start(n, n_tasks, run->task + 1);
    float *at[N_SCRATCH];
    size_t floats[N_SCRATCH];
    scratch_floats(job, floats);
    block_lay(N_SCRATCH, floats, run->own, at);
    for (size_t i = block_start(n, n_tasks, run->task); i < end; i++) {
        const size_t group = i % blocks(job) * ANF_PANEL;
        const size_t plane = i / blocks(job) * job->groups + group;
        const size_t n_planes = block_least(ANF_PANEL, job->groups - group);
        kern->pack_panels_t(job->weights + group * k, k, k, n_planes, at[WEIGHTS],
                            k * ANF_PANEL);
        kern->depthwise_lanes(g, job->x + plane * in, at[WEIGHTS],
                              job->bias ? job->bias + group : NULL,
                              job->relu, n_planes, job->y + plane * out, at[PLANES]);
        conv_hand_on(job, plane, n_planes, 0, out);
    }
}

const struct conv_way conv_lanes = {
    .chosen = lanes_chosen,
    .tasks = lanes_tasks,
    .run = lanes_run,
    .thread_bytes = lanes_thread_bytes,
};
