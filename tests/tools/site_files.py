"""A hook of MkDocs: the site has what docs/ links to beside it, at links of its own.

Pages name files as a browser of the repository finds them, such as
`../configs/README.md`. MkDocs knows files below docs/ alone, so that all others stand
below `repository/` on the site.
"""

import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_BESIDE = (
    *(
        "*.md",
        "LICENSE",
        "configs/**/*.md",
        "configs/*.toml",
        "configs/results/**/*.png",
    ),
    *("launch/README.md", "tests/README.md", "trainer/README.md"),
    "trainer/data/mnist_mini/README.md",
)
_DOCS, _SITE = "docs/", "repository/"
_LINK = re.compile(r"(?<=\]\()(?P<path>[^\s():#]+)(?=[#)])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files beside docs/ that pages link to."""
    root = pathlib.Path(config.config_file_path).parent
    for pattern in _BESIDE:
        for path in sorted(root.glob(pattern)):
            name = _SITE + path.relative_to(root).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turns links between files of the repository into links of the site."""
    here = page.file.src_uri
    folder = posixpath.dirname(_in_repository(here))

    def of_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["path"]))
        uri = target.removeprefix(_DOCS)
        found = uri if uri != target else _SITE + target
        return posixpath.relpath(found, posixpath.dirname(here) or ".")

    return _LINK.sub(of_site, markdown)


def _in_repository(uri: str) -> str:
    return uri.removeprefix(_SITE) if uri.startswith(_SITE) else _DOCS + uri
