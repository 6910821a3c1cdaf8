"""A worker struck at every step of what it does, and another one after it."""
