"""Count words in batches of texts; the function words of English."""

import pyarrow as pa
import pyarrow.compute as pc

# A run of Unicode non-white-space characters. In scripts without spaces each character is a word.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"[{UNSPACED}]|[^\s\p{{Z}}{UNSPACED}]+"


def count(texts: pa.Array, pattern: str) -> pa.Array:
    """Count a pattern's matches in each text (RE2 syntax): n strings to n int32."""
    return pc.count_substring_regex(texts, pattern=pattern)


def per(counts: pa.Array, totals: pa.Array) -> pa.Array:
    """Divide n counts by n totals: n float64; a total of 0 counts as 1."""
    return pc.divide(counts.cast(pa.float64()), pc.max_element_wise(totals, 1).cast(pa.float64()))


_WORDS = """
a an the this that these those another any both each either every few many more most much neither no none other others
own same several some such
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
it its itself they them their theirs themselves one ones oneself who whom whose which what whoever whatever whichever
someone somebody something anyone anybody anything everyone everybody everything nobody nothing
am is are was were be been being do does did doing done have has had having can could may might must shall should will
would ought cannot
about above across after against along among amid around as at before behind below beneath beside besides between
beyond but by despite down during except for from in inside into like near of off on onto out outside over past per
since than through throughout till to toward towards under underneath until up upon via with within without
and or nor so yet if because although though unless while whereas whether when whenever where wherever why how however
also again already always ever never not just only even still too very quite rather almost then there here now once
twice thus therefore hence both else instead otherwise perhaps maybe
isn't aren't wasn't weren't don't doesn't didn't haven't hasn't hadn't can't couldn't won't wouldn't shouldn't mustn't
i'm i've i'll i'd you're you've you'll you'd he's he'll he'd she's she'll she'd it's it'll we're we've we'll we'd
they're they've they'll they'd that's there's what's who's here's where's how's let's
"""

_HALVES = _WORDS.replace("'", " '")
ENGLISH = frozenset((_HALVES + _HALVES.replace("'", "’")).split())
