"""What is nearly the same: hashes by which it is found."""
