"""Ways to serve the core: in process by httpx and respx, on loopback by aiohttp; and the control plane beside it."""
