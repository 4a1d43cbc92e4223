// SPDX-License-Identifier: Apache-2.0
#include "report/export_report.h"

#include "report/kinds.h"

enum { IMPORTED_BITS = 8 }; /* the most that are stored as integers again */

void i4q_report_exported(const struct i4q_export *exported, FILE *stream)
{
    for (size_t i = 0; i < exported->n_weights; i++) {
        const struct i4q_exported *weight = exported->weights[i];
        char name[I4Q_TEXT_NAME], now[32] = "left";
        if (!weight->reason)
            snprintf(now, sizeof now, "quant %u bit", weight->bits);
        fprintf(stream, "%-9s -> %-12s %10zu  %s%s%s\n", weight->weight.storage, now, weight->weight.count,
                i4q_text_mask(weight->weight.weight, name), weight->reason || weight->widened ? ": " : "",
                weight->reason    ? weight->reason
                : weight->widened ? "zero points"
                                  : "");
    }
}

void i4q_report_export_totals(const struct i4q_export *exported, FILE *stream)
{
    struct i4q_kinds kinds = {0}, reasons = {0};
    char text[I4Q_TEXT_NAME];
    size_t wide = 0;
    for (size_t i = 0; i < exported->n_weights; i++) {
        const struct i4q_exported *weight = exported->weights[i];
        wide += !weight->reason && weight->bits > IMPORTED_BITS;
        i4q_kinds_add(weight->reason ? &reasons : &kinds,
                      weight->reason ? weight->reason : weight->weight.storage);
    }
    if (exported->n_weights > exported->n_left)
        fprintf(stream, "weights    %zu behind Quant: %s\n", exported->n_weights - exported->n_left,
                i4q_kinds_text(&kinds, true, text));
    if (exported->n_left)
        fprintf(stream, "left       %zu weights: %s\n", exported->n_left,
                i4q_kinds_text(&reasons, true, text));
    if (wide && wide < exported->n_widened)
        snprintf(text, sizeof text, ": %zu of them more than 8, which --import all makes floats of", wide);
    else
        snprintf(text, sizeof text, "%s", wide ? ": more than 8, which --import all makes floats of" : "");
    if (exported->n_widened)
        fprintf(stream, "           %zu with more bits than are stored, for their zero points%s\n",
                exported->n_widened, text);
    if (exported->n_biases)
        fprintf(stream, "biases     %zu as floats\n", exported->n_biases);
}

void i4q_report_qonnx_hint(bool has_activations, FILE *stream)
{
    fputs("hint       QONNX holds weights as floats, and no ONNX Runtime runs it: FINN and hls4ml pack the "
          "codes.\n",
          stream);
    if (!has_activations)
        fputs("           FINN needs quantized activations: this model has none.\n", stream);
}
