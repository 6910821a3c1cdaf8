"""Property tests are judged by what they find, never by how long an example took: the machine may be busy."""

from hypothesis import settings

# On top of what hypothesis chose by itself: where CI is set it repeats the same examples.
settings.register_profile("house", settings(), deadline=None)
settings.load_profile("house")
