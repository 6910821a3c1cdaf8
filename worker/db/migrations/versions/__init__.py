"""One module per revision; revisions sort as text."""
