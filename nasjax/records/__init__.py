"""What a run leaves behind: a crash-safe store of scores and the files of its working directory."""

from nasjax.records.store import Record, Store
from nasjax.records.workdir import CONFIG_FILENAME, claim_workdir, joined_reasons, replaced, write_scores

__all__ = ["CONFIG_FILENAME", "Record", "Store", "claim_workdir", "joined_reasons", "replaced", "write_scores"]
