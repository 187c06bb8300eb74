"""Archives of the web to HTTP responses, the damaged ones too: every unread byte has a row."""
