"""Documents in: one reader a source, checks that hold for all of them, and the chunker.

`reader.read` gives the documents of a recipe's corpus, `chunker.chunk` cuts each into passages, and
`sentences` is what both the chunker and the training text split by.
"""
