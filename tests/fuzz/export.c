// SPDX-License-Identifier: Apache-2.0
/* restore --as qonnx: what comes out loads, each weight behind a Quant is a float tensor with a single
 * reader, scale, zero point and bit width are stored, and nothing is left to export that was not left before.
 */
#include "model_target.h"

#include "forms/qonnx.h"
#include "forms/recognise.h"
#include "rewrite/export.h"
#include "rewrite/restore_activations.h"

#include <string.h>

struct exported {
    struct i4q_activation_restoration activations;
    struct i4q_export weights;
};

static bool export_all(struct i4q_model *model, struct exported *exported)
{
    struct i4q_error error = {0};
    bool ok = i4q_restore_activations(model, I4Q_ACTIVATIONS_QUANT, &exported->activations, &error) &&
              i4q_export(model, target_best_kernels(), &exported->weights, &error);
    REQUIRE_OK(ok || error.code == I4Q_MODEL, error);
    return ok;
}

/* Whether it is one of those made here, of the main graph: others may have any inputs. */
static bool is_ours(const struct exported *exported, const struct i4q_node *node)
{
    const char *output = node->proto->n_output == 1 ? node->proto->output[0] : "";
    if (node->scope->parent || !i4q_node_is_of(node->proto, i4q_qonnx_domain, "Quant"))
        return false;
    for (size_t i = 0; i < exported->weights.n_weights; i++) {
        const struct i4q_exported *weight = exported->weights.weights[i];
        if (!weight->reason && strcmp(weight->weight.weight, output) == 0)
            return true;
    }
    return false;
}

static void check_quant(const struct i4q_node *node)
{
    REQUIRE(node->proto->n_input == 4 && node->proto->n_attribute == 3);
    for (size_t i = 0; i < 4; i++) {
        const Onnx__TensorProto *tensor = i4q_input_tensor(node, i);
        REQUIRE(tensor && tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
        REQUIRE(i < 2 || tensor->n_dims == 0);
    }
    const struct i4q_value *value = i4q_scope_resolve(node->scope, node->proto->output[0]);
    REQUIRE(value && (!value->uses || !value->uses->next));
}

static void check_result(const struct exported *exported, struct i4q_model *written)
{
    struct exported again;
    for (const struct i4q_node *node = written->graph.nodes; node; node = node->next)
        if (is_ours(exported, node))
            check_quant(node);
    if (!export_all(written, &again))
        return;
    REQUIRE(again.weights.n_weights - again.weights.n_left == 0);
    REQUIRE(again.activations.fates[I4Q_ACTIVATION_QUANT] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct i4q_model model, written;
    struct exported exported = {0};
    target_begin();
    if (target_load(&model, data, size)) {
        if (export_all(&model, &exported)) {
            target_write(&model, &written);
            check_result(&exported, &written);
            i4q_model_free(&written);
        }
        i4q_model_free(&model);
    }
    target_end();
    return 0;
}
