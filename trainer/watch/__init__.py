"""What people watch while it trains, and how it is worked out."""
