from locutus_dagster_tests.cli.test_resolve import *
def test_show(world, tmp_path):
    path = next((world.root / "pacs" / FIRST / "one").iterdir())
    dataset = pydicom.dcmread(path); dataset.PatientID = "MRN-OF-ANOTHER"; dataset.save_as(path)
    p = tmp_path/"plan.csv"
    print(resolve().output)
    print(resolve("--via","CONSOLIDATE_LOCALLY","--plan",p,"--accessions").output)
    print(p.read_text())
    print(resolve("--apply",p,"--accessions").output)
    print(resolve().output)
    print(resolve("--help").output)
