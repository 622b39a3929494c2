"""The ledger's history, one revision a file. Forward only."""
