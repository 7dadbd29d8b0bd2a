"""Fraud signals: what an event tells a rule, when a rule fires, and how what fired becomes an alert. Pure: no Flink, no I/O."""
