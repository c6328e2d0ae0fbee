"""pgx for Go, versions 4 and 5, and its pool."""
