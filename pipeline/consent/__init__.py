"""What a site says about being read by us: pure judgements of what it answered, and where its files are kept.

robots       robots.txt (RFC 9309): which addresses are refused, and how long to wait between two requests
reservation  tdmrep.json (TDMRep): which addresses are reserved
directives   what an answer's headers and a page's meta elements forbid
sites        the two files, kept across runs
"""
