"""The console command `mamapost`, also as `python -m mamapost`."""

from shared.runtime.loading import loading

with loading():
    from mamapost.cli import main

if __name__ == "__main__":
    main()
