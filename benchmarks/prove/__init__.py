"""Leaky services under load, before and after ``leakfix apply``: connections, timeouts, waits and memory, measured."""
