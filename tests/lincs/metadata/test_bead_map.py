import collections

import pytest

from moa_jax.lincs.metadata.bead_map import read_bead_map
from moa_jax.schemas import InputError

HEADER = "barcode_id\tgene_id\thigh_prop\n"


def write(tmp_path, text):
    path = tmp_path / "beads.txt"
    path.write_text(text)
    return path


def test_two_genes_share_a_colour(tmp_path):
    path = write(tmp_path, HEADER + "11\t5720\t1\n12\t55847\t1\n11\t55\t0\n13\t7\t0\n")
    assert read_bead_map(path) == {"5720": "11", "55847": "12", "55": "11", "7": "13"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("barcode_id\tgene_id\n11\t1\n", r"beads\.txt lacks the column high_prop"),
        (HEADER + "11\t1\t1\n\t2\t0\n", r"row 2 of .*beads\.txt has no barcode_id"),
        (HEADER + "11\t-666\t1\n", r"row 1 of .*beads\.txt has no gene_id"),
        (HEADER + "11\t1\t2\n", "has '2' as high_prop of the gene 1; 0 or 1 was expected"),
        (HEADER + "11\t1\t\n", "has nan as high_prop of the gene 1"),
        (HEADER + "11\t1\t1\n12\t1\t1\n", "gives the gene 1 two bead colours, 11 and 12"),
        (HEADER + "11\t1\t1\n11\t2\t1\n", "bead colour 11 two genes with high_prop 1, 1 and 2"),
        ("", "is empty"),
    ],
)
def test_what_is_no_bead_map_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_bead_map(write(tmp_path, text))


def test_the_map_of_cmap(real_data):
    beads = collections.Counter(read_bead_map(real_data / "beads/barcode_to_gene_map.txt").values())
    # 978 landmarks: 488 colours with two genes each, two colours with one.
    assert collections.Counter(beads.values()) == {2: 488, 1: 2}
