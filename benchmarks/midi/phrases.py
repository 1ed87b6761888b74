"""Free text as people type it into scanners and reports, in seven languages.

What belongs here: templates, and turning one into a text with what must stay and what must go.
What does not: which attribute gets which text (the plants).

In a template, `<words>` must stay: they say what was examined, and identify nobody. `{form}` is an
identifier of the person, see `people.Person.values`. Everything else may stay or go.
"""

# ruff: noqa: RUF001 - Cyrillic letters are meant to be some

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from benchmarks.midi.people import Person, Value

__all__ = ["FINDINGS", "LINES", "NOTES", "SHORTS", "Text", "fill", "pick"]

#: At most 16 characters: SH.
SHORTS = ("<AX> {FAMILY}", "{family}_<T2>", "<HEAD> {mrn}", "<SAG>{mrn}")

#: At most 64 characters: LO.
LINES = {
    "en": (
        "<T1 MPRAGE SAG> {FAMILY} {exam8}",
        "<CT CHEST> w/o <CONTRAST> {dicom}",
        "<Brain MRI> - {full} {phone}",
        "<t2_tse_cor>_{family_lower}_{mrn}",
        "<AX FLAIR> MRN {mrn}",
        "<ABDOMEN> pt {comma} acc {accession}",
        "{FAMILY}_<LSPINE>_<SAG>_<STIR>",
        "<KNEE LT> SSN {ssn}",
        "<PELVIS AP>, Dr. {doctor}",
        "<Head CT> DOB {birth_us}",
        "<3D TOF> {email}",
        "<DWI b1000> ({initial}, {exam_iso})",
        "{mrn} <localizer>",
    ),
    "de": (
        "<Schädel nativ> {family}, geb. {birth_dots}",
        "<CT Thorax> mit <KM>, Frau {family}",
        "<Abdomen> {FAMILY} {exam_dots}",
        "<t1_vibe_tra>_{family_lower}",
        "<Becken> Pat.-Nr. {mrn}",
        "<LWS sag> {full} Tel. {phone}",
    ),
    "fr": (
        "<Crâne sans injection> {FAMILY} {given}",
        "<TDM thorax> Mme {family} née le {birth_slash}",
        "<Abdomen> {full} {exam_slash}",
        "<genou droit> dossier {mrn}",
        "<T2 axial> M. {family}",
    ),
    "es": (
        "<Cráneo sin contraste> {FAMILY}",
        "<TC tórax> Sra. {family} {exam_slash}",
        "<Abdomen> {full} NHC {mrn}",
        "<rodilla derecha> {comma}",
        "<T1 sagital> tel {phone}",
    ),
    "pt": (
        "<Crânio sem contraste> {FAMILY}",
        "<TC tórax> {full} nasc. {birth_slash}",
        "<Abdome> prontuário {mrn}",
        "<joelho direito> Sr. {family}",
    ),
    "ja": (
        "<頭部> <MRI> {native}",
        "<T1 axial> {FAMILY} {exam_kanji}",
        "<胸部> <CT> {native} {mrn}",
        "<FLAIR> {comma} {exam8}",
    ),
    "ru": (
        "<МРТ> <головного мозга> {native}",
        "<T2 axial> {native} {exam_dots}",
        "<КТ> <грудной клетки> {mrn}",
        "<FLAIR> {native}, д.р. {birth_dots}",
    ),
}

