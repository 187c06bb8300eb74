"""The caption of an image: the alt text, else the figure caption, else the title, cleaned."""

import html
import re
from dataclasses import dataclass

from pipeline.html import tree as unseen
from pipeline.html.images import Image

# lower case, without punctuation, digits and leading articles
STOCK_PHRASES = frozenset({
    "ad", "advertisement", "alt", "alt image", "alt tag", "alt text", "arrow", "article image", "author image",
    "avatar", "background", "background image", "banner", "banner image", "blank", "blog image", "caption",
    "click for larger image", "click here", "click image to enlarge", "click to enlarge", "click to expand",
    "click to view larger image", "click to zoom", "close", "company logo", "cover", "cover image", "default",
    "default image", "enlarge", "enlarge image", "enlarge this image", "facebook", "featured image", "gallery",
    "gallery image", "header", "header image", "hero", "hero image", "icon", "image", "image alt", "image alt text",
    "image description", "image loading", "image not available", "image not found", "image of", "image placeholder",
    "image title", "images", "img", "instagram", "lead image", "linkedin", "loading", "loading image", "logo",
    "main image", "menu", "missing image", "n a", "next", "no alt text", "no alt text provided", "no image",
    "no image available", "no photo", "no photo available", "none", "null", "opens in new window", "photo",
    "photo of", "photograph", "photos", "pic", "picture", "picture of", "pictures", "pinterest", "placeholder",
    "placeholder image", "play", "play button", "play video", "post image", "preview", "preview image", "previous",
    "product image", "profile image", "profile photo", "profile picture", "search", "share", "site logo", "slide",
    "slider", "slideshow", "spacer", "stock image", "stock photo", "thumb", "thumbnail", "thumbnail image", "twitter",
    "undefined", "untitled", "user avatar", "user image", "video thumbnail", "view full size", "view larger",
    "view larger image", "website logo", "youtube", "zoom",
    "add to basket", "add to cart", "add to wishlist", "alternate text", "alternative text", "buy now", "decorative",
    "decorative image", "download", "image alternative text", "image content", "image preview", "image thumbnail",
    "lazy image", "lazy load", "lazy load image", "lazy loaded", "lazy loaded image", "lazy loading", "learn more",
    "log in", "nan", "out of stars", "rated out of", "rated out of stars", "rating out of", "read more",
    "related image", "shop now", "sign in", "sign up", "star", "star rating", "stars", "subscribe", "text",
    "your browser does not support the video tag", "whatsapp",
    # "image", "photograph", "picture", "logo" and similar words in other languages
    "abbildung", "bild", "bilder", "foto", "fotos", "fotografie", "symbolbild", "titelbild", "vorschaubild",
    "kein bild", "kein bild vorhanden", "platzhalter",
    "photo de profil", "aucune image", "vignette", "illustration", "image à la une", "photographie",
    "imagen", "imágenes", "fotografía", "sin imagen", "imagen destacada", "miniatura", "retrato",
    "imagem", "imagens", "fotografia", "sem imagem", "imagem destacada",
    "immagine", "immagini", "immagine di copertina", "nessuna immagine",
    "afbeelding", "afbeeldingen", "geen afbeelding", "plaatje",
    "billede", "billeder", "bilde", "bilder av", "kuva", "valokuva", "mynd",
    "obraz", "obrazek", "zdjęcie", "brak zdjęcia", "obrázek", "obrázok", "fotka", "slika", "fotografija", "kép",
    "fénykép", "imagine", "poza", "pilt", "attēls", "nuotrauka", "paveikslėlis", "imatge", "irudia", "gambar",
    "resim", "görsel", "fotoğraf", "hình ảnh", "ảnh", "larawan", "picha",
    "фото", "фотография", "изображение", "картинка", "рисунок", "логотип", "нет фото", "зображення", "світлина",
    "снимка", "слика", "фотографија", "εικόνα", "φωτογραφία", "صورة", "تصویر", "عکس", "תמונה",
    "图片", "图像", "照片", "图", "默认图片", "暂无图片", "圖片", "圖像", "相片", "画像", "写真",
    "イメージ", "アイキャッチ画像", "이미지", "사진", "로고",
})  # fmt: skip

