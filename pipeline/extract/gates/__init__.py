"""What throws a page out before it is extracted."""
