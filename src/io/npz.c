/* The zip container, as far as arrays need it: stored and deflated entries, zip64, one volume.
 *
 * Reading goes by the central directory at the end of the file; local headers only say where their
 * data begins.  Every number in both is a claim of whoever wrote the file, so before anything is
 * believed: every range lies inside the file; the packed sizes add up to no more than the file
 * has, which rules out entries that overlap to multiply their data; an unpacked size is at most
 * 1032 times the packed one, the most that deflate can reach, so memory stays in proportion to the
 * file; the unpacked bytes end exactly where their size says and match their CRC-32.  Entries that
 * are not called NAME.npy are skipped.
 *
 * Writing stores entries unpacked, dated 1980-01-01, so that equal arrays give equal files.  Their
 * data is padded to 64 bytes through an extra field, and is then lent without a copy when read
 * back. */
#include "io/npz.h"

#ifdef ANF_HAVE_ZLIB

#include "base/buf.h"
#include "io/file.h"
#include "io/npy.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define SIG_LOCAL UINT32_C(0x04034b50)
#define SIG_CENTRAL UINT32_C(0x02014b50)
#define SIG_END UINT32_C(0x06054b50)
#define SIG_END64 UINT32_C(0x06064b50)
#define SIG_LOCATOR64 UINT32_C(0x07064b50)

enum {
    LOCAL_BYTES = 30,
    CENTRAL_BYTES = 46,
    END_BYTES = 22,
    END64_BYTES = 56,
    LOCATOR64_BYTES = 20,
    EXTRA_ZIP64 = 0x0001,
    EXTRA_ALIGN = 0xd935, /* as Android's zipalign writes: u16 alignment, then padding */
    FLAG_ENCRYPTED = 0x0001,
    FLAG_UTF8 = 0x0800,
    STORED = 0,
    DEFLATED = 8,
    DEFLATE_RATIO = 1032,
    DATE_1980 = 0x0021,
    DATA_ALIGN = 64,
    ZLIB_MAX = 1 << 30 /* zlib counts in unsigned int */
};

static uint32_t crc_of(uint32_t crc, const void *data, size_t n)
{
    const Bytef *p = data;
    uLong c = crc;
    while (n) {
        size_t step = n < ZLIB_MAX ? n : ZLIB_MAX;
        c = crc32(c, p, (uInt)step);
        p += step;
        n -= step;
    }
    return (uint32_t)c;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct directory {
    size_t at, size;
    uint64_t count;
};

struct member {
    const char *name;
    size_t name_len;
    uint64_t packed, size, local;
    uint32_t crc, flags, method;
};

bool npz_magic(const void *bytes, size_t n)
{
    if (n < 4)
        return false;
    uint32_t sig = load_u32(bytes);
    return sig == SIG_LOCAL || sig == SIG_END; /* the second: an archive without entries */
}

static anf_status find_end(const unsigned char *b, size_t n, size_t *at)
{
    /* The record ends with a comment of up to 65535 bytes. */
    size_t tail = n < END_BYTES ? 0 : n - END_BYTES;
    for (size_t i = 0; n >= END_BYTES && i <= 0xffff && i <= tail; i++) {
        const unsigned char *p = b + tail - i;
        if (load_u32(p) == SIG_END && load_u16(p + 20) == i) {
            *at = tail - i;
            return ANF_OK;
        }
    }
    FAIL(FORMAT, "zip file without an end record, it may be cut off at %zu bytes", n);
}

static anf_status find_directory(const unsigned char *b, size_t n, struct directory *d)
{
    size_t end = 0;
    TRY(find_end(b, n, &end));
    const unsigned char *e = b + end;
    uint64_t at = load_u32(e + 16), size = load_u32(e + 12), count = load_u16(e + 10);
    uint64_t count_here = load_u16(e + 8);
    uint32_t disk = load_u16(e + 4), start_disk = load_u16(e + 6);

    if (end >= LOCATOR64_BYTES && load_u32(e - LOCATOR64_BYTES) == SIG_LOCATOR64) {
        uint64_t at64 = load_u64(e - LOCATOR64_BYTES + 8), room = end - LOCATOR64_BYTES;
        if (room < END64_BYTES || at64 > room - END64_BYTES ||
            load_u32(b + (size_t)at64) != SIG_END64)
            FAIL(FORMAT, "zip64 locator points to offset %" PRIu64 ", where no end record is",
                 at64);
        const unsigned char *e64 = b + (size_t)at64;
        end = (size_t)at64;
        disk = load_u32(e64 + 16);
        start_disk = load_u32(e64 + 20);
        count_here = load_u64(e64 + 24);
        count = load_u64(e64 + 32);
        size = load_u64(e64 + 40);
        at = load_u64(e64 + 48);
    }
    if (disk != 0 || start_disk != 0 || count != count_here)
        FAIL(UNSUPPORTED, "zip file in several volumes, one is read");
    if (at > end || size > end - at)
        FAIL(FORMAT, "zip directory of %" PRIu64 " bytes at %" PRIu64 " does not fit before its "
             "end record at %zu", size, at, end);
    *d = (struct directory){(size_t)at, (size_t)size, count};
    return ANF_OK;
}

/* The 64-bit values stand in the extra field only for those that are saturated, in this order. */
static anf_status read_zip64(struct member *m, const unsigned char *extra, size_t n)
{
    uint64_t *wide[3] = {&m->size, &m->packed, &m->local};
    while (n >= 4) {
        uint32_t id = load_u16(extra), len = load_u16(extra + 2);
        const unsigned char *p = extra + 4;
        if (len > n - 4)
            break;
        for (int i = 0; id == EXTRA_ZIP64 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX)
                continue;
            if (len < 8)
                FAIL(FORMAT, "zip64 field is too short");
            *wide[i] = load_u64(p);
            p += 8;
            len -= 8;
        }
        len = load_u16(extra + 2);
        extra += 4 + len;
        n -= 4 + len;
    }
    return ANF_OK;
}

