"""Every attempt to reach mainnet, played for real against each layer of the guard; `sim guard` prints the table."""
