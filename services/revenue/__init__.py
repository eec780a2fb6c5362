"""Money: agreements, the ledger of rebates, settlements, community funds."""
