/* The driver of pools: plane by plane along rows of results, or, for means of which a row has few
 * or which lie far apart, sixteen planes at a time as lanes.  Where planes are few, rows of results
 * are the lanes: a lane is what a row reads, if no padding makes rows differ.
 *
 * Results are added up in one order either way, so the choice is one of speed alone. */
#include "kernels/block_pool.h"

enum {
    SHORT_ROW = 21,     /* results of a row from which on avg_pool is faster if no lane is empty, */
    SHORT_ROW_ROWS = 9, /* and where rows are lanes */
};

/* n_sets of n_lanes, each pooled by itself. */
struct lanes {
    struct conv_geom geom; /* of a lane */
    size_t x_lane, n_lanes, n_sets, x_set;
    size_t short_row;
};

static struct lanes lanes_of(const struct pool_job *job)
{
    const struct conv_geom *g = &job->geom;
    struct lanes l = {.geom = *g, .n_lanes = job->planes, .n_sets = 1, .short_row = SHORT_ROW};
    l.x_lane = g->in_h * g->in_w;
    if (job->planes < ANF_PANEL / 2 && job->planes < g->out_h && !g->pad_h) {
        l.n_sets = job->planes;
        l.x_set = l.x_lane;
        l.n_lanes = g->out_h;
        l.x_lane = g->stride_h * g->in_w;
        l.geom.in_h = g->kh;
        l.geom.out_h = 1;
        l.short_row = SHORT_ROW_ROWS;
    }
    return l;
}

static bool has_lanes(const struct pool_job *job)
{
    if (!job->mean || job->geom.stride_w > 2) /* the limit of kern.h's avg_pool */
        return job->mean;
    const struct lanes l = lanes_of(job);
    const size_t room = (l.n_lanes + ANF_PANEL - 1) / ANF_PANEL * ANF_PANEL;
    return 2 * l.n_lanes >= room && l.geom.out_w * room < l.short_row * l.n_lanes;
}

/* Groups of the lanes of a set, of which all are even and, where there are not many rows of
 * results, a multiple of the threads. */
static size_t lane_groups(const struct pool_job *job, const struct lanes *l)
{
    const size_t groups = (l->n_lanes + ANF_PANEL - 1) / ANF_PANEL, n = job->n_threads;
    if (l->n_sets * groups * l->geom.out_h >= BLOCK_FINE * n)
        return groups;
    return block_least(l->n_lanes, (groups + n - 1) / n * n);
}

/* What tasks share out: rows of results, of all planes or of all groups of all sets. */
static size_t rows_of(const struct pool_job *job)
{
    if (!has_lanes(job))
        return job->planes * job->geom.out_h;
    const struct lanes l = lanes_of(job);
    return l.n_sets * lane_groups(job, &l) * l.geom.out_h;
}

size_t pool_work(const struct pool_job *job)
{
    const struct conv_geom *g = &job->geom;
    const size_t rows = has_lanes(job) ? g->kh : 1; /* avg_pool and max_pool see to the others */
    return job->planes * g->out_h * g->out_w * g->kw * rows;
}

size_t pool_tasks(const struct kern *kern, const struct pool_job *job)
{
    (void)kern;
    return block_least(rows_of(job), job->n_threads);
}

size_t pool_thread_bytes(const struct kern *kern, const struct pool_job *job)
{
    (void)kern;
    return has_lanes(job) ? ANF_POOL_HALVES * sizeof(f16) : 0;
}

static void pool_plane_rows(const struct kern *kern, const struct pool_job *job, size_t from,
                            size_t to)
{
    const struct conv_geom *g = &job->geom;
    pool_fn *const fn = job->mean ? kern->avg_pool : kern->max_pool;
    for (size_t n; from < to; from += n) {
        const size_t plane = from / g->out_h, oy = from % g->out_h;
        n = block_least(g->out_h - oy, to - from);
        fn(g, job->x + plane * g->in_h * g->in_w, job->y + plane * g->out_h * g->out_w, oy, oy + n);
    }
}

static void pool_lane_rows(const struct kern *kern, const struct pool_job *job, size_t from,
                           size_t to, f16 *scratch)
{
    const struct lanes l = lanes_of(job);
    const struct conv_geom *g = &l.geom;
    const size_t groups = lane_groups(job, &l), y_lane = g->out_h * g->out_w;
    for (size_t n; from < to; from += n) {
        const size_t group = from / g->out_h % groups, set = from / g->out_h / groups;
        const size_t oy = from % g->out_h, lane = block_start(l.n_lanes, groups, group);
        n = block_least(g->out_h - oy, to - from);
        kern->avg_pool_planes(g, job->x + set * l.x_set + lane * l.x_lane, l.x_lane,
                              block_start(l.n_lanes, groups, group + 1) - lane,
                              job->y + (set * l.n_lanes + lane) * y_lane, oy, oy + n, scratch);
    }
}

void pool_task(const struct kern *kern, const struct pool_job *job, size_t task, void *own)
{
    const size_t rows = rows_of(job), n_tasks = pool_tasks(kern, job);
    const size_t from = block_start(rows, n_tasks, task), to = block_start(rows, n_tasks, task + 1);
    if (has_lanes(job))
        pool_lane_rows(kern, job, from, to, own);
    else
        pool_plane_rows(kern, job, from, to);
}
