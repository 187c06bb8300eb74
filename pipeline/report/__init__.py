"""One HTML file about a run, for people who were not there.

data  what the file tells, as one JSON object: counts, samples, examples and clusters, as large for a large run
page  that object as HTML that needs nothing beside it
"""