/* The record at `b`, where `left` bytes of the directory are left. */
static anf_status read_central(const unsigned char *b, size_t left, struct member *m, size_t *used)
{
    if (left < CENTRAL_BYTES || load_u32(b) != SIG_CENTRAL)
        FAIL(FORMAT, "zip directory is damaged or ends early");
    size_t name = load_u16(b + 28), extra = load_u16(b + 30), comment = load_u16(b + 32);
    *used = CENTRAL_BYTES + name + extra + comment;
    if (*used > left)
        FAIL(FORMAT, "zip directory is damaged or ends early");
    *m = (struct member){
        .name = (const char *)b + CENTRAL_BYTES,
        .name_len = name,
        .flags = load_u16(b + 8),
        .method = load_u16(b + 10),
        .crc = load_u32(b + 16),
        .packed = load_u32(b + 20),
        .size = load_u32(b + 24),
        .local = load_u32(b + 42),
    };
    return read_zip64(m, b + CENTRAL_BYTES + name, extra);
}

static anf_status locate(const unsigned char *b, size_t n, const struct member *m,
                         const unsigned char **data)
{
    if (m->local > n || n - m->local < LOCAL_BYTES || load_u32(b + (size_t)m->local) != SIG_LOCAL)
        FAIL(FORMAT, "no local header at offset %" PRIu64, m->local);
    const unsigned char *h = b + (size_t)m->local;
    size_t name = load_u16(h + 26), skip = LOCAL_BYTES + name + load_u16(h + 28);
    size_t left = n - (size_t)m->local;
    if (skip > left || m->packed > left - skip)
        FAIL(FORMAT, "%" PRIu64 " bytes at offset %" PRIu64 " run past the end of the file",
             m->packed, m->local);
    if (name != m->name_len || memcmp(h + LOCAL_BYTES, m->name, name) != 0)
        FAIL(FORMAT, "the local header at offset %" PRIu64 " has another name", m->local);
    *data = h + skip;
    return ANF_OK;
}

/* zlib frees without a size, so each block remembers its own in front. */
enum { Z_PREFIX = 16 };

static voidpf z_alloc(voidpf allocator, uInt count, uInt size)
{
    size_t n;
    if (!size_mul(count, size, &n) || n > SIZE_MAX - Z_PREFIX)
        return Z_NULL;
    char *p = mem_alloc(allocator, n + Z_PREFIX, Z_PREFIX);
    if (!p)
        return Z_NULL;
    n += Z_PREFIX;
    memcpy(p, &n, sizeof n);
    return p + Z_PREFIX;
}

static void z_free(voidpf allocator, voidpf address)
{
    char *p = (char *)address - Z_PREFIX;
    size_t n;
    memcpy(&n, p, sizeof n);
    mem_free(allocator, p, n);
}

