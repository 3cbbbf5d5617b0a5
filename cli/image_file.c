/* PNG (libpng) and JPEG (libjpeg) files as uint8 planes.
 *
 * Both decoders give packed RGB; transparent parts are laid over black.  One channel is made of
 * three with the luma weights of BT.601 in 1/65536: (19595 R + 38470 G + 7471 B + 32768) >> 16.
 *
 * Resizing is separable and in integers, so it gives the same bytes everywhere: along an axis that
 * shrinks each new pixel is the mean of the area it covers, along one that grows it lies between
 * its two nearest neighbours (pixel centres aligned).  Sizes are checked before pixels are
 * decoded: the file may be hostile. */
#include "image_file.h"

#include <stdlib.h>
#include <string.h>

#ifdef ANF_HAVE_PNG
#include <png.h>
#endif
#ifdef ANF_HAVE_JPEG
#include <jpeglib.h>
#include <setjmp.h>
#endif

enum { MAX_SIDE = 1 << 16, MAX_PIXELS = 1 << 27 };

struct image {
    int64_t w, h;
    unsigned char *rgb; /* [h,w,3] */
};

/* What the decoders need to know. */
struct request {
    struct cli *cli;
    const char *path;
    const anf_port *port;
    int64_t want_h, want_w;
    bool resize;
};

