// SPDX-License-Identifier: Apache-2.0
/* The only writer to standard error: one line a call, names from outside masked, quieter or more talkative.
 */
#ifndef INT4Q_PLATFORM_TERMINAL_H
#define INT4Q_PLATFORM_TERMINAL_H

#include "base/error.h"

#include <stddef.h>

enum i4q_verbosity { I4Q_QUIET, I4Q_NORMAL, I4Q_VERBOSE };

/* Whether standard output is a terminal. */
bool i4q_stdout_is_terminal(void);

/* How text is shown where it goes. */
struct i4q_look {
    size_t width; /* of a terminal, in characters; 0: as wide as the text is */
    bool colour;
};
enum i4q_tone { I4Q_TONE_PLAIN, I4Q_TONE_TITLE, I4Q_TONE_LOW, I4Q_TONE_BAD };

/* The look of standard output, or of standard error: plain where that is no terminal; no colours where
 * NO_COLOR is set (no-color.org) or the terminal is dumb. */
struct i4q_look i4q_terminal_look(bool standard_error);

/* Set once, by the command line. */
void i4q_log_set_verbosity(enum i4q_verbosity verbosity);
enum i4q_verbosity i4q_log_verbosity(void);

void i4q_log_error(const char *format, ...) I4Q_PRINTF(1, 2);   /* always */
void i4q_log_warning(const char *format, ...) I4Q_PRINTF(1, 2); /* not with -q */
void i4q_log_verbose(const char *format, ...) I4Q_PRINTF(1, 2); /* only with -v */

/* Whether long work shows how far it is: on a terminal only, always, or never. Never with -q. */
enum i4q_progress { I4Q_PROGRESS_AUTO, I4Q_PROGRESS_ON, I4Q_PROGRESS_OFF };
void i4q_log_set_progress(enum i4q_progress progress);

/* Draws a bar, `done` of `total`, over the last one; at most six times a second. Thread-safe. */
void i4q_log_progress(size_t done, size_t total);

/* Takes the bar away. To be called before anything else is printed; harmless without a bar. */
void i4q_log_end_progress(void);

/* Replaces by '?', in place, the bytes of control characters, of those that change the direction of writing
 * or that nobody sees, and of what is no UTF-8: a name from a model must not be able to move the cursor,
 * start an escape sequence or pass for another name. Returns `text`. */
char *i4q_mask_control(char *text);

#endif
