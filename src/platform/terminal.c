// SPDX-License-Identifier: Apache-2.0
#include "platform/terminal.h"

#include "base/utf8.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

bool i4q_stdout_is_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

struct i4q_look i4q_terminal_look(bool standard_error)
{
    int fd = standard_error ? STDERR_FILENO : STDOUT_FILENO;
    const char *forbids = getenv("NO_COLOR"), *terminal = getenv("TERM");
    struct winsize size = {0};
    if (!isatty(fd))
        return (struct i4q_look){0};
    bool dumb = !terminal || strcmp(terminal, "dumb") == 0;
    return (struct i4q_look){.width = ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0,
                             .colour = !dumb && !(forbids && *forbids)};
}

/* Whether a terminal does something else with the sequence than show it, or shows nothing (Unicode calls
 * these Default_Ignorable_Code_Point). In UTF-8 bytes are in the order of characters. */
static bool is_hidden(const char *sequence, size_t length)
{
    static const struct {
        const char *first, *last;
    } ranges[] = {
        {"\x01", "\x1f"},                 /* C0 */
        {"\x7f", "\x7f"},                 /* DEL */
        {"\xc2\x80", "\xc2\x9f"},         /* C1 */
        {"\xc2\xad", "\xc2\xad"},         /* soft hyphen */
        {"\xcd\x8f", "\xcd\x8f"},         /* grapheme joiner */
        {"\xd8\x9c", "\xd8\x9c"},         /* Arabic letter mark */
        {"\xe1\x85\x9f", "\xe1\x85\xa0"}, /* Hangul fillers */
        {"\xe1\x9e\xb4", "\xe1\x9e\xb5"}, /* Khmer vowels */
        {"\xe1\xa0\x8b", "\xe1\xa0\x8f"}, /* Mongolian selectors */
        {"\xe2\x80\x8b", "\xe2\x80\x8f"}, /* no width; marks of direction */
        {"\xe2\x80\xa8", "\xe2\x80\xae"}, /* separators of lines; embeddings and overrides of directions */
        {"\xe2\x81\xa0", "\xe2\x81\xaf"}, /* joiners, operators, isolates */
        {"\xe3\x85\xa4", "\xe3\x85\xa4"}, /* Hangul filler */
        {"\xef\xb8\x80", "\xef\xb8\x8f"}, /* variation selectors */
        {"\xef\xbb\xbf", "\xef\xbb\xbf"}, /* byte order mark */
        {"\xef\xbe\xa0", "\xef\xbe\xa0"}, /* Hangul filler */
        {"\xef\xbf\xb0", "\xef\xbf\xbb"}, /* unassigned, annotations */
        {"\xf0\x9b\xb2\xa0", "\xf0\x9b\xb2\xa3"}, /* shorthand */
        {"\xf0\x9d\x85\xb3", "\xf0\x9d\x85\xba"}, /* music */
        {"\xf3\xa0\x80\x80", "\xf3\xa0\xbf\xbf"}, /* tags, more selectors */
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (strlen(ranges[i].first) == length && memcmp(sequence, ranges[i].first, length) >= 0 &&
            memcmp(sequence, ranges[i].last, length) <= 0)
            return true;
    return false;
}

char *i4q_mask_control(char *text)
{
    for (char *at = text; *at;) {
        size_t length = i4q_utf8_length(at), bytes = length ? length : 1;
        if (!length || is_hidden(at, length))
            memset(at, '?', bytes);
        at += bytes;
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
    memset(bar, '#', (size_t)((double)WIDTH * (double)done / (double)total));
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
