"""Figures of the report: functions of frames and arrays, each with its alt text."""
