"""Orders to the processes: words in the control segment, and who answered them."""
