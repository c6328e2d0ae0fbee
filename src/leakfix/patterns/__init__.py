"""Faults that are no missing release: what a codemod of that kind sees of a file, and what it says about it."""
