"""A double of the Binance Spot testnet: one transport-free core, and skins that serve it."""
