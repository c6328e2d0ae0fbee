"""What drivers of Python's database API (PEP 249) have in common.

A cursor hands its rows out one at a time, in parts, or all at once. ``fetchall()`` makes a list of the whole result,
which lives until the last reference to it goes. PEP 249 names iteration ("Cursor Method .__iter__()") as an optional
extension; sqlite3, psycopg2, psycopg, pymysql, mysqlclient, mysql-connector, pyodbc, oracledb, cx_Oracle, pg8000,
pymssql and Django's cursors have it, duckdb's do not.
"""
