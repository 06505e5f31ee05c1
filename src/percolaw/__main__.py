"""``python -m percolaw``."""

import sys

from percolaw.cli import main

sys.exit(main())
