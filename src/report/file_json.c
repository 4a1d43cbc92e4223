// SPDX-License-Identifier: Apache-2.0
#include "report/file_json.h"

#include "base/json.h"

json_t *i4q_file_json(const char *path, json_t *bytes, int64_t ir_version, int64_t opset)
{
    json_t *json = json_object();
    i4q_json_put(&json, "path", i4q_json_text(path));
    i4q_json_put(&json, "bytes", bytes);
    i4q_json_put(&json, "ir_version", json_integer(ir_version));
    i4q_json_put(&json, "opset", json_integer(opset));
    return json;
}
