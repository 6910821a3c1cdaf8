"""The mainnet guard as layers: each module holds one public decision, `problem`, and how it is put in force."""
