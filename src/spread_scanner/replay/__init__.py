"""The log of the market played to the engine again: what would have been signalled, what was."""
