"""Each clause of the two Haynes filters, with what makes it true, and what is nearly so."""

import pytest

from clinx.corpora.pubmed.filters import FILTERS
from clinx.corpora.pubmed.mesh import Thesaurus
from clinx.corpora.pubmed.query import compile_query, parse_query


NEITHER, BROAD, BOTH = "neither", "broad", "both"
CASES = [
    # what is true, of which citation; a title and an abstract of no filter unless told
    (NEITHER, {}),
    # randomized[tiab] AND controlled[tiab] AND trial[tiab]; each that begins with `random` is broad too
    (BOTH, {"abstract": "A randomized, controlled trial."}),
    (BOTH, {"title": "RANDOMIZED: controlled", "abstract": "the Trial"}),
    (BOTH, {"title": "<i>Randomized</i>", "abstract": [("METHODS", "controlled"), ("RESULTS", "trial.")]}),
    (BOTH, {"abstract": "randomized controlled", "keywords": ["trial"]}),
    (BOTH, {"abstract": "double-randomized, placebo-controlled trial/study"}),
    (BROAD, {"abstract": "A randomised controlled trial."}),
    (BROAD, {"abstract": "Randomized controlled trials."}),
    (BROAD, {"abstract": "Randomized uncontrolled trial."}),
    (NEITHER, {"abstract": "controlled trial"}),
    (NEITHER, {"title": "controlled", "abstract": "trial"}),
    # randomized controlled trial[pt] and what is below it; clinical trial[pt] and what is below it
    (BOTH, {"types": ["Journal Article", "Randomized Controlled Trial"]}),
    (BOTH, {"types": ["Pragmatic Clinical Trial"]}),
    (BOTH, {"types": ["Equivalence Trial"]}),
    (BROAD, {"types": ["Controlled Clinical Trial"]}),
    (BROAD, {"types": ["Clinical Trial"]}),
    (BROAD, {"types": ["Adaptive Clinical Trial"]}),
    *((BROAD, {"types": [f"Clinical Trial, Phase {phase}"]}) for phase in ("I", "II", "III", "IV")),
    (NEITHER, {"types": ["Clinical Trial, Veterinary"]}),
    (NEITHER, {"types": ["Clinical Trial Protocol"]}),
    (NEITHER, {"types": ["Clinical Study"]}),
    (NEITHER, {"types": ["Observational Study", "Multicenter Study"]}),
    # clinical[tiab] AND trial[tiab]
    (BROAD, {"title": "Clinical", "abstract": "the trial"}),
    (NEITHER, {"abstract": "clinical trials"}),
    (NEITHER, {"abstract": "preclinical trial"}),
    (BROAD, {"abstract": "pre-clinical trial"}),
    (BROAD, {"abstract": "An abstract.", "other_abstract": "clinical trial"}),
    # random*[tiab]
    (BROAD, {"abstract": "at random"}),
    (BROAD, {"abstract": "quasi-randomly"}),
    (BROAD, {"title": "Randomisation of mice"}),
    (NEITHER, {"abstract": "nonrandomized"}),
    (NEITHER, {"abstract": "A rando group."}),
    # clinical trials[mh], translated to Clinical Trials as Topic, and what is below it
    (BROAD, {"mesh": [("Humans",), ("Clinical Trials as Topic", "methods")]}),
    (BROAD, {"mesh": [("Clinical Trials, Phase II as Topic",)]}),
    (BROAD, {"mesh": [("Non-Randomized Controlled Trials as Topic",)]}),
    (BROAD, {"mesh": [("Randomized Controlled Trials as Topic",)]}),
    (BROAD, {"mesh": [("Equivalence Trials as Topic",)]}),
    (NEITHER, {"mesh": [("Multicenter Studies as Topic",)]}),
    (NEITHER, {"mesh": [("Clinical Studies as Topic",)]}),
    # random allocation[mh]
    (BROAD, {"mesh": [("Random Allocation",)]}),
    (NEITHER, {"mesh": [("Double-Blind Method",)]}),
    # therapeutic use[sh] and what is below it, under any heading
    (BROAD, {"mesh": [("Humans",), ("Aspirin", "pharmacology", "*therapeutic use")]}),
    (BROAD, {"mesh": [("Aspirin", "administration &amp; dosage")]}),
    (BROAD, {"mesh": [("Aspirin", "adverse effects")]}),
    (BROAD, {"mesh": [("Aspirin", "poisoning")]}),
    (NEITHER, {"mesh": [("Aspirin", "toxicity")]}),
    (NEITHER, {"mesh": [("Asthma", "drug therapy", "therapy")]}),
    (NEITHER, {"mesh": [("Therapeutic Use", "methods")]}),
]


@pytest.mark.parametrize(("expected", "fields"), CASES, ids=[str(fields) for _, fields in CASES])
def test_a_filter_selects_what_its_clauses_say(citation, expected, fields):
    thesaurus, read = Thesaurus(), citation(**fields)
    narrow, broad = (compile_query(parse_query(FILTERS[name]), thesaurus)(read) for name in FILTERS)
    assert (narrow, broad) == {NEITHER: (False, False), BROAD: (False, True), BOTH: (True, True)}[expected]
