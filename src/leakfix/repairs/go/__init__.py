"""Repairs of Go as byte-span edits that gofmt leaves as they are."""
