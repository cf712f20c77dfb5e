"""`python -m maladist` is the command `maladist`."""

import sys

from maladist.cli.app import main

sys.exit(main())
