"""net/http of Go: what a client is answered holds a connection."""
