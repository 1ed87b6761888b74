"""Text is decoded by the declared character set, and nothing is lost or leaked where that lies."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locutus_dagster.deid import Option, compile_policy
from locutus_dagster.deid.encoding.charsets import decode, encode
from locutus_dagster.deid.policies.model import PolicySpec, Settings
from locutus_dagster_tests.deid import builders
from locutus_dagster_tests.deid.builders import ct

CHARSETS = {
    b"": "plain",
    b"ISO_IR 6": "plain",
    b"ISO_IR 100": "Müller",
    b"ISO_IR 101": "Świętosława",
    b"ISO_IR 144": "Люксембург",
    b"ISO_IR 126": "Διονυσιος",
    b"ISO_IR 138": "שרון",
    b"ISO_IR 13": "ﾔﾏﾀﾞ",
    b"ISO_IR 166": "นามสกุล",
    b"ISO_IR 192": "王^小東 Müller",
    b"GB18030": "王小东",
    b"GBK": "王小东",
}


@pytest.mark.parametrize(("charset", "text"), CHARSETS.items())
def test_what_is_encoded_is_decoded(charset: bytes, text: str) -> None:
    assert decode(encode(text, charset), charset) == (text, True)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田"),
        (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ"),
        (b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "洪"),
        (b"\\ISO 2022 IR 58", b"\x1b$)A\xb5\xda\xd2\xbb", "第一"),
    ],
)
def test_code_extensions_are_followed(charset: bytes, raw: bytes, text: str) -> None:
    found, readable = decode(raw, charset)
    assert text in found
    assert readable


def test_undeclared_utf_8_is_read_and_undeclared_bytes_stand_for_themselves() -> None:
    assert decode("Müller".encode(), b"") == ("Müller", True)
    assert decode("Müller".encode("latin-1"), b"") == ("Müller", False)
    assert decode("Müller".encode("latin-1"), b"ISO_IR 192") == ("Müller", False)


@given(st.binary(max_size=40), st.sampled_from([*CHARSETS, b"\\ISO 2022 IR 87", b"nonsense"]))
def test_any_bytes_are_decoded_and_any_text_is_encoded(raw: bytes, charset: bytes) -> None:
    text, _ = decode(raw, charset)
    encode(text, charset)


def test_a_backslash_inside_a_character_separates_nothing(tmp_path: Path) -> None:
    # 誠 is C5 5C in GBK's neighbourhood: the second byte looks like the separator of values.
    word = "\u4e57"
    assert b"\\" in word.encode("gb18030") or b"\\" in "\u8aa0".encode("gb18030")
    text = next(one for one in (word, "\u8aa0") if b"\\" in one.encode("gb18030"))
    spec = PolicySpec(
        "site",
        frozenset({Option.CLEAN_DESCRIPTORS}),
        settings=Settings(words=frozenset({text})),
    )
    ds = ct(SpecificCharacterSet="GB18030", SeriesDescription=f"axial {text} Quimbleton")
    after = builders.clean(tmp_path, ds, policy=compile_policy(spec))
    assert after.SeriesDescription == f"axial {text}"


def test_a_sequence_item_may_declare_its_own_character_set(tmp_path: Path) -> None:
    policy = compile_policy(PolicySpec("site", frozenset({Option.CLEAN_DESCRIPTORS})))
    inner = builders.item(SpecificCharacterSet="ISO_IR 144", CodeMeaning="axial Люксембург")
    inner.PatientName = "Люксембург"
    ds = ct(ReferencedInstanceSequence=builders.sequence(inner), SeriesDescription="axial")
    after = builders.clean(tmp_path, ds, policy=policy)
    assert after.ReferencedInstanceSequence[0].CodeMeaning.strip() == "axial"
    assert after.SeriesDescription == "axial"


@pytest.mark.parametrize("declared", [None, "ISO_IR 100", "ISO_IR 192", "ISO_IR 144"])
@pytest.mark.parametrize("really", ["latin-1", "utf-8"])
def test_a_wrong_declaration_leaks_nothing_and_withholds_nothing(
    tmp_path: Path, declared: str | None, really: str
) -> None:
    policy = compile_policy(PolicySpec("site", frozenset({Option.CLEAN_DESCRIPTORS})))
    ds = ct(
        PatientName="Qqqqqqqqq^Dorothea",
        SeriesDescription="axial Rrrrrrrrr",
        Manufacturer="Sssssssss",
    )
    ds.SpecificCharacterSet = declared
    name = "Bärlößch".encode(really)
    content = builders.encode(ds)
    for letter in (b"Q" + b"q" * 8, b"R" + b"r" * 8, b"S" + b"s" * 8):
        assert letter in content
        content = content.replace(letter, name.ljust(9)[:9] if really == "latin-1" else name[:9])
    disposition, members = builders.run(tmp_path, [content], policy=policy)
    assert disposition.delivered == 1, disposition.residue
    (output,) = members.values()
    assert name[:9].strip() not in output
    assert name[:4] not in output
    assert pydicom.dcmread(pydicom.filebase.DicomBytesIO(output)).SeriesDescription == "axial"
