// SPDX-License-Identifier: Apache-2.0
/* What the algorithms share among workers. */
#include "kernels/conv_impl.h"

struct share {
    i4q_conv_piece *piece;
    const void *context;
    size_t count, pieces;
};

static void run_piece(void *context, size_t index)
{
    const struct share *share = context;
    size_t each = share->count / share->pieces, more = share->count % share->pieces;
    size_t first = index * each + (index < more ? index : more);
    share->piece(share->context, index, first, first + each + (index < more));
}

void i4q_conv_share(const struct i4q_conv_workers *workers, size_t count, i4q_conv_piece *piece,
                    const void *context)
{
    struct share share = {piece, context, count, count < workers->workers ? count : workers->workers};
    if (share.pieces == 1)
        run_piece(&share, 0);
    else if (share.pieces > 1)
        workers->run(workers->pool, share.pieces, run_piece, &share);
}

size_t i4q_conv_grids(const struct i4q_conv *conv)
{
    return conv->shape.groups == conv->shape.channels ? conv->shape.channels : 1;
}
