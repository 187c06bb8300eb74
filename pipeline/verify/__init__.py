"""Whether a run's output is what its manifests and its listing say.

defect    what is wrong, in a line
documents manifests, commits and configurations; folders of a tokenizer or of weights
part      one Parquet part of a table
shard     one shard: tar, index and entry in the listing
tar       one pass over a tar
sample    one sample
compare   damage that only making the samples again brings to light
whole     what only all of it together tells: counts, keys, and files that nothing lists
"""

from pipeline.verify.defect import Defect
from pipeline.verify.whole import Report, verify

__all__ = ["Defect", "Report", "verify"]
