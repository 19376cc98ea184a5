"""From signal to opportunity: what it was, how long it stood, what became of it."""
