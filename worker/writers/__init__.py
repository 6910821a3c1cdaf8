"""The only code that changes files in the bot's home."""
