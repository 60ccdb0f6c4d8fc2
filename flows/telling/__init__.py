"""What runs tell: artifacts in Prefect's UI, findings in words, events, log lines, notifications."""
