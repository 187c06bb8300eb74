"""What a run will cost before it is run: figures, each with how it is known and where from."""
