"""What was imported before it is set aside from garbage collection; mutmut imports this last, before it forks.

A forked run of a mutant lives a second, and would else spend a third of it on collecting what it was born with.
"""

import gc

gc.collect()
gc.freeze()
