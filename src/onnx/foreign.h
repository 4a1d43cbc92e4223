// SPDX-License-Identifier: Apache-2.0
/* Files that are often taken for models and are none: told by their first bytes, so that the error can say
 * what the file is and what to do instead of where its bytes stop being protobuf. */
#ifndef INT4Q_ONNX_FOREIGN_H
#define INT4Q_ONNX_FOREIGN_H

#include "base/view.h"

/* What a file that could not be read as a model is and what to do about it, as the end of "not an ONNX model:
 * …"; a literal. NULL: nothing known. `path` may be NULL; a name that ends in "data" tells external data. To
 * be asked only where reading failed: a valid model may hold any of these marks. */
const char *i4q_foreign(struct i4q_view bytes, const char *path);

#endif
