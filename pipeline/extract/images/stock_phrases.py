"""What alt texts say when nobody wrote one: of what kind the thing is, what a click does, that something is missing.

MACHINE_MADE finds what programs write by themselves: social networks and office programs that guess what an image
shows, search engines that repeat the query, credits that picture agencies prescribe, and templates left unfilled.
"""

import re

# in lower case, words alone: no sign, no digit, no article before them
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
    # "image", "photograph", "picture", "logo" and the like elsewhere
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

# What a social network or an office program begins with when it guesses what an image shows, or finds nothing to say;
# apostrophes are straight.
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
