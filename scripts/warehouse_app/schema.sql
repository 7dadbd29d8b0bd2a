-- The tables that scripts/warehouse fills, for PostgreSQL 12 or later. It makes them itself if it may; else their owner does:
--
--   psql --set ON_ERROR_STOP=1 --file scripts/warehouse_app/schema.sql 'postgresql://owner@host/database'
--
-- and the process' user needs SELECT, INSERT and UPDATE on them. What is there stays as it is. Money is in minor units of its
-- currency (cents). Every table has the key by which a record that comes again replaces its own row.

CREATE TABLE IF NOT EXISTS sales_by_category (
  category             text NOT NULL,
  currency             text NOT NULL,
  window_start         timestamptz NOT NULL,
  window_end           timestamptz NOT NULL,
  orders               bigint NOT NULL,
  quantity             bigint NOT NULL,
  amount_minor         bigint NOT NULL,
  avg_minor_per_minute double precision NOT NULL,
  avg_minor_per_order  double precision NOT NULL,
  PRIMARY KEY (category, currency, window_start)
);
CREATE INDEX IF NOT EXISTS sales_by_category_window_end ON sales_by_category (window_end);
COMMENT ON TABLE sales_by_category IS 'Sales in sliding windows: they overlap, so sum over categories, and never over windows';
COMMENT ON COLUMN sales_by_category.orders IS 'Orders with at least one line of the category';
COMMENT ON COLUMN sales_by_category.quantity IS 'Pieces sold';
COMMENT ON COLUMN sales_by_category.avg_minor_per_minute IS 'Moving average of revenue over the window';

CREATE TABLE IF NOT EXISTS sales_per_minute (
  currency            text NOT NULL,
  window_start        timestamptz NOT NULL,
  window_end          timestamptz NOT NULL,
  orders              bigint NOT NULL,
  amount_minor        bigint NOT NULL,
  avg_minor_per_order double precision,
  payments            bigint NOT NULL,
  paid_minor          bigint NOT NULL,
  failed_payments     bigint NOT NULL,
  at_risk_orders      bigint NOT NULL,
  at_risk_minor       bigint NOT NULL,
  PRIMARY KEY (currency, window_start)
);
CREATE INDEX IF NOT EXISTS sales_per_minute_window_start ON sales_per_minute (window_start);
COMMENT ON TABLE sales_per_minute IS 'Totals of each minute: they do not overlap, and can be summed over any time';
COMMENT ON COLUMN sales_per_minute.at_risk_orders IS 'Orders with a failed payment and no processed one in the minute';
COMMENT ON COLUMN sales_per_minute.at_risk_minor IS 'What was not paid for these orders';

CREATE TABLE IF NOT EXISTS funnel_by_category (
  category     text NOT NULL,
  window_start timestamptz NOT NULL,
  window_end   timestamptz NOT NULL,
  views        bigint NOT NULL,
  carts        bigint NOT NULL,
  orders       bigint NOT NULL,
  paid         bigint NOT NULL,
  PRIMARY KEY (category, window_start)
);
CREATE INDEX IF NOT EXISTS funnel_by_category_window_end ON funnel_by_category (window_end);
COMMENT ON TABLE funnel_by_category IS 'Views, carts, orders and paid orders in sliding windows: they overlap';

CREATE TABLE IF NOT EXISTS fraud_alerts (
  alert_id    text PRIMARY KEY,
  subject     text NOT NULL,
  event_id    text NOT NULL,
  session_id  text,
  user_id     text,
  order_id    text,
  happened_at timestamptz NOT NULL,
  detected_at timestamptz NOT NULL,
  score       double precision NOT NULL,
  reasons     jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS fraud_alerts_happened_at ON fraud_alerts (happened_at);
CREATE INDEX IF NOT EXISTS fraud_alerts_subject ON fraud_alerts (subject, happened_at);
CREATE INDEX IF NOT EXISTS fraud_alerts_reasons ON fraud_alerts USING gin (reasons jsonb_path_ops);
COMMENT ON TABLE fraud_alerts IS 'One row for each alert';
COMMENT ON COLUMN fraud_alerts.score IS '0 to 100';
COMMENT ON COLUMN fraud_alerts.reasons IS 'List of {rule_id, version, signal, by, key, value, limit, score, text, evidence: [event ids]}';

CREATE TABLE IF NOT EXISTS rejected_records (
  topic            text NOT NULL,
  topic_partition  integer NOT NULL,
  topic_offset     bigint NOT NULL,
  value            bytea,
  reason           text NOT NULL,
  PRIMARY KEY (topic, topic_partition, topic_offset)
);
COMMENT ON TABLE rejected_records IS 'Records that are no row of their table. It should be empty: else who writes to these topics beside the job?';

CREATE TABLE IF NOT EXISTS warehouse_offsets (
  topic           text NOT NULL,
  topic_partition integer NOT NULL,
  next_offset     bigint NOT NULL,
  PRIMARY KEY (topic, topic_partition)
);
COMMENT ON TABLE warehouse_offsets IS 'Where to read on, written with the rows in one transaction. Delete its rows to read all topics again';
