"""What is nearly the same: candidates by a cheap key, verified, and joined into clusters.

hamming     pairs of hashes that differ in few bits
components  the clusters that pairs make, on Spark and locally: the same in both
lookalikes  pictures to clusters of look-alikes, by their perceptual hashes
shingles    texts to the hashes of their runs of words
minhash     shingles to signatures, their bands, and estimates of similarity
texts       which pages go because their text is nearly another's
pictures    which pictures go, for being used too often, equal or alike
paragraphs  text blocks that stand on many pages; remnants: pages of which they leave too little
keys        what pages are the same by; survivors: of those the first in an order stays
"""
