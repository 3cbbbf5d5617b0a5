/* Encoded panels: how large they are, how they are made, and whether those of a file are sound.
 *
 * weight_pack writes the bytes that weight_panel_bytes and weight_side_bytes name, every one of
 * them; weight_sparse_ok and weight_lists_ok accept what it writes, and nothing with which a kernel
 * would leave the panels or the rows. */
#include "kernels/weight_panels.h"

#include <string.h>

#define BYTE(m, i, b)                                                                              \
    ((m) >> (i)&1 ? 2 * __builtin_popcount((m) & ((1u << (i)) - 1)) + (b) : 0x80)
#define LANE(m, i) BYTE(m, i, 0), BYTE(m, i, 1)
#define ROW(m) {LANE(m, 0), LANE(m, 1), LANE(m, 2), LANE(m, 3),                                    \
                LANE(m, 4), LANE(m, 5), LANE(m, 6), LANE(m, 7)}
#define ROWS_4(m) ROW(m), ROW((m) + 1), ROW((m) + 2), ROW((m) + 3)
#define ROWS_16(m) ROWS_4(m), ROWS_4((m) + 4), ROWS_4((m) + 8), ROWS_4((m) + 12)
#define ROWS_64(m) ROWS_16(m), ROWS_16((m) + 16), ROWS_16((m) + 32), ROWS_16((m) + 48)

const uint8_t weight_spread[256][16] = {ROWS_64(0), ROWS_64(64), ROWS_64(128), ROWS_64(192)};

const uint8_t weight_row_bytes[WEIGHT_ENCODING_COUNT] = {
    [WEIGHT_F16] = 32, [WEIGHT_INT8] = 16, [WEIGHT_INT4] = 8, [WEIGHT_SPARSE] = 16,
    [WEIGHT_BLOCKWISE] = 16};

static size_t panels_of(const struct weight_form *f)
{
    return (f->n + ANF_PANEL - 1) / ANF_PANEL;
}

/* Of the group that begins with row i0; and the elements that its masks take. */
static size_t group_rows(const struct weight_form *f, size_t i0)
{
    return f->k - i0 < WEIGHT_GROUP ? f->k - i0 : WEIGHT_GROUP;
}

static size_t group_masks(const struct weight_form *f, size_t rows)
{
    return f->encoding == WEIGHT_SPARSE ? rows : MASKS_T;
}

