// SPDX-License-Identifier: Apache-2.0
/* Pointers in an arena, for repeated fields of messages that grow. */
#ifndef INT4Q_BASE_LIST_H
#define INT4Q_BASE_LIST_H

#include "base/arena.h"

struct i4q_list {
    void **items;
    size_t count, capacity;
};

/* Adds one at the end; false only when memory runs out. */
bool i4q_list_add(struct i4q_arena *arena, struct i4q_list *list, void *item) I4Q_MUST_CHECK;

#endif
