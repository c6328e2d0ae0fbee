"""Go's context: what is made with a deadline or to be cancelled."""
