// SPDX-License-Identifier: Apache-2.0
/*
 * Codes of 2 to 6 bits as a stream, a part of quantize_vector.h. 16 codes are a lane of 16 bytes on one side
 * and 2 b bytes on the other. What is stored and loaded is always 16 bytes, of which the next lane's
 * overwrite what is too much; so the end goes through a buffer.
 */
typedef uint64_t words __attribute__((vector_size(WIDTH * sizeof(float))));
typedef uint16_t shorts __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int16_t signed_shorts __attribute__((vector_size(WIDTH * sizeof(float))));

enum {
    LANE = 16,
    LANES = 4 * WIDTH / LANE,
    END = LANE * 8 / 2, /* codes that fill a lane even with 2 bits each */
    REST = 2 * BATCH + END,
};

/* In each word neighbours are moved together in three steps: codes, pairs, fours. A shuffle then closes the
 * gap between the words of a lane. */
struct gathering {
    words stay[3], move[3];
    unsigned by[3];
    bytes order;
};

/* The fields of `width` bits that repeat every `period` bits, from bit `first` on. */
static words fields(unsigned width, unsigned first, unsigned period)
{
    uint64_t mask = 0;
    for (unsigned bit = first; bit < 64; bit += period)
        mask |= (((uint64_t)1 << width) - 1) << bit;
    return (words){0} + mask;
}

static struct gathering make_gathering(unsigned bits)
{
    struct gathering gathering;
    for (unsigned step = 0; step < 3; step++) {
        unsigned width = bits << step, period = 16u << step;
        gathering.stay[step] = fields(width, 0, period);
        gathering.move[step] = fields(width, width, period);
        gathering.by[step] = period / 2 - width;
    }
    for (unsigned i = 0; i < sizeof(bytes); i++)
        gathering.order[i] = (uint8_t)(i % LANE < bits ? i % LANE : i % LANE + 8 - bits);
    return gathering;
}

static bytes gather(words x, const struct gathering *by)
{
    for (int step = 0; step < 3; step++)
        x = (x & by->stay[step]) | (x >> by->by[step] & by->move[step]);
    return SHUFFLE(x, by->order);
}

/* A shuffle brings the two bytes in which a pair of codes lies to one number of 16 bits, a product moves the
 * pair to its upper end, shifts take it apart and extend the signs. A pair begins at an even bit, so with 6
 * bits at most it never needs a third byte. */
struct scattering {
    bytes order;
    shorts factor;
    int bits;
};

static struct scattering make_scattering(unsigned bits)
{
    struct scattering scattering = {.bits = (int)bits};
    for (unsigned i = 0; i < sizeof(shorts) / 2; i++) {
        unsigned start = 2 * bits * (i % (LANE / 2));
        scattering.order[2 * i] = (uint8_t)(start / 8);
        scattering.order[2 * i + 1] = (uint8_t)(start / 8 + 1);
        scattering.factor[i] = (uint16_t)(1u << (16 - 2 * bits - start % 8));
    }
    return scattering;
}

static bytes scatter(bytes x, const struct scattering *by)
{
    shorts pairs = (shorts)SHUFFLE(x, by->order) * by->factor;
    shorts high = (shorts)((signed_shorts)pairs >> (16 - by->bits)) << 8;
    shorts low = (shorts)((signed_shorts)(pairs << by->bits) >> (16 - by->bits)) & 0xff;
    return (bytes)(high | low);
}

static void pack_batches(const int8_t *codes, size_t count, const struct gathering *by, size_t stride,
                         uint8_t *packed)
{
    for (; count > 0; count--, codes += BATCH, packed += LANES * stride) {
        words batch;
        memcpy(&batch, codes, sizeof batch);
        store_lanes(gather(batch, by), packed, stride);
    }
}

static void unpack_batches(const uint8_t *packed, size_t count, const struct scattering *by, size_t stride,
                           int8_t *codes)
{
    for (; count > 0; count--, codes += BATCH, packed += LANES * stride) {
        bytes batch = scatter(load_lanes(packed, stride), by);
        memcpy(codes, &batch, sizeof batch);
    }
}

/* How many batches may store, or load, 16 bytes a lane without passing the end. */
static size_t batches_inside(size_t n)
{
    return n > END ? (n - END) / BATCH : 0;
}

static void pack(const int8_t *codes, size_t n, unsigned bits, uint8_t *packed)
{
    const struct gathering by = make_gathering(bits);
    size_t inside = batches_inside(n), rest = n - inside * BATCH;
    int8_t last[REST] = {0};
    uint8_t packed_last[REST + LANE];
    pack_batches(codes, inside, &by, 2 * bits, packed);
    memcpy(last, codes + inside * BATCH, rest);
    pack_batches(last, (rest + BATCH - 1) / BATCH, &by, 2 * bits, packed_last);
    memcpy(packed + inside * BATCH / 8 * bits, packed_last, (rest * bits + 7) / 8);
}

static void unpack(const void *packed, size_t n, unsigned bits, int8_t *codes)
{
    const struct scattering by = make_scattering(bits);
    size_t inside = batches_inside(n), rest = n - inside * BATCH;
    const uint8_t *source = packed;
    uint8_t packed_last[REST + LANE] = {0};
    int8_t last[REST];
    unpack_batches(source, inside, &by, 2 * bits, codes);
    memcpy(packed_last, source + inside * BATCH / 8 * bits, (rest * bits + 7) / 8);
    unpack_batches(packed_last, (rest + BATCH - 1) / BATCH, &by, 2 * bits, last);
    memcpy(codes + inside * BATCH, last, rest);
}
