"""What a run made, for people: plans, funnels, traces, cards, reports and checks."""
