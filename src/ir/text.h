/* The pieces that print.c and parse.c share: a cursor over bytes that knows its line, tokens and
 * numbers.  docs/graph-text.md is the specification.
 *
 * Numbers never pass through the locale: reading hands strtod "<digits>e<exponent>" without a
 * decimal point, writing takes the digits out of "%.*e" and lays them out itself. */
#ifndef ANF_IR_TEXT_H
#define ANF_IR_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/fp16.h"
#include "ir/names.h"

#define GRAPH_TEXT_HEADER "aneforge-graph"

enum {
    GRAPH_TEXT_VERSION = 1,
    TEXT_INLINE_MAX = 16, /* elements of a constant printed as {...}: one line of a screen */
};

/* "f16", "u8" or "bool": the element types a value of a graph can have. */
const char *graph_text_dtype(anf_dtype t);

/* `depth` counts open brackets: inside them a newline is a space. */
struct cursor {
    const char *at, *end;
    size_t line;
    int depth;
    char found[64]; /* what text_found made */
};

void text_start(struct cursor *c, const char *text, size_t n);

/* The next byte that is no space and no comment: 0 at the end, '\n' where a line ends. */
int text_peek(struct cursor *c);
/* What stands at the cursor, quoted and shortened for a message. */
const char *text_found(struct cursor *c);
/* Step over `ch`; "found X where ... is needed" if it is not there. Brackets keep `depth`. */
anf_status text_expect(struct cursor *c, char ch);
bool text_take(struct cursor *c, char ch);
/* The comma between two items of a list that `close` would end. */
anf_status text_comma(struct cursor *c, char close);

/* [A-Za-z_][A-Za-z0-9_.]*; `what` is needed there. */
anf_status text_word(struct cursor *c, const char *what, struct span *out);
/* A word or %N. */
anf_status text_value_name(struct cursor *c, struct span *out);
/* Does a word begin at the next token? */
bool text_at_word(struct cursor *c);
bool span_is(struct span s, const char *word);

anf_status text_int(struct cursor *c, const char *what, int64_t *out);
anf_status text_uint(struct cursor *c, const char *what, uint64_t *out);
/* Decimal, correctly rounded; inf, -inf, nan. A finite number that overflows a double is an
 * error. */
anf_status text_double(struct cursor *c, const char *what, double *out);
/* The same, rounded once to binary16; a finite number that overflows it is refused. */
anf_status text_f16(struct cursor *c, f16 *out);
/* "..." with \" \\ \n \t \xHH, as a NUL-terminated copy in `arena`. */
anf_status text_string(struct cursor *c, struct arena *arena, const char **out);

/* The fewest digits that read back the same. */
void text_put_double(struct buf *b, double x);
void text_put_f16(struct buf *b, f16 x);

/* The candidate nearest to `given` by edit distance, or NULL when none is near. `name(user, i)`
 * gives candidate i of n; NULL is skipped. */
const char *text_nearest(struct span given, int n, const char *(*name)(const void *user, int i),
                         const void *user);

#endif
