// SPDX-License-Identifier: Apache-2.0
#include "onnx/opset/upgrade.h"

#include "onnx/opset/names.h"
#include "onnx/opset/rules.h"
#include "onnx/opset/types.h"

#include <inttypes.h>
#include <string.h>

/* ---- one node */

/* The operator's own version that is in force at opset `from`. */
static int64_t own_version(const struct i4q_opset_rule *rule, int64_t from)
{
    int64_t own = rule->earlier[0];
    for (int i = 0; i < 4 && rule->earlier[i] && rule->earlier[i] <= from; i++)
        own = rule->earlier[i];
    return own;
}

/* Whether `version` has the operator no more. It is then no model of that version, and no rule applies. */
static bool is_removed(const Onnx__NodeProto *node, int64_t version)
{
    static const struct {
        const char *op_type;
        int64_t version;
    } removed[] = {{"Upsample", 10}, {"Scatter", 11}};
    for (size_t i = 0; i < sizeof removed / sizeof *removed; i++)
        if (version >= removed[i].version && strcmp(node->op_type, removed[i].op_type) == 0)
            return true;
    return false;
}

/* Rules change the node and its attributes. */
static bool open_node(struct i4q_model *model, Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (!i4q_edit_open(model, &node->attribute[i]->base))
            return false;
    return i4q_edit_open(model, &node->base);
}

static bool apply_rule(struct i4q_upgrader *upgrader, const struct i4q_opset_rule *rule,
                       Onnx__NodeProto *node, int64_t from, struct i4q_upgrade *done)
{
    upgrader->changed = false;
    if (!open_node(upgrader->model, node) || !rule->apply(upgrader, node))
        return i4q_fail_memory(upgrader->error);
    if (!upgrader->changed)
        return true;
    if (!done->to)
        *done = (struct i4q_upgrade){.op = rule->op_type, .from = own_version(rule, from)};
    done->node = i4q_text(node->name);
    done->to = rule->version;
    return true;
}

/* Applies the rules between two versions in their order. A rule may rename the operator (Upsample becomes
 * Resize), so each looks at what the node has become. */
static bool upgrade_node(struct i4q_upgrader *upgrader, Onnx__NodeProto *node, int64_t from,
                         struct i4q_upgrade *done)
{
    upgrader->op_type = i4q_text(node->op_type);
    if (!i4q_is_standard_domain(node->domain))
        return true;
    if (!i4q_opset_find(upgrader->op_type))
        return i4q_opset_refuse(upgrader, node, "ai.onnx has no operator of this name that int4q knows");
    if (is_removed(node, from))
        return i4q_opset_refuse(upgrader, node, "opset %" PRId64 " has no such operator any more", from);
    for (size_t i = 0; i < i4q_opset_n_rules; i++) {
        const struct i4q_opset_rule *rule = &i4q_opset_rules[i];
        bool applies = rule->version > from && rule->version <= upgrader->version &&
                       strcmp(node->op_type, rule->op_type) == 0;
        if (applies && !apply_rule(upgrader, rule, node, from, done))
            return false;
    }
    return true;
}

/* ---- one graph or function body */

static bool report(struct i4q_model *model, const struct i4q_upgrade *done, const struct i4q_upgrade ***last)
{
    struct i4q_upgrade *copy = i4q_arena_alloc(&model->arena, 1, sizeof *copy);
    if (!copy)
        return false;
    *copy = *done;
    **last = copy;
    *last = &copy->next;
    return true;
}

/* The node with what its rules put before it is in the list then; what they put behind it follows. */
static bool append(struct i4q_upgrader *upgrader, Onnx__NodeProto *node)
{
    struct i4q_arena *arena = &upgrader->model->arena;
    if (!i4q_list_add(arena, &upgrader->nodes, node))
        return i4q_fail_memory(upgrader->error);
    for (size_t i = 0; i < upgrader->after.count; i++)
        if (!i4q_list_add(arena, &upgrader->nodes, upgrader->after.items[i]))
            return i4q_fail_memory(upgrader->error);
    upgrader->after.count = 0;
    return true;
}

