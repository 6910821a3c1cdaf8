"""What an operator can see and click, calling the real services."""
