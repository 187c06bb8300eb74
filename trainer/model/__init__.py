"""The network: vision encoder, resampler, decoder and loss."""