static anf_status inflate_into(const anf_allocator *allocator, const unsigned char *from,
                               size_t packed, unsigned char *to, size_t size)
{
    anf_allocator copy = *allocator; /* zlib's opaque pointer is not const */
    z_stream z = {.zalloc = z_alloc, .zfree = z_free, .opaque = &copy};
    size_t in_left = packed, out_left = size;
    z.next_in = (z_const Bytef *)from;
    z.next_out = to;
    int r = inflateInit2(&z, -MAX_WBITS);
    if (r == Z_OK) {
        do {
            uInt in = (uInt)(in_left < ZLIB_MAX ? in_left : ZLIB_MAX);
            uInt out = (uInt)(out_left < ZLIB_MAX ? out_left : ZLIB_MAX);
            z.avail_in = in;
            z.avail_out = out;
            r = inflate(&z, Z_NO_FLUSH);
            in_left -= in - z.avail_in;
            out_left -= out - z.avail_out;
        } while (r == Z_OK);
        inflateEnd(&z);
    }
    if (r == Z_MEM_ERROR)
        FAIL(NOMEM, "out of memory: unpacking %zu bytes", size);
    if (r != Z_STREAM_END)
        FAIL(FORMAT, "deflated data is damaged or does not end after %zu bytes", size);
    if (in_left || out_left)
        FAIL(FORMAT, "deflated data gives %zu bytes from %zu, the directory says %zu from %zu",
             size - out_left, packed - in_left, size, packed);
    return ANF_OK;
}

static anf_status check_crc(const struct member *m, const void *data)
{
    uint32_t crc = crc_of(0, data, (size_t)m->size);
    if (crc != m->crc)
        FAIL(FORMAT, "CRC-32 is %08" PRIx32 ", the directory says %08" PRIx32, crc, m->crc);
    return ANF_OK;
}

static anf_status add_deflated(struct anf_arrays *a, const struct member *m,
                               const unsigned char *data)
{
    if (m->size / DEFLATE_RATIO > m->packed)
        FAIL(FORMAT, "%" PRIu64 " bytes cannot come from %" PRIu64 " deflated ones", m->size,
             m->packed);
    struct array_entry *e = NULL;
    size_t size = (size_t)m->size;
    unsigned char *block = mem_alloc(a->allocator, size, ANF_CACHE_LINE);
    if (!block)
        return ANF_E_NOMEM;
    anf_status st = inflate_into(a->allocator, data, (size_t)m->packed, block, size);
    if (st == ANF_OK)
        st = check_crc(m, block);
    if (st == ANF_OK)
        st = npy_read(a, m->name, m->name_len - 4, block, size, &e);
    if (st == ANF_OK && e->array.data && !e->block) {
        e->block = block;
        e->block_bytes = size;
    } else {
        mem_free(a->allocator, block, size);
    }
    return st;
}

static anf_status add_member(struct anf_arrays *a, const struct member *m)
{
    const unsigned char *data = NULL;
    struct array_entry *e;
    if (!utf8_valid(m->name, m->name_len) || memchr(m->name, 0, m->name_len))
        FAIL(FORMAT, "its name is not UTF-8");
    if (m->flags & FLAG_ENCRYPTED)
        FAIL(UNSUPPORTED, "it is encrypted");
    TRY(locate(a->bytes, a->n_bytes, m, &data));
    if (m->method == DEFLATED)
        return add_deflated(a, m, data);
    if (m->method != STORED)
        FAIL(UNSUPPORTED, "compression method %" PRIu32 ", only stored (0) and deflate (8) are "
             "read", m->method);
    if (m->size != m->packed)
        FAIL(FORMAT, "stored with %" PRIu64 " bytes for an entry of %" PRIu64, m->packed, m->size);
    TRY(check_crc(m, data));
    return npy_read(a, m->name, m->name_len - 4, data, (size_t)m->size, &e);
}

static bool is_npy(const struct member *m)
{
    return m->name_len >= 4 && memcmp(m->name + m->name_len - 4, ".npy", 4) == 0;
}

