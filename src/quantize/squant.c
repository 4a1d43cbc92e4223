// SPDX-License-Identifier: Apache-2.0
#include "quantize/squant.h"

#include <math.h>

static const uint32_t NOTHING = UINT32_MAX;

struct squant {
    const struct i4q_row *row;
    const struct i4q_squant_room *room;
};

/* What a run of flips ends with. */
struct flips {
    double sum;    /* of errors, in units of weights */
    uint32_t last; /* the element that was flipped last, or NOTHING */
    uint32_t next; /* the one that would have been next, or NOTHING */
    bool crossed;  /* the sum has changed its sign */
};

static const struct i4q_grid *grid_of(const struct i4q_row *row, size_t i)
{
    return &row->grids[i / row->block];
}

/* ---- a heap of elements, the one with the largest error on top, ties by index */

static bool precedes(const double *errors, uint32_t a, uint32_t b)
{
    double x = fabs(errors[a]), y = fabs(errors[b]);
    return x > y || (x == y && a < b);
}

static void sift(const double *errors, uint32_t *heap, size_t count, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && precedes(errors, heap[child + 1], heap[child]))
            child++;
        if (!precedes(errors, heap[child], heap[at]))
            return;
        uint32_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
    }
}

static void make_heap(const double *errors, uint32_t *heap, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        sift(errors, heap, count, at);
}

static void drop_top(const double *errors, uint32_t *heap, size_t *count)
{
    heap[0] = heap[--*count];
    sift(errors, heap, *count, 0);
}

/* ---- flips */

static double sum_errors(const struct squant *squant, size_t first, size_t count)
{
    double sum = 0;
    for (size_t i = first; i < first + count; i++)
        sum += squant->room->errors[i] * (double)grid_of(squant->row, i)->scale;
    return sum;
}

/* Whether moving element i by one code against `direction` makes its error smaller in that direction, and
 * the grid has that code. */
static bool can_flip(const struct squant *squant, size_t i, int direction)
{
    const struct i4q_grid *grid = grid_of(squant->row, i);
    int code = squant->row->codes[i] - direction;
    return squant->room->errors[i] * direction > 0 && code >= grid->low && code <= grid->high;
}

static void flip(struct squant *squant, uint32_t i, int direction)
{
    squant->row->codes[i] = (int8_t)(squant->row->codes[i] - direction);
    squant->room->errors[i] -= direction;
}

/* Flips those of `count` elements, from the heap, that bring the sum to within half a step of 0. */
static struct flips flip_while_it_helps(struct squant *squant, size_t count, double sum)
{
    const double *errors = squant->room->errors;
    uint32_t *heap = squant->room->heap;
    int direction = sum > 0 ? 1 : -1;
    struct flips flips = {.sum = sum, .last = NOTHING, .next = NOTHING};
    make_heap(errors, heap, count);
    while (count && !flips.crossed) {
        uint32_t top = heap[0];
        double scale = (double)grid_of(squant->row, top)->scale;
        if (!(fabs(flips.sum) > scale / 2))
            break;
        drop_top(errors, heap, &count); /* while the order still holds: the flip changes its error */
        flip(squant, top, direction);
        flips.last = top;
        flips.sum -= direction * scale;
        flips.crossed = flips.sum * direction < 0;
    }
    flips.next = count ? heap[0] : NOTHING;
    return flips;
}

/* One kernel; returns the element that the channel may still move. */
static uint32_t balance_kernel(struct squant *squant, size_t first)
{
    const struct i4q_row *row = squant->row;
    double sum = sum_errors(squant, first, row->kernel);
    size_t count = 0;
    for (size_t i = first; i < first + row->kernel; i++)
        if (sum != 0 && can_flip(squant, i, sum > 0 ? 1 : -1))
            squant->room->heap[count++] = (uint32_t)i;
    struct flips flips = flip_while_it_helps(squant, count, sum);
    return flips.crossed ? flips.last : flips.next;
}

static size_t balance_kernels(struct squant *squant)
{
    size_t movable = 0;
    for (size_t first = 0; first < squant->row->count; first += squant->row->kernel) {
        uint32_t element = balance_kernel(squant, first);
        if (element != NOTHING)
            squant->room->movable[movable++] = element;
    }
    return movable;
}

static size_t list_all(const struct squant *squant)
{
    for (size_t i = 0; i < squant->row->count; i++)
        squant->room->movable[i] = (uint32_t)i;
    return squant->row->count;
}

static void balance_channel(struct squant *squant, size_t movable)
{
    double sum = sum_errors(squant, 0, squant->row->count);
    size_t count = 0;
    for (size_t i = 0; i < movable && sum != 0; i++)
        if (can_flip(squant, squant->room->movable[i], sum > 0 ? 1 : -1))
            squant->room->heap[count++] = squant->room->movable[i];
    flip_while_it_helps(squant, count, sum);
}

void i4q_squant(const struct i4q_row *row, const struct i4q_squant_room *room)
{
    struct squant squant = {.row = row, .room = room};
    for (size_t i = 0; i < row->count; i++) {
        const struct i4q_grid *grid = grid_of(row, i);
        room->errors[i] = row->codes[i] - grid->zero - (double)row->weights[i] / (double)grid->scale;
    }
    balance_channel(&squant, row->kernel > 1 ? balance_kernels(&squant) : list_all(&squant));
}
