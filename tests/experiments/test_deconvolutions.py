import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr

from experiments.deconvolutions.deconvolutions import (
    REFERENCE,
    compare_deconvolutions,
    deconvolution_files,
    exchange_rate,
    match_scale,
    read_deconvolutions,
)
from moa_jax.benchmark.perturbations.input_perturbations import InputPerturbation as Condition
from moa_jax.benchmark.perturbations.input_perturbations import perturb
from moa_jax.lincs.metadata.bead_map import read_bead_map
from moa_jax.schemas import InputError
from tests.small_sets import examples, gene_table

WELLS = ("A03", "A04", "B01", "B02")
GENES = gene_table(6)


def write_gct(path, values, wells=WELLS, genes=GENES):
    lines = ["#1.3", f"{values.shape[1]}\t{values.shape[0]}\t0\t0", "\t".join(["id", *wells])]
    for gene, column in zip(genes["entrez_id"], values.T, strict=True):
        lines.append("\t".join([gene, *(f"{value:.4f}" for value in column)]))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(4, 6)).round(4)


@pytest.fixture
def folder(tmp_path, values):
    """Each deconvolution has its own order of genes and of wells."""
    write_gct(tmp_path / "P_DE_UNI.gct", values)
    genes, wells = [3, 0, 5, 4, 1, 2], [2, 0, 3, 1]
    write_gct(
        tmp_path / "P_DE_other.gct",
        (values + 1)[wells][:, genes],
        [WELLS[well] for well in wells],
        GENES.iloc[genes],
    )
    (tmp_path / "notes.gct").write_text("not one of them")
    return tmp_path


@pytest.fixture
def train():
    expression = 2 * np.random.default_rng(1).normal(size=(8, 6))
    return examples(np.eye(3)[np.arange(8) % 3], list("abcdefgh"), expression=expression)


class Answers:
    """A fitted method that looks its answers up by well."""

    def __init__(self, probs_of):
        self.probs_of = probs_of

    def predict(self, wells):
        names = wells.table["sig_id"]
        key = int(wells.expression[0, 0])
        return np.array([self.probs_of[key][name] for name in names])


def test_files_are_found_by_their_names(folder):
    files = deconvolution_files(folder)
    assert list(files) == [REFERENCE, "other"]
    write_gct(folder / "Q_DE_UNI.gct", np.zeros((4, 6)))
    with pytest.raises(
        InputError, match=r"two files of the deconvolution UNI, P_DE_UNI\.gct and Q"
    ):
        deconvolution_files(folder)
    for name in ("P", "Q"):
        (folder / f"{name}_DE_UNI.gct").unlink()
    with pytest.raises(InputError, match=r"has the deconvolutions other .* expected UNI and"):
        deconvolution_files(folder)


def test_wells_and_genes_come_in_one_order(folder, train, values):
    plates = read_deconvolutions(deconvolution_files(folder), GENES, train)
    for examples_ in plates.values():
        assert list(examples_.table["sig_id"]) == list(WELLS)
        assert not examples_.labels.any()
        assert examples_.moas == train.moas
    np.testing.assert_allclose(plates["UNI"].expression, values, atol=1e-6)
    np.testing.assert_allclose(plates["other"].expression, values + 1, atol=1e-6)


def test_other_wells_or_genes_are_refused(folder, train, values):
    write_gct(folder / "P_DE_short.gct", values[:3], WELLS[:3])
    files = deconvolution_files(folder)
    with pytest.raises(InputError, match=r"short.gct has other wells \(3\) than .*UNI.gct \(4\)"):
        read_deconvolutions(files, GENES, train)
    write_gct(folder / "P_DE_short.gct", values[:, 1:], WELLS, GENES.iloc[1:])
    with pytest.raises(InputError, match=r"other landmark genes \(5\) than .*UNI.gct \(6\)"):
        read_deconvolutions(files, GENES, train)


def test_the_scale_of_the_training_signatures_is_matched_by_one_factor(train):
    wells = dataclasses.replace(train, expression=train.expression / 4)
    scaled, factor = match_scale(wells, train)
    assert factor == pytest.approx(4)
    np.testing.assert_allclose(scaled.expression, train.expression, rtol=1e-5)
    spiked = wells.expression.copy()
    spiked[0, 0] = 1000
    scaled, _ = match_scale(dataclasses.replace(wells, expression=spiked), train)
    assert scaled.expression.max() == pytest.approx(np.abs(train.expression).max())
    silent = dataclasses.replace(wells, expression=np.zeros_like(spiked))
    with pytest.raises(InputError, match="only zeros"):
        match_scale(silent, train)
    with pytest.raises(InputError, match="no training example has an expression"):
        match_scale(wells, dataclasses.replace(train, has_expression=np.zeros(8, bool)))


def test_genes_that_were_not_measured_do_not_count_for_the_scale(train):
    mask = np.arange(6) < 5
    expression = train.expression.copy()
    expression[:, ~mask] = 0
    _, factor = match_scale(
        dataclasses.replace(train, expression=expression, gene_mask=mask), train
    )
    assert factor == pytest.approx(1, abs=0.25)
    reference = np.sqrt((train.expression**2).mean(axis=1))
    measured = np.sqrt((expression[:, mask] ** 2).mean(axis=1))
    assert factor == pytest.approx(np.median(reference) / np.median(measured), rel=1e-5)