# Beginnings of descriptions that social networks and office programs generate; apostrophes are straight.
_GUESSES = (
    r"image may contain|photo may contain|picture may contain|no (?:photo|image|alternative text) description"
    r"|no alternative text|image result for|(?:automatically|ai)[ -]generated (?:alt|alternative|description|image)",
    r"möglicherweise eine? (?:bild|nahaufnahme|zeichnung|karikatur|illustration|grafik|meme)|bild könnte enthalten"
    r"|keine fotobeschreibung",
    r"peut être une? (?:image|illustration|gros plan|dessin|art)|(?:l')?image contient peut-être"
    r"|aucune description de (?:la )?photo",
    r"puede ser (?:una? )?(?:imagen|ilustración|primer plano|dibujo|arte)|la imagen puede contener"
    r"|no hay (?:ninguna )?descripción de la foto",
    r"pode ser (?:uma? )?(?:imagem|ilustração|close|desenho|arte)|a imagem pode conter|nenhuma descrição de foto",
    r"potrebbe essere un(?:a |' ?| )(?:immagine|illustrazione|primo piano|disegno)|l'immagine può contenere"
    r"|nessuna descrizione della foto",
    r"kan een (?:afbeelding|illustratie|close-?up|tekening) zijn|(?:de )?afbeelding kan (?:het volgende )?bevatten"
    r"|geen fotobeschrijving",
    r"może być (?:zdjęciem|ilustracją|grafiką|zbliżeniem|obrazem)|obraz może zawierać"
    r"|brak (?:dostępnego )?opisu zdjęcia",
    r"kan vara en (?:bild|närbild)|bilden kan innehålla|ingen fotobeskrivning|kan være et (?:billede|bilde)"
    r"|ingen bil(?:led|de)beskrivelse",
    r"může jít o obrázek|na obrázku může být|není k dispozici žádný popis",
    r"lehet, hogy egy kép|a képen a következők lehetnek|nem érhető el leírás a fotóhoz",
    r"poate fi o imagine|imaginea poate con[țţ]ine|nu este disponibilă nicio descriere",
    r"может быть изображени|на изображении может находиться|нет описания фото"
    r"|може бути зображення|немає опису світлини",
    r"μπορεί να είναι εικόνα|δεν υπάρχει διαθέσιμη περιγραφή",
    r"görüntünün olası içeriği|fotoğraf açıklaması yok|có thể là (?:hình )?ảnh|không có mô tả ảnh",
    r"mungkin gambar|gambar mungkin berisi|tidak ada deskripsi foto|قد تكون صورة|لا يتوفر وصف للصورة",
    r"อาจเป็นรูปภาพ|ไม่มีคำอธิบายรูปภาพ|画像に含まれている可能性|写真の説明はありません",
    r"图像里可能有|可能包含|可能是.{0,40}(?:图片|圖像)|没有照片描述|圖像裡可能有|未提供[相照]片說明",
    r"이미지에 포함|사진 설명이 없습니다",
)
_KINDS = (
    r"(?:image|photo|picture|graphic|illustration|cartoon|drawing|doodle|sketch|painting|anime|meme|art|screenshot"
    r"|selfie|tattoo|poster|text|close-?up|map|diagram|chart)"
)
_AGENCY = (
    r"(?:unsplash|pexels|pixabay|flickr|freepik|shutterstock|i-?stock(?: ?photo)?|getty(?: images)?|adobe ?stock"
    r"|alamy|depositphotos|dreamstime|wikimedia commons|instagram|facebook)"
)
MACHINE_MADE = re.compile(
    "|".join(
        (
            rf"^(?:{'|'.join(_GUESSES)})",
            rf"(?:^|[.:;!?] )may be (?:an? )?(?:[\w-]{{1,20}} ){{0,3}}{_KINDS}\b",
            r"^(?:image|photo) (?:shared )?by .{1,80} on [a-z]{3,9} \d{1,2}, \d{4}\b",
            r"\b(?:description|caption) (?:is )?auto(?:matically|-)? ?generated\b",
            r"\bAI-generated content may be incorrect",
            r"automatisch generierte beschreibung|description générée automatiquement",
            r"automatisch gegenereerde beschrijving",
            r"descripción generada automáticamente",
            r"descrição gerada automaticamente|descrizione generata automaticamente",
            r"(?:の画像のよう|のイラストのよう)です|のような画像。?$|의 이미지일 수 있음",
            # credits
            rf"^(?:photo|image|picture|foto)s? (?:by|von|par|por|di|door) .{{1,60}}"
            rf" (?:on|via|from|auf|sur|en|/) {_AGENCY}\W*$",
            r"^(?:photo|image|picture)s? (?:credits?|source|courtesy)\b.{0,80}$",
            rf"^(?:photo|image|credits?|source|©)\W{{0,3}}{_AGENCY}\W*$",
            # templates: WordPress SEO, Liquid and Vue, JavaScript, ERB, Ruby, wikis, Razor
            r"%%[\w-]+%%|\{\{|\{%|\$\{|<%|#\{|\[\[|@Model\.\w",
            r"^(?:%[a-z_]{3,}%|\{[\w .|-]+\}|\[[a-z][\w.:=-]*\]|__\w+__|%[sd]|\$[a-z_][\w>-]*|\[object object\])$",
        )
    ),
    re.IGNORECASE,
)


