"""Insight: recommendations and trends. What happens often is summed up in Java windows; Python sees one row of sums for each
product, category and session that was active in a window, whatever the traffic (udfs/recommender.py).

    sessions ─ a product, with those of the steps before it ─┐             ┌─ by product ──────────┐
    punctual ─ the lines of an order, pair by pair ──────────┼─ sums of ───┼─ the most popular ──▶ recommend ─▶ by product, by user
    punctual ─ the product itself ───────────────────────────┘  a window   └─ by category ──▶ keep-trends ─▶ trending
    sessions ─ the last products of each session in a window ──────────────────────────────▶ recommend
"""

from __future__ import annotations

from typing import Final

from pyflink.common import Types
from pyflink.java_gateway import get_gateway
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.settings import RecommendTo, Settings
from jobs.sharing import share
from jobs.sql import epoch_ms, interval
from jobs.tables import text_sink
from udfs.facts import FIELD_SEPARATOR, LINE_SEPARATOR
from udfs.recommendations import neighbours, popularity, trending
from udfs.recommendations.rows import BOUGHT, NEIGHBOUR, OWN
from udfs.recommender import (
    FORGOTTEN,
    PRODUCT,
    RECOMMENDED_TYPE,
    TREND_TYPE,
    VISIT,
    Recommender,
    RecommenderSettings,
    TrendKeeper,
    popularity_state,
)

STEPS: Final = 3
"""How many events before it in its session a product is paired with. Two are a little worse, four no better (docs/insights.md)."""
_WEIGHTS: Final = {"V": 1, "C": 3, "O": neighbours.ORDER_WEIGHT}
"""Weight of a look, a piece of the cart, a line of an order."""
_MOST_LINES: Final = 20
"""Lines of one order that are paired: 190 pairs at most, whatever an order is made of."""
_VALUE: Final = f"NULLIF(`value`, '{FORGOTTEN}')"
_BEFORE: Final = ", ".join(f"product_{steps}" for steps in range(1, STEPS + 1))


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that this insight writes."""
    topics = settings.topics
    return [
        text_sink(settings, "recommendations_by_product", topics.product_recommendations),
        text_sink(settings, "recommendations_by_user", topics.user_recommendations),
        text_sink(settings, "trending_by_category", topics.trending),
    ]


PRODUCT_OF_EVENT: Final = f"CASE WHEN SUBSTRING(facts FROM 1 FOR 1) IN ('V', 'C') THEN {facts.field('product_id', 'facts')} END"
"""SQL expression over `facts`: the product of a look or of a piece of the cart, else NULL."""


def session_columns(tables: StreamTableEnvironment) -> dict[str, str]:
    """SQL of the columns that the view `sessions` has more for this insight, in the window `session` of jobs/pipeline.py: the
    product of the event (`product`), and those of the events before (`product_1`, `product_2`, …).

    LAG would give them, but SQL allows it no ROWS, and one operator sorts and numbers a session only if all its aggregates
    share one frame: a second one would cost as much as the first. The class behind LAG has no such limit when it is
    registered as a function of our own. It keeps as many values as the offset says, however long a session is.
    """
    gateway = get_gateway()
    logical = gateway.jvm.org.apache.flink.table.types.logical
    arguments = gateway.new_array(logical.LogicalType, 2)
    arguments[0], arguments[1] = logical.VarCharType(logical.VarCharType.MAX_LENGTH), logical.IntType(False)
    lag = gateway.jvm.org.apache.flink.table.runtime.functions.aggregate.LagAggFunction(arguments)
    tables._j_tenv.createTemporarySystemFunction("PRECEDING_VALUE", lag)
    before = {f"product_{steps}": f", PRECEDING_VALUE(product, {steps}) OVER session AS product_{steps}" for steps in range(1, STEPS + 1)}
    return {"product": ", product"} | before


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds this insight to the job; reads the views `punctual` and `sessions` of jobs/pipeline.py."""
    _sums(tables, settings)
    _by_product(tables, settings)
    _by_category(tables, settings)
    inputs = "SELECT product, kind, text, time_ms FROM product_windows"
    if settings.recommend_to is not RecommendTo.NOBODY:
        _visits(tables, settings)
        inputs += " UNION ALL SELECT product, kind, text, time_ms FROM visits"

    plain = RecommenderSettings(settings.recommendation_half_life_ms, settings.trending_half_life_ms, settings.recommendation_memory_ms)
    popular = tables.to_data_stream(tables.sql_query("SELECT text, time_ms FROM popular"))
    recommended = (
        tables.to_data_stream(tables.sql_query(inputs))
        .key_by(lambda row: row[0], key_type=Types.STRING())
        .connect(popular.broadcast(popularity_state()))
        .process(Recommender(plain), RECOMMENDED_TYPE)
        .name("recommend")
        .uid("recommend")
    )
    trends = (
        tables.to_data_stream(tables.sql_query("SELECT category, text, time_ms FROM category_windows"))
        .key_by(lambda row: row[0], key_type=Types.STRING())
        .process(TrendKeeper(plain), TREND_TYPE)
        .name("keep-trends")
        .uid("keep-trends")
    )
    tables.create_temporary_view("recommended", tables.from_data_stream(recommended).alias("kind", "key", "value"))
    tables.create_temporary_view("trends", tables.from_data_stream(trends).alias("key", "value"))
    for sink, kind in (("recommendations_by_product", PRODUCT), ("recommendations_by_user", VISIT)):
        statements.add_insert_sql(f"INSERT INTO {sink} SELECT `key`, {_VALUE} FROM recommended WHERE kind = '{kind}'")
    statements.add_insert_sql(f"INSERT INTO trending_by_category SELECT `key`, {_VALUE} FROM trends")


