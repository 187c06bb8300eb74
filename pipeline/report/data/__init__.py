"""What a report tells of a run, as one JSON object of about the same size for every run.

gather     all of it
sources    the files that a report reads: those of finished steps, or of a shards folder alone
scan       files to Spark frames, each file read by one task through the run's own file system
tally      tables to counts by value
spreads    counted numbers to histograms and quantiles; shares: counted words to the commonest and the others
examples   what each rule took, some of it; clusters: what is nearly the same, the largest first
found      texts of pages and thumbs of images that examples and clusters name
samples    samples of each corpus, read from where they lie in the tars
thumbs     small pictures, within a budget of bytes

Everything from the web is plain text in it: whoever draws it escapes it.
"""

from pipeline.report.data.gather import gather
from pipeline.report.data.sources import Sources

__all__ = ["Sources", "gather"]
