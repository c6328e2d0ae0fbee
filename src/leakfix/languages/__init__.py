"""Front ends: each turns one language into the small IR and answers questions about names."""
