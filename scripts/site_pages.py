"""What the documentation site has beside the pages in docs/: a hook of mkdocs (see mkdocs.yml).

- "How to" lists every page of docs/ that mkdocs.yml does not name, so that a new page needs no
  second line anywhere; notebooks are pages as well.
- The reference is generated: of the options, the commands, and what `import i2i` offers.
- Links to files of the repository that are no pages (code, recipes) lead to pages that show them.
"""

import json
import os
import posixpath
import re
import textwrap
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files beside docs/ that are pages, and what they are called there."""

GROUPS = {
    "Train": [
        *("train", "resume", "Outcome", "history", "figure"),
        *("list_models", "load_options", "Options", "write_demo"),
    ],
    "Use": [
        *("load_translator", "translate_folder", "Translator", "load_sampler", "Sampler"),
        "load_model",
    ],
    "Share": [
        *("export_bundle", "export_onnx", "export_int8", "export_published"),
        *("push", "pull"),
    ],
    "Evaluate": ["evaluate_run", "evaluate_folders", "Evaluation"],
    "Piece by piece": [
        *("build_model", "build_trainer", "Trainer", "RunLog", "build_translator", "build_sampler"),
        *("Pair", "Unpaired", "Labelled", "Referenced", "to_signed", "to_bytes"),
    ],
    "Parts of your own": [
        *("Callback", "Training", "Term", "own_parts"),
        *("register_model", "register_network", "register_loss", "load_plugin"),
        *("Model", "Parts", "Clock", "Play", "Generated"),
    ],
    "Progress and errors": ["reporting", "Reporter", "I2iError"],
}
"""The names of `i2i.__all__`, in the order of the page; those that are missing come at the end."""

_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)#\s:]+)(#[^)]*)?(\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made, and put all pages that nobody has placed under "How to"."""
    made = {
        "reference/options.md": options_page(),
        "reference/commands.md": commands_page(),
        "reference/python.md": python_page(),
    }
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        made[PAGES[name]] = (ROOT / name).read_text(encoding="utf-8")
    for path in sorted((DOCS / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{path.stem}.md"] = notebook_page(path)
    written = {f.src_uri: f.content_string for f in files.documentation_pages()}
    for uri, text in [*written.items(), *made.items()]:
        for target in outside(uri, text):
            made[site_page(target)] = source_page(target)
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))

    named = set(re.findall(r"[\w/.-]+\.md", json.dumps(config["nav"])))
    titles = {page: title(text) for page, text in [*written.items(), *made.items()]}
    how_to = sorted((p for p in written if p not in named), key=lambda page: titles[page].lower())
    notebooks = [page for page in made if page.startswith("notebooks/")]
    reference = [page for page in made if page.startswith("reference/")]
    sections = {
        "How to": [*how_to, *({"Notebooks": notebooks},)],
        "Reference": [*reference, "contributing.md", "changelog.md"],
    }
    for section in config["nav"]:
        for name, pages in section.items():
            section[name] = pages or sections[name]
    config["not_in_nav"] = _patterns("source/**")
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Let links lead to where the files that they name are in the site."""
    return rewritten(page.file.src_uri, markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Write the colon of docstrings before an example as Markdown has it."""
    return html.replace("::</p>", ":</p>")


def _patterns(text: str) -> Any:
    import pathspec

    return pathspec.gitignore.GitIgnoreSpec.from_lines(text.splitlines())


def origin(uri: str) -> str:
    """The file of the repository that a page is made of."""
    back = {page: name for name, page in PAGES.items() if page != "index.md"}
    if uri in back:
        return back[uri]
    if uri.startswith("notebooks/"):
        return f"docs/{uri.removesuffix('.md')}.ipynb"
    return f"docs/{uri}"


