"""Settings of the property tests: the same few examples every time, more by NASJAX_EXAMPLES=1000."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "nasjax",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=int(os.environ.get("NASJAX_EXAMPLES", "25")),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("nasjax")
