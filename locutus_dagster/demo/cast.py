"""Who and what is in the demo's research PACS: invented patients and the studies made for them.

What belongs here: data only. Nobody in this file exists, and no value in it was taken from a real
record; the names are unlikely enough that finding one of them in an output means a leak.
What does not: how DICOM files are made of it (`pacs.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

__all__ = [
    "DAMAGED_ACCESSION",
    "MISSING_ACCESSION",
    "RESIDUE_STUDY",
    "SITE",
    "STUDIES",
    "WITHHELD_ACCESSION",
    "Patient",
    "Series",
    "Site",
    "Study",
]


@dataclass(frozen=True)
class Patient:
    """An invented patient.

    Attributes:
        name: the value of Patient's Name, its component groups separated by `=`.
        folder: how the PACS names this patient's folder (ASCII).
        charset: Specific Character Set of this patient's files; empty for the default repertoire.
    """

    name: str
    folder: str
    patient_id: str
    other_ids: tuple[str, str]
    birth_date: date
    sex: str
    birth_name: str
    mother: str
    address: str
    phone: str
    occupation: str
    rank: str
    charset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """The invented hospital, and the people who work there."""

    institution: str
    address: str
    department: str
    referring: str
    referring_phone: str
    performing: str
    reading: str
    operator: str
    requesting: str
    ward: str
    insurer: str


@dataclass(frozen=True)
class Series:
    """A series, made from files of pydicom's wheel.

    Attributes:
        sources: paths below pydicom's `test_files`; taken in turn, and again from the start, until
            there are `instances`.
        burned_in: Burned In Annotation (0028,0301), or empty to leave it out.
    """

    modality: str
    description: str
    sources: tuple[str, ...]
    instances: int
    burned_in: str = ""


@dataclass(frozen=True)
class Study:
    """A study of the demo's PACS and its row in the manifest."""

    accession: str
    subject_id: str
    patient: Patient
    day: date
    imaging_type: str
    anatomy: str
    body_part: str
    station: str
    series: tuple[Series, ...]


SITE = Site(
    institution="Saint Nonesuch Infirmary",
    address="1 Perhaps Parade, Neverton-under-Wold",
    department="Department of Imaginary Radiology",
    referring="Featherstonehalgh^Ottoline^^Dr",
    referring_phone="+1-215-555-0142",
    performing="Grimblesnap^Leopold^^Dr",
    reading="Hollowbarrow^Sunniva^^Dr",
    operator="Pennywhistler^Augustin",
    requesting="Ravensquawk^Ingeborg^^Dr",
    ward="Ward Marzipan 12",
    insurer="Mutual of Brigadoon 4471",
)

