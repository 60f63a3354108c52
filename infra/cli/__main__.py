"""`python -m infra.cli`: the command without an installed script."""

import sys

from infra.cli import main

sys.exit(main())
