"""The Python front end, on the standard library's ``ast``."""
