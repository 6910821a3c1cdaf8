"""Stop rules and invariants: pure functions over the timeline, one id each."""
