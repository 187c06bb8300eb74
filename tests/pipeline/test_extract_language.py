"""Language identification, also of capitals."""

import pytest

from pipeline.html.prefilter import identify, probability

SENTENCES = {
    "en": "The harbour was rebuilt after the storm, when the old wooden quay was carried away in a single night.",
    "de": "Über Nacht fiel der erste Schnee, und die Kinder spielten draußen mit großen Bällen.",
    "fr": "Ce matin, la première neige est tombée sur la ville et les élèves ont joué dehors.",
    "ru": "Сегодня утром в городе выпал первый снег, и дети побежали во двор играть.",
    "el": "Σήμερα το πρωί έπεσε το πρώτο χιόνι στην πόλη και τα παιδιά βγήκαν να παίξουν.",
    "tr": "Bu sabah şehre ilk kar yağdı ve çocuklar oynamak için bahçeye koştular.",
    "zh": "今天早上城里下了第一场雪，孩子们都跑到院子里去玩。",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_capitals_change_no_language(language: str) -> None:
    usual = SENTENCES[language]
    for text in (usual, usual.upper(), f"{usual} {usual.upper()}", usual.upper().replace(" ", " 1953 ", 1)):
        found, score = identify(text)
        assert (found, score > 0.8) == (language, True), text
        alone = probability(text, [language])
        assert alone is not None and alone > 0.8


def test_a_run_of_capitals_reads_as_the_same_text_in_lower_case() -> None:
    contract = "THIS AGREEMENT IS MADE BETWEEN THE OWNER AND THE TENANT. 12 MONTHS. THE OWNER SHALL KEEP THE ROOF."
    assert identify(contract) == identify(contract.lower())
    assert identify(contract)[0] == "en"


def test_a_single_word_in_capitals_is_unchanged() -> None:
    for text in ("Heute hat die NASA eine Sonde zum Mars gestartet.", "Wir fahren mit dem ICE nach Köln."):
        assert identify(text) == identify(text.replace("  ", " "))
        assert identify(text)[0] == "de"


@pytest.mark.parametrize("text", ["", "1953 - 12", "…", "  "])
def test_without_letters_there_is_no_language(text: str) -> None:
    assert identify(text) == ("", 0.0)
    assert probability(text, ["en"]) is None
