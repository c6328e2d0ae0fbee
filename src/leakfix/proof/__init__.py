"""Leaks and repairs shown at run time: programs watched, evidence joined with findings, before compared with after."""
