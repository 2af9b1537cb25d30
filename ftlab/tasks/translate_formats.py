"""XML, YAML and JSON as plain data, both ways, by real parsers.

    JSON  {"crate": {"@id": "07", "full": false, "sizes": [1, 2]}}
    YAML  crate:
            '@id': '07'
            full: false
            sizes:
            - 1
            - 2
    XML   <crate id="07">
            <full type="bool">false</full>
            <sizes type="list">
              <item type="int">1</item>
              <item type="int">2</item>
            </sizes>
          </crate>

XML knows neither numbers nor lists, so a mapping has to be stated. Ours loses nothing:

- An element is a key and its value; the root element is the only key of the outermost map.
- An element's text is a string. Any other kind is named by the attribute `type`: int, float, bool,
  null, list, or map, which only an empty map needs. Space around text does not count.
- A list's children are its items, whatever their names; a map's children have different names.
- Any other attribute is a key that opens with "@", with a string. The text of an element that has
  attributes is under the key "#text".

>>> read('<crate id="07"><full type="bool">false</full></crate>', "xml")
{'crate': {'@id': '07', 'full': False}}
>>> print(write({"crate": {"open": "no", "since": "2024-03-09"}}, "yaml"), end="")
crate:
  open: 'no'
  since: '2024-03-09'
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ftlab.errors import DataError, raise_unknown

FORMATS = ("json", "xml", "yaml")
KINDS = {"int": int, "float": float, "bool": bool, "null": type(None), "list": list, "map": dict}


# Reading.


def read(text: str, form: str) -> Any:
    """Return the plain data of a document: maps, lists, str, int, float, bool and None.

    YAML is YAML 1.1 as PyYAML reads it, where a bare `no` is false and a bare `2024-03-09` is a
    date. Neither a document in JSON (though all JSON is YAML) nor aliases pass for YAML here.

    Args:
        text: the document.
        form: "json", "xml" or "yaml".

    Raises:
        DataError: the text is no document of this format, or gives a key twice.
        ConfigError: there is no such format.
    """
    if form not in FORMATS:
        raise_unknown("format", form, FORMATS)
    try:
        return {"json": _read_json, "xml": _read_xml, "yaml": _read_yaml}[form](text)
    except Exception as error:  # the parsers let many kinds through; all mean the same here
        raise DataError(f"not {form.upper()}: {error}".splitlines()[0]) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a map; a key given twice is an error, where the parsers would keep the last."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {key!r} is given twice")
        made[key] = value
    return made


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON value")


def _read_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)


def _read_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML's safe loader without aliases, and strict about keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("aliases are not read")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            return _unique([(self.construct_object(k, True), self.construct_object(v, True))
                            for k, v in node.value])  # fmt: skip

    if text.lstrip()[:1] in ("{", "["):
        raise ValueError("the outermost map or list is written as in JSON")
    if not text.strip():
        raise ValueError("nothing is there")
    loader = Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _read_xml(text: str) -> Any:
    from defusedxml import ElementTree

    root = ElementTree.fromstring(text.strip(), forbid_dtd=True)
    return {root.tag: _element(root)}


def _element(node: Any) -> Any:
    """Return the value of an element, by the mapping that this module's docstring states."""
    attributes = dict(node.attrib)
    kind = attributes.pop("type", None)
    text = (node.text or "").strip()
    children = list(node)
    if kind not in (None, *KINDS):
        raise ValueError(f"<{node.tag}> has the unknown type {kind!r}")
    if children and (text or any((child.tail or "").strip() for child in children)):
        raise ValueError(f"<{node.tag}> has text between its elements")
    if children and kind not in (None, "list", "map"):
        raise ValueError(f"<{node.tag}> is of type {kind} and has elements")
    if kind == "list":
        if attributes or text:
            raise ValueError(f"<{node.tag}> is a list, which has items only")
        return [_element(child) for child in children]
    outside = [(f"@{name}", value) for name, value in attributes.items()]
    if children or kind == "map":
        if text:
            raise ValueError(f"<{node.tag}> is a map, which has no text")
        return _unique(outside + [(child.tag, _element(child)) for child in children])
    value = _scalar(text, kind)
    if not outside:
        return value
    return dict(outside if kind is None and not text else [*outside, ("#text", value)])


def _scalar(text: str, kind: str | None) -> Any:
    if kind is None:
        return text
    if kind == "null":
        if text:
            raise ValueError("null has no text")
        return None
    if kind == "bool":
        return {"true": True, "false": False}[text]
    return {"int": int, "float": float}[kind](text)


# Writing.


