"""The Kosmos-1 decoder, and what feeds, trains, saves and resumes it. Needs neither Java nor Spark."""
