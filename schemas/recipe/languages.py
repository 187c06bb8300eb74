"""The languages that the identification model knows, and the right code for what people write instead."""

import difflib
import re
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

# The labels of fastText's lid.176: mostly ISO 639-1, ISO 639-3 where there is no shorter code. Each is followed by what
# else the language goes by: its ISO 639-2 and 639-3 codes, codes that were withdrawn, countries, and its English name.
_TABLE = """
af afr afrikaans; als gsw alemannic; am amh amharic; an arg aragonese; ar ara arb arabic; arz; as asm assamese;
ast asturian; av ava avar; az aze azj azerbaijani; azb; ba bak bashkir; bar bavarian; bcl; be bel by belarusian;
bg bul bulgarian; bh bih bihari; bn ben bengali; bo bod tib tibetan; bpy bishnupriya; br bre breton;
bs bos bosnian; bxr bua buriat; ca cat catalan; cbk chavacano; ce che chechen; ceb cebuano; ckb sorani;
co cos corsican; cs ces cze cz czech; cv chv chuvash; cy cym wel welsh; da dan dk danish; de deu ger german;
diq zza zazaki; dsb; dty; dv div dhivehi; el ell gre gr greek; eml emilian; en eng gb us english;
eo epo esperanto; es spa spanish; et est ekk estonian; eu eus baq basque; fa fas per pes ir persian farsi;
fi fin finnish; fr fra fre french; frr; fy fry frisian; ga gle irish; gd gla gaelic; gl glg galician;
gn grn guarani; gom kok konkani; gu guj gujarati; gv glv manx; he heb iw hebrew; hi hin hindi; hif;
hr hrv croatian; hsb; ht hat haitian; hu hun hungarian; hy hye arm armenian; ia ina interlingua;
id ind in indonesian; ie ile interlingue; ilo iloko; io ido; is isl ice icelandic; it ita italian;
ja jpn jp japanese; jbo lojban; jv jav jw javanese; ka kat geo georgian; kk kaz kz kazakh; km khm khmer;
kn kan kannada; ko kor kr korean; krc karachay; ku kur kmr kurdish; kv kom kpv komi; kw cor cornish;
ky kir kirghiz kyrgyz; la lat latin; lb ltz luxembourgish; lez lezghian; li lim limburgish; lmo lombard; lo lao;
lrc; lt lit lithuanian; lv lav lvs latvian; mai maithili; mg mlg plt malagasy; mhr mari; min minangkabau;
mk mkd mac macedonian; ml mal malayalam; mn mon khk mongolian; mr mar marathi; mrj; ms msa may zsm malay;
mt mlt maltese; mwl mirandese; my mya bur burmese; myv erzya; mzn mazanderani; nah nahuatl; nap neapolitan; nds;
ne nep npi nepali; new newari; nl nld dut dutch flemish; nn nno nynorsk; no nor nb nob norwegian bokmal;
oc oci occitan; or ori ory odia oriya; os oss ossetian; pa pan punjabi panjabi; pam pampanga; pfl;
pl pol polish; pms piedmontese; pnb; ps pus pashto; pt por portuguese; qu que quechua; rm roh romansh;
ro ron rum mo moldavian romanian; ru rus russian; rue rusyn; sa san sanskrit; sah yakut; sc srd sardinian;
scn sicilian; sco scots; sd snd sindhi; sh hbs serbocroatian; si sin sinhala; sk slk slo slovak;
sl slv slovenian slovene; so som somali; sq sqi alb albanian; sr srp rs serbian; su sun sundanese; sv swe se swedish;
sw swa swh swahili; ta tam tamil; te tel telugu; tg tgk tajik; th tha thai; tk tuk turkmen;
tl tgl fil tagalog filipino; tr tur turkish; tt tat tatar; tyv tuvan; ug uig uyghur uighur; uk ukr ua ukrainian;
ur urd urdu; uz uzb uzn uzbek; vec venetian; vep veps; vi vie vn vietnamese; vls; vo vol volapuk; wa wln walloon;
war waray; wuu; xal kalmyk; xmf mingrelian; yi yid ydd ji yiddish; yo yor yoruba; yue cantonese;
zh zho chi cmn cn tw chinese mandarin
"""
_RIGHT = {name: names.split()[0] for names in _TABLE.split(";") for name in names.split()}
LANGUAGES = frozenset(_RIGHT.values())
"""Every code that the identification model may give."""


def _known(code: object) -> object:
    """Return a code that the identification model has; another one would never match any page."""
    if code is False:
        raise PydanticCustomError("yaml_boolean", "YAML reads no as false: write 'no', in quotes, for Norwegian")
    if not isinstance(code, str) or code in LANGUAGES:
        return code
    lower = code.strip().lower()
    near = (lower, re.split(r"[-_ (]", lower, maxsplit=1)[0], *difflib.get_close_matches(lower, _RIGHT, n=1))
    right = next((_RIGHT[name] for name in near if name in _RIGHT), None)
    hint = f" (did you mean {right}?)" if right else ""
    raise PydanticCustomError("unknown_language", "the identification model has no such language{hint}", {"hint": hint})


LanguageCode = Annotated[str, BeforeValidator(_known)]
