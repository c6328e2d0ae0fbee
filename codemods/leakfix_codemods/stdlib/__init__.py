"""What the standard library, test frameworks and task runners take over when it is handed to them."""
