"""A month of the bot on the exchange double, with every fault by seed and each of its instants judged."""
