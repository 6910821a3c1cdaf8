"""One worker process per contender, each driven over its standard streams by the same few words."""