static bool is_png(const unsigned char *s, size_t n)
{
    return n >= 8 && memcmp(s, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static bool is_jpeg(const unsigned char *s, size_t n)
{
    return n >= 3 && s[0] == 0xff && s[1] == 0xd8 && s[2] == 0xff;
}

bool image_magic(const void *bytes, size_t n)
{
    return is_png(bytes, n) || is_jpeg(bytes, n);
}

#if defined(ANF_HAVE_PNG) || defined(ANF_HAVE_JPEG)
/* Room for the pixels of an image of this size, if it is one that the port can take. */
static anf_status start_image(const struct request *r, uint64_t w, uint64_t h, struct image *im)
{
    if (w == 0 || h == 0 || w > MAX_SIDE || h > MAX_SIDE || w * h > MAX_PIXELS)
        return cli_fail(r->cli, ANF_E_FORMAT,
                        "%s: image of %llu x %llu pixels, at most 2^27 are read", r->path,
                        (unsigned long long)w, (unsigned long long)h);
    im->w = (int64_t)w;
    im->h = (int64_t)h;
    if (!r->resize && (im->w != r->want_w || im->h != r->want_h))
        return cli_fail(r->cli, ANF_E_SHAPE,
                        "%s: image is %lld wide and %lld high, input '%s' needs %lld and %lld "
                        "(--resize scales it)",
                        r->path, (long long)w, (long long)h, r->port->name, (long long)r->want_w,
                        (long long)r->want_h);
    im->rgb = cli_alloc(r->cli, (size_t)w * h, 3);
    return im->rgb ? ANF_OK : ANF_E_NOMEM;
}
#endif

#ifdef ANF_HAVE_PNG
static anf_status read_png(const struct request *r, const struct text *file, struct image *im)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    png_color black = {0, 0, 0};
    anf_status st = ANF_OK;
    if (png_image_begin_read_from_memory(&png, file->s, file->n)) {
        png.format = PNG_FORMAT_RGB;
        st = start_image(r, png.width, png.height, im);
        if (st == ANF_OK)
            png_image_finish_read(&png, &black, im->rgb, 0, NULL);
    }
    if (st == ANF_OK && PNG_IMAGE_FAILED(png))
        st = cli_fail(r->cli, ANF_E_FORMAT, "%s: %s", r->path, png.message);
    png_image_free(&png);
    return st;
}
#else
static anf_status read_png(const struct request *r, const struct text *file, struct image *im)
{
    (void)file, (void)im;
    return cli_fail(r->cli, ANF_E_UNSUPPORTED,
                    "%s: reading PNG needs libpng, which this build lacks", r->path);
}
#endif

#ifdef ANF_HAVE_JPEG
struct jpeg_errors {
    struct jpeg_error_mgr base; /* first: libjpeg hands out a pointer to it */
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
};

static void jpeg_failed(j_common_ptr j)
{
    struct jpeg_errors *e = (struct jpeg_errors *)(void *)j->err;
    e->base.format_message(j, e->text);
    longjmp(e->out, 1);
}

/* Level -1 is damaged data, which libjpeg would paint over. */
static void jpeg_remark(j_common_ptr j, int level)
{
    if (level < 0)
        jpeg_failed(j);
}

static anf_status decode_jpeg(const struct request *r, struct jpeg_decompress_struct *j,
                              struct image *im)
{
    jpeg_read_header(j, TRUE);
    j->out_color_space = JCS_RGB;
    TRY(start_image(r, j->image_width, j->image_height, im));
    jpeg_start_decompress(j);
    while (j->output_scanline < j->output_height) {
        JSAMPROW row = im->rgb + (size_t)j->output_scanline * (size_t)im->w * 3;
        jpeg_read_scanlines(j, &row, 1);
    }
    jpeg_finish_decompress(j);
    return ANF_OK;
}

static anf_status read_jpeg(const struct request *r, const struct text *file, struct image *im)
{
    struct jpeg_decompress_struct j;
    struct jpeg_errors errors;
    j.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = jpeg_failed;
    errors.base.emit_message = jpeg_remark;
    if (setjmp(errors.out)) {
        jpeg_destroy_decompress(&j);
        return cli_fail(r->cli, ANF_E_FORMAT, "%s: %s", r->path, errors.text);
    }
    jpeg_create_decompress(&j);
    jpeg_mem_src(&j, (unsigned char *)file->s, (unsigned long)file->n);
    anf_status st = decode_jpeg(r, &j, im);
    jpeg_destroy_decompress(&j);
    return st;
}
#else
static anf_status read_jpeg(const struct request *r, const struct text *file, struct image *im)
{
    (void)file, (void)im;
    return cli_fail(r->cli, ANF_E_UNSUPPORTED,
                    "%s: reading JPEG needs libjpeg, which this build lacks", r->path);
}
#endif

/* ---- from packed RGB to planes of the port's size -------------------------------------------- */

/* Along one axis: new pixel i of n_out is a weighted mean of old pixels first..last of n_in. The
 * weights are whole numbers that add up to `sum`. */
struct axis {
    int64_t n_in, n_out, sum;
};

static struct axis axis_of(int64_t n_in, int64_t n_out)
{
    return (struct axis){n_in, n_out, n_out <= n_in ? n_in : 2 * n_out};
}

/* Position of the centre of new pixel i among the old ones, in units of 1 / (2 n_out). */
static int64_t centre(const struct axis *a, int64_t i)
{
    int64_t at = (2 * i + 1) * a->n_in - a->n_out, end = 2 * a->n_out * (a->n_in - 1);
    return at < 0 ? 0 : at > end ? end : at;
}

static void taps(const struct axis *a, int64_t i, int64_t *first, int64_t *last)
{
    if (a->n_out <= a->n_in) {
        *first = i * a->n_in / a->n_out;
        *last = ((i + 1) * a->n_in - 1) / a->n_out;
    } else {
        *first = centre(a, i) / (2 * a->n_out);
        *last = *first + 1 < a->n_in ? *first + 1 : *first;
    }
}

static int64_t weight(const struct axis *a, int64_t i, int64_t k)
{
    if (a->n_out <= a->n_in) {
        int64_t from = i * a->n_in, to = from + a->n_in;
        int64_t begin = k * a->n_out, end = begin + a->n_out;
        return (to < end ? to : end) - (from > begin ? from : begin);
    }
    int64_t d = centre(a, i) - 2 * a->n_out * k;
    d = d < 0 ? -d : d;
    return d < 2 * a->n_out ? 2 * a->n_out - d : 0;
}

static unsigned luma(const unsigned char *p)
{
    return (19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16;
}

static unsigned char new_pixel(const struct image *im, const struct axis *ay, const struct axis *ax,
                               int64_t y, int64_t x, int channel)
{
    int64_t y0, y1, x0, x1, total = 0, sum = ay->sum * ax->sum;
    taps(ay, y, &y0, &y1);
    taps(ax, x, &x0, &x1);
    for (int64_t i = y0; i <= y1; i++) {
        int64_t row = 0;
        for (int64_t k = x0; k <= x1; k++) {
            const unsigned char *p = im->rgb + (i * im->w + k) * 3;
            row += weight(ax, x, k) * (int64_t)(channel < 0 ? luma(p) : p[channel]);
        }
        total += weight(ay, y, i) * row;
    }
    return (unsigned char)((total + sum / 2) / sum);
}

static void put_planes(const struct image *im, const struct request *r, int64_t channels,
                       unsigned char *out)
{
    struct axis ay = axis_of(im->h, r->want_h), ax = axis_of(im->w, r->want_w);
    for (int64_t ch = 0; ch < channels; ch++)
        for (int64_t y = 0; y < r->want_h; y++)
            for (int64_t x = 0; x < r->want_w; x++)
                *out++ = new_pixel(im, &ay, &ax, y, x, channels == 1 ? -1 : (int)ch);
}

anf_status image_for_port(struct cli *c, const char *path, const struct text *file,
                          const anf_port *port, bool resize, unsigned char **pixels)
{
    const anf_dims *d = &port->shape;
    struct image im = {0};
    if (port->dtype != ANF_U8 || d->rank != 4 || d->dim[0] != 1 ||
        (d->dim[1] != 1 && d->dim[1] != 3))
        return cli_fail(c, ANF_E_SHAPE,
                        "%s: an image needs a uint8 input [1,1,H,W] or [1,3,H,W], '%s' is %s %s",
                        path, port->name, anf_dtype_name(port->dtype), shape_text(d).s);
    struct request r = {c, path, port, d->dim[2], d->dim[3], resize};
    if (r.want_h > MAX_SIDE || r.want_w > MAX_SIDE)
        return cli_fail(c, ANF_E_UNSUPPORTED, "%s: input '%s' %s is larger than any image", path,
                        port->name, shape_text(d).s);
    anf_status st = is_png((const unsigned char *)file->s, file->n) ? read_png(&r, file, &im)
                                                                   : read_jpeg(&r, file, &im);
    *pixels = NULL;
    if (st == ANF_OK) {
        *pixels = cli_alloc(c, port->n_elements, 1);
        st = *pixels ? ANF_OK : ANF_E_NOMEM;
    }
    if (st == ANF_OK)
        put_planes(&im, &r, d->dim[1], *pixels);
    free(im.rgb);
    return st;
}
