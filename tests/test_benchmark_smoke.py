"""The quick benchmark as a user runs it, and its report in a browser."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.browser import browser  # noqa: F401 (a fixture, found here by the tests)

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parent.parent
SPLITS = ("compound", "scaffold", "cell_line", "random_signature", "unseen_moa")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    # One device, as on a user's machine: the tests' own process has eight virtual ones.
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-m", "moa_jax.evaluate"]
    options = ["--config=configs/benchmark_smoke.py", f"--workdir={folder}"]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "simulated: compound_seed0" in done.stdout
    return folder


def metrics(folder, split):
    path = folder / "tables" / f"{split}_seed0" / "simulated_metrics.json"
    return json.loads(path.read_text())


def test_every_split_has_its_tables(benchmark):
    for split in SPLITS:
        assert metrics(benchmark, split)
        assert (benchmark / "tables" / f"{split}_seed0" / "simulated_tables.md").exists()


def test_random_signatures_leak(benchmark):
    """Compounds that were learned are recognised by their structure, so the score is a sham."""
    fair = metrics(benchmark, "compound")["morgan_logistic"]["macro_auprc"]
    leaking = metrics(benchmark, "random_signature")["morgan_logistic"]["macro_auprc"]
    assert leaking["low"] > fair["high"]


def test_the_planted_signal_is_found_and_noise_takes_it(benchmark):
    found = metrics(benchmark, "compound")
    chance = found["prevalence"]["macro_auprc"]["high"]
    clean = found["product_of_logistics"]["macro_auprc"]
    assert clean["low"] > chance
    noisy = found["cosine_knn (tested on peak_swap_1)"]["macro_auprc"]
    assert noisy["estimate"] < found["cosine_knn"]["macro_auprc"]["estimate"]
    shuffled = found["product_of_logistics (tested on structure_shuffled)"]["macro_auprc"]
    assert shuffled["estimate"] < clean["estimate"]


def test_the_report_works_in_a_browser(benchmark, browser):  # noqa: F811 (the fixture above)
    report = benchmark / "simulated_report.html"
    for width in (1280, 375):
        browser.open(report, width=width)
        assert browser.console() == []
        assert browser.overflow() == 0
        assert [url for url in browser.requests() if not url.startswith("file://")] == []
    titles = [heading.text for heading in browser.find_all("h2")]
    assert "Comparison of splits" in titles
    assert "compound_seed0: robustness to noise" in titles
    # The first table is sorted by its first split, the best first; a click turns it round.
    rows = "table tbody tr:first-child th, table tbody tr:first-child td:first-child"
    best = browser.find(rows).text
    assert best == "fusion"
    browser.find("table thead th:nth-child(2) button").click()
    assert browser.find(rows).text == "prevalence"
