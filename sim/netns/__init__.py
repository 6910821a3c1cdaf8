"""A network namespace around a whole process tree, with a trip-wire that answers every address and tells who asked."""