anf_status npz_read(struct anf_arrays *a)
{
    const unsigned char *b = a->bytes;
    struct directory d = {0, 0, 0};
    struct member m;
    char first[84] = "";
    size_t at = 0, used = 0;
    uint64_t packed = 0;
    TRY(find_directory(b, a->n_bytes, &d));
    for (uint64_t i = 0; i < d.count; i++, at += used) {
        TRY(read_central(b + d.at + at, d.size - at, &m, &used));
        const char *name = shown(m.name, m.name_len);
        if (i == 0)
            memcpy(first, name, strlen(name) + 1);
        if (!is_npy(&m))
            continue;
        if (m.packed > a->n_bytes - packed)
            FAIL(FORMAT, "zip entries overlap: together they are larger than the file of %zu bytes",
                 a->n_bytes);
        packed += m.packed;
        anf_status st = add_member(a, &m);
        if (st != ANF_OK)
            return status_prefix(st, "entry '%s'", shown(m.name, m.name_len));
    }
    if (at != d.size)
        FAIL(FORMAT, "zip directory has %zu bytes more than its %" PRIu64 " entries", d.size - at,
             d.count);
    if (d.count && !a->n)
        FAIL(FORMAT, "zip file without a .npy entry, the first of %" PRIu64 " is '%s'", d.count,
             first);
    return ANF_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* One record in the making. */
struct record {
    unsigned char b[128];
    size_t n;
};

static void put(struct record *r, uint64_t v, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        r->b[r->n++] = (unsigned char)(v >> (8 * i));
}

struct stored {
    const char *name;
    size_t name_len;
    uint64_t size, offset;
    uint32_t crc;
    bool zip64;
};

/* Common to both headers: version needed to the CRC, then the sizes and the length of the name. */
static void put_common(struct record *r, const struct stored *s)
{
    put(r, s->zip64 ? 45 : 20, 2);
    put(r, FLAG_UTF8, 2);
    put(r, STORED, 2);
    put(r, 0, 2);
    put(r, DATE_1980, 2);
    put(r, s->crc, 4);
    put(r, s->zip64 ? UINT32_MAX : s->size, 4);
    put(r, s->zip64 ? UINT32_MAX : s->size, 4);
    put(r, s->name_len + 4, 2);
}

static anf_status put_local(struct file_writer *w, const struct stored *s)
{
    static const unsigned char zeros[DATA_ALIGN];
    struct record r = {.n = 0}, x = {.n = 0};
    if (s->zip64) {
        put(&x, EXTRA_ZIP64, 2);
        put(&x, 16, 2);
        put(&x, s->size, 8);
        put(&x, s->size, 8);
    }
    uint64_t data = s->offset + LOCAL_BYTES + s->name_len + 4 + x.n + 6;
    size_t pad = (size_t)((DATA_ALIGN - data % DATA_ALIGN) % DATA_ALIGN);
    put(&x, EXTRA_ALIGN, 2);
    put(&x, 2 + pad, 2);
    put(&x, DATA_ALIGN, 2);

    put(&r, SIG_LOCAL, 4);
    put_common(&r, s);
    put(&r, x.n + pad, 2);
    TRY(file_writer_put(w, r.b, r.n));
    TRY(file_writer_put(w, s->name, s->name_len));
    TRY(file_writer_put(w, ".npy", 4));
    TRY(file_writer_put(w, x.b, x.n));
    return file_writer_put(w, zeros, pad);
}

static void put_central(struct buf *directory, const struct stored *s)
{
    struct record r = {.n = 0}, x = {.n = 0};
    if (s->zip64) {
        put(&x, EXTRA_ZIP64, 2);
        put(&x, 24, 2);
        put(&x, s->size, 8);
        put(&x, s->size, 8);
        put(&x, s->offset, 8);
    }
    put(&r, SIG_CENTRAL, 4);
    put(&r, 3 << 8 | 45, 2); /* made on Unix, so that the mode below counts */
    put_common(&r, s);
    put(&r, x.n, 2);
    put(&r, 0, 2); /* no comment */
    put(&r, 0, 2); /* volume */
    put(&r, 0, 2); /* internal attributes */
    put(&r, UINT64_C(0100644) << 16, 4);
    put(&r, s->zip64 ? UINT32_MAX : s->offset, 4);
    buf_put(directory, r.b, r.n);
    buf_put(directory, s->name, s->name_len);
    buf_put(directory, ".npy", 4);
    buf_put(directory, x.b, x.n);
}

static anf_status put_end(struct file_writer *w, uint64_t count, uint64_t at, uint64_t size,
                          uint64_t zip64_from)
{
    struct record r = {.n = 0};
    bool zip64 = count >= 0xffff || at >= zip64_from || size >= zip64_from;
    if (zip64) {
        put(&r, SIG_END64, 4);
        put(&r, END64_BYTES - 12, 8); /* without the signature and this number */
        put(&r, 3 << 8 | 45, 2);
        put(&r, 45, 2);
        put(&r, 0, 4);
        put(&r, 0, 4);
        put(&r, count, 8);
        put(&r, count, 8);
        put(&r, size, 8);
        put(&r, at, 8);
        put(&r, SIG_LOCATOR64, 4);
        put(&r, 0, 4);
        put(&r, at + size, 8);
        put(&r, 1, 4);
    }
    put(&r, SIG_END, 4);
    put(&r, 0, 2);
    put(&r, 0, 2);
    put(&r, zip64 ? 0xffff : count, 2);
    put(&r, zip64 ? 0xffff : count, 2);
    put(&r, zip64 ? UINT32_MAX : size, 4);
    put(&r, zip64 ? UINT32_MAX : at, 4);
    put(&r, 0, 2);
    return file_writer_put(w, r.b, r.n);
}

static anf_status put_entries(struct file_writer *w, struct buf *directory, const anf_array *a,
                              const char *const *names, size_t n, uint64_t zip64_from)
{
    for (size_t i = 0; i < n; i++) {
        char header[NPY_HEADER_MAX];
        size_t header_bytes, data_bytes;
        struct stored s = {.name = names[i], .name_len = strlen(names[i]), .offset = w->n_put};
        anf_status st = npy_header(&a[i], header, &header_bytes, &data_bytes);
        if (st != ANF_OK)
            return status_prefix(st, "%s: array '%s'", w->path, shown(s.name, s.name_len));
        s.size = header_bytes + data_bytes;
        s.crc = crc_of(crc_of(0, header, header_bytes), a[i].data, data_bytes);
        s.zip64 = s.size >= zip64_from || s.offset >= zip64_from;
        TRY(put_local(w, &s));
        TRY(file_writer_put(w, header, header_bytes));
        TRY(file_writer_put(w, a[i].data, data_bytes));
        put_central(directory, &s);
    }
    if (directory->failed)
        return ANF_E_NOMEM;
    uint64_t at = w->n_put;
    if (directory->len)
        TRY(file_writer_put(w, directory->data, directory->len));
    return put_end(w, n, at, directory->len, zip64_from);
}

static int compare_names(const void *x, const void *y)
{
    const char *const *a = x, *const *b = y;
    return strcmp(*a, *b);
}

static anf_status check_names(const anf_allocator *allocator, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = names[i] ? strlen(names[i]) : 0;
        if (!len)
            FAIL(ARG, "array %zu has no name", i);
        if (len > 0xffff - 4)
            FAIL(ARG, "array %zu has a name of %zu bytes, at most 65531 fit", i, len);
        if (!utf8_valid(names[i], len))
            FAIL(ARG, "the name of array %zu, '%s', is not UTF-8", i, shown(names[i], len));
    }
    if (n < 2)
        return ANF_OK;
    const char **sorted = mem_calloc(allocator, n, sizeof *sorted);
    if (!sorted)
        return ANF_E_NOMEM;
    anf_status st = ANF_OK;
    memcpy(sorted, names, n * sizeof *sorted);
    sort_items(sorted, n, sizeof *sorted, compare_names);
    for (size_t i = 1; i < n && st == ANF_OK; i++)
        if (strcmp(sorted[i - 1], sorted[i]) == 0)
            st = status_fail(ANF_E_ARG, "two arrays are called '%s'",
                             shown(sorted[i], strlen(sorted[i])));
    mem_free(allocator, sorted, n * sizeof *sorted);
    return st;
}

