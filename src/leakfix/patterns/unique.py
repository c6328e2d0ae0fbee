"""What is made once and is not the same when it is made again: locks, connections, and what chance makes.

The words stand here once; who uses them says in which form they have to appear.
"""

IN_USE = "Lock|Semaphore|Event|Condition|Queue|Task|Thread|Timer|create_task"
"""Calls that make something others may be holding or waiting for."""
CONNECTED = r"Client|Session|Engine|Connection|Pool|sessionmaker|create_\w*(?:engine|pool|client)|connect"
"""Calls that make one thing for each server or tenant."""
CHANCE = r"\brandom\b|\brand(?:int|range|bits|bytes)?\(|\buuid\d|\bsecrets\b|\burandom\b|\btoken_"
"""Whose value is another each time."""
CLOCK = r"\b(?:utc)?now\(|\btime\(\)|\bmonotonic\(|\bperf_counter\(|\btoday\(|\bnext\(\w+\)"
"""Whose value is another later on."""
