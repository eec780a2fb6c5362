"""The four services. None imports another; they meet on the topics of `shared.contracts` only."""
