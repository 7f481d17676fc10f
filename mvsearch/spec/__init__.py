"""Pure data: architectures, published variants, search spaces, budgets, records. No torch."""
