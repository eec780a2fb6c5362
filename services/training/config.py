"""Settings of training: the shared ones; and the key that command inputs are hashed with."""

from __future__ import annotations

import hashlib
import hmac

from shared.runtime.settings import Settings


class TrainingSettings(Settings):
    """Training needs nothing of its own."""

    def command_secret(self) -> bytes:
        """Key of the hashes under which command inputs are kept; the same in all instances.

        Derived from the master key where there is one. Without it a fixed key will do: commands of training hold no
        personal data.

        Raises:
            OSError: the master key file cannot be read.
        """
        master = self.master_key_file.read_text(encoding="ascii").strip() if self.master_key_file else ""
        return hmac.new(master.encode(), b"mamapost training: command inputs", hashlib.sha256).digest()
