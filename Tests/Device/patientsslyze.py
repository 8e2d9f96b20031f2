"""sslyze's own command line, which waits for a slow machine: it gives each answer five seconds, and has no option to give it more."""

import functools
import sys

from sslyze.__main__ import main
from sslyze.cli import command_line_parser

PATIENCE_S = 60

if __name__ == "__main__":
    command_line_parser.ServerNetworkConfiguration = functools.partial(command_line_parser.ServerNetworkConfiguration, network_timeout=PATIENCE_S)
    sys.exit(main())
