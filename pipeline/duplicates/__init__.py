"""What is nearly the same: candidates by a cheap key, verified, and joined into clusters.

hamming     pairs of hashes that differ in few bits
components  the clusters that pairs make, on Spark and locally: the same in both
lookalikes  pictures to clusters of look-alikes, by their perceptual hashes
"""
