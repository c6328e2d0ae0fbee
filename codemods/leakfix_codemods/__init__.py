"""The codemods leakfix ships: one folder per library, one file per fault, one table of rows per library.

A library's ``resources.toml`` says what acquires and what releases; a codemod file says why it matters, how
it is repaired and when it is left alone. Nothing registers a codemod: its path is its name.
"""
