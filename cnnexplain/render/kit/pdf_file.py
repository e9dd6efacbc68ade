"""Noted paper as a PDF file of one page: text that is found and copied over shapes and embedded pictures.

Written here, in some two hundred lines, since libraries that write PDF either embed no typeface of this kind
(ReportLab), or drop letters that a typeface lacks (fpdf2, LGPL). After ISO 32000-1; nothing in the file can run.
"""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping

from PIL import Image

from cnnexplain.render.kit.paper import ImageMark, Mark, NotedPaper, PathMark, Rgb, WordsMark
from cnnexplain.render.kit.pdf_fonts import FINER, EmbeddedFace, InvisibleFace, picture_of
from cnnexplain.render.kit.text import visible

POINTS = 72  # in an inch
CSS = 96  # pixels in an inch, where it is not said how many
OPERATORS = {"M": "m", "L": "l", "C": "c", "Z": "h"}
IDENTITY = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Letters def /CMapType 2 def\n"
    "1 begincodespacerange {0} endcodespacerange\n{1}\nendcmap CMapName currentdict /CMap defineresource pop end end"
)


def pdf_bytes(paper: NotedPaper, mark: str, dpi: int | None = None) -> bytes:
    """Write paper as PDF.

    Args:
        paper: What was drawn.
        mark: Says which program made it.
        dpi: Pixels per inch; 96 where it is left out.

    Returns:
        The content of the file; the same drawing gives the same bytes.
    """
    return _PdfPage(paper, mark, POINTS / (dpi or CSS)).file


