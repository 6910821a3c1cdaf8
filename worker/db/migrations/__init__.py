"""Additive migrations, each with a working downgrade."""