MAX_CHARACTERS = 2_000  # of an attribute that are read; a longer one is not a description
_ENTITY = re.compile(r"&(?:#x?[0-9a-f]+|[a-z][a-z0-9]*);", re.I)  # the semicolon is required: "AT&T" has no entity
_TAG = re.compile(r"</?(?:a|abbr|b|big|blockquote|br|center|cite|code|div|em|figcaption|font|h[1-6]|hr|i|img|li|ol|p|q"
                  r"|s|small|span|strike|strong|sub|sup|u|ul)\b[^<>]*>", re.I)  # fmt: skip
_UNREADABLE = re.compile(r"[\ufffd\ud800-\udfff]")
_EXTENSION = r"\.(?:avif|bmp|gif|heic|jfif|jpe?g|png|svg|tiff?|webp)"
_KIND = r"(?:image|img|photo(?:graph)?|picture|pic|slide)"
_END = r"(?:\s*[:.,;|–—-]+\s*|\s+|$)"
_BREAK = r"(?:\s*[:.,;|–—-]+\s*|$)"
_OF = r"\s*(?:of|/)\s*"

# Text around a description that is not part of it.
_AROUND = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"^(?:an?\s+)?(?:image|photo(?:graph)?|picture|pic)\s+of\s+",
        rf"^{_KIND}\s*:\s*",
        rf"^[(\[]?{_KIND}\s*#?\d{{1,4}}{_OF}\d{{1,4}}[)\]]?{_END}",  # Image 3 of 12
        rf"^{_KIND}\s*#?\d{{1,4}}{_BREAK}",  # Slide 3:
        rf"(?<!\s)(?:\s*[:.,;|–—-]\s*|\s+)[(\[]?{_KIND}\s*#?\d{{1,4}}{_OF}\d{{1,4}}[)\]]?$",
        rf"(?<!\s)\s*(?:[:.,;|–—(\[]|\s-)\s*{_KIND}\s*#?\d{{1,4}}[)\]]?$",
        r"^[(\[]\d{1,2}(?:\s*(?:of|/)\s*\d{1,3})?[)\]]\s*",  # (2) and (1/12)
        r"(?<!\s)\s*[(\[]\d{1,2}(?:\s*(?:of|/)\s*\d{1,3})?[)\]]$",
        rf"^\d{{1,3}}{_OF}\d{{1,3}}(?:\s*[:|–—]\s*|\s+-\s+|$)",  # bare, only before punctuation: 1/2 cup of sugar
        rf"(?<!\s)(?:\s*[|–—]|\s-)\s*\d{{1,3}}{_OF}\d{{1,3}}$",
        rf"^(?:product|gallery|thumbnail)\s+{_KIND}\s*#?\d{{1,4}}\s+(?:of|for)\s+",
        rf"(?<=\S){_EXTENSION}$",
    )
)

