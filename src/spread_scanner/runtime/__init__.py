"""How a process lives: start, heartbeat, orders, signals, pinning, logs, dialling out."""
