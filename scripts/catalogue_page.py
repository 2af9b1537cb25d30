"""The catalogue of open models as a page to read.

python scripts/catalogue_page.py    # writes data/catalogue.md from data/catalogue.yaml
"""

from ftlab.catalogue import Catalogue, billions, catalogue, choose
from ftlab.files import data_path, write_text


def links(part) -> str:
    """The pages that an entry was read from, and the day."""
    return " ".join(f"[{n}]({page})" for n, page in enumerate(part.source, 1)) + f" {part.seen}"


def page(whole: Catalogue) -> str:
    """Return the catalogue as a page of Markdown."""
    lines = [
        "# Open models", "",
        "Written by `python scripts/catalogue_page.py` from `catalogue.yaml`; change that. A blank "
        "was not read, so it is not guessed. `ftlab models --open` filters this list.", "",
        "| model | kind | weights | context | licence | formats | template | languages | thinking "
        "| read from, on |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for model in choose(whole.models):
        count = f"{model.language_count} languages" if model.language_count else ""
        lines.append("| " + " | ".join([
            f"[{model.name}](https://huggingface.co/{model.name})", model.kind,
            billions(model.parameters), f"{model.context:,}" if model.context else "",
            model.licence, ", ".join(model.formats or ()), model.template or "",
            " ".join(model.languages or ()) or count, model.thinking or "", links(model),
        ]) + " |")  # fmt: skip
    lines += [
        "", "Pickle is a format for any Python object, and loading one can run any code that "
        "whoever wrote the file put there. Safetensors holds numbers and nothing else. ftlab reads "
        "only the latter, and runs no code that comes with a model.",
        "", "## Licences", "", "In short and in our words. The text itself decides.", "",
        "| licence | commercial | conditions | read from, on |", "|---|---|---|---|",
    ]  # fmt: skip
    for key, licence in whole.licences.items():
        conditions = "; ".join(licence.conditions)
        lines.append(
            f"| {key}: {licence.name} | {licence.commercial} | {conditions} | {links(licence)} |"
        )
    lines += ["", "## Notes", ""]
    lines += [f"- **{model.name}**: {model.note}" for model in whole.models if model.note]
    lines += ["", "## History", "", *(f"- {line.said} {links(line)}" for line in whole.history)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = data_path("catalogue.yaml").with_suffix(".md")
    print(write_text(path, page(catalogue()), overwrite=True))
