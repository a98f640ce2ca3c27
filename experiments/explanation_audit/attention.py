r"""Whether the network's attention finds known targets of held-out compounds.

    python -m experiments.explanation_audit.attention runs/open/open --out=runs/attention

takes the folds in a folder (`experiments.main_result.open_vocabulary` makes them) and ranks the
proteins that some training compound acts on, for each held-out compound with a known target among
them: by the attention of the protein network, by the closed form that it corrects, by the network
before training (which attends to what the closed form says), and by the network with its weights
shuffled. Prints the tables and writes them to OUT/attention.md. A page may show attention only if
it ranks known targets no lower than the closed form does.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from experiments.explanation_audit.folds import fold_folders
from experiments.main_result.confidence_tables import Row, mean_with_interval
from moa_jax.calibration.calibration_store import read_held_out
from moa_jax.data.examples.batches import evaluation_batches
from moa_jax.data.examples.features import EncodedExamples
from moa_jax.data.examples.pooling import pool_by_compound
from moa_jax.evaluation.target_metrics import least_known, target_precision
from moa_jax.explanation.audit.weight_randomisation import shuffled
from moa_jax.files import write_text
from moa_jax.models.experts import EXPERTS, PROTEIN_NETWORK, SHOWN_IN
from moa_jax.models.protein_answers import PROTEINS, protein_logits
from moa_jax.predictions.result_tables import file_name, markdown_table
from moa_jax.progress import say
from moa_jax.schemas import Batch, GraphArrays, InputError
from moa_jax.training.fusion.modality_dropout import keep_only
from moa_jax.training.runs.predictor import Predictor, predict_encoded
from moa_jax.training.runs.run_folder import open_run
from moa_jax.training.sharding import replicate, shard
from moa_jax.training.target_answers import known_actions

CLOSED, ATTENTION = "closed form", "attention"
UNTRAINED, SHUFFLED = "attention, not trained", "attention, weights shuffled"
LIGANDS = "most ligands first"
# View with the controls.
BOTH = "fusion"
NUM_SHUFFLES = 3
# Compounds whose rarest target at most so many training compounds have.
RARE = 2

# View and ranking -> values.
Named = dict[tuple[str, str], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FoldRanks:
    """How well known targets of one fold's held-out compounds are ranked.

    Attributes:
      groups: the compounds.
      num_proteins: proteins that are ranked.
      rarest: training compounds of each compound's rarest target.
      precision: view and ranking -> average precision of each compound's known targets.
      share: the same -> share of known targets in what the ranking hands out.
    """

    groups: tuple[str, ...]
    num_proteins: int
    rarest: Int[np.ndarray, " compound"]
    precision: Named
    share: Named


def protein_shares(
    predictor: Predictor, examples: EncodedExamples, views: Sequence[str]
) -> dict[tuple[str, str], Float[np.ndarray, "example protein"]]:
    """View and ranking -> shares of the proteins with evidence; each example's sum to 1.

    Args:
      predictor: a model with a protein network.
      examples: what to predict.
      views: which modalities are shown.
    """
    model = predictor.task.model

    @jax.jit
    def step(params: Any, batch: Batch, graph: GraphArrays) -> dict[str, Array]:
        found = {}
        for view in views:
            expression, structure = SHOWN_IN[view]
            seen = keep_only(batch, expression=expression, structure=structure)
            output = model.apply({"params": params}, seen, graph, train=False)
            logits = protein_logits(params[PROTEINS], output.proteins, seen)
            by_protein = logits.sum(axis=1)[:, params[PROTEINS]["rows"]]
            found[f"{view}/{CLOSED}"] = jax.nn.softmax(by_protein, axis=-1)
            found[f"{view}/{ATTENTION}"] = output.network.attention
        return found

    found = predict_encoded(
        step,
        predictor.params,
        predictor.graph,
        examples,
        mesh=predictor.mesh,
        batch_size=predictor.batch_size,
    )
    rankings = [(view, ranking) for view in views for ranking in (CLOSED, ATTENTION)]
    return {(view, ranking): found[f"{view}/{ranking}"] for view, ranking in rankings}


def untrained(predictor: Predictor, examples: EncodedExamples) -> Predictor:
    """The model with its networks as they were before the first step."""
    size, mesh = predictor.batch_size, predictor.mesh
    batch = shard(next(evaluation_batches(examples, size, num_shards=mesh.size)), mesh)
    drawn = predictor.task.init(jax.random.key(0), batch, predictor.graph)
    solved = {name for name, expert in EXPERTS.items() if expert.comparison}
    return with_networks(predictor, {name: drawn[name] for name in drawn if name not in solved})


def with_shuffled_networks(predictor: Predictor, names: Iterable[str], *, seed: int) -> Predictor:
    """The model with the weights of these networks in random order."""
    rng = np.random.default_rng(seed)
    return with_networks(
        predictor, {name: shuffled(predictor.params[name], rng) for name in sorted(names)}
    )


def with_networks(predictor: Predictor, params: Mapping[str, Any]) -> Predictor:
    """The model with other parameters of some networks; the closed form is kept."""
    own = replicate(dict(params), predictor.mesh)
    return dataclasses.replace(predictor, params={**predictor.params, **own})


def ranks_of_fold(folder: pathlib.Path) -> FoldRanks:
    """Ranks of the known targets of the compounds that a run held out.

    Raises:
      InputError: the folder holds no run, or one of a model without a protein network.
    """
    predictor = open_run(folder, num_devices=1).predictor
    if PROTEIN_NETWORK not in predictor.task.model.experts:
        raise InputError(f"the model of {folder} has no {PROTEIN_NETWORK}, so no attention.")
    test = read_held_out(folder, predictor.features.moas)
    known = known_actions(test, predictor.features.proteins).any(axis=0)
    test, known = test.take(np.flatnonzero(known.any(axis=1))), known[known.any(axis=1)]
    encoded = predictor.encode(test)
    found = protein_shares(predictor, encoded, tuple(SHOWN_IN))
    first = untrained(predictor, encoded)
    found[BOTH, UNTRAINED] = protein_shares(first, encoded, (BOTH,))[BOTH, ATTENTION]
    names = [name for name in first.params if first.params[name] is not predictor.params[name]]
    for seed in range(NUM_SHUFFLES):
        other = with_shuffled_networks(predictor, names, seed=seed)
        name = f"{SHUFFLED} {seed}"
        found[BOTH, name] = protein_shares(other, encoded, (BOTH,))[BOTH, ATTENTION]
    counts = np.asarray(predictor.params[PROTEINS]["counts"])
    found[BOTH, LIGANDS] = np.tile(counts / counts.sum(), (test.num_examples, 1))
    say(f"{folder.name}: {test.num_examples} signatures, {len(counts)} proteins")
    return fold_ranks(found, known, test.groups, counts.astype(int))


def fold_ranks(
    shares: Mapping[tuple[str, str], Float[np.ndarray, "example protein"]],
    known: Bool[np.ndarray, "example protein"],
    groups: Sequence[str],
    num_ligands: Int[np.ndarray, " protein"],
) -> FoldRanks:
    """Average precision and share of known targets, with shares averaged over a compound's
    signatures; shuffles are averaged.

    Args:
      shares: view and ranking -> shares of the proteins.
      known: known targets.
      groups: compound of each signature.
      num_ligands: training compounds of each protein.
    """
    precision: dict[tuple[str, str], list[np.ndarray]] = {}
    share: dict[tuple[str, str], list[np.ndarray]] = {}
    for (view, ranking), of_signatures in shares.items():
        pooled, is_target, names = pool_by_compound(of_signatures.astype(float), known, groups)
        key = view, SHUFFLED if ranking.startswith(SHUFFLED) else ranking
        precision.setdefault(key, []).append(target_precision(pooled, is_target > 0))
        share.setdefault(key, []).append((pooled * (is_target > 0)).sum(axis=1))
    return FoldRanks(
        groups=names,
        num_proteins=len(num_ligands),
        rarest=least_known(is_target > 0, num_ligands),
        precision={key: np.mean(values, axis=0) for key, values in precision.items()},
        share={key: np.mean(values, axis=0) for key, values in share.items()},
    )


def rank_rows(folds: Sequence[FoldRanks]) -> list[Row]:
    """Every ranking in every view against the closed form, paired by compound."""
    groups = tuple(group for fold in folds for group in fold.groups)
    rare = np.concatenate([fold.rarest for fold in folds]) <= RARE
    rare_groups = tuple(np.asarray(groups, object)[rare])
    rows = []
    for key in folds[0].precision:
        view, ranking = key
        own, closed = (
            np.concatenate([fold.precision[name] for fold in folds])
            for name in (key, (view, CLOSED))
        )
        row = {"view": view, "ranking": ranking, "AP": mean_with_interval(own, groups)}
        row["minus closed form"] = (
            None if ranking == CLOSED else mean_with_interval(own - closed, groups)
        )
        row["AP, rare targets"] = mean_with_interval(own[rare], rare_groups)
        row["minus closed form, rare"] = (
            None if ranking == CLOSED else mean_with_interval((own - closed)[rare], rare_groups)
        )
        share = np.concatenate([fold.share[key] for fold in folds])
        row["share of known targets"] = mean_with_interval(share, groups)
        rows.append(row)
    return rows


def verdict(folds: Sequence[FoldRanks]) -> str:
    """Whether a page may show attention."""
    keys = (BOTH, ATTENTION), (BOTH, CLOSED)
    ours, closed = (
        float(np.concatenate([fold.precision[key] for fold in folds]).mean()) for key in keys
    )
    if ours < closed:
        return "Attention ranks known targets lower than the closed form: pages do not show it."
    return "Attention ranks known targets no lower than the closed form: pages may show it."


def main(argv: Sequence[str] | None = None) -> None:
    """Ranks, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folds", type=pathlib.Path, help="folder of folds")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    settings = parser.parse_args(argv)
    start = time.perf_counter(), time.process_time()
    try:
        runs = fold_folders(settings.folds)
        folds = [ranks_of_fold(run) for run in runs]
    except InputError as error:
        parser.error(str(error))
    release = open_run(runs[0], num_devices=1).manifest["release"]
    compounds = sum(len(fold.groups) for fold in folds)
    rare = sum(int((fold.rarest <= RARE).sum()) for fold in folds)
    proteins = sorted({fold.num_proteins for fold in folds})
    text = (
        f"# Release: {release}\n\n{markdown_table(rank_rows(folds))}\n\n{verdict(folds)}\n\n"
        f"{len(folds)} folds, {compounds} compounds ({rare} with a rare target), {proteins[0]} to "
        f"{proteins[-1]} proteins, {NUM_SHUFFLES} shuffles; {time.perf_counter() - start[0]:.0f} s "
        f"of wall-clock time, {time.process_time() - start[1]:.0f} s of CPU time.\n"
    )
    settings.out.mkdir(parents=True, exist_ok=True)
    write_text(settings.out / file_name("attention.md", release), text)
    print(text)


if __name__ == "__main__":
    main()
