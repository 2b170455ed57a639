"""What is measured during training: a file for each probe, and the outcome of a run."""
