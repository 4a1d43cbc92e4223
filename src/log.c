// SPDX-License-Identifier: Apache-2.0
#include "int4q/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 4096 };

static enum i4q_verbosity verbosity = I4Q_NORMAL;

void i4q_log_set_verbosity(enum i4q_verbosity wanted)
{
    verbosity = wanted;
}

enum i4q_verbosity i4q_log_verbosity(void)
{
    return verbosity;
}

char *i4q_mask_control(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        /* U+0080 to U+009F are control characters too; in UTF-8 they are C2 80 to C2 9F. */
        if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] <= 0x9f)
            *c++ = '?', *c = '?';
        else if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    }
    return text;
}

/* ---- progress */

static enum i4q_progress progress = I4Q_PROGRESS_AUTO;
static atomic_llong next_bar; /* milliseconds; no bar is drawn before */
static atomic_bool has_bar;

void i4q_log_set_progress(enum i4q_progress wanted)
{
    progress = wanted;
}

static bool shows_progress(void)
{
    if (verbosity == I4Q_QUIET || progress == I4Q_PROGRESS_OFF)
        return false;
    return progress == I4Q_PROGRESS_ON || isatty(STDERR_FILENO);
}

/* Whoever sets the clock forward draws. */
static bool is_time(void)
{
    enum { INTERVAL = 1000 / 6 };
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    long long now = (long long)time.tv_sec * 1000 + time.tv_nsec / 1000000, next = atomic_load(&next_bar);
    bool first = !next; /* work that is done at once shows nothing, unless asked to */
    return (first || now >= next) && atomic_compare_exchange_strong(&next_bar, &next, now + INTERVAL) &&
           (!first || progress == I4Q_PROGRESS_ON);
}

void i4q_log_progress(size_t done, size_t total)
{
    enum { WIDTH = 40 };
    char bar[WIDTH + 1] = "", line[128];
    if (!shows_progress() || !total || !is_time())
        return;
    memset(bar, '#', (size_t)((double)done / (double)total * WIDTH));
    int length =
        snprintf(line, sizeof line, "\r[%-*s] %3.0f %%", WIDTH, bar, 100 * (double)done / (double)total);
    (void)!write(STDERR_FILENO, line, (size_t)length);
    atomic_store(&has_bar, true);
}

void i4q_log_end_progress(void)
{
    static const char clear[] = "\r\033[K";
    if (atomic_exchange(&has_bar, false))
        (void)!write(STDERR_FILENO, clear, sizeof clear - 1);
    atomic_store(&next_bar, 0);
}

/* ---- lines */

/* One write, so that lines of parallel processes do not mix. */
static void print(const char *level, const char *format, va_list arguments)
{
    char line[LINE_SIZE];
    i4q_log_end_progress();
    int start = snprintf(line, sizeof line, "int4q: %s", level);
    vsnprintf(line + start, sizeof line - (size_t)start - 1, format, arguments);
    i4q_mask_control(line);
    size_t length = strlen(line);
    line[length++] = '\n';
    (void)!write(STDERR_FILENO, line, length);
}

#define PRINT(level)                                                                                         \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, format);                                                                         \
        print(level, format, arguments);                                                                     \
        va_end(arguments);                                                                                   \
    } while (0)

void i4q_log_error(const char *format, ...)
{
    PRINT("");
}

void i4q_log_warning(const char *format, ...)
{
    if (verbosity > I4Q_QUIET)
        PRINT("warning: ");
}

void i4q_log_verbose(const char *format, ...)
{
    if (verbosity >= I4Q_VERBOSE)
        PRINT("");
}
