"""leakfix for coding agents: its commands as tools of the Model Context Protocol (the extra ``mcp``)."""