@dataclass(frozen=True)
class Look:
    """How a document is written. The default look is the one that a model is taught."""

    indent: int = 2
    """Spaces a level; 0 for all on one line (JSON and XML; YAML in flow style)."""
    ascii: bool = False
    """Escape what is not ASCII (JSON and XML)."""
    quote: str = ""
    """YAML: quote every string with this mark. XML: the mark around attributes."""
    first: str = ""
    """A line before the document: a declaration or a comment (XML and YAML)."""
    cdata: bool = False
    """XML: texts that need escaping stand in a CDATA section instead."""
    closed: bool = True
    """XML: an element without content is one self-closing tag."""
    indented_lists: bool = False
    """YAML: a list's dashes stand deeper than its key."""


def write(data: Any, form: str, look: Look | None = None) -> str:
    """Write plain data as a document.

    Args:
        data: maps with string keys, lists, str, int, float, bool, None; for XML a map with one
            key, by the mapping that this module's docstring states.
        form: "json", "xml" or "yaml".
        look: how; None for the house style.

    Raises:
        ConfigError: there is no such format.
        DataError: XML cannot hold the data.
    """
    look = look or Look()
    if form not in FORMATS:
        raise_unknown("format", form, FORMATS)
    if form == "json":
        return json.dumps(data, indent=look.indent or None, ensure_ascii=look.ascii) + "\n"
    first = look.first + "\n" if look.first else ""
    if form == "yaml":
        return first + _write_yaml(data, look)
    if not isinstance(data, dict) or len(data) != 1:
        raise DataError("XML has one root: wanted a map with one key.")
    ((name, value),) = data.items()
    body = "".join(_tags(name, value, look, 0))
    return first + (body if look.indent else body.replace("\0", "") + "\n").replace("\0", "\n")


def _write_yaml(data: Any, look: Look) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """PyYAML's safe dumper, with a say in the quotes and the dashes."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, indentless and not look.indented_lists)

    def text(dumper: Any, value: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=look.quote or None)

    Dumper.add_representer(str, text)
    return yaml.dump(
        data, Dumper=Dumper, indent=look.indent or 2, width=math.inf, sort_keys=False,
        allow_unicode=not look.ascii, default_flow_style=None if not look.indent else False,
    )  # fmt: skip


_NAME = re.compile(r"[A-Za-z_][\w.-]*")


def _tags(name: str, value: Any, look: Look, depth: int) -> Iterator[str]:
    """Yield the pieces of an element; a NUL stands where a line may end."""
    attributes: dict[str, str] = {}
    if isinstance(value, dict):
        attributes = {k[1:]: v for k, v in value.items() if k.startswith("@")}
        inside = {k: v for k, v in value.items() if not k.startswith("@")}
        if list(inside) == ["#text"] and attributes:
            value = inside["#text"]
        elif attributes and not inside:
            value = ""
        else:
            value = inside
    if not _NAME.fullmatch(name) or "type" in attributes:
        raise DataError(f"XML cannot hold {name!r}: a plain name is wanted, and no key '@type'.")
    kind = next((k for k, cls in KINDS.items() if type(value) is cls), None)
    if kind and not (kind == "map" and value):
        attributes["type"] = kind
    pad = " " * (look.indent * depth)
    start = pad + "<" + name + "".join(_attribute(k, v, look) for k, v in attributes.items())
    if isinstance(value, (dict, list)) and value:
        yield f"{start}>\0"
        pairs = value.items() if isinstance(value, dict) else (("item", item) for item in value)
        for key, child in pairs:
            yield from _tags(key, child, look, depth + 1)
        yield f"{pad}</{name}>\0"
        return
    text = "" if value in (None, "", {}, []) else _leaf(value, look)
    yield f"{start}/>\0" if look.closed and not text else f"{start}>{text}</{name}>\0"


def _leaf(value: Any, look: Look) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if look.cdata and escape(text) != text and "]]>" not in text:
        return f"<![CDATA[{text}]]>"
    text = escape(text)
    return text.encode("ascii", "xmlcharrefreplace").decode() if look.ascii else text


def _attribute(name: str, value: str, look: Look) -> str:
    if look.quote == "'" and "'" not in value:
        return f" {name}='{escape(value)}'"
    return f" {name}={quoteattr(value)}"


# Comparing.


def same(a: Any, b: Any) -> bool:
    """Say whether two data are the same: kinds count (1 is not 1.0), the order of keys does not.

    >>> same({"a": 1, "b": [True]}, {"b": [True], "a": 1}), same([1], [True]), same("1", 1)
    (True, False, False)
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for each value that holds no other.

    >>> list(leaves({"a": {"b": [1, "x"], "c": []}}))
    [('/a/b/0', 1), ('/a/b/1', 'x'), ('/a/c', [])]
    """
    if isinstance(data, (dict, list)) and data:
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from leaves(value, f"{path}/{key}")
    else:
        yield path, data
