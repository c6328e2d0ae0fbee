"""leakfix finds leaked database connections and repairs them."""

__version__ = "0.1.0"