_FILE_NAMES = tuple(
    re.compile(pattern, re.I | re.A)
    for pattern in (
        rf"\S+{_EXTENSION}(?:\?\S*)?",
        # names that cameras, phones and programs give to files
        r"(?:img|dsc|image|photo|picture|pxl|screenshot)[-_ ]?\d{3,}[\w-]*",
        r"(?:imag|dsc[a-z]|dscn|pict|mvi|vid|wp|gopr|cimg|hpim|sam|scan|untitled)[-_]?\d{3,}[\w-]*",
        r"(?:img|dsc|scan)[-_]?\d+|p\d{6,}",
        r"screen[-_ ]?shot(?:[-_ ]?from)?[-_ \d.:]*(?:at[-_ \d.:]*)?(?:[ap]m)?",
        r"(?=(?:\D*\d){2})[0-9a-f]{8,}(?:[-_][0-9a-f]{4,})*",  # hexadecimal digests and UUIDs
        r"\d[\d_.x-]{5,}[a-z]?",
        r"(?=(?:\D*\d){4})[a-z0-9]{16,}",
        r"[\w-]+[-_]\d{2,4}x\d{2,4}",  # the size of a thumbnail
        r"(?:whatsapp|telegram|signal|viber)[-_ ](?:image|video|photo|picture)[-_ \d.:]*(?:at[-_ \d.:]*)?(?:[ap]m)?",
    )
)

_ADDRESS = re.compile(r"(?:https?:|www\.|data:|blob:|file:|//)\S+", re.I)
_ATTRIBUTE = re.compile(r"alt\s*=\s*([\"'])([^\"']+)\1", re.I)
_ONE_SIGN = re.compile(r"(\S)\1*")


@dataclass(frozen=True)
class Caption:
    text: str


@dataclass(frozen=True)
class Unusable:
    """A text that is not a caption: the reason code, and the original text."""

    rule: str
    written: str


def caption_of(image: Image) -> Caption | Unusable | None:
    """Return the image's first usable caption, else why its first text is not usable; None without any text."""
    cleaned = [clean(written) for written in (image.alt, image.caption, image.title) if written.strip()]
    return next((c for c in cleaned if isinstance(c, Caption)), cleaned[0] if cleaned else None)


def clean(written: str) -> Caption | Unusable:
    """Remove text that describes nothing; the rest is a caption unless it is a file name or a stock phrase."""
    text, before = _plain(written), None
    while text != before:
        if _names_file(text):
            return Unusable("FILE_NAME_CAPTION", written)
        if _is_machine_made(text):
            return Unusable("BOILERPLATE_CAPTION", written)
        before = text
        if attribute := _ATTRIBUTE.fullmatch(text):
            text = attribute[2]
        for around in _AROUND:
            text = around.sub("", text)
        text = _plain(text)
    return Unusable("BOILERPLATE_CAPTION", written) if _is_boilerplate(text) else Caption(text)


def _plain(text: str) -> str:
    """Resolve entities, remove tags and invisible characters, and normalize white space, until nothing changes."""
    text, before = text[:MAX_CHARACTERS], ""
    while text != before:
        before = text
        text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
        text = " ".join(_UNREADABLE.sub("", unseen.clean(_TAG.sub(" ", text))).split())
    return text


def _names_file(text: str) -> bool:
    return not _ADDRESS.fullmatch(text) and any(name.fullmatch(text) for name in _FILE_NAMES)


def _is_machine_made(text: str) -> bool:
    return bool(MACHINE_MADE.search(text.replace("\u2019", "'")))


def _is_boilerplate(text: str) -> bool:
    words = re.sub(r"[\W\d_]+", " ", text).strip().lower()
    if len(set(words.split())) == 1:
        words = words.split()[0]  # e.g. "undefined undefined"
    if len(words) > 1 and _ONE_SIGN.fullmatch(words):
        return True
    return not words or re.sub(r"^(?:an?|the) ", "", words) in STOCK_PHRASES or bool(_ADDRESS.fullmatch(text))
