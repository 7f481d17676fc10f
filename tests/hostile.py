"""What a stranger may put into the files of a run."""

import json
import sqlite3

from hypothesis import strategies as st

from mvsearch.search.trial_row import COLUMNS, checksum

SCRIPT = "<script>alert(1)</script>"
VALUES = (
    None, True, False, -1, 0, 1, 7, 1e308, -1e308, 1e-320, -0.5, 2**31, 2**63, 10**400, "", ".", "../../escape", "/etc/passwd",
    "a\0b", SCRIPT, "</script>" + SCRIPT, "\x1b[31mred\x1b]0;title\x07", "$\\frac{", "$x^$", "%s {0} {x}", "\ud800",
    "\u202egnp", "=1+1",
    "x" * 5000, "iphone12", "cpu", "gpu@launch=eager", "mobilevit", "counted", "measured", "log", [], {}, [[]], [1, 2],
    {"a": 1}, float("nan"), float("inf"), -float("inf"),
)  # fmt: skip
TEXTS = ("[" * 3000, '{"a":' * 3000, "1e999", "9" * 5000, "", "null", "[]", "{}", "nul", "\0", "NaN", '"\\ud800"')


def leaves(data, path=()):
    """Paths of all values in plain data, inner ones too."""
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        found += leaves(value, (*path, key))
    return found


def replaced(data, path, value):
    """The same data with one value replaced, or removed where the value is `...`."""
    copy = json.loads(json.dumps(data))
    place = copy
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copy


@st.composite
def hostile_json(draw, text):
    """The text of a JSON value with some of its values replaced, or another text altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(TEXTS))
    data = json.loads(text)
    for _ in range(draw(st.integers(1, 2))):
        if paths := leaves(data):
            value = draw(st.sampled_from((*VALUES, ...)))
            data = replaced(data, draw(st.sampled_from(paths)), value)
    return json.dumps(data)


@st.composite
def hostile_bytes(draw, content):
    """Bytes flipped, cut off, cut out, or put in."""
    content = bytearray(content)
    what = draw(st.sampled_from(("flip", "flip", "cut", "remove", "insert")))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if what == "flip":
        for _ in range(draw(st.integers(1, 20))):
            content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    elif what == "cut":
        del content[at:]
    elif what == "remove":
        del content[at : at + draw(st.integers(1, 5000))]
    else:
        content[at:at] = draw(st.binary(min_size=1, max_size=64))
    return bytes(content)


@st.composite
def hostile_cell(draw, path):
    """Changes one cell of a store, with a checksum that fits; gives what was changed."""
    db = sqlite3.connect(path, isolation_level=None)
    tables = ("trials", "trials", "provenance", "verified", "generations", "meta")
    filled = [t for t in dict.fromkeys(tables) if db.execute(f"SELECT COUNT(*) FROM {t}").fetchone()[0]]
    table = draw(st.sampled_from(filled))
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[1] != "checksum"]
    name = draw(st.sampled_from(names))
    ids = [row[0] for row in db.execute(f"SELECT rowid FROM {table}")]
    row = draw(st.sampled_from(ids))
    before = db.execute(f"SELECT {name} FROM {table} WHERE rowid = ?", (row,)).fetchone()[0]
    if isinstance(before, str) and before[:1] in "[{" and draw(st.integers(0, 4)):
        value = draw(hostile_json(before))
    else:
        plain = [v for v in VALUES if not isinstance(v, list | dict) and not (type(v) is int and abs(v) >= 2**63)]
        value = draw(st.sampled_from(plain))
        value = value.encode("utf-8", "surrogatepass") if isinstance(value, str) and draw(st.booleans()) else value
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode()
    try:
        db.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (value, row))
        if table == "trials":
            columns = ", ".join(COLUMNS[:-1])
            db.text_factory = lambda b: b.decode("utf-8", "surrogateescape")
            for number, *_ in db.execute("SELECT number FROM trials").fetchall():
                values = db.execute(f"SELECT {columns} FROM trials WHERE number = ?", (number,)).fetchone()
                db.execute("UPDATE trials SET checksum = ? WHERE number = ?", (checksum(*values), number))
    except (sqlite3.IntegrityError, UnicodeEncodeError):
        pass  # What SQLite does not take cannot be in a store.
    db.close()
    return f"{table}.{name} of {row}: {value!r:.80}"
