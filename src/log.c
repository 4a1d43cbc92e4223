// SPDX-License-Identifier: Apache-2.0
#include "int4q/log.h"

#include <stdio.h>
#include <string.h>
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

/* One write, so that lines of parallel processes do not mix. */
static void print(const char *level, const char *format, va_list arguments)
{
    char line[LINE_SIZE];
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
