"""Statistics and indicators, incremental and over many series at once. Pure: no I/O, no clock."""
