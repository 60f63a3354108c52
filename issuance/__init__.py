"""Issuance: from a numbered grant to a signed, stored licence."""
