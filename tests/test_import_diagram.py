"""The import diagrams of docs/architecture.md are those of the code."""

from tests.import_diagram import DOCUMENT, diagrams, with_diagrams
from tests.test_architecture import sources


def test_the_document_has_the_present_diagrams():
    text = DOCUMENT.read_text()
    # Written by `python -m tests.import_diagram`.
    assert text == with_diagrams(text, sources())


def test_a_new_import_is_a_new_arrow():
    files = {
        "moa_jax/train.py": "from moa_jax.models.experts import EXPERTS",
        "moa_jax/models/__init__.py": "",
        "moa_jax/models/experts.py": "from moa_jax.schemas import Batch",
        "moa_jax/models/encoders/__init__.py": "",
        "moa_jax/models/encoders/signature.py": "",
        "moa_jax/models/layers/__init__.py": "",
        "moa_jax/models/layers/dense.py": "",
        "moa_jax/schemas/__init__.py": "",
    }
    before = diagrams(files)
    assert "  train --> models\n" in before
    assert "schemas" not in before
    files["moa_jax/models/encoders/signature.py"] = "from moa_jax.models.layers import dense"
    arrow = "  models_encoders --> models_layers\n"
    assert set(diagrams(files).splitlines()) - set(before.splitlines()) == {arrow.strip("\n")}
