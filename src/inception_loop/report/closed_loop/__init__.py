"""The closed-loop part of a report: what is shown and what is not, each number down to its trials."""
