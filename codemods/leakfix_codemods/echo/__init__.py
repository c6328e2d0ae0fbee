"""Echo for Go: handlers live as long as a request; what a package holds lives as long as the process."""
