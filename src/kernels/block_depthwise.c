/* Depthwise convolutions of sixteen planes at a time.
 *
 * A task owns a range of the blocks of planes of all images.  It widens the filters of a block and
 * makes all of its pixels. */
#include "kernels/block_depthwise.h"

#include "kernels/conv_patch.h"

enum {
    SMALL_LANES = 1 << 17, /* multiply-adds not worth a second thread */
    LANES_COLUMNS = 20,    /* of longer rows direct_task is as fast, where no lane is empty */
};

static size_t blocks(const struct conv_job *job)
{
    return (job->groups + ANF_PANEL - 1) / ANF_PANEL;
}

bool lanes_chosen(const struct conv_job *job)
{
    const struct conv_geom *g = &job->geom;
    return conv_depthwise(g, job->cout) && g->out_h && g->out_w && conv_lanes_rows(g) &&
           g->out_w * blocks(job) * ANF_PANEL <= LANES_COLUMNS * job->groups;
}

static size_t taps(const struct conv_job *job)
{
    return job->geom.kh * job->geom.kw;
}

size_t lanes_tasks(const struct conv_job *job)
{
    const size_t n = job->images * blocks(job), n_threads = job->n_threads ? job->n_threads : 1;
    const size_t work = n * ANF_PANEL * job->geom.out_h * job->geom.out_w * taps(job);
    return work <= SMALL_LANES || n_threads == 1 ? 1 : block_least(n, BLOCK_FINE * n_threads);
}

size_t lanes_thread_bytes(const struct conv_job *job)
{
    return (taps(job) + ANF_LANES_PIXELS) * ANF_PANEL * sizeof(float);
}

void lanes_task(const struct kern *kern, const struct conv_job *job, size_t task, void *own)
{
    const struct conv_geom *g = &job->geom;
    const size_t in = g->in_h * g->in_w, out = g->out_h * g->out_w, k = taps(job);
    const size_t n_tasks = lanes_tasks(job), n = job->images * blocks(job);
    const size_t end = block_start(n, n_tasks, task + 1);
    float *at = own, *const w = block_floats(&at, k * ANF_PANEL);
    for (size_t i = block_start(n, n_tasks, task); i < end; i++) {
        const size_t group = i % blocks(job) * ANF_PANEL;
        const size_t plane = i / blocks(job) * job->groups + group;
        const size_t n_planes = block_least(ANF_PANEL, job->groups - group);
        kern->pack_panels_t(job->weights + group * k, k, k, n_planes, w, k * ANF_PANEL);
        kern->depthwise_lanes(g, job->x + plane * in, w, job->bias ? job->bias + group : NULL,
                              job->relu, n_planes, job->y + plane * out, at);
        if (job->epilogue && !job->relu)
            job->epilogue(job->epilogue_arg, plane * out, n_planes * out);
    }
}
