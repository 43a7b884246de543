"""The load-test harness: simulated calls against any bridge, what the caller hears as figures,
latency budgets as gates."""
