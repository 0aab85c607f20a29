from __future__ import annotations

from hypothesis import settings

settings.register_profile("calm", deadline=None)  # tests run beside other work
settings.load_profile("calm")
