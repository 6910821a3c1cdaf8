"""The risk engine: from holdings, market and risk settings to a proposal's numbers."""
