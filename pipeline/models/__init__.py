"""SQL models: discovered, hashed, computed by month, their lineage, and quarantine of accounts that break a rule."""
