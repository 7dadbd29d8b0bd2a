"""`scripts/warehouse`: copies sales, funnel and alerts from Kafka into PostgreSQL, each record once, whatever fails."""
