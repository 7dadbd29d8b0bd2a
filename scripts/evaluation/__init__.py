"""How good the insights are: the pure state machines of udfs/ over simulated traffic, without Flink. Run it with scripts/evaluate."""
