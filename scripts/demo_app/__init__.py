"""The demo's live view: what the job writes to Kafka and what Flink says of it, in one terminal.

`state` keeps what was seen (pure; `sales`, `rules`, `alerts` and `rates` are its parts), `feed` and `flink` read, `render` turns
the state into a picture and `report` into lines; `live` joins them.
"""

from scripts.demo_app.live import watch
from scripts.demo_app.report import summary
from scripts.demo_app.state import Totals

__all__ = ["Totals", "summary", "watch"]
