"""The catalogue of open models as a page to read.

python scripts/catalogue_page.py    # writes data/catalogue.md from data/catalogue.yaml
"""

from ftlab.catalogue import METHODS, Catalogue, billions, catalogue, choose, held
from ftlab.files import data_path, write_text

WORDS = {True: "yes", False: "no", None: ""}


def page(whole: Catalogue) -> str:
    """Return the catalogue as a page of Markdown."""
    lines = [
        "# Open models", "",
        "Written by `python scripts/catalogue_page.py` from `catalogue.yaml`; change that. A blank "
        "was not read, so it is not guessed. `ftlab models --open` filters this list.", "",
        "Memory in GB, before activations: what inference, full fine-tuning in float32, LoRA (base "
        "in half precision) and QLoRA hold, adapters of rank 32; see `ftlab/catalogue.py`.", "",
        "| model | kind | weights | context | licence | commercial | formats | template "
        "| infer | full | LoRA | QLoRA |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for model in choose(whole.models):
        sizes = [held(model, method) for method in METHODS]
        lines.append("| " + " | ".join([
            f"[{model.name}](https://huggingface.co/{model.name})", model.kind,
            billions(model.size),
            f"{model.context.value:,.0f}" if model.context else "", model.licence.value,
            whole.licences[model.licence.value].commercial,
            ", ".join(model.weights.formats) if model.weights else "", model.template or "",
            *("" if size is None else f"{size / 1e9:.1f}" for size in sizes),
        ]) + " |")  # fmt: skip
    lines += [
        "", "Pickle is a format for any Python object, and loading one can run any code that "
        "whoever wrote the file put there. Safetensors holds numbers and nothing else. ftlab reads "
        "only the latter.",
        "", "## Licences", "", "In short and in our words. The text itself decides.", "",
        "| licence | commercial | change | share | conditions | read |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for key, licence in whole.licences.items():
        links = ", ".join(f"[{name}]({whole.pages[name].url})" for name in licence.pages)
        lines.append(
            f"| {key}: {licence.name} | {licence.commercial} | {WORDS[licence.change]} | "
            f"{WORDS[licence.share]} | {'; '.join(licence.conditions)} | {links} |"
        )
    lines += [
        "", "## Benchmarks", "",
        "In per cent, as each page states them. Figures of different settings, or of different "
        "pages, do not compare: SmolLM2-1.7B stands here twice on HellaSwag.", "",
        "| benchmark | model | figure | setting | page |", "|---|---|---|---|---|",
    ]  # fmt: skip
    rows = [(b.name, -b.value, m.name, b) for m in whole.models for b in m.benchmarks]
    for name, _, model_name, found in sorted(rows, key=lambda row: row[:3]):
        link = f"[{found.page}]({whole.pages[found.page].url})"
        lines.append(f"| {name} | {model_name} | {found.value:.1f} | {found.setting} | {link} |")
    notes = [f"- **{model.name}**: {model.note}" for model in whole.models if model.note]
    lines += ["", "## Notes", "", *notes, "", "## Pages", "", "| page | read |", "|---|---|"]
    lines += [f"| [{key}]({source.url}) | {source.read} |" for key, source in whole.pages.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    path = data_path("catalogue.yaml").with_suffix(".md")
    print(write_text(path, page(catalogue()), overwrite=True))
