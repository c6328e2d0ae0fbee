"""The tracker: what a running program acquires and releases, seen with the eyes of the resource tables.

It stands alone: it needs the standard library and the rows, so that it can be loaded into any interpreter.
"""
