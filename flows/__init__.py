"""Flow functions: the steps of each command, their order and their config."""
