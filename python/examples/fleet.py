"""Verifies and inventories a folder of archives on Dask: python fleet.py FOLDER TABLE.parquet [SCHEDULER]

Writes one row per image, and one for an archive without images that can be read. Without SCHEDULER the cores of this
machine work; with the address of a cluster its workers do, which need imgtar and the same FOLDER.
"""

import pathlib
import sys
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from dask.distributed import Client, as_completed

import imgtar

TEXT, SIZE = pa.string(), pa.int64()
LAYER = pa.struct({"diff_id": TEXT, "digest": TEXT, "stored_size": SIZE})
FILE = pa.struct({"path": TEXT, "size": SIZE, "sha256": TEXT})
VERDICT = pa.struct({"engine": TEXT, "store": TEXT, "version": TEXT, "options": TEXT, "verdict": TEXT})
ARCHIVE = {"archive": TEXT, "bytes": SIZE, "ok": pa.bool_(), "verdicts": pa.list_(VERDICT), "problems": pa.list_(TEXT)}
IMAGE = {"image": SIZE, "id": TEXT, "names": pa.list_(TEXT), "platform": TEXT, "created": TEXT, "size": SIZE}
SCHEMA = pa.schema({**ARCHIVE, **IMAGE, "layers": pa.list_(LAYER), "files": pa.list_(FILE)})


def look(path: str) -> list:
    """The rows of one archive; one worker has one core."""
    try:
        checked = imgtar.verify(path, jobs=1)
    except imgtar.IoError as error:
        return [{"archive": path, "ok": False, "problems": [str(error)]}]
    archive = {"archive": path, "bytes": pathlib.Path(path).stat().st_size, "ok": checked.ok}
    archive["verdicts"] = [{name: getattr(verdict, name) for name in VERDICT.names} for verdict in checked.verdicts]
    archive["problems"] = sorted({problem.code for problem in checked.problems})
    try:
        return [{**archive, **describe(image)} for image in imgtar.open(path, jobs=1).images] or [archive]
    except imgtar.InputError:  # `problems` says why.
        return [archive]


def describe(image: imgtar.Image) -> dict:
    """What the table says of one image."""
    layers = [{name: getattr(layer, name) for name in LAYER.names} for layer in image.layers]
    files = [entry._asdict() for entry in image.files(digests=True) if entry.type == "file"]
    for file in files:  # A name need not be UTF-8, and text in the table is.
        file["path"] = file["path"].encode(errors="backslashreplace").decode()
    row = {"image": image.index, "layers": layers, "files": files, "size": sum(layer.size or 0 for layer in image.layers)}
    return {**row, **{name: getattr(image, name) for name in ("id", "names", "platform", "created")}}


def main(folder: str, table: str, scheduler: str = "") -> None:
    """Writes the table and says which archives fail."""
    paths = sorted(str(path) for path in pathlib.Path(folder).rglob("*.tar*") if path.is_file())
    with Client(scheduler) if scheduler else Client(threads_per_worker=1) as client, pq.ParquetWriter(table, SCHEMA) as out:
        for _, rows in as_completed(client.map(look, paths, pure=False), with_results=True):
            out.write_table(pa.Table.from_pylist(rows, SCHEMA))
    print(duckdb.sql(f"SELECT DISTINCT archive, problems FROM '{table}' WHERE NOT ok ORDER BY archive"))


if __name__ == "__main__":
    main(*sys.argv[1:])
