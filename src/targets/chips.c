/* chips.def as tables: what a family reads, and the family of a name.
 *
 * Families are numbered from 1 in ascending order, so that the last line of them says how many
 * there are, and 0, of which nothing is known, streams nothing. */
#include "targets/chips.h"

#include <stdio.h>
#include <string.h>

#define CHIP(name, family)
#define FAMILY(number, runs, streams) FAMILY_##number = number,
enum {
#include "targets/chips.def"
    FAMILY_END
};
#undef CHIP
#undef FAMILY

enum {
    F16 = 1 << ANF_ENCODING_F16,
    INT8 = 1 << ANF_ENCODING_INT8,
    INT4 = 1 << ANF_ENCODING_INT4,
    SPARSE = 1 << ANF_ENCODING_SPARSE,
    BLOCKWISE = 1 << ANF_ENCODING_BLOCKWISE
};

static const struct family {
    bool runs;
    int streams; /* bits */
} families[FAMILY_END] = {
#define CHIP(name, family)
#define FAMILY(number, runs, streams) [number] = {runs, F16 | (streams)},
#include "targets/chips.def"
#undef CHIP
#undef FAMILY
};

static const struct chip {
    const char *name;
    int family;
} chips[] = {
#define CHIP(name, family) {name, family},
#define FAMILY(number, runs, streams)
#include "targets/chips.def"
#undef CHIP
#undef FAMILY
};
enum { N_CHIPS = sizeof chips / sizeof *chips };

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool same_name(const char *given, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        char c = given[i] >= 'A' && given[i] <= 'Z' ? (char)(given[i] - 'A' + 'a') : given[i];
        if (!name[i] || c != name[i])
            return false;
    }
    return !name[n];
}

static const struct chip *find(const char *name)
{
    if (!name)
        return NULL;
    while (is_blank(*name))
        name++;
    size_t n = strlen(name);
    while (n > 0 && is_blank(name[n - 1]))
        n--;
    for (size_t i = 0; i < N_CHIPS; i++)
        if (same_name(name, n, chips[i].name))
            return &chips[i];
    return NULL;
}

const char *chip_find(const char *name)
{
    const struct chip *chip = find(name);
    return chip ? chip->name : NULL;
}

int chip_family(const char *name)
{
    const struct chip *chip = find(name);
    return chip ? chip->family : 0;
}

static bool is_known(int family)
{
    return family >= 0 && family < FAMILY_END;
}

bool family_runs(int family)
{
    return is_known(family) && families[family].runs;
}

bool family_streams(int family, anf_encoding e)
{
    return is_known(family) && (unsigned)e <= ANF_ENCODING_BLOCKWISE &&
           (families[family].streams >> e & 1);
}

const char *chip_names(char *text, size_t cap)
{
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < N_CHIPS && at < cap; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%s", i ? ", " : "", chips[i].name);
    return text;
}
