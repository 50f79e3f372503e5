"""The step, the trainer, checkpoints, validation gates, measurements."""
