"""Who owns a resource at every exit of a function: sees the IR and the table, never syntax or a library's name."""
