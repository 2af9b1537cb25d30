"""Look at a built site: every link within it leads somewhere, and no path of this machine is in it.

python docs/check.py build/site
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

MACHINE = re.compile(r"""(?<![\w.~/:<-])/(?:home|root|tmp|work|Users)/|file://""")


class Page(HTMLParser):
    """The links of a page, and the names that a link may lead to."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element links to, and its id."""
        for key, value in attrs:
            if key in ("href", "src") and value is not None and tag != "base":
                self.links.append(value)
            if key in ("id", "name") and value:
                self.names.add(value)


def faults(site: Path) -> Iterator[str]:
    """Yield a line for every fault of a site."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for found in MACHINE.finditer(path.read_text("utf-8")):
            yield f"{where}: a path of this machine, {found[0]}"
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_relative_to(site) or not target.exists():
                yield f"{where}: {link} leads nowhere"
            elif target in pages and unquote(parts.fragment) not in pages[target].names | {""}:
                yield f"{where}: {link} names no place in {target.name}"


def main() -> int:
    """Print the faults of the site; return 1 if there is one."""
    site = Path(sys.argv[1]).resolve()
    found = list(faults(site))
    print("\n".join(found) or "Every link within the site leads somewhere.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
