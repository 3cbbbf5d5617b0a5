/* Errors as values.
 *
 * Every function that can fail returns anf_status.  The message is formatted once, at the innermost
 * place that knows the names, into a buffer of the calling thread; callers only forward the code
 * with TRY.  A message says what was given, what was needed and where.  Nothing here allocates, so
 * an out-of-memory error can always be reported. */
#ifndef ANF_BASE_STATUS_H
#define ANF_BASE_STATUS_H

#include "aneforge.h"

#if defined(__GNUC__)
#define ANF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define ANF_PRINTF(f, a)
#endif

/* Store the message of this thread and return `code`. */
anf_status status_fail(anf_status code, const char *fmt, ...) ANF_PRINTF(2, 3);

/* The same for a finished message, which may be the one that is stored. */
anf_status status_set(anf_status code, const char *text);

/* Put "prefix: " in front of the message already stored; used by readers that know the file
 * name. */
anf_status status_prefix(anf_status code, const char *fmt, ...) ANF_PRINTF(2, 3);

const char *status_message(void);

/* The code of the last failure on this thread: for callers that only saw a NULL or a zero. */
anf_status status_last(void);
/* ANF_OK from now on.  The message stays: it is the caller's until a call of theirs fails. */
void status_forget(void);

/* FAIL(SHAPE, "conv: ...", ...) leaves the function with ANF_E_SHAPE and that message.  The comma
 * tells the compiler that the value is not ANF_OK, so that TRY's other path is known to be
 * success. */
#define FAIL(code, ...) return status_fail(ANF_E_##code, __VA_ARGS__), ANF_E_##code

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        anf_status try_status_ = (expr);                                                           \
        if (try_status_ != ANF_OK)                                                                 \
            return try_status_;                                                                    \
    } while (0)

/* Conditions a caller cannot cause. Checked in debug builds only. */
#ifdef ANF_DEBUG
#include <assert.h>
#define ANF_ASSERT(c) assert(c)
#else
#define ANF_ASSERT(c) ((void)0)
#endif

#endif
