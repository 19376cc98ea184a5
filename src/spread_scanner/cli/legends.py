"""What the figures of tables and screens mean: a line below a table, `?` in `watch`.

A test holds each table's columns to its legend.
"""

PROCESSES = {
    "heartbeat": "how long ago it last beat; of one that does its work and ends, when that was",
    "rates": "per second: messages, evaluations, signals, samples",
    "good": "a feed's listings that are quoted and can be stood behind, of all",
    "drops": "lost, as there was no room",
    "skips": "arrived and not used; status --counters says why",
    "p50, p99": "microseconds since a frame was read, until its quote was stored (feeds), its "
    "signal pushed (engine) and taken (tracker)",
    "starts": "how often it was started",
    "tables": "the generation that it has",
}
SPREADS = {
    "net": "gross and close less four taker fees and carry, in bps of the spot's ask",
    "gross": "what buying the spot at its ask and selling the perpetual at its bid gives",
    "learn": "no signal yet: what leaving usually earns is not known, five minutes after a start",
    "stale, implausible": "no signal (u shows such pairs): a leg cannot be stood behind; the legs "
    "are not one coin at one time",
    "exit": "what selling the spot at its bid and buying the perpetual back at its ask gives now",
    "enter": "the net that makes a signal",
    "size": "what both tops of the book hold in whole lots, in the quote coin",
    "age": "ms since the older of the two quotes was received",
    "carries": "the largest size, in the quote coin, with net over enter by both order books, what "
    "leaving moves included; +: the levels that are known end first; -: no book, size is all",
    "net at": "by both books, of a size (reference_quote in pools.toml: net 1,000, say); thin: a "
    "side holds less, to its end; -: no book, or not so many levels are known",
    "below, of the selected pair": "no minimum: a listing tells no least order, which counts as "
    "none; no funding: its rate is not known",
}
SPREADS_ANALYSED = {
    "z": "how many deviations gross is off its mean of the middle half-life (spread-analyst)",
    "usable": "% of the time in which both quotes could be stood behind, of four hours at most",
    "reverts": "seconds until half of what gross is off its mean has gone; -: it does not",
}
BOOKS = {
    "size": "of a price, in base units; +, of all sources as one: one of them tells no levels so "
    "far from its best, and may have more there",
    "bid, ask": "per base unit, the best first",
    "less fee, with fee": "what selling there brings and buying costs with the taker fee",
}
OPPORTUNITIES = {
    "entry, peak": "net at the first signal and at best, bps",
    "result": "realised, bps; of what did not converge, what leaving at its last usable look would "
    "have left",
    "lived": "from the first signal to its end",
    "closed": "why it ended",
}
SOURCES = {
    "wanted": "listings in the tables",
    "quoted": "of them with a quote",
    "usable": "with a quote that can be stood behind now",
    "heartbeat": "ms since the feed last beat",
}
SOURCES_LOGGED = {
    "appended": "quotes of the source before this number were handed to the log",
    "durable": "those before this one are on the disk",
    "age": "ms since the oldest was taken that is not",
}
CONNECTIONS = {
    "symbols": "that it carries, of a provider accounts; notices: what the exchange announces",
    "msg/s": "messages per second",
    "quotes, skips": "stored, and arrived but not used, since the segments were made",
    "heard": "ms since its last message",
    "exchange": "ms from the exchange's stamp until it was read",
    "cell, p99 us": "us from reading a message until its quote was stored",
    "ban": "seconds in which nobody dials there, by the status that one of those who dial was told",
}
POOLS = {
    "pool": "how its key begins, or all of it",
    "price": "of the second token's coin per coin of the first",
    "fee %": "of a swap, without what volatility adds",
    "slot": "at whose end it stood so",
    "told s": "seconds since what made it was read",
    "note": "why it cannot be stood behind; nothing: it can",
}
CYCLES = {
    "cycle": "the coins that are swapped, from the one that it begins and ends with",
    "net SOL": "what it would have paid after its costs, at its best size",
    "after 1, 2, 5": "what the same amount would have, so many slots later",
    "profit": "before its costs",
    "stood slots": "how long it was seen to pay; +: it still does",
    "score": "net, less for an old leg and for depth that is used up",
    "depth %": "the largest share that a swap takes out of what a pool has",
    "pools": "how their keys begin",
}
COSTS = {
    "fees": "of both entries and both exits, bps",
    "carry": "funding expected over hold_h, bps",
    "costs": "their sum",
    "enter, exit below": "the net that begins a signal, and below which it ends",
}
BASIS = {
    "now": "what entering, and leaving, would earn at the last look, bps",
    "mean, dev": "of the middle half-life (an hour as shipped), the latest for most",
    "z": "how many deviations now is off the mean",
    "median, 5 %, 95 %": "of the last 240 one-minute medians",
    "reverts": "until half of what it is off its mean has gone, as a rule; -: it does not",
    "usable": "share of the time in which both quotes could be stood behind",
}
INDICATORS = {
    "bar": "its length; figures as if the running bar closed now",
    "bars": "that have closed; one without a quote is none",
    "rsi": "Wilder's relative strength index, 0 to 100",
    "ema": "exponential moving average",
    "lower, middle, upper": "Bollinger bands",
}
# What a signal says of itself (view/notes.py): its letter in `signals`, and what it means.
NOTES = {
    "minimum_unknown": ("M", "a listing tells no minimum order, which counts as none"),
    "funding_unknown": ("F", "the funding rate is not known"),
    "basis_unknown": ("B", "closing is guessed by the present widths"),
    "leg_lost": ("L", "left because a leg cannot be stood behind"),
    "aged": ("A", "made by time or a switch, not by a quote just read"),
    "bounded": ("D", "the levels that are known end before the spread does"),
    "top_disagrees": ("T", "a book's top is not the quotes'"),
}
UNKNOWN = {"minimum_unknown": "no minimum", "funding_unknown": "no funding"}
SIGNALS = {
    "net, gross": "bps; net counts closing, four taker fees and carry",
    "size": "what both tops of the book hold in whole lots, in the quote coin",
    "ages": "of the spot's and of the perpetual's quote",
    "kind": "book: by both order books, net at their tops, the largest size that pays, their ages",
    "notes": ", ".join(f"{letter} {meaning}" for letter, meaning in NOTES.values()),
}


def of_heads(legend: dict[str, str], heads: str) -> dict[str, str]:
    """Of columns that stand in a line of heads: on a narrow terminal some have no room."""
    words = heads.split()
    return {
        name: meaning
        for name, meaning in legend.items()
        if any(word in words for word in name.replace(",", " ").split())
    }


def lines(legend: dict[str, str]) -> str:
    """One sentence after the other, for below a table."""
    return "; ".join(f"{name}: {meaning}" for name, meaning in legend.items())
