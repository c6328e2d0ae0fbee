"""How mysqlclient (MySQLdb) leaks.

A connection stays open until ``close()`` or until its last reference goes, which cursors and kept tracebacks
delay. ``with`` closes it since version 2.0. Closing it twice raises.
"""
