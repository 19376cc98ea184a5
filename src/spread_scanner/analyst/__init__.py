"""spread-analyst: how spreads and prices usually stand, kept from second to second."""
