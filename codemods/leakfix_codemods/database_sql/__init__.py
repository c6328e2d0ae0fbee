"""Go's database/sql: every result set, row, transaction and connection holds a connection of the pool until it is
closed; a statement stays open on the server."""