class _Objects:
    """The numbered objects of a file."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def add(self, body: str, stream: bytes | None = None, *, packed: bool = False) -> int:
        """Add a dictionary, whose brackets are left out, or a stream with one; the number of the object."""
        if stream is None:
            self.bodies.append(f"<< {body} >>".encode("latin-1"))
        else:
            content = stream if packed else zlib.compress(stream, 9)
            start = f"<< {body} /Filter /FlateDecode /Length {len(content)} >>\nstream\n".encode("latin-1")
            self.bodies.append(start + content + b"\nendstream")
        return len(self.bodies)

    def file(self, root: int, info: int, mark: str) -> bytes:
        """All objects with the table that says where each begins."""
        written = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n% " + mark.encode("latin-1", "replace") + b"\n")
        places = []
        for number, body in enumerate(self.bodies, 1):
            places.append(len(written))
            written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
        table = len(written)
        written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
        written += b"".join(b"%010d 00000 n \n" % place for place in places)
        written += b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
            len(places) + 1, root, info, table,
        )  # fmt: skip
        return bytes(written)


class _PdfPage:
    """The page while it is written."""

    def __init__(self, paper: NotedPaper, mark: str, scale: float) -> None:
        self.objects = _Objects()
        self.faces = {bold: EmbeddedFace(bold=bold) for bold in (False, True)}
        self.invisible: list[InvisibleFace] = []
        self.images: list[int] = []
        width, height = (side * scale for side in paper.size)
        lines = [f"{scale:.5f} 0 0 {-scale:.5f} 0 {height:.3f} cm 1 j"]
        for each in paper.marks:
            lines += self._operators(each)
        content = self.objects.add("", "\n".join(lines).encode("ascii"))
        title = next((each.text for each in paper.marks if isinstance(each, WordsMark)), "")
        fonts = self._fonts()
        images = " ".join(f"/I{place} {number} 0 R" for place, number in enumerate(self.images))
        pages = self.objects.add("")  # its place: page and pages name each other
        page = self.objects.add(
            f"/Type /Page /Parent {pages} 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] /Contents {content} 0 R "
            f"/Resources << /Font << {fonts} >> /XObject << {images} >> >>"
        )
        self.objects.bodies[pages - 1] = b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % page
        root = self.objects.add(f"/Type /Catalog /Pages {pages} 0 R /Lang (en)")
        info = self.objects.add(f"/Title {_text(visible(title))} /Producer {_text(mark)}")
        self.file = self.objects.file(root, info, mark)

    def _operators(self, mark: Mark) -> Iterator[str]:
        if isinstance(mark, PathMark):
            yield _path(mark)
        elif isinstance(mark, ImageMark):
            yield self._shown(_image(self.objects, mark.image), mark.x, mark.y, mark.width, mark.height)
        elif mark.text.strip():
            yield from self._words(mark)

    def _shown(self, image: int, x: float, y: float, width: float, height: float) -> str:
        """A picture, drawn at a place."""
        self.images.append(image)
        return f"q {width:.3f} 0 0 {-height:.3f} {x:.3f} {y + height:.3f} cm /I{len(self.images) - 1} Do Q"

    def _words(self, mark: WordsMark) -> Iterator[str]:
        text, face = visible(mark.text), self.faces[mark.bold]
        turn = math.radians(mark.degrees)
        across, up = math.cos(turn), math.sin(turn)
        place = f"{across:.5f} {-up:.5f} {-up:.5f} {-across:.5f} {mark.x:.3f} {mark.y:.3f}"
        if face.has(text):
            codes = face.codes(text)
            natural = sum(map(face.width, codes)) * mark.size / 1000
            shown = f"<{''.join(f'{code:04x}' for code in codes)}>"
            yield (
                f"BT {_colour(mark.colour, 'rg')} /F{int(mark.bold)} {mark.size:g} Tf "
                f"{_stretch(mark.length, natural)} Tz {place} Tm {shown} Tj ET"
            )
            return
        mask, (left, top) = picture_of(text, mark.size)
        image = _image(self.objects, Image.new("RGB", mask.size, mark.colour), mask)
        wide = mark.length / max(mask.width / FINER + left, 1e-6) if mark.length else 1.0
        yield f"q {across:.5f} {-up:.5f} {up:.5f} {across:.5f} {mark.x:.3f} {mark.y:.3f} cm"
        yield self._shown(image, left * wide, top, mask.width / FINER * wide, mask.height / FINER) + " Q"
        number, blank = self._blank(text)
        natural = len(text) * mark.size / 2
        yield (
            f"BT /B{number} {mark.size:g} Tf {_stretch(mark.length, natural)} Tz {place} Tm "
            f"<{blank.encoded(text).hex()}> Tj ET"
        )

    def _blank(self, text: str) -> tuple[int, InvisibleFace]:
        """A typeface of blank letters that has room for a text's, of which all but the first 255 kinds are left out."""
        for number, face in enumerate(self.invisible):
            if face.room_for(text):
                return number, face
        self.invisible.append(InvisibleFace())
        return len(self.invisible) - 1, self.invisible[-1]

    def _fonts(self) -> str:
        """The names and numbers of all typefaces that are used."""
        names = [
            (f"F{int(bold)}", _embedded(self.objects, face)) for bold, face in self.faces.items() if face.used
        ]
        names += [
            (f"B{number}", _blank_font(self.objects, face)) for number, face in enumerate(self.invisible)
        ]
        return " ".join(f"/{name} {number} 0 R" for name, number in names)


def _path(mark: PathMark) -> str:
    steps = (
        " ".join([*(f"{number:.3f}" for number in numbers), OPERATORS[name]]) for name, numbers in mark.steps
    )
    paints = ([_colour(mark.fill, "rg")] if mark.fill else []) + (
        [_colour(mark.stroke, "RG"), f"{mark.width:.3f} w"] if mark.stroke else []
    )
    paint = {(True, True): "B", (True, False): "f", (False, True): "S"}.get(
        (bool(mark.fill), bool(mark.stroke)), "n"
    )
    return " ".join([*paints, *steps, paint])


