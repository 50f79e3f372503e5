"""Losses, optimizers, schedules, weight averaging."""
