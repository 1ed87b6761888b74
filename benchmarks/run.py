"""`make bench`: every figure of docs/performance.md, measured in one run.

What belongs here: what is measured, and the tables that are printed. Ratios of figures of one run
hold on another machine; the seconds themselves do not.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

from dagster._core.events import AssetMaterializationPlannedData
from isal import isal_zlib

from benchmarks.generate import ct_study, mr_study, multiframe, trivial_studies
from benchmarks.measure import Figure, alternately, machine, peak_memory
from benchmarks.peers import measure as measure_peers
from benchmarks.scale import measure as measure_scale
from benchmarks.summaries import measure as measure_summaries
from locutus_dagster.deid import Pseudonyms, basic_policy, deidentify_study
from locutus_dagster.deid.encoding.archive import write_zip
from locutus_dagster.durable_files import atomic_file, sha256_of
from locutus_dagster.interim import RawZipWriter
from locutus_dagster.ledger import Ledger, State
from locutus_dagster.manifests import load_manifest
from locutus_dagster.pipeline.batch import Batch
from locutus_dagster.settings import Settings
from locutus_dagster.sources.folder import FolderSource
from locutus_dagster.targets.share import ShareTarget

SECRET = b"a secret for measurements only.."
REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
EVENTS = 40
TRIVIAL = int(os.environ.get("BENCH_TRIVIAL", "300"))
HEADER = (
    "SUBJECT_ID,IMAGING_TYPE,AGE_AT_IMAGING_(DAYS),ANATOMICAL_POSITION,ACCESSION_NUM,"
    "DEID_QC_STATUS,locutus_manifest_ver:locutus.onprem_dicom_deid_qc.2021march15"
)

_TRANSFORM = """
import sys
from pathlib import Path
from locutus_dagster.deid import Pseudonyms, basic_policy, deidentify_study
with open(sys.argv[2], "wb") as out:
    deidentify_study(Path(sys.argv[1]), out, policy=basic_policy(),
        pseudonyms=Pseudonyms(b"a secret for measurements only.."), subject_id="C000001")
"""
_IMPORTS = "from locutus_dagster.deid import deidentify_study\n"


def raw_zip(files: list[Path], path: Path, *, deflated: bool) -> None:
    """A study as a raw zip: stored, as the chain has it, or deflated, as from elsewhere."""
    if not deflated:
        with path.open("wb") as stream:
            writer = RawZipWriter(stream)
            for file in files:
                writer.add(file.read_bytes())
            writer.close()
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, file in enumerate(files, start=1):
            archive.write(file, f"{number:06d}.dcm")


def floor(deflated: list[bytes]) -> Callable[[], None]:
    """Merely inflate and deflate the same bytes, instance by instance, in memory."""

    def run() -> None:
        for member in deflated:
            content = isal_zlib.decompress(member, -15)
            press = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
            press.compress(content)
            press.flush()

    return run


def floor_zip(deflated: list[bytes], out: Path) -> Callable[[], None]:
    """The floor from zip to zip: the same, with checksums, zip structure and writing the file."""

    def run() -> None:
        inflated = (
            (f"{number:06d}.dcm", [isal_zlib.decompress(member, -15)])
            for number, member in enumerate(deflated)
        )
        with out.open("wb") as stream:
            write_zip(
                inflated,
                stream,
                expected_size=3 * sum(map(len, deflated)),
                expected_members=len(deflated),
            )

    return run


def transform(raw: Path, out: Path) -> Callable[[], None]:
    """The transform phase's work: parse, de-identify, search for residue, deflate, write."""
    policy, pseudonyms = basic_policy(), Pseudonyms(SECRET)

    def run() -> None:
        with out.open("wb") as stream:
            found = deidentify_study(
                raw, stream, policy=policy, pseudonyms=pseudonyms, subject_id="C000001"
            )
        if not found.clean or found.withheld:
            raise SystemExit("the generated study was not delivered whole: no figure")

    return run


