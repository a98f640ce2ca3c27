"""Time of `moa_jax.predict` for 10,000 signatures.

    python -m experiments.predict_speed.run --workdir=RUN --data=FOLDER

repeats the signatures of a prepared folder under new names until there are 10,000, writes them as
GCTX with siginfo and compound table, and calls `moa_jax.predict` twice. The first call compiles;
the second finds the compiled programs in JAX's compilation cache, in a temporary folder. A call is
the whole program except for the start of Python: checkpoint, files, structures, probabilities,
quality gates, answers, tables.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import tempfile
import time

import jax
import numpy as np
import pandas as pd

from moa_jax import predict
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared
from moa_jax.lincs.files.gctx_writer import write_gctx


def write_inputs(dataset: PreparedDataset, folder: pathlib.Path, count: int) -> list[str]:
    """Writes `count` signatures as a user's files; returns the options that name them."""
    signatures = dataset.signatures
    rows = np.arange(count) % len(signatures.table)
    table = signatures.table.iloc[rows].reset_index(drop=True)
    table["sig_id"] = [f"{name}:{number}" for number, name in enumerate(table["sig_id"])]
    write_gctx(
        folder / "signatures.gctx",
        profile_table=pd.DataFrame(index=table["sig_id"].tolist()),
        gene_table=pd.DataFrame(index=signatures.genes["entrez_id"].tolist()),
        blocks=[signatures.expression[rows].astype(np.float32)],
    )
    table.to_csv(folder / "siginfo.txt", sep="\t", index=False)
    known = dataset.compounds.table
    compounds = pd.DataFrame(
        {
            "pert_id": known["pert_id"],
            "cmap_name": known["compound"],
            "target": "",
            "moa": "",
            "canonical_smiles": known["smiles"],
            "inchi_key": "",
        }
    )
    compounds.to_csv(folder / "compounds.txt", sep="\t", index=False)
    names = {"signatures": "signatures.gctx", "siginfo": "siginfo.txt"}
    names["compoundinfo"] = "compounds.txt"
    return [f"--{option}={folder / name}" for option, name in names.items()]


def seconds_of(argv: list[str]) -> tuple[float, float]:
    """Wall-clock and CPU time of one call of the program."""
    start = time.perf_counter(), time.process_time()
    if predict.run(argv):
        raise SystemExit("moa_jax.predict refused its input.")
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main() -> None:
    """Writes the files, calls the program twice and prints the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", required=True, help="folder of a trained run")
    parser.add_argument("--data", required=True, help="prepared folder whose signatures to repeat")
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        given = write_inputs(read_prepared(options.data), folder, options.count)
        argv = [f"--workdir={options.workdir}", *given, f"--out={folder / 'out'}"]
        for call in ("first call, compiles", "second call"):
            load = os.getloadavg()[0]
            wall, cpu = seconds_of(argv)
            print(f"{call}: {wall:.1f} s, {cpu:.1f} s of CPU time (load before it: {load:.1f})")


if __name__ == "__main__":
    main()
