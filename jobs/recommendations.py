"""Insight: recommendations and trends. What happens often is gathered in Java windows; Python sees one row for each product,
category and session that was active in a window, whatever the traffic (udfs/recommender.py).

    sessions ─┬─ what each event tells of its products ─▶ by product and window ─┬────────────────────────▶ recommend ─▶ by product, by user
              │                                                                  ├─ the most popular ─────▶ recommend
              │                                                                  └─ by category ──────────▶ keep-trends ─▶ trending
              └─ the last products of a session in a window ──────────────────────────────────────────────▶ recommend
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pyflink.common import Types
from pyflink.java_gateway import get_gateway
from pyflink.table import StatementSet, StreamTableEnvironment

from jobs import facts
from jobs.keyed import keyed_rows
from jobs.settings import RecommendTo, Settings
from jobs.sharing import share
from jobs.sql import epoch_ms, interval
from jobs.tables import raw_sink
from udfs.facts import FIELD_SEPARATOR, LINE_SEPARATOR
from udfs.recommendations import popularity, trending
from udfs.recommendations.rows import ELEMENT_SEPARATOR, MOST_EVENTS, STEPS, WEIGHTS
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

_TIME_MS: Final = f"({epoch_ms('event_time')} + 1)"
"""End of the window of a row of `by_product`, whose event time is the last millisecond of it."""
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


def session_columns(tables: StreamTableEnvironment, window: str) -> dict[str, str]:
    """Columns that the view `sessions` has for this insight: name -> SQL expression of a text, in the OVER window `window`.

    `tells`: what the event tells of its products in lines. Of an order its facts. Of a look or a piece of the cart: kind (one letter),
    product, FIELD_SEPARATOR, element (udfs/recommendations/rows.py), also to and of the STEPS events before it. `stand`: its user, its
    product and those before it, newest first. NULL if there is nothing.

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
    before = [f"PRECEDING_VALUE(product, {steps}) OVER {window}" for steps in range(1, STEPS + 1)]
    kind, user, category = (facts.field(name, "facts") for name in ("kind", "user_id", "category"))
    others = [_new_one(before, place) for place in range(STEPS)]
    near = f"LOWER({kind})"
    from_others = (f"CASE WHEN {new} THEN {near} || {each} END" for each, new in others)
    own = f"{kind} || {_joined('product', _joined(category, *from_others, by=ELEMENT_SEPARATOR))}"
    to_others = (f"CASE WHEN {new} THEN {near} || {_joined(each, 'product')} END" for each, new in others)
    return {
        "tells": f"""CASE WHEN COUNT(*) OVER {window} > {MOST_EVENTS} THEN NULL
                          WHEN product IS NOT NULL THEN {_joined(own, *to_others, by=LINE_SEPARATOR)}
                          WHEN facts LIKE 'O%' THEN facts END""",
        "stand": f"CASE WHEN product IS NOT NULL THEN {_joined(user, 'product', *before)} END",
    }


def _new_one(before: Sequence[str], place: int) -> tuple[str, str]:
    """One of the products before, and the condition that it is there, is not the event's own, and did not come later as well."""
    each, later = before[place], before[:place]
    return each, " AND ".join([f"{each} <> product", *(f"COALESCE({each} <> {other}, TRUE)" for other in later)])


def _field(text: str, index: int, by: str = FIELD_SEPARATOR) -> str:
    return f"SPLIT_INDEX({text}, '{by}', {index})"


def _joined(*texts: str, by: str = FIELD_SEPARATOR) -> str:
    """SQL expression: the texts that are not NULL."""
    return f"CONCAT_WS('{by}', {', '.join(texts)})"


def add(tables: StreamTableEnvironment, statements: StatementSet, settings: Settings) -> None:
    """Adds this insight to the job; reads the view `sessions` of jobs/pipeline.py."""
    _by_product(tables, settings)
    _strongest_products(tables, settings)
    inputs = f"SELECT product, '{PRODUCT}' AS kind, text, {_TIME_MS} AS time_ms FROM by_product"
    if settings.recommend_to is not RecommendTo.NOBODY:
        _visits(tables, settings)
        inputs += " UNION ALL SELECT product, kind, text, time_ms FROM visits"

    plain = RecommenderSettings(settings.recommendation_half_life_ms, settings.trending_half_life_ms, settings.recommendation_memory_ms)
    popular = tables.to_data_stream(tables.sql_query("SELECT text, time_ms FROM popular"))
    recommended = (
        keyed_rows(tables, inputs, "product", {"kind": Types.STRING(), "text": Types.STRING(), "time_ms": Types.LONG()})
        .connect(popular.broadcast(popularity_state()))
        .process(Recommender(plain), RECOMMENDED_TYPE)
        .name("recommend")
        .uid("recommend")
    )
    trends = (
        keyed_rows(tables, "SELECT * FROM category_windows", "category", {"text": Types.STRING(), "time_ms": Types.LONG()})
        .process(TrendKeeper(plain), TREND_TYPE)
        .name("keep-trends")
        .uid("keep-trends")
    )
    tables.create_temporary_view("recommended", tables.from_data_stream(recommended).alias("kind", "key", "value"))
    tables.create_temporary_view("trends", tables.from_data_stream(trends).alias("key", "value"))
    for sink, kind in (("recommendations_by_product", PRODUCT), ("recommendations_by_user", VISIT)):
        statements.add_insert_sql(f"INSERT INTO {sink} SELECT `key`, {_VALUE} FROM recommended WHERE kind = '{kind}'")
    statements.add_insert_sql(f"INSERT INTO trending_by_category SELECT `key`, {_VALUE} FROM trends")


