"""Instruments, normalised symbols and the generated tables."""
