"""Reviewing fixes one by one before any is written."""