def study_figures(name: str, files: list[Path], accession: str, work: Path) -> dict[str, object]:
    """Each phase of one study, beside the floor."""
    size = sum(file.stat().st_size for file in files)
    stored, deflated = work / "stored.zip", work / "deflated.zip"
    raw_zip(files, stored, deflated=False)
    raw_zip(files, deflated, deflated=True)
    pressed = []
    for file in files:
        press = isal_zlib.compressobj(1, isal_zlib.DEFLATED, -15)
        pressed.append(press.compress(file.read_bytes()) + press.flush())
    source = FolderSource(files[0].parents[1], index_path=work / "index" / "i.sqlite")
    (study,) = source.find(accession)

    def extract() -> None:
        with atomic_file(work / "extracted.zip") as stream:
            writer = RawZipWriter(stream)
            source.fetch(study, writer)
            writer.close()
        sha256_of(work / "extracted.zip")

    out = work / "out.zip"
    transform(stored, out)()
    share = work / "share"
    share.mkdir(exist_ok=True)
    target, checksum = ShareTarget(share), sha256_of(out)[0]
    figures = alternately(
        {
            "floor: inflate + deflate": floor(pressed),
            "floor from zip to zip, written to disk": floor_zip(pressed, work / "floor.zip"),
            "extract from a folder": extract,
            "transform (raw zip stored, as in the chain)": transform(stored, out),
            "transform (raw zip deflated)": transform(deflated, out),
            "deliver to a share": lambda: target.put(out, "a/b.zip", sha256=checksum),
            "whole accession": whole_accession(files[0].parents[1], accession, work),
        },
        REPEATS,
    )
    source.close()
    base = figures["floor: inflate + deflate"]
    print(f"\n### {name}: {len(files)} instances, {size / 1e6:.0f} MB\n")
    print("| what | seconds | MB/s | instances/s | against the floor |")
    print("|---|---:|---:|---:|---:|")
    for what, figure in figures.items():
        print(
            f"| {what} | {figure.wall:.3f} | {size / 1e6 / figure.wall:.0f} | "
            f"{len(files) / figure.wall:.0f} | {figure.wall / base.wall:.2f} x |"
        )
    return {
        "instances": len(files),
        "bytes": size,
        "figures": {what: vars(figure) for what, figure in figures.items()},
    }


def whole_accession(folder: Path, accession: str, work: Path) -> Callable[[], None]:
    """Find, extract, de-identify, search, deliver and record one accession, in this process."""
    counter = iter(range(10**6))

    def run() -> None:
        home = work / f"whole-{next(counter)}"
        share = home / "share"
        share.mkdir(parents=True)
        manifest = home / "one.csv"
        manifest.write_text(f"{HEADER}\nC000001,Radiology,12,head,{accession},,\n")
        settings = settings_for(folder, home, share, workers=0)
        ledger = Ledger.open(settings.find_ledger)
        report = load_manifest(ledger, manifest, workspace="default")
        for _ in Batch(settings, "default").run(report.partition_keys):
            pass
        if ledger.state_counts("default", "one") != {State.DELIVERED: 1}:
            raise SystemExit("the accession was not delivered: no figure")
        ledger.close()
        shutil.rmtree(home)

    return run


