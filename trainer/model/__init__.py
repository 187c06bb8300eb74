"""The network: vision tower, resampler, decoder and loss."""
