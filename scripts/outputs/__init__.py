"""What the job writes to Kafka and what Flink says of it, as the terminal view (demo_app) and the dashboard (dashboard_app) read it.

`record`, `rates` and `rules` are pure; `feed` reads Kafka, `flink` asks Flink's REST interface.
"""
