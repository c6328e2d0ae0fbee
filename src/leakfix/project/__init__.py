"""The tree on disk: which files there are, how they are read and written, and what their comments allow."""
