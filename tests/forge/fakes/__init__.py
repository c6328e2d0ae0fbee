"""Stand-ins for the forges, on this machine alone, that answer as the real ones do.

What a branch holds is never made up: every repository of a forge is a bare git repository on disk, and heads, commits
and merges are read from it. So a test may push, merge or delete a branch with git and see the forge follow.
"""
