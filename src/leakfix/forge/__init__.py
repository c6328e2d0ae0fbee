"""Repairs as branches and pull requests: git without the work tree, and one small module for each forge."""
