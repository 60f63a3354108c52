"""The story that ships with the project, as events: what `zhengzhao demo` plays, chapter by chapter."""