ISOLDE = Patient(
    name="Quillfeather^Isolde^Marigold",
    folder="QUILLFEATHER_ISOLDE_MRN-90017733",
    patient_id="MRN-90017733",
    other_ids=("SSN-900-55-7733", "LEGACY-QF-0093"),
    birth_date=date(1931, 2, 27),
    sex="F",
    birth_name="Dandelyonne^Isolde",
    mother="Dandelyonne^Perpetua",
    address="17 Moonraker Lane, Gossamer-on-Sea",
    phone="+1-215-555-0177",
    occupation="Lighthouse tuner",
    rank="Sky Marshal",
    charset=("ISO_IR 100",),
)
THADDEUS = Patient(
    name="Umberwick^Thaddeus^Oleander",
    folder="UMBERWICK_THADDEUS_MRN-90020418",
    patient_id="MRN-90020418",
    other_ids=("SSN-900-61-0418", "LEGACY-UW-0412"),
    birth_date=date(2011, 9, 19),
    sex="M",
    birth_name="Umberwick^Thaddy",
    mother="Cloverhitch^Emmeline",
    address="Flat 9, The Inkwell, Pottlesby",
    phone="+1-215-555-0118",
    occupation="Kite apprentice",
    rank="Cadet Bugler",
)
COSMO = Patient(
    name="Brindlemoss^Cosmo",
    folder="BRINDLEMOSS_COSMO_MRN-90031596",
    patient_id="MRN-90031596",
    other_ids=("SSN-900-72-1596", "LEGACY-BM-0777"),
    birth_date=date(2017, 6, 23),
    sex="M",
    birth_name="Brindlemoss^Cosimo",
    mother="Nettlecombe^Araminta",
    address="Toadstool Cottage, Lower Fibbing",
    phone="+1-215-555-0131",
    occupation="Puddle inspector",
    rank="Watch drummer",
    charset=("ISO_IR 100",),
)
ZOE = Patient(
    name="Éclairvoyançat^Zoë-Maëlys",
    folder="ECLAIRVOYANCAT_ZOE_MRN-90044871",
    patient_id="MRN-90044871",
    other_ids=("SSN-900-83-4871", "LEGACY-EC-1204"),
    birth_date=date(2008, 11, 14),
    sex="F",
    birth_name="Rêvemoulin^Zoë-Maëlys",
    mother="Rêvemoulin^Gwenaëlle",
    address="3 Impasse du Pêcheur-de-Lune, Nullepart-lès-Brumes",
    phone="+1-215-555-0166",
    occupation="Semeuse d'échos",
    rank="Maréchale des brumes",
    charset=("ISO_IR 100",),
)
ADELAIDA = Patient(
    name="Неведомова^Аделаида^Фантазиевна",
    folder="NEVEDOMOVA_ADELAIDA_MRN-90052260",
    patient_id="MRN-90052260",
    other_ids=("SSN-900-19-2260", "LEGACY-NV-3316"),
    birth_date=date(1987, 8, 13),
    sex="F",
    birth_name="Небывалова^Аделаида",
    mother="Небывалова^Евстолия",
    address="Тридевятый переулок 27, Небылицк",
    phone="+1-215-555-0129",
    occupation="Ловец туманов",
    rank="Капитан воздухоплавания",
    charset=("ISO_IR 192",),
)
MABOROSHI = Patient(
    name="Yumemizaka^Gennosuke=夢見坂^幻之介=ゆめみざか^げんのすけ",
    folder="YUMEMIZAKA_GENNOSUKE_MRN-90066604",
    patient_id="MRN-90066604",
    other_ids=("SSN-900-27-6604", "LEGACY-YM-5150"),
    birth_date=date(1948, 10, 31),
    sex="M",
    birth_name="Kasumigawara^Gennosuke",
    mother="Kasumigawara^Otowa",
    address="霞ヶ原町架空通り",
    phone="+1-215-555-0193",
    occupation="Cloud inker",
    rank="Harbour Falconer",
    charset=("ISO 2022 IR 13", "ISO 2022 IR 87"),
)
PERSIMMON = Patient(
    name="Wobblethorpe^Persimmon",
    folder="WOBBLETHORPE_PERSIMMON_MRN-90073359",
    patient_id="MRN-90073359",
    other_ids=("SSN-900-35-3359", "LEGACY-WT-6021"),
    birth_date=date(2014, 12, 18),
    sex="F",
    birth_name="Wobblethorpe^Percy",
    mother="Figgleston^Hyacinthia",
    address="88 Custardfield Rise, Upper Mumbling",
    phone="+1-215-555-0107",
    occupation="Marble champion",
    rank="Standard Bearer of Snails",
)
LUDMILLA = Patient(
    name="Fennimore-Tock^Ludmilla^Azalea",
    folder="FENNIMORETOCK_LUDMILLA_MRN-90089942",
    patient_id="MRN-90089942",
    other_ids=("SSN-900-46-9942", "LEGACY-FT-7138"),
    birth_date=date(1959, 7, 26),
    sex="F",
    birth_name="Zephyrbottom^Ludmilla",
    mother="Zephyrbottom^Clothilde",
    address="The Crooked Metronome, Tickham Parva",
    phone="+1-215-555-0154",
    occupation="Clock botanist",
    rank="Commodore of Ponds",
    charset=("ISO_IR 100",),
)
BARNABY = Patient(
    name="Thistlewhistle^Barnaby^Quince",
    folder="THISTLEWHISTLE_BARNABY_MRN-90097085",
    patient_id="MRN-90097085",
    other_ids=("SSN-900-58-7085", "LEGACY-TW-8264"),
    birth_date=date(1966, 11, 28),
    sex="M",
    birth_name="Thistlewhistle^Barnabus",
    mother="Gooseberrow^Lavinia",
    address="Windmill No. 0, Nether Nonsuch",
    phone="+1-215-555-0185",
    occupation="Echo collector",
    rank="Provost of Puffins",
)

_CR = "dicomdirtests/77654033/"
_CT = "dicomdirtests/98892001/"
_MR = "dicomdirtests/98892003/"

MISSING_ACCESSION = "DEMO-24-009999"
DAMAGED_ACCESSION = "DEMO-24-000688"
WITHHELD_ACCESSION = "NSI2400991A"

