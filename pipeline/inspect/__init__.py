"""Inspect runs: plans, funnels, traces, dataset cards, reports and verification."""
