"""The ten tasks of Lange et al. 2022 (table 1) as data: what they are, where they are, and how their files are read."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """A concept-extraction task.

    Attributes:
        name, title, language: `language` as an ISO 639-1 code.
        format: the one in which its owners distribute it.
        labels: all that occur.
        sentences: how many the paper counts, by split.
        folder: where `clinx corpus fetch` puts the files, or tells where to put them; two tasks may share one.
        exclude: regular expression; files in whose folders it occurs belong to another task, or to none.
        splits: regular expressions for what in a path speaks for a split, where it is not its name.
        zenodo: records of which all files are downloaded; none for what one has to apply for.
        archives: names of the files that one gets, for those that one has to apply for or download by hand.
    """

    name: str
    title: str
    language: str
    format: str
    labels: tuple[str, ...]
    sentences: dict[str, int]
    folder: str
    license: str
    homepage: str
    citation: str
    exclude: str = "background"
    splits: dict[str, str] = field(default_factory=dict)
    zenodo: tuple[int, ...] = ()
    archives: tuple[str, ...] = ()

    @property
    def home(self) -> Path:
        """The folder of its files in HF_HOME."""
        from huggingface_hub import constants

        return Path(constants.HF_HOME, "clinx", "corpora", self.folder)


_N2C2 = {
    "language": "en",
    "license": "n2c2 data use agreement: not to be shared",
    "homepage": "https://portal.dbmi.hms.harvard.edu/projects/n2c2-nlp/",
}
_PLAN_TL = {"language": "es", "format": "brat", "license": "CC BY 4.0"}
_MEDDOPROF = {
    **_PLAN_TL,
    "sentences": {"train": 51_350, "test": 10_008},
    "folder": "meddoprof",
    "homepage": "https://temu.bsc.es/meddoprof/",
    "citation": "Lima-López et al.: NLP applied to occupational health: MEDDOPROF shared task at IberLEF 2021 on "
    "automatic recognition, classification and normalization of professions and occupations from medical texts. "
    "Procesamiento del Lenguaje Natural 67, 2021.",
    "zenodo": (4775741,),  # the training set
    "archives": ("meddoprof-test-GS.zip",),
}
_I2B2_2012 = {
    **_N2C2,
    "sentences": {"train": 7_636, "test": 5_785},
    "folder": "i2b2-2012",
    "citation": "Sun, Rumshisky, Uzuner: Evaluating temporal relations in clinical text: 2012 i2b2 Challenge. JAMIA "
    "20(5), 2013. https://doi.org/10.1136/amiajnl-2013-001628",
    "exclude": "unmerged",
    "splits": {"train": "original-annotation|train(ing)?", "test": "ground[_-]?truth|test"},
    "archives": ("2012-07-15.original-annotation.release.tar.gz", "2012-08-23.test-data.groundtruth.tar.gz"),
}

_ALL = (
    Task(
        name="meddocan",
        title="MEDDOCAN: personal data in Spanish case reports",
        labels=(
            "CALLE",
            "CENTRO_SALUD",
            "CORREO_ELECTRONICO",
            "EDAD_SUJETO_ASISTENCIA",
            "FAMILIARES_SUJETO_ASISTENCIA",
            "FECHAS",
            "HOSPITAL",
            "ID_ASEGURAMIENTO",
            "ID_CONTACTO_ASISTENCIAL",
            "ID_EMPLEO_PERSONAL_SANITARIO",
            "ID_SUJETO_ASISTENCIA",
            "ID_TITULACION_PERSONAL_SANITARIO",
            "INSTITUCION",
            "NOMBRE_PERSONAL_SANITARIO",
            "NOMBRE_SUJETO_ASISTENCIA",
            "NUMERO_FAX",
            "NUMERO_TELEFONO",
            "OTROS_SUJETO_ASISTENCIA",
            "PAIS",
            "PROFESION",
            "SEXO_SUJETO_ASISTENCIA",
            "TERRITORIO",
        ),
        sentences={"train": 15_858, "validation": 8_283, "test": 8_009},
        folder="meddocan",
        homepage="https://temu.bsc.es/meddocan/",
        citation="Marimon et al.: Automatic De-identification of Medical Texts in Spanish: the MEDDOCAN Track, Corpus, "
        "Guidelines, Methods and Evaluation of Results. IberLEF 2019.",
        zenodo=(4279323,),
        **_PLAN_TL,
    ),
    Task(
        name="pharmaconer",
        title="PharmaCoNER: drugs, chemicals and proteins in Spanish case reports",
        labels=("NORMALIZABLES", "NO_NORMALIZABLES", "PROTEINAS", "UNCLEAR"),
        sentences={"train": 8_582, "validation": 4_016, "test": 4_184},
        folder="pharmaconer",
        homepage="https://temu.bsc.es/pharmaconer/",
        citation="Gonzalez-Agirre et al.: PharmaCoNER: Pharmacological Substances, Compounds and proteins Named Entity "
        "Recognition track. BioNLP-OST 2019. https://doi.org/10.18653/v1/D19-5701",
        exclude="background|subtrack2",
        zenodo=(4270158,),
        **_PLAN_TL,
    ),
    Task(
        name="cantemist",
        title="CANTEMIST: tumour morphology in Spanish case reports",
        labels=("MORFOLOGIA_NEOPLASIA",),
        sentences={"train": 19_426, "validation": 18_172, "test": 11_196},
        folder="cantemist",
        homepage="https://temu.bsc.es/cantemist/",
        citation="Miranda-Escalada, Farré, Krallinger: Named Entity Recognition, Concept Normalization and Clinical "
        "Coding: Overview of the Cantemist Track for Cancer Text Mining in Spanish. IberLEF 2020.",
        exclude="background|cantemist-(norm|coding)",
        zenodo=(3978041,),
        **_PLAN_TL,
    ),
    Task(
        name="meddoprof-n",
        title="MEDDOPROF, track N: professions and employment in Spanish case reports",
        labels=("ACTIVIDAD", "PROFESION", "SITUACION_LABORAL"),
        exclude="background|task2|(^|/)(meddoprof-)?class(/|$)|complementary-entities|class_joint",
        **_MEDDOPROF,
    ),
    Task(
        name="meddoprof-c",
        title="MEDDOPROF, track C: whose professions, in Spanish case reports",
        labels=("FAMILIAR", "OTROS", "PACIENTE", "SANITARIO"),
        exclude="background|task1|(^|/)(meddoprof-)?ner(/|$)|complementary-entities|class_joint",
        **_MEDDOPROF,
    ),
    Task(
        name="i2b2-2006",
        title="i2b2 2006: personal data in English discharge summaries",
        format="i2b2-2006",
        labels=("AGE", "DATE", "DOCTOR", "HOSPITAL", "ID", "LOCATION", "PATIENT", "PHONE"),
        sentences={"train": 51_429, "test": 18_770},
        folder="i2b2-2006",
        citation="Uzuner, Luo, Szolovits: Evaluating the State-of-the-Art in Automatic De-identification. JAMIA 14(5), "
        "2007. https://doi.org/10.1197/jamia.M2444",
        exclude="test_all_version2",  # without annotations
        archives=("deid_surrogate_train_all_version2.zip", "deid_surrogate_test_all_groundtruth_version2.zip"),
        **_N2C2,
    ),
    Task(
        name="i2b2-2010",
        title="i2b2/VA 2010: problems, tests and treatments in English notes",
        format="i2b2-2010",
        labels=("problem", "test", "treatment"),
        sentences={"train": 16_487, "test": 27_882},
        folder="i2b2-2010",
        citation="Uzuner, South, Shen, DuVall: 2010 i2b2/VA challenge on concepts, assertions, and relations in "
        "clinical text. JAMIA 18(5), 2011. https://doi.org/10.1136/amiajnl-2011-000203",
        exclude="unreleased",
        archives=(
            "concept_assertion_relation_training_data.tar.gz",
            "reference_standard_for_test_data.tar.gz",
            "test_data.tar.gz",
        ),
        **_N2C2,
    ),
    Task(
        name="i2b2-2012-c",
        title="i2b2 2012, events: clinical events in English discharge summaries",
        format="i2b2-2012-c",
        labels=("CLINICAL_DEPT", "EVIDENTIAL", "OCCURRENCE", "PROBLEM", "TEST", "TREATMENT"),
        **_I2B2_2012,
    ),
    Task(
        name="i2b2-2012-t",
        title="i2b2 2012, time expressions in English discharge summaries",
        format="i2b2-2012-t",
        labels=("DATE", "DURATION", "FREQUENCY", "TIME"),
        **_I2B2_2012,
    ),
    Task(
        name="i2b2-2014",
        title="i2b2/UTHealth 2014: personal data in English longitudinal records",
        format="i2b2-2014",
        labels=(
            "AGE",
            "BIOID",
            "CITY",
            "COUNTRY",
            "DATE",
            "DEVICE",
            "DOCTOR",
            "EMAIL",
            "FAX",
            "HEALTHPLAN",
            "HOSPITAL",
            "IDNUM",
            "LOCATION-OTHER",
            "MEDICALRECORD",
            "ORGANIZATION",
            "PATIENT",
            "PHONE",
            "PROFESSION",
            "STATE",
            "STREET",
            "URL",
            "USERNAME",
            "ZIP",
        ),
        sentences={"train": 52_026, "test": 33_317},
        folder="i2b2-2014",
        citation="Stubbs, Uzuner: Annotating longitudinal clinical narratives for de-identification: The 2014 "
        "i2b2/UTHealth corpus. J. Biomed. Inform. 58, 2015. https://doi.org/10.1016/j.jbi.2015.07.020",
        archives=(
            "training-PHI-Gold-Set1.tar.gz",
            "training-PHI-Gold-Set2.tar.gz",
            "testing-PHI-Gold-fixed.tar.gz",
        ),
        **_N2C2,
    ),
)
TASKS = {task.name: task for task in _ALL}