#: Notes of technologists and clerks: ST, LT and UT.
NOTES = {
    "en": (
        "Pat. {family}, MRN {mrn}. <Patient> <moved>, <sequence> repeated. Called {phone}.",
        "<CONTRAST> given by {operator}. Fax report to {fax} or {email}.",
        "Lives at {address}. <Knee> <pain>. Plan {plan}, account {account}.",
        "<Pacemaker> S/N {implant}; <MR> conditional. Licence {licence}, car {plate}.",
        "See {url} (host {ip}). <Liver> <lesion>. Fingerprint {biometric}, passport {passport}.",
        "{age}-year-old with <chest> <pain>, seen on {report_month} by Dr. {doctor_family}.",
        "VIN {vin}; mother {relative}. <Lung> <nodule> at {report_iso}.",
        "SSN {ssn}, born {birth_month}, <stroke>.",
    ),
    "de": (
        "Untersuchung Frau {family}, geb. {birth_dots}. <Kontrastmittel> <intravenös>.",
        "Herr {full}, {address}. <Kopfschmerzen>. Rückruf {phone}, Fax {fax}.",
        "Kasse {plan}, Konto {account}, Kennzeichen {plate}. <Leber> <Läsion>.",
        "Überweisung Dr. {doctor_family}, Befund {report_dots}. <Thorax> <unauffällig>.",
        "<Herzschrittmacher> Nr. {implant}. E-Mail {email}.",
    ),
    "fr": (
        "Mme {full}, née le {birth_slash}, {address}. <Douleur> <genou>.",
        "Dr {doctor_family}: tél. {phone}, fax {fax}. <Lésion> <foie>.",
        "Mutuelle {plan}, compte {account}. <Produit> de <contraste>. {email}",
        "Compte rendu du {report_slash}, dossier {mrn}. <Poumon> <normal>.",
    ),
    "es": (
        "Paciente {full}, nacida {birth_slash}, {address}. <Dolor> de <rodilla>.",
        "Dra. {doctor_family}, tel. {phone}, fax {fax}. <Lesión> <hígado>.",
        "Póliza {plan}, cuenta {account}, {email}. <Contraste> <intravenoso>.",
    ),
    "pt": (
        "Paciente {full}, nascido em {birth_slash}, {address}. <Dor> no <joelho>.",
        "Dr. {doctor_family}, tel. {phone}. <Lesão> <fígado>. Convênio {plan}.",
        "Conta {account}, {email}. <Contraste> <venoso>.",
    ),
    "ja": (
        "患者 {native} 様 {birth_kanji} 生。<造影> <MRI>。電話 {phone}",
        "{native} {mrn} <腹部> <CT> 保険 {plan}",
        "{FAMILY} {report_kanji} <肝臓> <MRI> {email}",
    ),
    "ru": (
        "Пациент {native}, {birth_dots}, {address}. <Головная> <боль>.",
        "Врач {doctor_family}, тел. {phone}. <Печень>, <контраст>.",
        "Полис {plan}, счёт {account}, {email}. <Лёгкие> без <патологии>.",
    ),
}

#: Sentences of structured reports.
FINDINGS = {
    "en": (
        "{full}, MRN {mrn}: <no> <focal> <lesion> in the <liver>.",
        "<Normal> <chest>. Reported {report_iso} by Dr. {doctor_family}.",
        "Compared with accession {accession}: <stable> <nodule>, <right> <lung>. {phone}",
    ),
    "de": (
        "Frau {family} (geb. {birth_dots}): <keine> <Läsion> der <Leber>.",
        "<Thorax> <unauffällig>. Befund {report_dots}, Dr. {doctor_family}.",
    ),
    "fr": (
        "Mme {full}, dossier {mrn}: <pas> de <lésion> du <foie>.",
        "<Thorax> <normal>. Dr {doctor_family}, {report_slash}.",
    ),
    "es": (
        "{full}, NHC {mrn}: <sin> <lesión> en el <hígado>.",
        "<Tórax> <normal>. Dra. {doctor_family}, {report_slash}.",
    ),
    "pt": (
        "{full}, prontuário {mrn}: <sem> <lesão> no <fígado>.",
        "<Tórax> <normal>. Dr. {doctor_family}, {report_slash}.",
    ),
    "ja": ("{native} {mrn} <肝臓> <異常> なし", "<CT> <胸部> {native} {report_kanji}"),
    "ru": (
        "{native}, {mrn}: <очаговых> <изменений> <печени> нет.",
        "<Лёгкие> без <патологии>. {doctor_family}, {report_dots}.",
    ),
}

_PART = re.compile(r"<(?P<kept>[^>]+)>|\{(?P<form>\w+)\}")


@dataclass(frozen=True)
class Text:
    """A filled template.

    Attributes:
        text: what is planted.
        kept: the words that must stay, in order.
        values: the identifiers in it.
    """

    text: str = field(repr=False)
    kept: str = ""
    values: tuple[Value, ...] = field(default=(), repr=False)


def fill(template: str, person: Person) -> Text | None:
    """Fill a template; None where the person has no such identifier."""
    kept, values = [], []

    def replace(match: re.Match[str]) -> str:
        if match["kept"]:
            kept.append(match["kept"])
            return match["kept"]
        value = person.values[match["form"]]
        values.append(value)
        return value.text

    try:
        text = _PART.sub(replace, template)
    except KeyError:
        return None
    return Text(text, " ".join(kept), tuple(values))


def pick(rng: Random, templates: Iterable[str], person: Person, longest: int) -> Text | None:
    """Fill a template drawn among those that fit the person and the length, in characters."""
    filled = (fill(template, person) for template in templates)
    fitting = [text for text in filled if text is not None and len(text.text) <= longest]
    return rng.choice(fitting) if fitting else None
