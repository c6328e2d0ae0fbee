"""Go: from source text to the small IR."""
