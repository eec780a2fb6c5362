"""Checkpoints: the state of a partition with the offsets that it stands for, in one file."""

from services.matching.checkpoint.file import Checkpoint, Damaged, read, write
from services.matching.checkpoint.shelf import Loaded, Shelf
from services.matching.checkpoint.writer import ChildFailed, in_child

__all__ = ["Checkpoint", "ChildFailed", "Damaged", "Loaded", "Shelf", "in_child", "read", "write"]
