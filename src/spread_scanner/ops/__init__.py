"""What the operator touches: shm-init, the supervisor and spread-ctl."""
