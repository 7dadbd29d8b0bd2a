"""`scripts/millrace status`, `tail`, `dlq`, `late` and `doctor`: looking at a pipeline that runs, and mending what it could not do.

`decode`, `dead_letters`, `late`, `checks` are pure; `replay` writes, `facts` asks; `command` is the command line.
"""
