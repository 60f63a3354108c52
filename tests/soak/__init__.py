"""Long runs: processes killed at random moments, compared with unbroken runs."""
