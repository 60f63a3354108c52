"""The sample day that ships with the project: see `day.py`, which makes it, and `zhengzhao demo`, which tells it."""
