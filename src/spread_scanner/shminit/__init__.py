"""shm-init: makes the segments that all processes share."""
