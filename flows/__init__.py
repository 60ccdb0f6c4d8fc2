"""Prefect flows: one file a stage, references in and out. Prefect is imported here and nowhere else."""
