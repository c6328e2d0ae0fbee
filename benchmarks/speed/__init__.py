"""How fast leakfix is beside other tools, on one corpus, in one run."""
