"""Order books: what a feed keeps of one while it follows it. No sockets, no clocks, no memory."""
