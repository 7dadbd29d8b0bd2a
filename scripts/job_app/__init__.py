"""`scripts/millrace job`: looks at jobs on a Flink cluster, and changes them without losing anything.

`cluster.py` finds them, `changes.py` stops and starts them, `command.py` is the command line.
"""
