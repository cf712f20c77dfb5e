"""`python -m maladist` is the command `maladist`."""

import sys

from maladist.cli import main

sys.exit(main())
