"""Recommendations and trends as pure state machines: no Flink, no I/O, no clock. udfs/recommender.py puts them into the job.

    decay.py       bounded sums that fade: the one structure of all states here
    rows.py        the texts that Java's windows hand over
    neighbours.py  one product: what is viewed and bought with it
    answers.py     one session: what comes next
    trending.py    one category: what is looked at and bought more than before
"""
