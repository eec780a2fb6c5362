"""How fast matching is: the same city and the same changes for the engine, for the whole service and for its peers."""
