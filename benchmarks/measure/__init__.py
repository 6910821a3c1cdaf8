"""How the benchmarks measure: interleaved rounds, medians with their spread, one server for every peer."""
