"""The real services and the real command worker of the trading stack."""
