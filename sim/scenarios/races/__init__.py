"""Races: two or more who act at once, played in every order that real locks allow."""
