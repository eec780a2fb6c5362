"""`python -m mamapost` is the console command."""

from mamapost.cli import main

main()
