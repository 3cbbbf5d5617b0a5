/* Which way a convolution goes, and the layout of its weights. */
#include "kernels/conv_way.h"

#include "kernels/block_gemm.h"

/* The first that is chosen. */
static const struct conv_way *const ways[] = {
    &conv_winograd, &conv_transposed, &conv_lanes, &conv_direct, &conv_strips, &conv_gathered,
};

static const struct conv_way *way_of(const struct kern *kern, const struct conv_job *job)
{
    size_t i = 0;
    while (!ways[i]->chosen(kern, job))
        i++;
    return ways[i];
}

static bool is_empty(const struct conv_job *job)
{
    return !job->images || !job->groups || !job->cout || !job->geom.out_h || !job->geom.out_w;
}

size_t conv_tasks(const struct kern *kern, const struct conv_job *job, size_t phase)
{
    if (is_empty(job))
        return 0;
    const struct conv_way *way = way_of(kern, job);
    if (phase)
        return way->tasks(kern, job);
    return way->prepare ? way->prepare_tasks(kern, job) : 0;
}

size_t conv_thread_bytes(const struct kern *kern, const struct conv_job *job)
{
    return is_empty(job) ? 0 : way_of(kern, job)->thread_bytes(kern, job);
}

size_t conv_shared_bytes(const struct kern *kern, const struct conv_job *job)
{
    if (is_empty(job))
        return 0;
    const struct conv_way *way = way_of(kern, job);
    return way->shared_bytes ? way->shared_bytes(kern, job) : 0;
}

void conv_task(const struct kern *kern, const struct conv_job *job, size_t phase, size_t task,
               void *shared, void *own, size_t *kept)
{
    const struct conv_way *way = way_of(kern, job);
    const struct conv_run run = {.task = task, .shared = shared, .own = own, .kept = kept};
    if (phase)
        way->run(kern, job, &run);
    else
        way->prepare(kern, job, &run);
}

/* ---- finished results ------------------------------------------------------------------------ */
void conv_hand_on(const struct conv_job *job, size_t plane, size_t n_planes, size_t p0, size_t n)
{
    const size_t pixels = job->geom.out_h * job->geom.out_w;
    if (!job->epilogue || job->relu)
        return;
    if (n == pixels) {
        job->epilogue(job->epilogue_arg, plane * pixels, n_planes * pixels);
        return;
    }
    for (size_t i = 0; i < n_planes; i++)
        job->epilogue(job->epilogue_arg, (plane + i) * pixels + p0, n);
}

/* ---- weights --------------------------------------------------------------------------------- */
size_t conv_packed_size(const struct conv_geom *geom, size_t groups, size_t cout)
{
    const size_t k = geom->cin * geom->kh * geom->kw;
    return conv_depthwise(geom, cout) ? groups * k : groups * gemm_packed_size(k, cout);
}

size_t conv_tap_step(size_t up, size_t dilation)
{
    size_t a = up, b = dilation;
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return up / a;
}

/* The taps (u0 + i*step, v0 + j*step) of all kernels; the next element of `packed`. */
static f16 *pack_taps(const struct conv_geom *geom, size_t groups, size_t cout,
                      enum conv_weights kind, size_t step, size_t u0, size_t v0, const f16 *w,
                      f16 *packed)
{
    const size_t taps = geom->kh * geom->kw, k = geom->cin * taps;
    const size_t lanes = conv_depthwise(geom, cout) ? 1 : ANF_PANEL;
    for (size_t g = 0; g < groups; g++)
        for (size_t c0 = 0; c0 < cout; c0 += lanes)
            for (size_t ci = 0; ci < geom->cin; ci++)
                for (size_t u = u0; u < geom->kh; u += step)
                    for (size_t v = v0; v < geom->kw; v += step)
                        for (size_t c = c0; c < c0 + lanes; c++) {
                            const size_t t = u * geom->kw + v;
                            const size_t at =
                                kind == CONV_WEIGHTS
                                    ? (g * cout + c) * k + ci * taps + t
                                    : ((g * geom->cin + ci) * cout + c) * taps + taps - 1 - t;
                            *packed++ = c < cout ? w[at] : 0;
                        }
    return packed;
}

void conv_pack_weights(const struct conv_geom *geom, size_t groups, size_t cout,
                       enum conv_weights kind, size_t tap_step, const f16 *w, f16 *packed)
{
    for (size_t u = 0; u < block_least(tap_step, geom->kh); u++)
        for (size_t v = 0; v < block_least(tap_step, geom->kw); v++)
            packed = pack_taps(geom, groups, cout, kind, tap_step, u, v, w, packed);
}
