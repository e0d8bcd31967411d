"""SQL models: discovery, hashes, recomputation by month, lineage, and quarantine of accounts that break a rule."""
