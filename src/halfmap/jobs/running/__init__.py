"""How any job runs: record, inputs, events, checkpoints, lock, end."""
