"""Every SQL statement of the stack, its tables and its migrations."""
