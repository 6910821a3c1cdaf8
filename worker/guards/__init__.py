"""Pure decisions that services take and handlers take again."""