static bool is_zero(f16 w)
{
    return (w & 0x7fffu) == 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */
/* The row of the first non-zero of a column from row i on, k if there is none. */
static size_t next_kept(const struct weight_form *f, size_t column, size_t i)
{
    if (column >= f->n)
        return f->k;
    while (i < f->k && is_zero(f->w[column * f->k + i]))
        i++;
    return i;
}

/* Where the columns of a panel are: the row of the next non-zero of each, and the first row of the
 * last step. */
struct list_state {
    size_t row[ANF_PANEL], first;
};

static size_t list_furthest(const struct list_state *s)
{
    size_t least = s->row[0];
    for (size_t j = 1; j < ANF_PANEL; j++)
        least = s->row[j] < least ? s->row[j] : least;
    return least;
}

/* The next block of the panel of columns from j0 on, to y if that is not NULL.  Its elements. */
static size_t pack_block(const struct weight_form *f, size_t j0, struct list_state *s, f16 *y)
{
    uint32_t index[ANF_PANEL] = {0};
    f16 masks[LIST_STEPS] = {0};
    uint8_t rows[LIST_STEPS] = {0};
    size_t at = LIST_VALUES;
    for (size_t t = 0; t < LIST_STEPS; t++) {
        size_t first = list_furthest(s);
        if (first > f->k - LIST_WINDOW)
            first = f->k - LIST_WINDOW;
        if (first > s->first + UINT8_MAX)
            first = s->first + UINT8_MAX;
        rows[t] = (uint8_t)(first - s->first);
        s->first = first;
        for (size_t j = 0; j < ANF_PANEL; j++) {
            const size_t row = s->row[j];
            if (row >= f->k || row >= first + LIST_WINDOW)
                continue;
            index[j] |= (uint32_t)(row - first) << 4 * t;
            masks[t] |= (f16)(1u << j);
            if (y)
                y[at] = f->w[(j0 + j) * f->k + row];
            at++;
            s->row[j] = next_kept(f, j0 + j, row + 1);
        }
    }
    if (y) {
        memcpy(y, index, sizeof index);
        memcpy(y + LIST_MASKS, masks, sizeof masks);
        memcpy(y + LIST_ROWS, rows, sizeof rows);
        if (at % 2)
            y[at] = 0;
    }
    return at + at % 2;
}

/* All panels, to y and side if these are not NULL.  Elements without the slack. */
static size_t pack_lists(const struct weight_form *f, f16 *y, uint64_t *side)
{
    size_t at = 0;
    for (size_t j0 = 0; j0 < f->n; j0 += ANF_PANEL) {
        struct list_state s = {.first = 0};
        uint64_t blocks = 0;
        const size_t begin = at;
        for (size_t j = 0; j < ANF_PANEL; j++)
            s.row[j] = next_kept(f, j0 + j, 0);
        for (; list_furthest(&s) < f->k; blocks++)
            at += pack_block(f, j0, &s, y ? y + at : NULL);
        if (side) {
            *side++ = begin;
            *side++ = blocks;
        }
    }
    if (y)
        memset(y + at, 0, WEIGHT_SLACK);
    return at;
}

bool weight_lists_suit(const struct weight_form *f)
{
    size_t kept = 0;
    if (f->k < LIST_WINDOW)
        return false;
    for (size_t i = 0; i < f->n * f->k; i++)
        kept += !is_zero(f->w[i]);
    const size_t headers = (pack_lists(f, NULL, NULL) - kept) / LIST_VALUES;
    return 2 * headers * LIST_STEPS <= panels_of(f) * f->k;
}

bool weight_lists_ok(const struct weight_form *f, const f16 *panels, size_t elements,
                     const uint64_t *side)
{
    size_t at = 0;
    if (f->k < LIST_WINDOW || elements < WEIGHT_SLACK / sizeof(f16))
        return false;
    elements -= WEIGHT_SLACK / sizeof(f16);
    for (size_t j = 0; j < f->n; j += ANF_PANEL, side += 2) {
        size_t first = 0;
        if (side[0] != at)
            return false;
        for (uint64_t b = 0; b < side[1]; b++) {
            const f16 *block = panels + at;
            size_t kept = 0;
            if (elements - at < LIST_VALUES)
                return false;
            for (size_t t = 0; t < LIST_STEPS; t++) {
                kept += (size_t)__builtin_popcount(block[LIST_MASKS + t]);
                first += ((const uint8_t *)(block + LIST_ROWS))[t];
            }
            at += LIST_VALUES;
            if (first > f->k - LIST_WINDOW || kept + kept % 2 > elements - at)
                return false;
            at += kept + kept % 2;
        }
    }
    return at == elements;
}

size_t weight_panel_bytes(const struct weight_form *f)
{
    const size_t rows = panels_of(f) * f->k;
    const size_t groups = panels_of(f) * weight_groups(f->k);
    const size_t masks = f->encoding == WEIGHT_SPARSE ? rows : groups * MASKS_T;
    size_t kept = 0;
    switch (f->encoding) {
    case WEIGHT_INT8:
    case WEIGHT_BLOCKWISE:
        return rows * ANF_PANEL;
    case WEIGHT_INT4:
        return panels_of(f) * weight_words(f->k) * ANF_PANEL * sizeof(uint32_t) + WEIGHT_SLACK;
    case WEIGHT_SPARSE:
    case WEIGHT_SPARSE_T:
        for (size_t i = 0; i < f->n * f->k; i++)
            kept += !is_zero(f->w[i]);
        return (masks + kept) * sizeof(f16) + WEIGHT_SLACK;
    case WEIGHT_LISTS:
        return pack_lists(f, NULL, NULL) * sizeof(f16) + WEIGHT_SLACK;
    case WEIGHT_F16:
    case WEIGHT_ENCODING_COUNT:
        break;
    }
    return rows * ANF_PANEL * sizeof(f16);
}

size_t weight_side_bytes(const struct weight_form *f)
{
    switch (f->encoding) {
    case WEIGHT_INT8:
        return panels_of(f) * ANF_PANEL * sizeof(f16);
    case WEIGHT_INT4:
        return WEIGHT_CODES * sizeof(f16);
    case WEIGHT_SPARSE:
    case WEIGHT_SPARSE_T:
        return panels_of(f) * weight_groups(f->k) * sizeof(uint64_t);
    case WEIGHT_LISTS:
        return panels_of(f) * 2 * sizeof(uint64_t);
    case WEIGHT_BLOCKWISE:
        return panels_of(f) * (f->k / f->block) * ANF_PANEL * sizeof(f16);
    case WEIGHT_F16:
    case WEIGHT_ENCODING_COUNT:
        break;
    }
    return 0;
}

/* y[p][i][j] = x[16p + j][i]: rows of m elements to panels, zero past n. */
static void turn(const f16 *x, size_t n, size_t m, f16 *y)
{
    for (size_t j0 = 0; j0 < n; j0 += ANF_PANEL)
        for (size_t i = 0; i < m; i++)
            for (size_t j = j0; j < j0 + ANF_PANEL; j++)
                *y++ = j < n ? x[j * m + i] : 0;
}

static void turn_bytes(const int8_t *x, size_t n, size_t m, int8_t *y)
{
    for (size_t j0 = 0; j0 < n; j0 += ANF_PANEL)
        for (size_t i = 0; i < m; i++)
            for (size_t j = j0; j < j0 + ANF_PANEL; j++)
                *y++ = j < n ? x[j * m + i] : 0;
}

static void pack_int4(const struct weight_form *f, uint32_t *y)
{
    for (size_t j0 = 0; j0 < f->n; j0 += ANF_PANEL)
        for (size_t r = 0; r < f->k; r += WEIGHT_PER_WORD)
            for (size_t j = j0; j < j0 + ANF_PANEL; j++) {
                uint32_t word = 0;
                for (size_t i = r; j < f->n && i < f->k && i < r + WEIGHT_PER_WORD; i++)
                    word |= (uint32_t)f->index[j * f->k + i] << 4 * (i - r);
                *y++ = word;
            }
    memset(y, 0, WEIGHT_SLACK);
}

/* The masks of a group of rows and the values behind them, to y.  Their elements. */
static size_t pack_group(const struct weight_form *f, size_t j0, size_t i0, size_t rows, f16 *y)
{
    const size_t cols = f->n - j0 < ANF_PANEL ? f->n - j0 : ANF_PANEL;
    const bool turned = f->encoding == WEIGHT_SPARSE_T;
    const size_t runs = turned ? cols : rows, bits = turned ? rows : cols; /* of a mask */
    size_t at = group_masks(f, rows);
    memset(y, 0, at * sizeof *y);
    for (size_t r = 0; r < runs; r++)
        for (size_t b = 0; b < bits; b++) {
            const size_t i = i0 + (turned ? b : r), j = j0 + (turned ? r : b);
            const f16 w = f->w[j * f->k + i];
            if (is_zero(w))
                continue;
            if (turned)
                y[r * MASK_T + b / 16] |= (f16)(1u << b % 16);
            else
                y[r] |= (f16)(1u << b);
            y[at++] = w;
        }
    return at;
}

static void pack_sparse(const struct weight_form *f, f16 *y, uint64_t *starts)
{
    size_t at = 0;
    for (size_t j0 = 0; j0 < f->n; j0 += ANF_PANEL)
        for (size_t i0 = 0; i0 < f->k; i0 += WEIGHT_GROUP) {
            *starts++ = at;
            at += pack_group(f, j0, i0, group_rows(f, i0), y + at);
        }
    memset(y + at, 0, WEIGHT_SLACK);
}

void weight_pack(const struct weight_form *f, void *panels, void *side)
{
    switch (f->encoding) {
    case WEIGHT_INT8:
        turn_bytes(f->q, f->n, f->k, panels);
        turn(f->scale, f->n, 1, side);
        break;
    case WEIGHT_INT4:
        pack_int4(f, panels);
        memcpy(side, f->codebook, WEIGHT_CODES * sizeof(f16));
        break;
    case WEIGHT_SPARSE:
    case WEIGHT_SPARSE_T:
        pack_sparse(f, panels, side);
        break;
    case WEIGHT_LISTS:
        pack_lists(f, panels, side);
        break;
    case WEIGHT_BLOCKWISE:
        turn_bytes(f->q, f->n, f->k, panels);
        turn(f->scale, f->n, f->k / f->block, side);
        break;
    case WEIGHT_F16:
    case WEIGHT_ENCODING_COUNT:
        turn(f->w, f->n, f->k, panels);
        break;
    }
}

/* The values that the masks of a group of rows name, SIZE_MAX where one names a row past these. */
static size_t values_of(const struct weight_form *f, const f16 *masks, size_t rows)
{
    size_t kept = 0;
    for (size_t i = 0; f->encoding == WEIGHT_SPARSE && i < rows; i++)
        kept += (size_t)__builtin_popcount(masks[i]);
    for (size_t j = 0; f->encoding == WEIGHT_SPARSE_T && j < ANF_PANEL; j++) {
        const uint64_t mask = weight_mask_t(masks, j);
        if (rows < WEIGHT_GROUP && mask >> rows)
            return SIZE_MAX;
        kept += (size_t)__builtin_popcountll(mask);
    }
    return kept;
}

bool weight_sparse_ok(const struct weight_form *f, const f16 *panels, size_t elements,
                      const uint64_t *side)
{
    const size_t groups = weight_groups(f->k), total = panels_of(f) * groups;
    size_t at = 0;
    if (!f->k || elements < WEIGHT_SLACK / sizeof(f16))
        return false;
    elements -= WEIGHT_SLACK / sizeof(f16);
    for (size_t g = 0; g < total; g++) {
        const size_t rows = group_rows(f, g % groups * WEIGHT_GROUP), masks = group_masks(f, rows);
        if (side[g] != at || masks > elements - at)
            return false;
        const size_t kept = values_of(f, panels + at, rows);
        at += masks;
        if (kept > elements - at)
            return false;
        at += kept;
    }
    return at == elements;
}
