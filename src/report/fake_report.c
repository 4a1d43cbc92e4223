// SPDX-License-Identifier: Apache-2.0
#include "report/fake_report.h"

#include "base/json.h"
#include "report/text.h"

static size_t count_alike(const struct i4q_fake *fakes, size_t count, size_t op, unsigned bits)
{
    size_t alike = 0;
    for (size_t i = 0; i < count; i++)
        alike += fakes[i].is_activation && fakes[i].op == op && fakes[i].bits == bits;
    return alike;
}

static size_t count_constants(const struct i4q_fake *fakes, size_t count)
{
    size_t constants = 0;
    for (size_t i = 0; i < count; i++)
        constants += !fakes[i].is_activation;
    return constants;
}

/* "4 Quant of 4 bits", by operator and width. */
static const char *print_activations(const struct i4q_fake *fakes, size_t count, size_t op,
                                     const char *separator, FILE *stream)
{
    for (unsigned bits = 0; bits <= I4Q_FAKE_BITS; bits++) {
        size_t alike = count_alike(fakes, count, op, bits);
        if (!alike)
            continue;
        fprintf(stream, "%s%zu %s", separator, alike, i4q_fake_op(op));
        if (bits)
            fprintf(stream, " of %u bit%s", bits, bits > 1 ? "s" : "");
        separator = ", ";
    }
    return separator;
}

void i4q_fake_totals(const struct i4q_fake *fakes, size_t count, FILE *stream)
{
    const char *separator = "quants     ";
    size_t constants = count_constants(fakes, count);
    if (!count)
        return;
    for (size_t op = 0; i4q_fake_op(op) && constants < count; op++)
        separator = print_activations(fakes, count, op, separator, stream);
    if (constants < count)
        fputs(" on activations", stream);
    if (constants)
        fprintf(stream, "%s%zu on constants", separator, constants);
    fputs(": ONNX Runtime has none of these, see --import all\n", stream);
}

json_t *i4q_fakes_json(const struct i4q_fake *fakes, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct i4q_fake *fake = &fakes[i];
        json_t *json = json_object();
        i4q_json_put(&json, "node", i4q_json_text(i4q_node_label(fake->node->proto)));
        i4q_json_put(&json, "op", i4q_json_text(i4q_fake_op(fake->op)));
        i4q_json_put(&json, "tensor", i4q_json_text(fake->tensor ? fake->tensor->name : NULL));
        i4q_json_put(&json, "bits", fake->bits ? json_integer(fake->bits) : json_null());
        i4q_json_put(&json, "activation", json_boolean(fake->is_activation));
        i4q_json_add(&list, json);
    }
    return list;
}
