"""millrace beside others: one Kafka, one input, the same result checked before a figure counts. `scripts/bench --only peers`.

tasks.py         what is to be done, and for whom it can be done
stream.py        the input, and the topics that a run writes
expected.py      what must come out, and whether it did
candidates.py    who does it: millrace, the Java reference, the peers
environments.py  a virtual environment for each peer, of pinned versions
reference.py     the Java reference: compiled, and its SQL
meter.py         CPU time, memory and progress while it runs
report.py        tables and the picture
part.py          the loop over all of these
programs/        one program for each peer, as its users write it; none imports anything of the project but the protobuf code
java/            the Java reference's decoding and routing
"""
