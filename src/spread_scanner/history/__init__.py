"""What the log becomes: Parquet by day and source, and any question about the past as SQL.

kept      which segments of the log are kept as which files; light, for the recorder
retention how long the history stays; light
units     which segments are compacted together, and when; light
gathered  ticks, signals and gaps out of segments, with names instead of ids
candles   of one second and one minute, out of ticks
columns   the same as Arrow, and back (pyarrow)
compact   the child process: writes, reads back, compares, lists
merging   hours of a day that is over into one file each (pyarrow)
newest    what is in the log alone, as streams (pyarrow)
reaching  which files of ticks a question about one symbol opens (pyarrow)
views     what stands behind the names that a question may use (pyarrow)
lately    the last ticks of a listing, by the way back that each tick tells
listings  the last quotes of a listing, of store, log and history
asking    questions: `connect`, `spread` (duckdb, when it is called)
"""

from spread_scanner.history.asking import connect, spread

__all__ = ["connect", "spread"]
