"""The console command `mamapost`, also as `python -m mamapost`; see `shared.runtime.server.loading`."""

import gc

gc.disable()

from mamapost.cli import main  # noqa: E402  # the collector is off before anything is imported

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
