"""The dashboard: a small web page over what the job writes to Kafka and what Flink says of it. See docs/dashboard.md.

`state` keeps what was seen and turns it into the sections of a page (pure; sales, shoppers, alerts, recommendations, rules, health,
panels and banners are its parts). `readers` are the threads that read Kafka and ask Flink, `shared` the lock between them and `web`,
where `hub` sends every second what has changed to all pages. The page itself is static/: plain JavaScript modules, no build step.
"""
