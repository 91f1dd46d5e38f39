"""The tasks whose corpora cannot be shipped are read from the archives that their owners send."""

import pytest

from clinx.corpora import read_splits
from clinx.corpora.tasks import TASKS
from tests.train.corpora.formats.archives import tar, zipped
from tests.train.corpora.formats.test_i2b2 import (
    CONCEPTS_2010,
    EVENTS,
    EXPECTED_2006,
    EXPECTED_2010,
    EXPECTED_2014,
    NOTE_2010,
    RECORDS,
    TIMES,
    XML_2014,
    mentions,
    xml_2012,
)


AS_DISTRIBUTED = {
    "i2b2-2006": {
        "deid_surrogate_train_all_version2.zip": zipped({"deid_surrogate_train_all_version2.xml": RECORDS}),
        "deid_surrogate_test_all_groundtruth_version2.zip": zipped(
            {"deid_surrogate_test_all_groundtruth_version2.xml": RECORDS}
        ),
        "deid_surrogate_test_all_version2.zip": zipped({"deid_surrogate_test_all_version2.xml": "<ROOT/>"}),
    },
    "i2b2-2010": {
        "concept_assertion_relation_training_data.tar.gz": tar(
            {
                f"concept_assertion_relation_training_data/{place}/{part}/record-1.{suffix}": content
                for place in ("beth", "partners")
                for part, suffix, content in (("txt", "txt", NOTE_2010), ("concept", "con", CONCEPTS_2010))
            }
        ),
        "test_data.tar.gz": tar({"test_data/0001.txt": NOTE_2010}),
        "reference_standard_for_test_data.tar.gz": tar(
            {"reference_standard_for_test_data/concepts/0001.con": CONCEPTS_2010}
        ),
    },
    "i2b2-2012-c": {
        "2012-07-15.original-annotation.release.tar.gz": tar(
            {"2012-07-15.original-annotation.release/23.xml": xml_2012(), "2012-07-15.original/23.xml.extent": ""}
        ),
        "2012-08-23.test-data.groundtruth.tar.gz": tar(
            {"ground_truth/merged_xml/53.xml": xml_2012(), "ground_truth/unmerged_xml/53.xml": xml_2012()}
        ),
    },
    "i2b2-2014": {
        "training-PHI-Gold-Set1.tar.gz": tar({"training-PHI-Gold-Set1/220-01.xml": XML_2014}),
        "training-PHI-Gold-Set2.tar.gz": tar({"training-PHI-Gold-Set2/301-01.xml": XML_2014}),
        "testing-PHI-Gold-fixed.tar.gz": tar({"testing-PHI-Gold-fixed/110-01.xml": XML_2014}),
    },
}


_2010_IDS = [f"concept_assertion_relation_training_data/{place}/txt/record-1" for place in ("beth", "partners")]
_2012_IDS = ["2012-07-15.original-annotation.release/23"]
_2014_IDS = [
    f"training-PHI-Gold-Set{n}.tar.gz/training-PHI-Gold-Set{n}/{name}" for n, name in ((1, "220-01"), (2, "301-01"))
]


@pytest.mark.parametrize(
    ("task", "ids", "expected"),
    [
        ("i2b2-2006", (["641", "642"], ["641", "642"]), EXPECTED_2006[0]),
        ("i2b2-2010", (_2010_IDS, ["test_data/0001"]), EXPECTED_2010),
        ("i2b2-2012-c", (_2012_IDS, ["ground_truth/merged_xml/53"]), EVENTS),
        ("i2b2-2012-t", (_2012_IDS, ["ground_truth/merged_xml/53"]), TIMES),
        ("i2b2-2014", (_2014_IDS, ["testing-PHI-Gold-fixed/110-01"]), EXPECTED_2014),
    ],
)
def test_a_task_is_read_from_the_archives_that_its_owners_send(tmp_path, task, ids, expected):
    for name, content in AS_DISTRIBUTED[task.replace("2012-t", "2012-c")].items():
        (tmp_path / name).write_bytes(content)
    splits = {name: list(documents) for name, documents in read_splits(tmp_path, task=TASKS[task]).items()}
    assert [name for name in splits] == ["train", "test"]
    for found, wanted in zip(splits.values(), ids, strict=True):
        assert [document.id for document in found] == wanted
        assert mentions(found[0]) == expected
