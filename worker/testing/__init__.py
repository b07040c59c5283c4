"""What a rotator of your own is proven with: the contract that every rotator here passes."""

from worker.testing.contract import RotatorContract, StagedRotator
from worker.testing.link import Link

__all__ = ["Link", "RotatorContract", "StagedRotator"]
