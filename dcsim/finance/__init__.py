"""Money: a ledger of monthly rows, the tariff, and the returns computed from the ledger and from nothing else."""
