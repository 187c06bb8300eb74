"""Decoding of pages: the declared charset, and detection from bytes."""

import pytest

from pipeline.html.tree import SAMPLE_BYTES, decode_html

GREETING = "<p>Привет, мир</p>"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ("<meta charset=windows-1251><p>Привет, мир</p>".encode("cp1251"), None),
        ('<meta http-equiv=x content="text/html; charset=koi8-r"><p>Привет, мир</p>'.encode("koi8-r"), None),
        ('<?xml version="1.0" encoding="iso-8859-5"?><p>Привет, мир</p>'.encode("iso8859-5"), None),
        ("<!-- <meta charset=koi8-r> --><meta charset=cp1251><p>Привет, мир</p>".encode("cp1251"), None),
        (b" " * 3000 + "<meta charset=cp866><p>Привет, мир</p>".encode("cp866"), None),
        ("<meta charset=utf-16><p>Привет, мир</p>".encode(), None),
        ("<meta charset=windows-1251><p>Привет, мир</p>".encode(), "utf-8"),
        ("<meta charset=windows-1251><p>Привет, мир</p>".encode(), None),
        ("<meta charset=gbk><p>Привет, мир</p>".encode(), None),
        ("<meta charset=utf-8><p>Привет, мир</p>".encode(), "iso-8859-1"),
        ("<p>Привет, мир</p>".encode(), "koi8-r"),
        ("<p>Привет, мир</p>".encode() + b"\x93\xff", "iso-8859-1"),
        ("<p>Привет, мир</p>".encode() + "ш".encode()[:1], None),
        ("<meta charset=windows-1251><p>Привет, мир</p>".encode("utf-8-sig"), "koi8-r"),
        ("<p>Привет, мир</p>".encode("utf-16-le"), "utf-16le"),
        ("\ufeff<p>Привет, мир</p>".encode("utf-16-be"), None),
        ("\ufeff<p>Привет, мир</p>".encode("utf-32-le"), None),
        ("<p>Привет, мир</p>".encode(), "no-such-charset"),
        ("<p>Привет, мир</p>".encode(), None),
        ("<p>Привет, мир</p>".encode() + b"\xff", "utf-8"),
    ],
    ids=["meta", "meta http-equiv", "xml", "not in a comment", "late meta", "meta cannot mean utf-16",
         "the header goes before meta", "utf-8 under another meta", "utf-8 under a meta of two bytes",
         "utf-8 under a header of latin-1", "utf-8 under another header", "broken utf-8 under another header",
         "utf-8 unsaid and cut off", "the mark goes before all", "utf-16", "utf-16 by its mark",
         "utf-32 by its mark", "an unknown name is passed over", "utf-8 unsaid", "one broken character"],
)  # fmt: skip
def test_the_declared_charset_of_a_page(body: bytes, charset: str | None) -> None:
    assert GREETING in decode_html(body, charset)


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("shift_jis", "cp932", "①番目の〜ページ"),
        ("euc-kr", "cp949", "똠방각하"),
        ("gb2312", "gb18030", "中文€𠀀"),
        ("iso-8859-1", "cp1252", "“quoted” – €"),
        ("tis-620", "cp874", "ภาษาไทย…"),
    ],
)
def test_names_mean_the_same_as_in_browsers(name: str, encoding: str, text: str) -> None:
    body = text.replace("〜", "～").encode(encoding)
    assert decode_html(body, name) == text.replace("〜", "～")


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        ("联通", "gb18030", "gbk"),  # the best known text whose GBK bytes are valid UTF-8
        ("Café «Étoile», naïve façade", "cp1252", "iso-8859-1"),
        ("Привет, «мир»", "cp1251", "windows-1251"),
        ("no letter above 127", "cp1251", "windows-1251"),
        ("Le café du port s’appelle « L’Étoile » — on y mange très bien", "cp1252", "utf-8"),
    ],
)
def test_bytes_that_are_not_utf_8_are_decoded_by_the_declared_charset(text: str, encoding: str, name: str) -> None:
    assert decode_html(f"<p>{text}</p>".encode(encoding), name) == f"<p>{text}</p>"


def test_broken_characters_do_not_affect_others() -> None:
    body = "Le café du port s’appelle « L’Étoile » — on y mange".encode() + b"\xff\xfe\x93" + b" ici"
    assert decode_html(body, None) == "Le café du port s’appelle « L’Étoile » — on y mange\ufffd\ufffd\ufffd ici"


SENTENCES = {
    "Сегодня утром в городе выпал первый снег, и дети побежали во двор играть.": (
        "cp1251", "koi8-r", "iso8859-5", "cp866", "mac-cyrillic", "utf-16-le",
    ),
    "Тази сутрин в града падна първият сняг и децата изтичаха да играят на двора.": ("cp1251",),
    "Ce matin, la première neige est tombée sur la ville et les élèves ont joué dehors.": ("cp1252",),
    "Über Nacht fiel der erste Schnee, und die Kinder spielten draußen mit großen Bällen.": ("cp1252",),
    "Dziś rano w mieście spadł pierwszy śnieg, a dzieci wybiegły się pobawić na dwór.": ("cp1250", "iso8859-2"),
    "Bu sabah şehre ilk kar yağdı ve çocuklar oynamak için bahçeye koştular.": ("cp1254",),
    "Σήμερα το πρωί έπεσε το πρώτο χιόνι στην πόλη και τα παιδιά βγήκαν να παίξουν.": ("cp1253", "iso8859-7"),
    "הבוקר ירד השלג הראשון בעיר והילדים רצו לשחק בחצר.": ("cp1255",),
    "هذا الصباح سقط أول ثلج في المدينة وركض الأطفال ليلعبوا في الساحة.": ("cp1256",),
    "今朝、町に初雪が降り、子供たちは庭に走り出て遊びました。": ("cp932", "euc_jp", "iso2022_jp"),
    "오늘 아침 도시에 첫눈이 내려 아이들이 마당으로 뛰어나가 놀았습니다.": ("cp949", "johab", "iso2022_kr"),
    "今天早上城里下了第一场雪，孩子们都跑到院子里去玩。": ("gb18030",),
    "今天早上城裡下了第一場雪，孩子們都跑到院子裡去玩。": ("big5",),
    "เช้านี้หิมะแรกตกในเมืองและเด็กๆ วิ่งออกไปเล่นในสนาม": ("cp874",),
}  # fmt: skip
UNSAID = [(text, encoding) for text, encodings in SENTENCES.items() for encoding in encodings]


@pytest.mark.parametrize(("text", "encoding"), UNSAID, ids=lambda value: str(value)[:12])
def test_the_charset_is_detected_from_bytes(text: str, encoding: str) -> None:
    html = f"<html><head><title>x</title></head><body><p>{text}</p><p>{text}</p></body></html>"
    assert decode_html(html.encode(encoding), None) == html


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "iso8859-5"])
def test_detection_reads_text_after_a_long_script(encoding: str) -> None:
    script = "<script>" + "let x = 1; " * SAMPLE_BYTES + "</script>"
    html = f"<html>{script}<p>{next(iter(SENTENCES))}</p></html>"
    assert decode_html(html.encode(encoding), None) == html
