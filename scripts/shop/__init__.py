"""A simulated web shop: what the job is fed with, and a ledger of what it was fed.

`simulator` decides what happens in the shop and in which order it reaches Kafka (pure, no Kafka); `producer` sends it
and writes the `ledger` from Kafka's acknowledgements; `generate` is the command line.
"""
