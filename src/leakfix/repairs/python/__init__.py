"""Repairs of Python code as byte edits placed by the syntax tree; nothing is printed anew."""