def orthanc_extraction(work: Path) -> dict[str, object]:
    """The CT study out of a real Orthanc: instance by instance, beside its archive."""
    import httpx

    from locutus_dagster.sources.orthanc import OrthancSource
    from locutus_dagster_tests.parts.orthanc import OrthancServer, find_orthanc

    if find_orthanc() is None:
        print("\nNo Orthanc here: extraction from it was not measured.")
        return {}
    files = ct_study(work / "orthanc-ct" / "study", accession="BENCH-ORTHANC")
    size = sum(file.stat().st_size for file in files)
    with OrthancServer(work / "orthanc") as server:
        for file in files:
            server.upload(file)
        checking = OrthancSource(server.url)
        trusting = OrthancSource(server.url, verify_md5=False)
        (study,) = checking.find("BENCH-ORTHANC")

        def extract(source: OrthancSource) -> None:
            with atomic_file(work / "orthanc.zip", durable=False) as stream:
                writer = RawZipWriter(stream)
                source.fetch(study, writer)
                writer.close()
            sha256_of(work / "orthanc.zip")

        def archive() -> None:
            url = f"{server.url}/studies/{study.source_id}/archive"
            with (
                (work / "archive.zip").open("wb") as out,
                httpx.stream("GET", url, timeout=300, trust_env=False) as response,
            ):
                for chunk in response.iter_raw():
                    out.write(chunk)

        figures = alternately(
            {
                "archive, as Orthanc zips it": archive,
                "extract, verified with MD5": partial(extract, checking),
                "extract, without asking for MD5": partial(extract, trusting),
            },
            max(1, REPEATS // 2),
        )
        checking.close()
        trusting.close()
    base = figures["archive, as Orthanc zips it"]
    print("\n### Extraction from Orthanc: the CT study\n")
    print("| what | seconds | MB/s | against the archive |")
    print("|---|---:|---:|---:|")
    for what, figure in figures.items():
        print(
            f"| {what} | {figure.wall:.2f} | {size / 1e6 / figure.wall:.0f} | "
            f"{base.wall / figure.wall:.1f} x as fast |"
        )
    return {what: vars(figure) for what, figure in figures.items()}


def settings_for(folder: Path, home: Path, share: Path, workers: int) -> Settings:
    """Settings of one workspace over a folder."""
    return Settings(
        home=home,
        workers=workers,
        workspaces={
            "default": {  # type: ignore[dict-item]
                "source": {"kind": "folder", "path": str(folder)},
                "target": {"kind": "share", "path": str(share)},
            }
        },
    )


def orchestration(work: Path) -> dict[str, object]:
    """What Dagster adds to each accession of a batch of trivial ones, on SQLite."""
    import dagster as dg

    from locutus_dagster.defs import build_defs
    from locutus_dagster.defs.partitions import register_partitions

    folder = work / "trivial"
    manifest = work / "trivial.csv"
    trivial_studies(folder, TRIVIAL, manifest=manifest)
    counter = iter(range(100))

    def prepared() -> tuple[Settings, list[str], Path]:
        home = work / f"home-{next(counter)}"
        share = home / "share"
        share.mkdir(parents=True)
        settings = settings_for(folder, home, share, workers=1)
        ledger = Ledger.open(settings.find_ledger)
        keys = list(load_manifest(ledger, manifest, workspace="default").partition_keys)
        ledger.close()
        return settings, keys, home

    def bare() -> None:
        settings, keys, _ = prepared()
        for _outcome in Batch(settings, "default").run(keys):
            pass

    def through_dagster() -> None:
        settings, keys, home = prepared()
        text = json.dumps(settings.model_dump(mode="json", include={"workspaces", "workers"}))
        (home / "locutus.yaml").write_text(text)
        os.environ["LOCUTUS_HOME"] = str(home)
        (home / "dagster").mkdir()
        with dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
            register_partitions(instance, "default", keys)
            result = (
                build_defs(settings)
                .resolve_job_def("process_manifest")
                .execute_in_process(
                    instance=instance,
                    tags={
                        "dagster/asset_partition_range_start": keys[0],
                        "dagster/asset_partition_range_end": keys[-1],
                    },
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                )
            )
        del os.environ["LOCUTUS_HOME"]  # it would win over the next settings
        if not result.success:
            raise SystemExit("the trivial batch failed: no figure")

    figures = alternately({"chain": bare, "dagster": through_dagster}, max(1, REPEATS // 2))
    events = event_cost(work)
    added = (figures["dagster"].wall - figures["chain"].wall) / TRIVIAL
    print(f"\n### Orchestration: {TRIVIAL} accessions of one small instance, one worker, SQLite\n")
    print("| what | seconds | ms an accession |")
    print("|---|---:|---:|")
    for what, figure in figures.items():
        print(f"| {what} | {figure.wall:.1f} | {1000 * figure.wall / TRIVIAL:.0f} |")
    print(f"| added by Dagster | {added * TRIVIAL:.1f} | {1000 * added:.0f} |")
    kept, opened = events["database kept open"].wall, events["as Dagster does it"].wall
    print(
        f"\nOne event takes {1000 * opened / EVENTS:.1f} ms, and with the databases kept open "
        f"({kept / opened:.2f} x) {1000 * kept / EVENTS:.1f} ms."
    )
    return {
        "accessions": TRIVIAL,
        "figures": {what: vars(figure) for what, figure in figures.items()},
        "seconds added per accession": added,
        "events": {what: vars(figure) for what, figure in events.items()},
    }


def event_cost(work: Path) -> dict[str, Figure]:
    """What one event costs on SQLite, with and without its databases kept open beside it."""
    import dagster as dg

    from locutus_dagster.defs.storage import event_databases_open

    @dg.asset
    def thing() -> None: ...

    folder = work / "events"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        run_id = dg.materialize([thing], instance=instance).run_id

        def report() -> None:
            for number in range(EVENTS):
                event = dg.DagsterEvent.build_asset_materialization_planned_event(
                    "job", "thing", AssetMaterializationPlannedData(thing.key, str(number))
                )
                instance.report_dagster_event(event, run_id)

        def report_kept_open() -> None:
            with event_databases_open(instance, run_id):
                report()

        return alternately(
            {"as Dagster does it": report, "database kept open": report_kept_open}, REPEATS
        )


def memory(work: Path) -> dict[str, int]:
    """Peak memory of the transform over studies of growing size."""
    out = str(work / "memory.zip")
    peaks = {"imports alone": peak_memory(_IMPORTS)}
    for instances in (50, 200, 800):
        raw = work / f"ct{instances}.zip"
        raw_zip(ct_study(work / f"ct{instances}", instances=instances), raw, deflated=False)
        peaks[f"{instances} CT instances"] = peak_memory(_TRANSFORM, str(raw), out)
        shutil.rmtree(work / f"ct{instances}")
        raw.unlink()
    for megabytes in (100, 1000):
        raw = work / "mf.zip"
        raw_zip([multiframe(work / "mf.dcm", megabytes)], raw, deflated=False)
        peaks[f"one instance of {megabytes} MB"] = peak_memory(_TRANSFORM, str(raw), out)
    print("\n### Peak memory of the transform (anonymous; pages of mapped files do not count)\n")
    print("| study | MB |")
    print("|---|---:|")
    for what, peak in peaks.items():
        print(f"| {what} | {peak / 1e6:.0f} |")
    return peaks


def main() -> None:
    """Measure everything; print tables; keep the figures as JSON."""
    results: dict[str, object] = {"machine": machine(), "date": date.today().isoformat()}  # noqa: DTZ011
    print(f"Measured {results['date']} on {results['machine']}; medians of {REPEATS} repeats.")
    with tempfile.TemporaryDirectory(prefix="locutus-bench-") as name:
        work = Path(name)
        only = set(sys.argv[1:])
        if not only or "ct" in only:
            files = ct_study(work / "ct" / "study")
            results["ct"] = study_figures("CT 512x512x16", files, "BENCH-CT-0001", work)
        if not only or "mr" in only:
            files = mr_study(work / "mr" / "study")
            results["mr"] = study_figures("MR 256x256x16", files, "BENCH-MR-0001", work)
        if not only or "orthanc" in only:
            results["orthanc"] = orthanc_extraction(work)
        if not only or "orchestration" in only:
            results["orchestration"] = orchestration(work)
        if not only or "memory" in only:
            results["memory"] = memory(work)
        if not only or "scale" in only:
            results["scale"] = measure_scale(work)
        if not only or "summaries" in only:
            results["summaries"] = measure_summaries(work)
        if not only or "peers" in only:
            results["peers"] = measure_peers(work)
    folder = Path("bench-results")
    folder.mkdir(exist_ok=True)
    path = folder / f"{results['date']}.json"
    path.write_text(json.dumps(results, indent=1, default=str))
    print(f"\nFigures: {path}")


__all__ = ["main"]

if __name__ == "__main__":
    main()
