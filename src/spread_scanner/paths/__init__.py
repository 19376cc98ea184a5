"""Paths: cycles over the pools that end with more than they began with (spread-paths).

market      the pools of the segment, decoded, and who stays out
graph       what a swap of next to nothing gains, by pool; which cycles gain, by the native search
confirming  what a cycle pays at its best size, to the last unit
costing     what it costs to send it, and what tokens are worth
standing    cycles while they stand, and what became of them
keeping     data/cycles.db
hunting     the process's whole state
"""
