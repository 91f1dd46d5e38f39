"""Sentences of clinical texts: what ends one, and what does not."""

import time

import pytest

from modeling_clinx.windows_clinx import sentence_starts


def sentences(text: str) -> list[str]:
    starts = sentence_starts(text)
    return [text[a:b].strip() for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    "text",
    [
        "Acude la Dra. García con el Sr. Pérez y D. Juan.",
        "Remitido por J. García y M. A. López.",
        "Firmado por J.M. Pérez en la consulta.",
        "Vive en C. Mayor, Avda. América, núm. 5, pág. 3.",
        "Vive en C/. Dalí, Ctra. Madrid, km. 9, esc. 2.",
        "Habitación No. 5 del hospital.",
        "Antecedentes, p.ej. Asma, p. ej. Asma.",
        "Dosis de 3.5 mg y de 3,5 mg.",
        "Aprox. 3 horas vs. Placebo.",
        "Seen by Dr. Smith and Mrs. Jones, e.g. Monday, at St. Mary's Dept. Seven.",
        "Tel. 555 y tfno. 91 123.",
        "1. Paciente estable.",
        "  - 12. Paciente estable.",
        "1.2. Exploración física.",
        "Temperatura de 38... subió después.",
        "Comenta que (según la Sra. Ruiz) mejora.",
        "El dolor torácico que presenta\ncede con reposo.",
        "El dolor torácico que presenta\r\ncede con reposo.",
        "El dolor torácico que presenta  \n   cede con reposo.",
    ],
)
def test_one_sentence_stays_one(text):
    assert sentences(text) == [text.strip()]


@pytest.mark.parametrize(
    "expected",
    [
        ["Ingresa hoy.", "Mañana se va."],
        ["¿Refiere alergias?", "¡No!", "Niega todo."],
        ["¿Refiere alergias?", "¿Cuáles?", "¡Ninguna!"],
        ["Empeora...", "Después mejora."],
        ["Empeora…", "Después mejora."],
        ["Dijo «me duele».", "Después calló."],
        ["(Sin alergias.)", "Después mejora."],
        ["Pesa 70 kg.", "3 días después, 71 kg."],
        ["¿Alergias?", "No.", "Paciente estable."],
        ["Diabetes tipo 2.", "Hipertensión."],
        ["Leucocitos 7.200.", "Creatinina 0.9."],
    ],
)
def test_sentences_of_a_line_are_found(expected):
    for space in (" ", "  ", "\t", "\xa0", "\n", "\r\n", " \n "):
        assert sentences(space.join(expected)) == expected


@pytest.mark.parametrize("line_end", ["\n", "\r\n", " \n", "\n\n", "\n \n\n", "\r\n\r\n"])
def test_lines_of_a_form_are_sentences_and_blank_lines_are_none(line_end):
    expected = ["Nombre: Juan", "Apellidos: García", "NHC: 12345", "1. Paciente estable.", "2. Alta."]
    assert sentences(line_end.join(expected) + line_end) == expected
    assert sentences(line_end + line_end.join(expected))[-5:] == expected


def test_a_blank_line_ends_a_sentence_even_before_lower_case():
    assert sentences("motivo de consulta\n\ndolor") == ["motivo de consulta", "dolor"]


def test_what_comes_after_a_colon_or_full_stop_at_a_line_end_begins_a_sentence():
    assert sentences("Tratamiento:\nparacetamol") == ["Tratamiento:", "paracetamol"]
    assert sentences("Alta.\nparacetamol") == ["Alta.", "paracetamol"]


@pytest.mark.parametrize("text", ["", " ", "\n", " \n\n \r\n", ".", "...", "\n.", "?! ", "\ufeff"])
def test_texts_without_a_sentence_have_one_start(text):
    assert sentence_starts(text) == [0]


@pytest.mark.parametrize(
    "piece",
    ["a", " ", ".", ". ", "\n", " \n", "\r", ").", ".)", ". A", "1. ", "A. ", "x.A", "»", "…", "\t.", "Dr. Ab "],
)
def test_a_line_of_50_000_characters_takes_a_moment(piece):
    text = (piece * 50_000)[:50_000]
    before = time.perf_counter()
    starts = sentence_starts(text)
    assert time.perf_counter() - before < 1.0
    assert starts == sorted(set(starts)) and starts[0] == 0
