"""What evaluation sets hold goes from what is learnt: texts by runs of words, images by their looks.

items         evaluation sets of texts: the strings of JSONL files, and where each stands
ngrams        runs of words of those strings, found in other texts
pictures      evaluation images, found among others by their looks
contaminated  which paragraphs, pages, captions and images of a run go
"""
