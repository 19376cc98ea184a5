"""spread-engine: from changed quotes to signals."""
