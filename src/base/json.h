// SPDX-License-Identifier: Apache-2.0
/* What JSON needs beyond jansson: errors told apart, text from outside, figures that may not exist. */
#ifndef INT4Q_BASE_JSON_H
#define INT4Q_BASE_JSON_H

#include "base/error.h"
#include "base/view.h"

#include <jansson.h>

/* A document, which the caller owns. A key that comes twice is refused, since jansson would keep but one of
 * the values. I4Q_MODEL: it is not JSON. */
json_t *i4q_json_parse(struct i4q_view text, struct i4q_error *error) I4Q_MUST_CHECK;

/* A string; bytes that are not UTF-8 become U+FFFD. NULL gives null. The result belongs to the caller; it is
 * NULL only when memory runs out. */
json_t *i4q_json_text(const char *text);

/* An array of strings. */
json_t *i4q_json_texts(const char *const *texts, size_t count);

/* A number, or null where it is not finite. */
json_t *i4q_json_real(double value);

/* A count or a size in bytes. */
json_t *i4q_json_size(size_t value);

/* An array of `rank` dimensions; null when dims is NULL. */
json_t *i4q_json_dims(const int64_t *dims, size_t rank);

/* Puts `value`, which it takes, into an object. Sticky: when that fails, *object becomes NULL and stays so.
 */
void i4q_json_put(json_t **object, const char *key, json_t *value);

/* The same for an element of an array. */
void i4q_json_add(json_t **array, json_t *value);

/* The document as text, which the caller frees; NULL: out of memory. Takes `document`, which may be NULL for
 * one that memory did not suffice for. */
char *i4q_json_print(json_t *document, struct i4q_error *error) I4Q_MUST_CHECK;

#endif
