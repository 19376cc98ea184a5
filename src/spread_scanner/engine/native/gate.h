/* The first look at a pair, which is the last one at nearly all: whether its tops are anywhere near a
 * signal. A product and a comparison over what two arrays hold close together; the spread itself, which
 * takes a division, the quotes and the pair's row, is for those that come through.
 *
 * Lets through more than the exact look does, never less: that one decides. In doubt (NaN: a side is
 * missing) it is open.
 */
#ifndef SS_GATE_H
#define SS_GATE_H

#include <stdint.h>

#include "costs.h"

/* The prices of a cell that entering meets; of the engine's copy of it. */
typedef struct ss_top {
    double bid_px, ask_px;
} ss_top;

typedef struct ss_gate {
    double ratio_min; /* the perpetual's bid by the spot's ask that opens it; -INFINITY: any */
    uint64_t stamp;   /* the cycle that evaluated the pair last */
    uint32_t spot_cell, fut_cell;
    uint64_t reserved;
} ss_gate;

_Static_assert(sizeof(ss_gate) == 32, "two gates are a cache line");

/* Of a pair that makes a signal when gross, or gross less the least that comes off, is this much. */
static inline double ss_gate_ratio(double enter_bps, double costs_min_bps) {
    double net_bps = enter_bps + costs_min_bps;
    return ss_entry_ratio_min(net_bps < enter_bps ? net_bps : enter_bps);
}

static inline int ss_gate_shut(const ss_gate *gate, const ss_top *tops) {
    return tops[gate->fut_cell].bid_px < tops[gate->spot_cell].ask_px * gate->ratio_min;
}

#endif
