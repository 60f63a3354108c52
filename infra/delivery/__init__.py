"""Delivery of filings to departments on one machine: outbox folders and webhooks."""
