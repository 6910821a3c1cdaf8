"""How near the double is to what the exchange publishes: its answers, taken live, beside the documentation's."""
