"""How mamapost runs: embedded on one machine (`local`), and the files for compose and clusters."""
