/* What a trade would earn: the C twin of schema/costs.py, line by line; the words are said there.
 *
 * Used by the engine's loop. test_costs_twins holds the two together, to the last bit.
 */
#ifndef SS_COSTS_H
#define SS_COSTS_H

#include <math.h>

#include "quote.h"

#define SS_BPS 1e4
#define SS_SIZE_SLACK 1e-9

static inline double ss_entry_bps(const ss_quote *spot, const ss_quote *fut) {
    return (fut->bid_px - spot->ask_px) / spot->ask_px * SS_BPS;
}

/* The bid over the ask below which entry is surely less than that: the exact one by a hundred-thousandth
 * of a basis point lower, which is far more than is lost in rounding. Only the loop asks for it. */
static inline double ss_entry_ratio_min(double entry_bps) {
    double ratio = 1.0 + entry_bps / SS_BPS;
    return ratio - 1e-9 * (1.0 + fabs(ratio));
}

static inline double ss_exit_bps(const ss_quote *spot, const ss_quote *fut) {
    return (spot->bid_px - fut->ask_px) / spot->ask_px * SS_BPS;
}

static inline double ss_parity_bps(double entry, double exit_now) {
    return (entry + exit_now) / 2;
}

static inline double ss_mid_basis_bps(double entry, double exit_now) {
    return (entry - exit_now) / 2;
}

static inline double ss_mid_px(const ss_quote *quote) {
    return (quote->bid_px + quote->ask_px) / 2;
}

static inline double ss_stray_bps(double px, double median_px) {
    return (px - median_px) / median_px * SS_BPS;
}

/* The share of a price that is sure to be within a distance from it, whatever is rounded. */
static inline double ss_stray_share_min(double stray_bps) {
    return stray_bps * (1.0 - 1e-9) / SS_BPS;
}

/* While the basis is known: what leaving usually earns. `credited` is NaN where it does not count. */
static inline double ss_close_bps_trusted(double usual, double parity_usual, int at_parity,
                                          double credited) {
    if (at_parity) return parity_usual;
    if (!isnan(credited)) return credited;
    return usual < parity_usual ? usual : parity_usual;
}

/* While it is not: the present widths, or nothing where they are crossed. */
static inline double ss_close_bps_unknown(double parity) {
    return parity < 0.0 || isnan(parity) ? parity : 0.0;
}

static inline double ss_carried_bps(double carry, const ss_quote *spot, const ss_quote *fut) {
    return carry * (fut->bid_px / spot->ask_px);
}

/* The least that is for any prices not further apart than that. Only the loop asks for it. */
static inline double ss_carried_bps_min(double carry, double apart_bps) {
    double share = apart_bps / SS_BPS, most = 1 + share, least = share < 1 ? 1 - share : 0.0;
    return carry * (carry < 0 ? most : least);
}

static inline double ss_net_bps(double entry, double close, double fees, double carried) {
    return entry + close - fees - carried;
}

static inline double ss_over_money(double paid, double got, double moved, double allowed_bps,
                                   double carry) {
    return (got - paid + moved) * SS_BPS + allowed_bps * paid - carry * got;
}

static inline double ss_size_base(double buy_sz, double sell_sz, double lot) {
    double smaller = buy_sz < sell_sz || isnan(buy_sz) ? buy_sz : sell_sz; /* as numpy.minimum */
    return lot > 0.0 ? floor(smaller / lot + SS_SIZE_SLACK) * lot : smaller;
}

static inline double ss_size_quote(double size, double px) {
    return size * px;
}

static inline int ss_reaches(double amount, double least) {
    return amount * (1.0 + SS_SIZE_SLACK) >= least;
}

static inline int ss_leg_suffices(double size, const ss_quote *leg, double qty_min,
                                  double notional_min) {
    double lower = leg->bid_px < leg->ask_px || isnan(leg->bid_px) ? leg->bid_px : leg->ask_px;
    return ss_reaches(size, qty_min) && ss_reaches(size * lower, notional_min);
}

#endif
