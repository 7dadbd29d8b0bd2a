"""Measures the whole job: events per second, CPU time per event, and latency. Run it with scripts/bench."""
