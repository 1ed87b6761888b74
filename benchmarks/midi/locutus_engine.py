"""This project's engine as the harness runs it.

What belongs here: calling the engine, and finding its policies by name. What does not: judging.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter
from pathlib import Path

from benchmarks.midi.engines import Engine, Written
from benchmarks.midi.planting import PlantedStudy
from locutus_dagster.deid import DeidError, Policy, Pseudonyms, deidentify_study, load_policy

__all__ = ["Locutus"]

_SECRET = b"a secret for measurements only.."


class Locutus(Engine):
    """This project's engine, called as its pipeline calls it.

    Args:
        policy: what to do; `Locutus.of` finds it by its name or path.

    Attributes:
        residue: place -> in how many files its own gate found an identifier there.
    """

    name = "locutus"

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.options = frozenset(option.value for option in policy.options)
        self.modalities = policy.settings.modalities
        self._pseudonyms = Pseudonyms(_SECRET)
        self._subjects: dict[str, str] = {}
        self.residue: Counter[str] = Counter()

    @classmethod
    def of(cls, policy: str) -> Locutus:
        """Return the engine with a shipped policy, or with one of a file."""
        return cls(load_policy(policy))

    def run(self, study: PlantedStudy) -> list[Written]:
        patient = study.person.subject
        subject = self._subjects.setdefault(patient, f"MIDI-{len(self._subjects) + 1:04d}")
        with tempfile.TemporaryDirectory(prefix="midi-") as name:
            raw, out = Path(name) / "raw.zip", Path(name) / "out.zip"
            with zipfile.ZipFile(raw, "w") as archive:
                for number, file in enumerate(study.files, start=1):
                    archive.writestr(f"{number:06d}.dcm", file.data)
            try:
                with out.open("wb") as stream:
                    found = deidentify_study(
                        raw,
                        stream,
                        policy=self._policy,
                        pseudonyms=self._pseudonyms,
                        subject_id=subject,
                        known_identifiers=[study.person.values["accession"].text],
                    )
            except DeidError as error:
                return [Written(None, f"refused: {type(error).__name__}")] * len(study.files)
            self.residue.update(hit.place for hit in found.residue)
            if not found.clean:
                return [Written(None, "the engine's own gate")] * len(study.files)
            with zipfile.ZipFile(out) as archive:
                names = {Path(one).stem: one for one in archive.namelist()}
                return [
                    Written(None, one.reason)
                    if one.instance not in names or one.reason
                    else Written(archive.read(names[one.instance]))
                    for one in found.instances
                ]
