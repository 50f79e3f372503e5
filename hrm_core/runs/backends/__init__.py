"""Room `runs`: where a run's process is started: on this machine, by SLURM, or by Ray."""