def _image(objects: _Objects, image: Image.Image, mask: Image.Image | None = None) -> int:
    """A picture as an object, whose bytes are those of a PNG file."""
    soft = "" if mask is None else f" /SMask {_image(objects, mask)} 0 R"
    space, colours = ("/DeviceGray", 1) if image.mode == "L" else ("/DeviceRGB", 3)
    return objects.add(
        f"/Type /XObject /Subtype /Image /Width {image.width} /Height {image.height} /ColorSpace {space} "
        f"/BitsPerComponent 8 /DecodeParms << /Predictor 15 /Colors {colours} /Columns {image.width} >>{soft}",
        _pixels(image),
        packed=True,
    )


def _pixels(image: Image.Image) -> bytes:
    """The compressed lines of a picture as a PNG file has them."""
    file = io.BytesIO()
    image.save(file, "PNG")
    content, place, parts = file.getvalue(), 8, []
    while place < len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == b"IDAT":
            parts.append(content[place + 8 : place + 8 + length])
        place += length + 12
    return b"".join(parts)


def _embedded(objects: _Objects, face: EmbeddedFace) -> int:
    file = objects.add("/Subtype /CIDFontType0C", face.program)
    descriptor = objects.add(
        f"/Type /FontDescriptor /FontName /{face.name} /Flags 4 /FontBBox [{' '.join(map(str, face.bounds))}] "
        f"/ItalicAngle 0 /Ascent 984 /Descent -273 /CapHeight 660 /StemV 80 /FontFile3 {file} 0 R"
    )
    widths = " ".join(f"{code} [{face.width(code):g}]" for code in sorted(face.used))
    glyphs = objects.add(
        f"/Type /Font /Subtype /CIDFontType0 /BaseFont /{face.name} /FontDescriptor {descriptor} 0 R "
        f"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /W [{widths}]"
    )
    letters = _letters(objects, face.used, 4)
    return objects.add(
        f"/Type /Font /Subtype /Type0 /BaseFont /{face.name} /Encoding /Identity-H "
        f"/DescendantFonts [{glyphs} 0 R] /ToUnicode {letters} 0 R"
    )


def _blank_font(objects: _Objects, face: InvisibleFace) -> int:
    """Letters half as wide as they are high, without ink."""
    codes = face.codes.values()
    blank = objects.add("", b"500 0 d0")
    letters = _letters(objects, {code: letter for letter, code in face.codes.items()}, 2)
    names = " ".join(f"/c{code} {blank} 0 R" for code in codes)
    differences = " ".join(f"/c{code}" for code in codes)
    return objects.add(
        "/Type /Font /Subtype /Type3 /FontBBox [0 0 500 1000] /FontMatrix [0.001 0 0 0.001 0 0] /Resources << >> "
        f"/CharProcs << {names} >> /Encoding << /Type /Encoding /Differences [1 {differences}] >> /FirstChar 1 "
        f"/LastChar {len(codes)} /Widths [{' '.join('500' for _ in codes)}] /ToUnicode {letters} 0 R"
    )


def _letters(objects: _Objects, letters: Mapping[int, str], digits: int) -> int:
    """Which letters the numbers of a typeface are, in blocks of at most a hundred."""
    lines = [f"<{code:0{digits}x}> <{_utf16(letter)}>" for code, letter in sorted(letters.items())]
    blocks = [lines[start : start + 100] for start in range(0, len(lines), 100)]
    said = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    space = f"<{'0' * digits}> <{'f' * digits}>"
    return objects.add("", IDENTITY.format(space, said).encode("ascii"))


def _stretch(length: float, natural: float) -> str:
    """By how many percent words are stretched to take the room that they have in the picture."""
    return f"{100 * length / natural:.3f}" if length and natural else "100"


def _colour(colour: Rgb, operator: str) -> str:
    return " ".join([*(f"{level / 255:.4g}" for level in colour), operator])


def _utf16(text: str) -> str:
    return text.encode("utf-16-be").hex()


def _text(text: str) -> str:
    """A text as an object of a file: in hexadecimal digits, which nothing can end early."""
    return f"<feff{_utf16(text)}>"
