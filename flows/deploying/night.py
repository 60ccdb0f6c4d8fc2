"""When a night begins, as a person says it: ``20:00 Europe/Berlin``."""

from __future__ import annotations

import re
from typing import NamedTuple
from zoneinfo import available_timezones

from inception_loop.errors import ConfigurationError
from inception_loop.faults import did_you_mean

_SAID = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])\s+(\S+)")
_HOURS = re.compile(r"\S+ ([0-9]{1,2}(?:,[0-9]{1,2})*) (.*)")


class Night(NamedTuple):
    """The first hour of a night, by the clocks of a place."""

    hour: int
    minute: int
    timezone: str

    def moved(self, cron: str) -> str:
        """Return a cron expression whose hours begin here, as far apart as before.

        Raises
        ------
        ConfigurationError
            If its hours are not written out.

        Examples
        --------
        >>> Night(21, 30, "Europe/Berlin").moved("0 20,22,0,2 * * *")
        '30 21,23,1,3 * * *'
        """
        found = _HOURS.fullmatch(cron)
        if found is None:
            raise ConfigurationError(
                f"the schedule of night is {cron!r}; expected its hours one by one (0 20,22,0 * * *), "
                "so that --night can move them; correct prefect.yaml"
            )
        hours = [int(hour) for hour in found[1].split(",")]
        moved = ",".join(str((hour - hours[0] + self.hour) % 24) for hour in hours)
        return f"{self.minute} {moved} {found[2]}"


def parse_night(text: str) -> Night:
    """Read hour, minute and time zone.

    Raises
    ------
    ConfigurationError
        If the text is none, or there is no such time zone.

    Examples
    --------
    >>> parse_night("20:00 Europe/Berlin")
    Night(hour=20, minute=0, timezone='Europe/Berlin')
    """
    found = _SAID.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(
            f"--night got {text!r}; expected hour, minute and time zone, as '20:00 Europe/Berlin'"
        )
    if found[3] not in (known := available_timezones()):
        near = did_you_mean(found[3], sorted(known))
        raise ConfigurationError(
            f"--night: {found[3]!r} is no time zone{near or '; expected one like Europe/Berlin or UTC'}"
        )
    return Night(int(found[1]), int(found[2]), found[3])
