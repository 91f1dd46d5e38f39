"""How fast are annotated corpora read? Megabytes of text a second on one core, beside reading their files alone."""

import os
from pathlib import Path

from report import arguments, finish, interleaved

from clinx.corpora import FORMATS, read_corpus
from clinx.corpora.source import corpus_files


CORPORA = (
    *(("meddocan", "brat"), ("pharmaconer", "brat"), ("cantemist", "brat"), ("meddocan-xml", "i2b2-2014")),
    *(("meddoprof", "conll"), ("bc5cdr", "conll")),
)

parser = arguments(__doc__)
parser.add_argument("--corpora", default=os.environ.get("CLINX_CORPORA", "../shared/corpora"))
args = parser.parse_args()

rows, result = [], {}
for name, format in CORPORA:
    path = Path(args.corpora, name)
    documents = list(read_corpus(path, format))
    megabytes = sum(len(document.text.encode()) for document in documents) / 1e6
    mentions = sum(len(document.entities) for document in documents)
    del documents
    seconds = interleaved(
        {
            "documents": lambda path=path, format=format: list(read_corpus(path, format)),
            "files": lambda path=path, format=format: [
                file.text() for file in corpus_files(path, FORMATS[format].suffixes, FORMATS[format].companions)
            ],
        },
        args.repeats,
    )
    result[name] = {
        "format": format,
        "megabytes": round(megabytes, 2),
        "mentions": mentions,
        "mb_per_second": round(megabytes / seconds["documents"], 1),
        "times_the_files_alone": round(seconds["documents"] / seconds["files"], 2),
    }
    rows.append(
        (
            f"{name} ({format})",
            f"{result[name]['mb_per_second']:5.1f} MB of text a second ({megabytes:.1f} MB, {mentions:,} mentions); "
            f"{result[name]['times_the_files_alone']:.2f} times the reading of its files alone",
        )
    )
finish("corpora", result, rows, args.out)