STUDIES: tuple[Study, ...] = (
    Study(
        "DEMO-24-000417",
        "C900101",
        ISOLDE,
        date(2024, 3, 5),
        "CT",
        "chest",
        "CHEST",
        "NSI-CT-07",
        (
            Series("CT", "axial", ("CT_small.dcm",), 6),
            Series("CT", "lossy overview", ("693_J2KI.dcm",), 3),
            Series(
                "CT",
                "thin recon",
                tuple(f"{_CT}CT5N/{n}" for n in (2062, 2392, 2693, 3023, 3353)),
                5,
            ),
        ),
    ),
    Study(
        "0007712345",
        "C900101",
        ISOLDE,
        date(2024, 4, 17),
        "MRI",
        "brain",
        "HEAD",
        "NSI-MR-02",
        (
            Series("MR", "T2 axial", ("MR_small.dcm",), 5),
            Series("MR", "T2 axial archived", ("MR_small_RLE.dcm",), 4),
            Series("MR", "T2 axial from the old PACS", ("MR_small_jp2klossless.dcm",), 4),
        ),
    ),
    Study(
        "DEMO-24-000533",
        "C900102",
        THADDEUS,
        date(2024, 5, 2),
        "Radiography",
        "cervical spine",
        "CSPINE",
        "NSI-CR-11",
        (
            Series("CR", "lateral", (f"{_CR}CR1/6154",), 3),
            Series("CR", "oblique", (f"{_CR}CR2/6247",), 3),
            Series("CR", "frontal", (f"{_CR}CR3/6278",), 3),
        ),
    ),
    Study(
        WITHHELD_ACCESSION,
        "C900103",
        COSMO,
        date(2024, 5, 21),
        "Ultrasound",
        "heart",
        "HEART",
        "NSI-US-04",
        (
            Series("US", "cine loops", ("examples_ybr_color.dcm",), 3, burned_in="NO"),
            Series("US", "stills", ("ExplVR_BigEnd.dcm",), 4, burned_in="NO"),
            Series("US", "stills with annotation", ("examples_rgb_color.dcm",), 1, "YES"),
            Series("OT", "screen captures", ("GDCMJ2K_TextGBR.dcm",), 2, burned_in="YES"),
            Series("SR", "report", ("reportsi.dcm",), 1),
        ),
    ),
    Study(
        "DEMO-24-000602",
        "C900104",
        ZOE,
        date(2024, 6, 11),
        "MRI",
        "abdomen",
        "ABDOMEN",
        "NSI-MR-03",
        (
            Series("MR", "vibe with overlay", ("examples_overlay.dcm",), 3),
            Series(
                "MR",
                "spin echo",
                tuple(f"{_MR}MR2/{n}" for n in (15970, 4950, 4981, 5011, 6273, 6605, 6935)),
                7,
            ),
        ),
    ),
    Study(
        "0009140027",
        "C900105",
        ADELAIDA,
        date(2024, 7, 9),
        "MRI",
        "brain",
        "HEAD",
        "NSI-MR-02",
        (
            Series("MR", "T2 implicit", ("MR_small_implicit.dcm",), 5),
            Series("MR", "T2 big endian", ("MR_small_bigendian.dcm",), 4),
            Series("MR", "T2 lossless", ("MR_small_jpeg_ls_lossless.dcm",), 3),
        ),
    ),
    Study(
        DAMAGED_ACCESSION,
        "C900106",
        PERSIMMON,
        date(2024, 8, 1),
        "CT",
        "chest",
        "CHEST",
        "NSI-CT-07",
        (
            Series("CT", "axial", ("CT_small.dcm",), 5),
            Series("CT", "recon", (f"{_CT}CT2N/6293", f"{_CT}CT2N/6924"), 4),
        ),
    ),
    Study(
        "DEMO-24-000655",
        "C900107",
        MABOROSHI,
        date(2024, 8, 27),
        "CT",
        "head",
        "HEAD",
        "NSI-CT-09",
        (
            Series("CT", "head", ("J2K_pixelrep_mismatch.dcm",), 3),
            Series(
                "CT",
                "head, earlier scanner",
                tuple(f"dicomdirtests/77654033/CT2/{n}" for n in (17106, 17136, 17166, 17196)),
                4,
            ),
        ),
    ),
    Study(
        "NSI2400994C",
        "C900108",
        LUDMILLA,
        date(2024, 9, 30),
        "Nuclear medicine",
        "whole body",
        "WHOLEBODY",
        "NSI-NM-01",
        (
            Series("NM", "bone scan", ("JPEG2000.dcm",), 3, burned_in="NO"),
            Series("NM", "bone scan, JPEG", ("JPEG-lossy.dcm",), 3, burned_in="NO"),
            Series("CT", "attenuation correction", ("CT_small.dcm",), 4),
        ),
    ),
)

RESIDUE_STUDY = Study(
    "DEMO-24-000713",
    "C900109",
    BARNABY,
    date(2024, 10, 15),
    "CT",
    "chest",
    "CHEST",
    "NSI-CT-07",
    (
        Series("CT", "axial", ("CT_small.dcm",), 3),
        Series("CT", "recon", (f"{_CT}CT2N/6293", f"{_CT}CT2N/6924"), 3),
    ),
)
