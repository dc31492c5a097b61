"""From samples to batches: workers, shared memory, order, what is kept decoded."""
