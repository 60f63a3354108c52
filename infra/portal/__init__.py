"""The pages of enterprises, persons and officers."""