def site_page(path: str) -> str:
    """The page (or file) of the site for a file of the repository, both from the root."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        path = path.removeprefix("docs/")
        return f"{path.removesuffix('.ipynb')}.md" if path.endswith(".ipynb") else path
    return f"source/{path}.md"


def targets(uri: str, text: str) -> list[tuple[re.Match[str], str]]:
    """The links of a page to files of the repository, with their paths from the root."""
    folder = posixpath.dirname(origin(uri))
    found = [(m, posixpath.normpath(posixpath.join(folder, m[2]))) for m in _LINK.finditer(text)]
    return [(m, path) for m, path in found if (ROOT / path).exists()]


def outside(uri: str, text: str) -> list[str]:
    """The files that a page links to and that are no pages."""
    paths = {path for _, path in targets(uri, text) if site_page(path).startswith("source/")}
    return sorted(paths)


def rewritten(uri: str, text: str) -> str:
    """A page with links that are right in the site."""
    if uri.startswith(("reference/", "source/")):
        return text
    known = {match.start(): path for match, path in targets(uri, text)}

    def link(match: re.Match[str]) -> str:
        if match.start() not in known:
            return match[0]
        path = os.path.relpath(site_page(known[match.start()]), posixpath.dirname(uri) or ".")
        return f"{match[1]}{path}{match[3] or ''}{match[4]}"

    return _LINK.sub(link, text)


def title(text: str) -> str:
    """The first heading of a page."""
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def source_page(path: str) -> str:
    """A page that shows a file, or the files of a folder."""
    file = ROOT / path
    if file.is_dir():
        names = "\n".join(f"    {each.name}" for each in sorted(file.iterdir()))
        return f"# {path}\n\n{names}\n"
    language = {".py": "python", ".toml": "toml"}.get(file.suffix, "text")
    return f"# {path}\n\n````{language}\n{file.read_text(encoding='utf-8')}````\n"


def notebook_page(path: Path) -> str:
    """A notebook as a page: its text, and its code in blocks."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    head, *rest = parts
    # No link of Markdown, which would lead to this page.
    download = f'<a href="../{path.name}" download>Download this notebook</a>'
    return "\n\n".join([head, download, *rest]) + "\n"


def options_page() -> str:
    """All options, as `i2i options --markdown` lists them."""
    from i2i.config.reference import all_options, markdown

    intro = """
        # Options

        Every option of a recipe: what it means, its type with its range, its default, and which
        models or networks know it (all of them where none is named). `i2i options train.` lists
        those of one table on the command line, `--recipe pix2pix` with the values of a recipe;
        `--set train.seed=3` or a recipe of your own changes them.
        """
    return f"{textwrap.dedent(intro).strip()}\n\n{markdown(all_options())}"


def commands_page() -> str:
    """What `--help` of each command says."""
    import click

    from i2i.cli import cli

    lines = ["# Commands", "", "What `i2i COMMAND --help` says."]

    def add(command: click.Command, name: str, parent: click.Context | None = None) -> None:
        settings = {"terminal_width": 96, "max_content_width": 96, **command.context_settings}
        context = click.Context(command, parent=parent, info_name=name, **settings)
        title, text = context.command_path, command.get_help(context)
        lines.extend(["", f"## {title}", "", "```text", text, "```"])
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                inner = command.get_command(context, each)
                assert inner is not None
                add(inner, each, context)

    add(cli, "i2i")
    return "\n".join(lines) + "\n"


def python_page() -> str:
    """What `import i2i` offers, from the docstrings."""
    import i2i

    homes: dict[str, str] = vars(i2i)["_HOMES"]
    groups = dict(GROUPS)
    placed = {name for names in groups.values() for name in names}
    if missing := [name for name in sorted(homes) if name not in placed]:
        groups["More"] = missing
    intro = """
        # The Python interface

        What `import i2i` offers. Each name is imported when it is first used, and everything is
        typed. Whatever else lies in the package works as well, but may move from version to
        version.
        """
    lines = [textwrap.dedent(intro).strip()]
    for group, names in groups.items():
        lines.append(f"## {group}")
        lines += [f"::: {homes[name]}.{name}" for name in names]
    return "\n\n".join(lines) + "\n"
