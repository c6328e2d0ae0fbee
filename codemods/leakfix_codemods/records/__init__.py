"""How Records leaks.

A ``Database`` owns a SQLAlchemy engine and gives connections by ``get_connection()``; each is returned by
``close()`` or ``with``. Rows are read lazily unless ``fetchall=True`` or ``all()`` asks for them.
"""