def _sums(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `sums`: kind, subject, other, weight of each window; a pair of products once, whichever came first."""
    lines = f"ARRAY_SLICE(SPLIT(facts, '{LINE_SEPARATOR}'), 1, {_MOST_LINES})"
    product = {name: facts.field("product_id", name) for name in ("a", "b")}
    weight = "CASE `kind` " + " ".join(f"WHEN '{kind}' THEN {weight}" for kind, weight in _WEIGHTS.items()) + " END"
    facts.create_view(tables, "interests", "punctual", kinds="".join(_WEIGHTS))
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW together AS
        SELECT '{NEIGHBOUR}' AS kind, LEAST(product, step) AS subject, GREATEST(product, step) AS other,
               CASE SUBSTRING(facts FROM 1 FOR 1) WHEN 'C' THEN {_WEIGHTS["C"]} ELSE {_WEIGHTS["V"]} END AS weight, event_time
        FROM sessions CROSS JOIN UNNEST(ARRAY_DISTINCT(ARRAY[{_BEFORE}])) AS steps(step)
        WHERE product IS NOT NULL AND step <> product
        UNION ALL
        SELECT '{BOUGHT}', {product["a"]}, {product["b"]}, 1, event_time
        FROM punctual CROSS JOIN UNNEST({lines}) AS lines_a(a) CROSS JOIN UNNEST({lines}) AS lines_b(b)
        WHERE SUBSTRING(facts FROM 1 FOR 1) = 'O' AND SUBSTRING(a FROM 1 FOR 1) = 'O' AND SUBSTRING(b FROM 1 FOR 1) = 'O'
          AND {product["a"]} < {product["b"]}
        UNION ALL
        SELECT '{OWN}', product_id, category, {weight}, event_time FROM interests""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW window_sums AS
        SELECT kind, subject, other, SUM(weight) AS weight, window_time AS event_time
        FROM TABLE(TUMBLE(TABLE together, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)}))
        GROUP BY kind, subject, other, window_start, window_end, window_time""")
    share(tables, "window_sums", "sums", dict.fromkeys(("kind", "subject", "other"), "STRING") | {"weight": "BIGINT"})


def _by_product(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `product_windows`: for each product and window one row with its category and its strongest neighbours."""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW of_products AS
        SELECT subject AS product, kind, other, weight, event_time FROM sums
        UNION ALL
        SELECT other AS product, kind, subject AS other, weight, event_time FROM sums WHERE kind <> '{OWN}'""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW product_windows AS
        SELECT product, '{PRODUCT}' AS kind,
               LISTAGG(CONCAT_WS('{FIELD_SEPARATOR}', kind, other, CAST(weight AS STRING)), '{LINE_SEPARATOR}') AS text,
               {epoch_ms("window_end")} AS time_ms
        FROM ({_strongest("of_products", "product, kind", "other", neighbours.CAPACITY, settings)})
        GROUP BY product, window_start, window_end""")


def _by_category(tables: StreamTableEnvironment, settings: Settings) -> None:
    """Views `category_windows` and `popular`: the strongest products of each window, by category and of all."""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW products AS
        SELECT other AS category, subject AS product, weight, event_time FROM sums WHERE kind = '{OWN}'""")
    text = f"LISTAGG(CONCAT_WS('{FIELD_SEPARATOR}', product, CAST(weight AS STRING)), '{LINE_SEPARATOR}') AS text"
    time_ms = f"{epoch_ms('window_end')} AS time_ms"
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW category_windows AS
        SELECT category, {text}, {time_ms} FROM ({_strongest("products", "category", "product", trending.CAPACITY, settings)})
        GROUP BY category, window_start, window_end""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW popular AS
        SELECT {text}, {time_ms} FROM ({_strongest("products", "", "product", popularity.CAPACITY, settings)})
        GROUP BY window_start, window_end""")


def _visits(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `visits`: for each session and window one row, with its last products, addressed to the last one."""
    user = facts.field("user_id", "facts")
    signed_in = f"AND {user} <> ''" if settings.recommend_to is RecommendTo.USERS else ""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW looks AS
        SELECT session_id, event_time,
               CONCAT_WS('{FIELD_SEPARATOR}', LPAD(CAST(session_seq AS STRING), 19, '0'), {user}, product, {_BEFORE}) AS stand
        FROM sessions WHERE product IS NOT NULL {signed_in}""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW visits AS
        SELECT SPLIT_INDEX(stand, '{FIELD_SEPARATOR}', 2) AS product, '{VISIT}' AS kind,
               session_id || SUBSTRING(stand FROM 20) AS text, time_ms
        FROM (
          SELECT session_id, MAX(stand) AS stand, {epoch_ms("window_end")} AS time_ms
          FROM TABLE(TUMBLE(TABLE looks, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)}))
          GROUP BY session_id, window_start, window_end)""")


def _strongest(view: str, group: str, item: str, count: int, settings: Settings) -> str:
    """SQL of the `count` rows of most weight of each group and window; equal ones by item."""
    keys = ", ".join(each for each in ("window_start", "window_end", group) if each)
    return f"""
        SELECT * FROM (
          SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY weight DESC, {item}) AS place
          FROM TABLE(TUMBLE(TABLE {view}, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)})))
        WHERE place <= {count}"""
