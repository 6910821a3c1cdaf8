"""What producers and consumers of commands agree on: types, payloads, canonical form, reasons. Pure."""