static bool upgrade_scope(struct i4q_model *model, struct i4q_scope *scope, int64_t from, int64_t to,
                          const struct i4q_upgrade ***last, struct i4q_error *error)
{
    struct i4q_upgrader upgrader = {.model = model, .scope = scope, .version = to, .error = error};
    Onnx__NodeProto ***nodes = scope->graph ? &scope->graph->node : &scope->function->node;
    size_t *count = scope->graph ? &scope->graph->n_node : &scope->function->n_node;
    for (size_t i = 0; i < *count; i++) {
        struct i4q_upgrade done = {0};
        if (!upgrade_node(&upgrader, (*nodes)[i], from, &done) || !append(&upgrader, (*nodes)[i]))
            return false;
        if (done.to && !report(model, &done, last))
            return i4q_fail_memory(error);
    }
    if (!i4q_edit_open(model, scope->graph ? &scope->graph->base : &scope->function->base))
        return i4q_fail_memory(error);
    *nodes = (Onnx__NodeProto **)upgrader.nodes.items;
    *count = upgrader.nodes.count;
    return true;
}

/* ---- the model */

/* Sets the version in the first entry of the standard domain, whose spelling stays, and drops further ones.
 */
static void set_import(Onnx__OperatorSetIdProto **imports, size_t *n, int64_t version)
{
    bool found = false;
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        bool standard = i4q_is_standard_domain(imports[i]->domain);
        if (standard && !found) {
            imports[i]->has_version = true;
            imports[i]->version = version;
        }
        if (!standard || !found)
            imports[kept++] = imports[i];
        found |= standard;
    }
    *n = kept;
}

/* What is at least there already stays as it is. */
static bool raise_imports(struct i4q_model *model, ProtobufCMessage *owner,
                          Onnx__OperatorSetIdProto **imports, size_t *n, int64_t version)
{
    if (i4q_opset_version(imports, *n) >= version)
        return true;
    for (size_t i = 0; i < *n; i++)
        if (!i4q_edit_open(model, &imports[i]->base))
            return false;
    if (!i4q_edit_open(model, owner))
        return false;
    set_import(imports, n, version);
    return true;
}

static bool set_imports(struct i4q_model *model, int64_t version)
{
    Onnx__ModelProto *proto = model->proto;
    if (!raise_imports(model, &proto->base, proto->opset_import, &proto->n_opset_import, version))
        return false;
    for (size_t i = 0; i < proto->n_functions; i++) {
        Onnx__FunctionProto *function = proto->functions[i];
        if (!raise_imports(model, &function->base, function->opset_import, &function->n_opset_import,
                           version))
            return false;
    }
    return true;
}

static bool check_start(int64_t from, struct i4q_error *error)
{
    if (from == 0)
        return i4q_fail(error, I4Q_MODEL, "the model does not import the operator set ai.onnx");
    if (from < I4Q_OPSET_MIN)
        return i4q_fail(error, I4Q_MODEL, "opset %" PRId64 " cannot be upgraded, the oldest that can is %d",
                        from, I4Q_OPSET_MIN);
    return true;
}

bool i4q_opset_upgrade(struct i4q_model *model, int64_t version, const struct i4q_upgrade **upgrades,
                       struct i4q_error *error)
{
    *upgrades = NULL;
    int64_t own = i4q_scope_opset(model, model->graph.scopes);
    if (!check_start(own, error))
        return false;
    if (own >= version)
        return true;
    i4q_opset_find_types(model);
    for (struct i4q_scope *scope = model->graph.scopes; scope; scope = scope->next) {
        int64_t from = i4q_scope_opset(model, scope);
        if (from == 0 || from >= version)
            continue;
        if (!check_start(from, error) || !upgrade_scope(model, scope, from, version, &upgrades, error))
            return false;
    }
    return set_imports(model, version) || i4q_fail_memory(error);
}
