"""From a numbered grant to a signed, stored licence."""
