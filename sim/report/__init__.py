"""How a breach is told and what evidence is kept."""
