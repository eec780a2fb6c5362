"""What two services or more need, and no business rule of any one of them."""
