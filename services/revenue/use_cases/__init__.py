"""What can be done with the money: one function for each command or event."""
