"""What a trained model does without a further step of training, measured as Kosmos-1 was.

metrics  how right an answer is, as each benchmark defines it
raven    Raven's matrices: drawn, proved, kept in files and asked
"""
