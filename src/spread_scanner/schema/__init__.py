"""Words of the system as data: sources, directions, records, flags, counters, and the spread."""