@pytest.fixture
def compared():
    """Two deconvolutions of five wells."""
    rng = np.random.default_rng(2)
    first, second = rng.dirichlet(np.ones(3), size=(2, 5))
    first[:3], second[:3] = np.eye(3) * 0.8 + 0.1, np.eye(3) * 0.5 + 0.2
    second[2] = [0.6, 0.3, 0.1]
    names = [f"w{row}" for row in range(5)]
    plates = {}
    for key, name in enumerate(("UNI", "other")):
        plate = examples(np.zeros((5, 3)), names, expression=np.full((5, 4), key))
        plates[name] = dataclasses.replace(plate, table=plate.table.assign(sig_id=names))
    fitted = Answers([dict(zip(names, probs, strict=True)) for probs in (first, second)])
    return first, second, compare_deconvolutions(fitted, plates)


def test_agreement_equals_scipys(compared):
    first, second, table = compared
    assert list(table["deconvolution"]) == ["UNI", "other"]
    one, other = table.iloc[0], table.iloc[1]
    assert (one["top1_agreement"], one["jensen_shannon"]) == (1, 0)
    assert one["spearman"] == pytest.approx(1)
    tops = first.argmax(axis=1), second.argmax(axis=1)
    assert other["top1_agreement"] == np.mean(tops[0] == tops[1])
    different = ~np.eye(5, dtype=bool)
    expected = (tops[0][:, None] == tops[1][None, :])[different].mean()
    assert other["top1_agreement_by_chance"] == pytest.approx(expected)
    distance = [jensenshannon(p, q, base=2) for p, q in zip(first, second, strict=True)]
    assert other["jensen_shannon"] == pytest.approx(np.mean(distance))
    with np.errstate(invalid="ignore"):
        rho = [spearmanr(p, q).statistic for p, q in zip(first, second, strict=True)]
    assert other["spearman"] == pytest.approx(np.nanmean(rho))


def test_a_constant_method_agrees_by_chance():
    plate = examples(np.zeros((3, 2)), list("abc"), expression=np.zeros((3, 4)))
    prior = dict.fromkeys(plate.table["sig_id"], np.array([0.5, 0.5]))
    row = compare_deconvolutions(Answers([prior]), {"UNI": plate}).iloc[0]
    assert (row["top1_agreement"], row["top1_agreement_by_chance"]) == (1, 1)
    assert np.isnan(row["spearman"])
    with pytest.raises(InputError, match="no deconvolution UNI; found other"):
        compare_deconvolutions(Answers([prior]), {"other": plate})


def test_planted_exchanges_are_counted():
    genes = gene_table(200)
    rng = np.random.default_rng(0)
    # The two genes of a bead lie on two sides of 0, so that an exchange moves both by 8.
    expression = np.tile([4.0, -4.0], 100) + 0.2 * rng.normal(size=(60, 200))
    wells = examples(np.zeros((60, 2)), [str(row) for row in range(60)], expression=expression)
    swapped = perturb(Condition("peak_swap", 0.1), wells, genes, seed=0)
    found = exchange_rate(wells, swapped, genes)
    assert found.opposite_jumps == pytest.approx(0.1)
    assert found.order_flips == pytest.approx(0.1)
    assert found.opposite_jumps_by_chance == pytest.approx(0.01, abs=0.005)
    noisy = perturb(Condition("gaussian", 6.0), wells, genes, seed=0)
    by_noise = exchange_rate(wells, noisy, genes)
    assert by_noise.opposite_jumps == pytest.approx(by_noise.opposite_jumps_by_chance, abs=0.01)
    with pytest.raises(InputError, match="1 bead pairs were measured in 60 wells"):
        exchange_rate(dataclasses.replace(wells, gene_mask=np.arange(200) < 3), swapped, genes)


@pytest.fixture(scope="module")
def real_plates(real_data):
    bead_of = read_bead_map(real_data / "beads" / "barcode_to_gene_map.txt")
    genes = pd.DataFrame({"entrez_id": sorted(bead_of, key=int)})
    genes = genes.assign(symbol=genes["entrez_id"], aliases="")
    genes["bead"] = genes["entrez_id"].map(bead_of)
    train = examples(np.eye(2), ["a", "b"], expression=np.ones((2, len(genes))))
    files = deconvolution_files(real_data / "beads")
    return genes, read_deconvolutions(files, genes, train)


def test_the_contests_plate_is_read(real_plates):
    _, plates = real_plates
    assert list(plates) == ["UNI", "benchmark", "gardn999"]
    for plate in plates.values():
        assert plate.expression.shape == (372, 978)
        assert plate.gene_mask.sum() == 976
    # Robust z-scores: the median of |z| of a normal gene is 0.6745.
    assert np.median(np.abs(plates["UNI"].expression)) == pytest.approx(0.65, abs=0.03)


@pytest.mark.parametrize(
    ("name", "jumps", "by_chance"), [("benchmark", 0.0035, 0.0007), ("gardn999", 0.0023, 0.0004)]
)
def test_real_exchanges_are_rarer_than_the_noise_of_the_order(real_plates, name, jumps, by_chance):
    genes, plates = real_plates
    found = exchange_rate(plates["UNI"], plates[name], genes)
    assert found.opposite_jumps == pytest.approx(jumps, abs=0.0001)
    assert found.opposite_jumps_by_chance == pytest.approx(by_chance, abs=0.0001)
    assert found.order_flips == pytest.approx(0.32, abs=0.01)
    assert found.order_flips_by_chance == pytest.approx(0.31, abs=0.015)
