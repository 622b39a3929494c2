"""Everything that is kept: the ledger (small rows, transactions) and the lake (big sets)."""
