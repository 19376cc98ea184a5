"""What the system looks like now, read from memory, tables and database; it writes nothing."""
