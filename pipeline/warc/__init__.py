"""Read HTTP responses from web archives, including damaged ones; every unreadable range gets a row."""
