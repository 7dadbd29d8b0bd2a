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
from jobs.tables import raw_sink
from udfs.facts import FIELD_SEPARATOR, LINE_SEPARATOR
from udfs.recommendations import neighbours, popularity, trending
from udfs.recommendations.rows import BOUGHT, MOST_LINES, NEIGHBOUR, OWN, STEPS, WEIGHTS
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

_DIGITS: Final = 19
"""Of a session's numbers, so that they sort as texts."""
_VALUE: Final = f"NULLIF(`value`, '{FORGOTTEN}')"


def sinks(settings: Settings) -> list[str]:
    """DDL of the tables that this insight writes."""
    topics = settings.topics
    return [
        raw_sink(settings, "recommendations_by_product", topics.product_recommendations, key="key", value="value"),
        raw_sink(settings, "recommendations_by_user", topics.user_recommendations, key="key", value="value"),
        raw_sink(settings, "trending_by_category", topics.trending, key="key", value="value"),
    ]


PRODUCT_OF_EVENT: Final = f"CASE WHEN SUBSTRING(facts FROM 1 FOR 1) IN ('V', 'C') THEN {facts.field('product_id', 'facts')} END"
"""SQL expression over `facts`: the product of a look or of a piece of the cart, else NULL."""


def where_it_stands(tables: StreamTableEnvironment, window: str) -> str:
    """SQL expression of the column `stand` of the view `sessions`: kind and user of the event, its product, and those of the
    STEPS events before it in its session, newest first; NULL if the event is about no product.

    LAG would give the products before, but SQL allows it no ROWS, and one operator sorts and numbers a session only if all
    its aggregates share one frame: a second one would cost as much as the first. The class behind LAG has no such limit when it
    is registered as a function of our own. It keeps as many values as the offset says, however long a session is.
    """
    gateway = get_gateway()
    logical = gateway.jvm.org.apache.flink.table.types.logical
    arguments = gateway.new_array(logical.LogicalType, 2)
    arguments[0], arguments[1] = logical.VarCharType(logical.VarCharType.MAX_LENGTH), logical.IntType(False)
    lag = gateway.jvm.org.apache.flink.table.runtime.functions.aggregate.LagAggFunction(arguments)
    tables._j_tenv.createTemporarySystemFunction("PRECEDING_VALUE", lag)
    before = ", ".join(f"PRECEDING_VALUE(product, {steps}) OVER {window}" for steps in range(1, STEPS + 1))
    kind, user = facts.field("kind", "facts"), facts.field("user_id", "facts")
    return f"CASE WHEN product IS NOT NULL THEN CONCAT_WS('{FIELD_SEPARATOR}', {kind}, {user}, product, {before}) END"


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
    lines = f"ARRAY_SLICE(SPLIT(facts, '{LINE_SEPARATOR}'), 1, {MOST_LINES})"
    product = {name: facts.field("product_id", name) for name in ("a", "b")}
    weight = "CASE `kind` " + " ".join(f"WHEN '{kind}' THEN {weight}" for kind, weight in WEIGHTS.items()) + " END"
    facts.create_view(tables, "interests", "punctual", kinds="".join(WEIGHTS))
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW together AS
        SELECT '{NEIGHBOUR}' AS kind, LEAST(stand[3], step) AS subject, GREATEST(stand[3], step) AS other,
               CASE stand[1] WHEN 'C' THEN {WEIGHTS["C"]} ELSE {WEIGHTS["V"]} END AS weight, event_time
        FROM (SELECT SPLIT(stand, '{FIELD_SEPARATOR}') AS stand, event_time FROM sessions WHERE stand IS NOT NULL)
          CROSS JOIN UNNEST(ARRAY_DISTINCT(ARRAY_SLICE(stand, 4))) AS steps(step)
        WHERE step <> stand[3]
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
        WHERE category <> ''
        GROUP BY category, window_start, window_end""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW popular AS
        SELECT {text}, {time_ms} FROM ({_strongest("products", "", "product", popularity.CAPACITY, settings)})
        GROUP BY window_start, window_end""")


def _visits(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `visits`: for each session and window one row, with its last products, addressed to the last one."""
    signed_in = f"AND SPLIT_INDEX(stand, '{FIELD_SEPARATOR}', 1) <> ''" if settings.recommend_to is RecommendTo.USERS else ""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW stands AS
        SELECT session_id, LPAD(CAST(session_seq AS STRING), {_DIGITS}, '0') || stand AS stand, event_time
        FROM sessions WHERE stand IS NOT NULL {signed_in}""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW visits AS
        SELECT SPLIT_INDEX(stand, '{FIELD_SEPARATOR}', 2) AS product, '{VISIT}' AS kind,
               session_id || SUBSTRING(stand FROM {_DIGITS + 2}) AS text, time_ms
        FROM (
          SELECT session_id, MAX(stand) AS stand, {epoch_ms("window_end")} AS time_ms
          FROM TABLE(TUMBLE(TABLE stands, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)}))
          GROUP BY session_id, window_start, window_end)""")


def _strongest(view: str, group: str, item: str, count: int, settings: Settings) -> str:
    """SQL of the `count` rows of most weight of each group and window; equal ones by item."""
    keys = ", ".join(each for each in ("window_start", "window_end", group) if each)
    return f"""
        SELECT * FROM (
          SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY weight DESC, {item}) AS place
          FROM TABLE(TUMBLE(TABLE {view}, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)})))
        WHERE place <= {count}"""
