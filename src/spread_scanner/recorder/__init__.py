"""The recorder: what the feeds published and the engine said, in the log of the market."""
