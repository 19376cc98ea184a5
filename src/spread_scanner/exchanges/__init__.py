"""One file per exchange: what to dial, what to say, how to read. No sockets, no clocks."""
