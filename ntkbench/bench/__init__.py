"""The ledger: specs, plans, runs, records, tables."""
