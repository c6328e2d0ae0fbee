"""sqlx for Go: what it adds to database/sql holds connections in the same way."""
