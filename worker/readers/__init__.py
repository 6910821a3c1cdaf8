"""Strict, read-only views of the files in the bot's home."""
