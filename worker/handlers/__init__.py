"""What each command type does once claimed, one module per family."""
