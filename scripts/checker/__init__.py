"""Compares what the job wrote with what it was given: nothing lost, nothing twice, sessions in order, windows right.

The checker never imports the code under test (jobs, udfs): it reads the proto's comments and the contract on its own, in the
plainest way that can be true, and takes any difference for a fault of one of the two.

`oracle` turns input records into an `Expectation`, `compare` holds the outputs against it (both pure), `reader` reads Kafka,
`verify` is the command line.
"""
