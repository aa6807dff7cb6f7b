"""The settings of _config.yml for plain Sphinx: `make canary` builds the book without Jupyter Book."""

import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
sphinx, html, repository = book["sphinx"], book["html"], book["repository"]
sys.path += {str(ROOT / folder) for folder in sphinx["local_extensions"].values()}

extensions = [
    "sphinx_togglebutton",
    "sphinx_copybutton",
    "myst_nb",
    "sphinx_external_toc",
    "sphinx_design",
    "sphinx_multitoc_numbering",
    "sphinxcontrib.bibtex",
    *sphinx["extra_extensions"],
    *sphinx["local_extensions"],
]
project, author, copyright = book["title"], book["author"], book["copyright"]
globals().update(sphinx["config"])
html_theme, html_title = "sphinx_book_theme", project
html_logo, html_favicon = str(ROOT / book["logo"]), str(ROOT / html["favicon"])
html_static_path = [str(ROOT / folder) for folder in html_static_path]
html_theme_options |= {
    "repository_url": repository["url"],
    "repository_branch": repository["branch"],
    "path_to_docs": repository["path_to_book"],
    "use_issues_button": html["use_issues_button"],
    "use_repository_button": html["use_repository_button"],
    "extra_footer": html["extra_footer"],
    "launch_buttons": book["launch_buttons"],
}
exclude_patterns = book["exclude_patterns"]
external_toc_path, external_toc_exclude_missing = str(ROOT / "_toc.yml"), book["only_build_toc_files"]
bibtex_bibfiles = [str(ROOT / file) for file in book["bibtex_bibfiles"]]
myst_enable_extensions = book["parse"]["myst_enable_extensions"]
nb_execution_mode = book["execute"]["execute_notebooks"]
