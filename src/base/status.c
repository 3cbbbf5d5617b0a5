/* The message lives in thread-local storage: several threads may run one model and fail
 * differently, and a failing anf_ctx_new has no context to keep a message in.
 *
 * It is one line that a terminal may show, whatever the names in it: every way in ends in
 * keep_one_line. */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[ANF_ERROR_MAX];
static _Thread_local anf_status last;

static bool is_control(unsigned char ch)
{
    return ch < 0x20 || ch == 0x7f;
}

/* Control bytes become \xHH. */
static void keep_one_line(void)
{
    char raw[sizeof message];
    const char *s = message;
    size_t at = 0;
    while (*s && !is_control((unsigned char)*s))
        s++;
    if (!*s)
        return;
    memcpy(raw, message, sizeof raw);
    for (s = raw; *s; s++) {
        const bool control = is_control((unsigned char)*s);
        if (at + (control ? 4 : 1) >= sizeof message)
            break;
        if (control)
            at += (size_t)snprintf(message + at, sizeof message - at, "\\x%02x", (unsigned char)*s);
        else
            message[at++] = *s;
    }
    message[at] = 0;
}

anf_status status_fail(anf_status code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    keep_one_line();
    last = code;
    return code;
}

anf_status status_set(anf_status code, const char *text)
{
    size_t n = strlen(text);
    if (n >= sizeof message)
        n = sizeof message - 1;
    memmove(message, text, n);
    message[n] = 0;
    keep_one_line();
    last = code;
    return code;
}

anf_status status_prefix(anf_status code, const char *fmt, ...)
{
    char old[ANF_ERROR_MAX];
    memcpy(old, message, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n + 2 < sizeof message) {
        size_t room = sizeof message - (size_t)n - 3, len = strlen(old);
        memcpy(message + n, ": ", 2);
        memcpy(message + n + 2, old, len < room ? len : room);
        message[(size_t)n + 2 + (len < room ? len : room)] = 0;
    }
    keep_one_line();
    last = code;
    return code;
}

const char *status_message(void)
{
    return message;
}

anf_status status_last(void)
{
    return last;
}

void status_forget(void)
{
    last = ANF_OK;
}
