"""PyTorch students to the files that a device runs."""
