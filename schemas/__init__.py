"""Records that travel and records that are signed: events, facts, licence body, service items, rules, errors."""
