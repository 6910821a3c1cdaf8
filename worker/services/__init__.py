"""The front door: validate, then write a command in one transaction."""
