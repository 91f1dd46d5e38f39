"""The paper's figures, beside which a study prints its own: strict micro F1 in % (Lange et al. 2022)."""

TASKS = (
    "i2b2-2006",
    "i2b2-2010",
    "i2b2-2012-c",
    "i2b2-2012-t",
    "i2b2-2014",
    "cantemist",
    "meddocan",
    "meddoprof-n",
    "meddoprof-c",
    "pharmaconer",
)

_TABLE_7 = {
    "BERT/BETO": (94.80, 85.25, 76.51, 75.28, 94.86, 81.30, 96.81, 79.19, 74.59, 87.70),
    "mBERT": (94.79, 84.91, 76.01, 76.56, 95.34, 80.94, 96.30, 76.39, 71.84, 86.98),
    "XLM-R": (96.72, 87.54, 79.63, 75.36, 96.39, 82.17, 96.76, 77.44, 74.05, 88.92),
    "HunFlair": (93.48, 86.70, 78.52, 77.16, 95.90, 83.80, 96.50, 75.16, 70.01, 88.40),
    "ClinicalBERT": (94.8, 87.8, 78.9, 76.58, 93.0, 77.18, 94.63, 65.74, 62.85, 84.32),
    "NLNDE": (None, None, None, None, None, 85.3, 96.96, 81.8, 79.3, 88.6),
    "CLIN-X-EN": (96.25, 88.10, 79.58, 77.70, 96.73, 82.80, 97.08, 78.62, 75.05, 89.33),
    "CLIN-X-ES": (95.49, 87.94, 79.58, 77.57, 96.80, 83.22, 97.08, 79.54, 76.95, 90.05),
    "CLIN-X-EN + architecture": (98.49, 89.23, 80.62, 78.50, 97.60, 87.72, 97.57, 81.36, 78.53, 92.36),
    "CLIN-X-ES + architecture": (98.30, 89.10, 80.42, 78.48, 97.62, 88.24, 98.00, 81.68, 80.54, 92.27),
    "CLIN-X-ES + architecture + transfer": (98.50, 89.74, 80.93, 79.60, 97.46, 88.00, 97.65, 81.88, 79.38, 92.27),
}

# Table 4, English and Spanish: ensembles, but for "all", which is one model.
_TABLE_4 = {
    "all": (87.83, 86.46),
    "standard": (87.95, 86.06),
    "random": (88.78, 88.15),
    "no-biose": (88.52, 87.13),
    "no-crf": (88.38, 85.95),
    "no-context": (87.83, 86.84),
    "no-subwords": (87.38, 86.81),
}

# Tables 5 and 6, for 250 sentences: without transfer, from the best source, and which that is.
_FEW = {
    "i2b2-2006": (71.24, 87.52, "i2b2-2014"),
    "i2b2-2010": (65.38, 83.99, "i2b2-2012-c"),
    "i2b2-2012-c": (69.09, 76.39, "i2b2-2010"),
    "i2b2-2012-t": (67.49, 70.17, "i2b2-2012-c"),
    "i2b2-2014": (64.96, 81.50, "i2b2-2006"),
    "cantemist": (51.68, 56.48, "meddocan"),
    "meddocan": (84.00, 92.74, "pharmaconer"),
    "meddoprof-n": (13.99, 61.29, "meddoprof-c"),
    "meddoprof-c": (16.46, 57.46, "meddoprof-n"),
    "pharmaconer": (67.71, 74.48, "meddocan"),
}


def of_system(system: str, task: str) -> float | None:
    """Table 7's F1 of a system, by its name there, on a task; None where the paper has none."""
    return dict(zip(TASKS, _TABLE_7.get(system, ()), strict=False)).get(task)


def of_component(row: str) -> tuple[float, ...] | None:
    """Table 4's difference of a row to random splits, on English and on Spanish tasks; None where it has none."""
    if row == "random" or row not in _TABLE_4:
        return None
    return tuple(round(a - b, 2) for a, b in zip(_TABLE_4[row], _TABLE_4["random"], strict=True))


def of_transfer(task: str, size: str) -> str:
    """The paper's F1 without transfer → with its best source; "" where it has none (or we have not read it)."""
    if size == "250" and task in _FEW:
        without, best, source = _FEW[task]
        return f"{without:.2f} → {best:.2f} ({source})"
    if size == "all" and task in TASKS:
        without, best = (of_system(f"CLIN-X-ES + architecture{more}", task) for more in ("", " + transfer"))
        return f"{without:.2f} → {best:.2f}"
    return ""
