"""Managed holdings: from a request to a release, and everything that can go wrong between click and file."""
