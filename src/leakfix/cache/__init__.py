"""What earlier runs found, kept so that a run looks only at what changed since, and at what depends on that."""
