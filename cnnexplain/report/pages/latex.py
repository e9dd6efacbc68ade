"""All pictures of a run as a contact sheet for LaTeX: a fragment to be read with \\input, captions escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import unquote

from cnnexplain.core.words import printable
from cnnexplain.report.pages.figures import figures

CONTACT = "figures.tex"
MOST = 1000  # pictures; TeX takes its time

# What has a meaning to TeX, and how it is written so that it stands for itself.
SPECIAL = {
    "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "|": "\\textbar{}", '"': "\\textquotedbl{}", "`": "\\textasciigrave{}", "'": "\\textquotesingle{}", "-": "-{}",
    "[": "{[}", "]": "{]}", "?": "?{}", "!": "!{}", ",": ",{}",
}  # fmt: skip
# In a file's name nothing may be printed in another way; a percent sign would begin a comment.
IN_NAMES = {"~": "\\string~", "%": "\\cnnexplainpercent "}

HEAD = r"""% {mark}: the pictures of this run with captions, {columns} in a row.
% In the preamble \usepackage{{graphicx}} and \usepackage[T1]{{fontenc}} with \usepackage{{textcomp}}; of names in other
% scripts than Latin, lualatex or xelatex. Where this folder is another one than that of your document:
% \newcommand{{\cnnexplainfolder}}{{path/of/this/folder}}\input{{path/of/this/folder/figures}}
\providecommand{{\cnnexplainfolder}}{{.}}
\providecommand{{\cnnexplainwidth}}{{.31\linewidth}}
\begingroup\catcode`\%=12\gdef\cnnexplainpercent{{%}}\endgroup
\begingroup\raggedright\noindent
"""
PICTURE = r"""\begin{{minipage}}[t]{{\cnnexplainwidth}}\raggedright
\includegraphics[width=\linewidth]{{\cnnexplainfolder/{{{path}}}.png}}\\
{{\footnotesize {caption}}}
\end{{minipage}}\hspace{{.02\linewidth}}
"""
COLUMNS = "three"


def contact_sheet(run: Mapping[str, Any], records: Iterable[Mapping[str, Any]]) -> str:
    """The text of figures.tex: at most `MOST` pictures of the records, each with what it shows and of which image."""
    pictures = [*islice(_pictures(records), MOST + 1)]
    text = HEAD.format(mark=f"cnnexplain {run['cnnexplain']}", columns=COLUMNS)
    text += "".join(PICTURE.format(path=path, caption=caption) for path, caption in pictures[:MOST])
    if len(pictures) > MOST:
        text += f"% Only the first {MOST:,} pictures.\n"
    return text + "\\par\\endgroup\n"


def escaped(text: str) -> str:
    """A text as TeX prints it, letter by letter; what no typeface prints is replaced."""
    words = " ".join(printable(text).split())
    return "".join(SPECIAL.get(letter, letter) for letter in words)


def path_in_tex(path: str) -> str:
    r"""A picture's path, without its ending, as \includegraphics takes it."""
    return "".join(IN_NAMES.get(letter, letter) for letter in path)


def _pictures(records: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Path and caption of every picture."""
    for record in records:
        image = re.sub(r".*[/\\]", "", record["image"] or "")
        for figure in figures(record):
            if figure.src:
                path = unquote(figure.src.removeprefix("./")).removesuffix(".png")
                about = f"{figure.title}{figure.joint}{figure.subject}" if figure.subject else figure.title
                yield path_in_tex(path), escaped(f"{about} · {image}" if image else about)
