"""How Django leaks.

Django opens and closes connections itself, per request and per thread; what a program can lose is a cursor
from ``connection.cursor()``. Each open one keeps its result set (on the server too, where it is a server-side
cursor) as long as something refers to it, and on some backends a connection has a fixed number of them.
"""