anf_status npz_write(const anf_allocator *allocator, const char *path, const anf_array *a,
                     const char *const *names, size_t n, uint64_t zip64_from)
{
    struct file_writer w;
    struct buf directory;
    anf_status st = check_names(allocator, names, n);
    if (st != ANF_OK)
        return status_prefix(st, "%s", path);
    TRY(file_writer_open(&w, allocator, path));
    buf_init(&directory, allocator);
    st = put_entries(&w, &directory, a, names, n, zip64_from);
    if (st == ANF_OK)
        st = file_writer_commit(&w);
    file_writer_discard(&w);
    buf_free(&directory);
    return st;
}

#else

bool npz_magic(const void *bytes, size_t n)
{
    return n >= 4 && (load_u32(bytes) == 0x04034b50 || load_u32(bytes) == 0x06054b50);
}

anf_status npz_read(struct anf_arrays *a)
{
    (void)a;
    FAIL(UNSUPPORTED, "reading .npz needs zlib, which this build lacks");
}

anf_status npz_write(const anf_allocator *allocator, const char *path, const anf_array *a,
                     const char *const *names, size_t n, uint64_t zip64_from)
{
    (void)allocator, (void)a, (void)names, (void)n, (void)zip64_from;
    FAIL(UNSUPPORTED, "%s: writing .npz needs zlib, which this build lacks", path);
}

#endif
