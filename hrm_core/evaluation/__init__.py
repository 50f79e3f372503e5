"""Voting, metrics, trivial baselines, calibration, families, alarms."""
