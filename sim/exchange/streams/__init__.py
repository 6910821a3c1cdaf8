"""The WebSocket side of the double without a socket: sessions take text in, hear the world, and give frames out."""
