"""The director: who moves next. Actors are real code, one moves at a time, and every order is a recorded choice."""
