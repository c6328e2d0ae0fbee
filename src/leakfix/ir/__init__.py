"""The small language every front end lowers to: instructions, their control-flow graph, functions."""
