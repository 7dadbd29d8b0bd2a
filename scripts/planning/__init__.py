"""How large a cluster must be: a small model over measured costs. Run it with scripts/millrace plan."""
