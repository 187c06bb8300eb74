"""Croissant metadata (MLCommons, version 1.1): tars with checksums, their members, and the fields of each corpus."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from pipeline.inspect.facts import SPLITS, Facts
from schemas.shards import LISTING, VALIDATION, CaptionFields, InterleavedFields, TextFields

CONTEXT: dict[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"}, "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip


CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_FIELDS = {"interleaved": InterleavedFields, "caption": CaptionFields, "text": TextFields}
_MEMBERS = {
    "interleaved": {"json": "application/json", "jpg": "image/jpeg"},
    "caption": {"json": "application/json", "jpg": "image/jpeg", "txt": "text/plain"},
    "text": {"json": "application/json", "txt": "text/plain"},
}
_CONTENT = {"jpg": ("image", "sc:ImageObject"), "txt": ("text", "sc:Text")}
_TYPES = {str: "sc:Text", int: "sc:Integer", float: "sc:Float"}
_SAMPLE = {
    "json": r"^(.+)\.json$",
    "jpg": r"^(.+?)(?:\.\d+)?\.jpg$",
    "txt": r"^(.+)\.txt$",
}  # the sample's key in a member's name


def croissant(facts: Facts) -> str:
    """Return the metadata of the shards as JSON."""
    groups = [(corpus, split) for corpus in facts.corpora for split in SPLITS if facts.of(corpus, split)]
    first, last = facts.captured
    value = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": facts.name,
        "description": "Image and text data for training multimodal models, made from web archives by Weft.",
        "license": facts.license or "unknown",
        "inLanguage": sorted(facts.languages),
        **({"temporalCoverage": f"{first}/{last}"} if first else {}),
        "version": f"1.0.0+{facts.manifests['shard'].digest[:12]}",
        "distribution": [
            _file(LISTING, LISTING, "application/json", facts.listing_sha256),
            *(file for group in groups for file in _files(facts, *group)),
        ],
        "recordSet": [_record_set(*group) for group in groups],
    }
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _file(identity: str, url: str, kind: str, sha256: str) -> dict[str, Any]:
    return {"@type": "cr:FileObject", "@id": identity, "name": identity, "contentUrl": url, "encodingFormat": kind,
            "sha256": sha256}  # fmt: skip


def _files(facts: Facts, corpus: str, split: str) -> Iterator[dict[str, Any]]:
    """Yield the tars of a corpus and split, and the file set of each kind of member."""
    shards = facts.of(corpus, split)
    for shard in shards:
        yield _file(shard["tar"], shard["tar"], "application/x-tar", shard["sha256"])
    for suffix, kind in _MEMBERS[corpus].items():
        identity = f"{_named(corpus, split)}-{suffix}"
        yield {
            "@type": "cr:FileSet",
            "@id": identity,
            "name": identity,
            "containedIn": [{"@id": shard["tar"]} for shard in shards],
            "encodingFormat": kind,
            "includes": f"*.{suffix}",
        }


def _named(corpus: str, split: str) -> str:
    return f"{corpus}-{split}" if split == VALIDATION else corpus


def _record_set(corpus: str, split: str) -> dict[str, Any]:
    """Describe a corpus: a record is a sample; the names of its members begin with its key."""
    identity = _named(corpus, split)
    fields = list(_keys(identity, corpus))
    fields += [
        _content(identity, suffix, repeated=corpus == "interleaved")
        for suffix in _CONTENT
        if suffix in _MEMBERS[corpus]
    ]
    for name, kind in get_type_hints(_FIELDS[corpus]).items():
        if name not in ("key", "image", "text"):
            fields.append(_json_field(identity, f"{identity}/{name}", name, kind, f"$.{name}"))
    return {
        "@type": "cr:RecordSet",
        "@id": identity,
        "name": identity,
        "description": f"Samples of corpus {corpus}" + (", held out" if split == VALIDATION else ""),
        "key": {"@id": f"{identity}/key"},
        "field": fields,
    }


def _keys(identity: str, corpus: str) -> Iterator[dict[str, Any]]:
    """Yield the key as a field of each kind of member, with references that join the kinds."""
    suffixes = list(_MEMBERS[corpus])
    pairs = list(zip(suffixes, suffixes[1:] + suffixes[:1], strict=True))
    for suffix, other in pairs[: None if len(pairs) > 2 else 1]:
        name = f"{identity}/key" if suffix == "json" else f"{identity}/key_of_{suffix}"
        yield {
            **_field(name, "sc:Text", f"Key of the sample: the beginning of the name of its member .{suffix}"),
            "source": _source(f"{identity}-{suffix}", {"fileProperty": "filename"}, _SAMPLE[suffix]),
            "references": _source(f"{identity}-{other}", {"fileProperty": "filename"}, _SAMPLE[other]),
        }


def _content(identity: str, suffix: str, repeated: bool) -> dict[str, Any]:
    name, kind = _CONTENT[suffix]
    return {
        **_field(f"{identity}/{name}", kind, f"Member .{suffix} of the sample"),
        **({"repeated": True} if repeated else {}),
        "source": _source(f"{identity}-{suffix}", {"fileProperty": "content"}),
    }


def _json_field(identity: str, name: str, what: str, kind: Any, path: str) -> dict[str, Any]:
    """Describe a value of the sample's JSON; for a list of objects, the values of its objects."""
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        inner: Mapping[str, Any] = get_type_hints(item)
        return {
            "@type": "cr:Field", "@id": name, "name": name, "description": f"{what}, in reading order",
            "repeated": True,
            "subField": [_json_field(identity, f"{name}/{k}", k, t, f"{path}[*].{k}") for k, t in inner.items()],
        }  # fmt: skip
    return {**_field(name, _TYPES[kind], what), "source": _source(f"{identity}-json", {"jsonPath": path})}


def _field(name: str, kind: str, description: str) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "name": name, "description": description, "dataType": kind}


def _source(file_set: str, extract: dict[str, str], regex: str | None = None) -> dict[str, Any]:
    return {"fileSet": {"@id": file_set}, "extract": extract, **({"transform": {"regex": regex}} if regex else {})}
