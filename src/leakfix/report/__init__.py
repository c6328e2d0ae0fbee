"""Findings, written down: for people, for programs, and as a patch."""
