"""The independent check of a licence or a draw; shares nothing with issuance but `schemas`."""
