"""Whether proteins that rank first are targets: by hand, on a model, and as a file."""

import numpy as np
import pytest

from moa_jax.explanation.audit.target_ranking import (
    FREQUENCY,
    MODEL,
    REWIRED,
    TARGET_AUDIT_FILE,
    audit_held_out,
    read_target_audit,
    target_audit,
    write_target_audit,
)
from moa_jax.predictions.target_evidence import target_evidence
from moa_jax.schemas import InputError
from tests.explanation.protein_models import (
    its_target_model,
    protein_config,
    protein_predictor,
    training_examples,
)
from tests.synthetic import make_raw_examples, with_targets

# Two compounds with targets and one without; three proteins.
IS_TARGET = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
SCORES = {
    MODEL: np.array([[3.0, 2.0, 1.0], [0.0, 0.0, 0.0], [1.0, 3.0, 2.0]]),
    # Ranks the targets third, and first and third.
    FREQUENCY: np.array([[1.0, 3.0, 2.0]] * 3),
    # Ties are one threshold.
    REWIRED: np.zeros((3, 3)),
}


def test_average_precision_of_compounds_with_targets_by_hand():
    audit = target_audit(SCORES, IS_TARGET)
    assert (audit.num_compounds, audit.num_proteins) == (2, 3)
    expected = {MODEL: 1.0, FREQUENCY: (1 / 3 + 1.0) / 2, REWIRED: (1 / 3 + 2 / 3) / 2}
    assert dict(audit.average_precision) == pytest.approx(expected)
    assert audit.gain[REWIRED].estimate == pytest.approx(0.5)
    # The gains of the two compounds are 2/3 and 1/3: the interval lies between them.
    assert audit.gain[REWIRED].low == pytest.approx(1 / 3)
    assert audit.gain[REWIRED].high == pytest.approx(2 / 3)
    assert audit.beats(REWIRED)
    # Here one of them is 0.
    assert audit.gain[FREQUENCY].low == pytest.approx(0.0)
    assert not audit.beats(FREQUENCY)


def test_without_targets_there_is_nothing_to_test():
    assert target_audit(SCORES, np.zeros((3, 3))) is None


def test_compounds_that_a_model_was_not_trained_on():
    predictor = protein_predictor()
    model = its_target_model(predictor)

    def audit_of(examples):
        evidence = target_evidence(predictor, predictor.encode(examples))
        return audit_held_out(protein_config(), model, evidence, examples)

    audit = audit_of(with_targets(make_raw_examples(24, seed=7)))
    assert audit.num_compounds == 12
    assert audit.num_proteins == len(predictor.features.proteins)
    assert set(audit.gain) == {FREQUENCY, REWIRED}
    # Its own training compounds: the order of all the others shows that the labels are theirs.
    known = audit_of(training_examples())
    assert known.average_precision[MODEL] > known.average_precision[FREQUENCY] + 0.1
    assert audit_of(make_raw_examples(6)) is None


def test_a_run_keeps_its_audit(tmp_path):
    assert read_target_audit(tmp_path) is None
    audit = target_audit(SCORES, IS_TARGET)
    write_target_audit(tmp_path, audit)
    assert read_target_audit(tmp_path) == audit
    for damaged in ("[]", '{"gain": {"rewired_graph": {}}}', '{"gain": 3}'):
        (tmp_path / TARGET_AUDIT_FILE).write_text(damaged)
        with pytest.raises(InputError, match=rf"{TARGET_AUDIT_FILE} is damaged"):
            read_target_audit(tmp_path)