def _by_product(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `by_product`: for each product and window one row with all that was told of it (udfs/recommendations/rows.py).

    The sum by pair of products would be the usual way, and costs a look-up in the state for each pair and checkpoint. Here
    a key is a product, and the list behind it is only appended to; counting its elements is one call in Python.
    """
    kind, end = "SUBSTRING(line FROM 1 FOR 1)", f"POSITION('{FIELD_SEPARATOR}' IN line)"
    # Lines of an order are as in `facts`. For those of looks and carts, most of them, SPLIT_INDEX would cost ten times as much.
    of_order = "line LIKE 'O%' OR line LIKE 'b%'"
    product = f"CASE WHEN {of_order} THEN {_field('line', 2)} ELSE SUBSTRING(line FROM 2 FOR {end} - 2) END"
    fact = f"CASE WHEN {of_order} THEN {_field('line', 1)} ELSE SUBSTRING(line FROM {end} + 1) END"
    weights = " ".join(f"WHEN '{each}' THEN {weight}" for each, weight in WEIGHTS.items())
    # Each expression is computed where it stands: what is used twice is not made a column of a query between.
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW told AS
        SELECT {product} AS product, {kind} || {fact} AS fact, CASE {kind} {weights} ELSE 0 END AS weight,
               CASE WHEN {kind} IN ('V', 'C', 'O') THEN {_field(fact, 0, by=ELEMENT_SEPARATOR)} END AS category, event_time
        FROM (SELECT tells, event_time FROM sessions WHERE tells IS NOT NULL)
          CROSS JOIN UNNEST(SPLIT(tells, '{LINE_SEPARATOR}')) AS lines(line)
        WHERE line NOT LIKE 'T%'""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW product_windows AS
        SELECT product, ARRAY_JOIN(ARRAY_AGG(fact), '{ELEMENT_SEPARATOR}') AS text, SUM(weight) AS weight, MAX(category) AS category,
               window_time AS event_time
        FROM TABLE(TUMBLE(TABLE told, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)}))
        GROUP BY product, window_start, window_end, window_time""")
    share(tables, "product_windows", "by_product", {"product": "STRING", "text": "STRING", "weight": "BIGINT", "category": "STRING"})


def _strongest_products(tables: StreamTableEnvironment, settings: Settings) -> None:
    """Views `category_windows` and `popular`: the strongest products of each window, by category and of all."""
    text = f"LISTAGG(CONCAT_WS('{FIELD_SEPARATOR}', product, CAST(weight AS STRING)), '{LINE_SEPARATOR}') AS text"
    time_ms = f"{epoch_ms('window_end')} AS time_ms"
    tables.execute_sql("CREATE TEMPORARY VIEW products AS SELECT product, category, weight, event_time FROM by_product WHERE weight > 0")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW category_windows AS
        SELECT category, {text}, {time_ms} FROM ({_strongest("category", trending.CAPACITY, settings)}) WHERE category <> ''
        GROUP BY category, window_start, window_end""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW popular AS
        SELECT {text}, {time_ms} FROM ({_strongest("", popularity.CAPACITY, settings)})
        GROUP BY window_start, window_end""")


def _strongest(group: str, count: int, settings: Settings) -> str:
    """SQL of the `count` products of most weight of each group and window; of equal ones, those that come first by id."""
    keys = ", ".join(each for each in ("window_start", "window_end", group) if each)
    return f"""
        SELECT * FROM (
          SELECT *, ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY weight DESC, product) AS place
          FROM TABLE(TUMBLE(TABLE products, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)})))
        WHERE place <= {count}"""


def _visits(tables: StreamTableEnvironment, settings: Settings) -> None:
    """View `visits`: for each session and window one row, with its last products, addressed to the last one."""
    signed_in = f"AND stand NOT LIKE '{FIELD_SEPARATOR}%'" if settings.recommend_to is RecommendTo.USERS else ""
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW stands AS
        SELECT session_id, LPAD(CAST(session_seq AS STRING), {_DIGITS}, '0') || '{FIELD_SEPARATOR}' || stand AS stand, event_time
        FROM sessions WHERE stand IS NOT NULL {signed_in}""")
    tables.execute_sql(f"""
        CREATE TEMPORARY VIEW visits AS
        SELECT {_field("stand", 2)} AS product, '{VISIT}' AS kind,
               session_id || SUBSTRING(stand FROM {_DIGITS + 1}) AS text, time_ms
        FROM (
          SELECT session_id, MAX(stand) AS stand, {epoch_ms("window_end")} AS time_ms
          FROM TABLE(TUMBLE(TABLE stands, DESCRIPTOR(event_time), {interval(settings.recommendation_window_ms)}))
          GROUP BY session_id, window_start, window_end)""")
