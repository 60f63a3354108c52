"""What travels and what is signed: events, facts, licence body, service items, identifiers, rules, errors."""
