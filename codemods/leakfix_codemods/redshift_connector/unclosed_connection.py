"""A Redshift connection that some path never closes.

What leaks
----------
``redshift_connector.connect()`` without ``close()`` on every path out of the function, most often because a
query raised before it.

Why it hurts
------------
A cluster has 500 connections for everybody. A forgotten one stays until its last reference goes, and its open
transaction blocks ``VACUUM`` and schema changes.

How it is repaired
------------------
The statements from the acquisition to the last use move into ``with redshift_connector.connect(...) as
connection:``, which closes and commits nothing. Every ``close()`` inside goes away, because closing twice
raises.

When it is left alone
---------------------
The connection or a cursor of it is returned or yielded to a caller, stored on an object that closes it, or
passed to a helper that closes it.
"""

from leakfix.codemod import LeakCodemod

CODEMOD = LeakCodemod(
    resource="redshift_connector/connection",
    repairs="with redshift_connector.connect(...) as connection:, up to the last use",
)
