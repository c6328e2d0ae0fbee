"""Whether a table is sure to grow with use, by what its rows are called, what they refer to, and what is asked of it.

A table of settings, roles or templates has as many rows as people made by hand; one of users, orders or messages has no
end. Nothing in a query says which, so each sign counts for or against, and what nothing speaks for stays silent.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from leakfix.languages.python.syntax import name_of
from leakfix.patterns import many
from leakfix.patterns.called import is_program
from leakfix.patterns.domain import words_of
from leakfix.patterns.view import View
from leakfix.project.mentions import DEFINITION

ENOUGH = 2
_SURE, _HINT = 3, 1
_GROWING = frozenset(
    "user account customer client visitor member person people profile contact subscriber patient student employee "
    "author player guest attendee participant speaker voter buyer seller reader follower candidate applicant order "
    "purchase cart basket checkout payment invoice transaction transfer refund charge receipt booking reservation "
    "ticket shipment delivery fulfillment parcel voucher message mail email sms conversation chat thread post "
    "comment reply review rating like vote reaction feedback mention notification alert reminder invitation invite "
    "log audit activity action history revision version change snapshot record entry visit view hit click "
    "impression session request response login attempt download upload run task job execution result page article "
    "document file attachment image photo picture video media asset rendition thumbnail book song track episode "
    "note bookmark link url product item variant sku stock sale price quote submission proposal answer enrollment "
    "registration membership subscription assignment grade measurement reading sample metric point position "
    "location address trade candle workout translation issue bug story dashboard chart notebook interface prefix "
    "line timeline event timestamp".split()
)
"""What a row is where each use of the program may add one."""
_WEAK = frozenset(
    "position event action line view link version position location task metric profile url translation job issue "
    "entry run point".split()
)
"""Of those, the ones that as often are what a few people set up: they need another sign."""
_FEW = frozenset(
    "role permission group vrf filter token status setting settings config configuration plan category schema tag "
    "label template type kind country currency language locale region site timezone tier feature flag webhook "
    "option options backend provider integration rule feed server mirror arch architecture menu navigation bar "
    "theme plugin channel queue warehouse zone domain host organization organisation team department model mode "
    "policy level layout widget style script field column table index section collection location format engine "
    "driver scheme definition preset unit brand key license information app application service exchange campaign "
    "class taxonomy vocabulary method gateway carrier courier reason stage phase criterion".split()
)
"""What a row is where somebody sets it up by hand."""
_PEOPLE = frozenset("user account member person people profile player author".split())
"""Who uses a program: a household, a team, or everybody who signs up."""
_ACCOUNTS = frozenset("user account member profile".split())
"""Of those, the ones who sign in."""
_GOODS = frozenset(
    "product item variant sku stock article image picture video media asset rendition thumbnail book song "
    "track episode dashboard chart notebook address membership subscription assignment story client customer "
    "contact employee speaker candidate seller guest student enrollment activity note page".split()
)
"""What is as often put in by the few who run a program as by those who use it."""
_PAGE = "page"
"""A row of one kind of page is what editors write; of all pages there are as many as a site has."""
_SET_UP = frozenset(
    "help scheduled periodic recurring default builtin system superuser staff special whitelist blacklist allowlist "
    "denylist allowed banned test demo sample robot bot".split()
)
"""What comes before the name of a row that somebody set up by hand, whatever it is."""
_ENDINGS = tuple(word for word in _GROWING - _WEAK if len(word) > 3)
_UNIQUE = frozenset("name slug code email username key identifier".split())
_ONE = frozenset("exact iexact startswith istartswith endswith iendswith".split())
"""Lookups that leave few rows where values are unique."""
_PARTS = frozenset("contains icontains regex iregex range startswith istartswith endswith iendswith".split())
"""Lookups that leave a part of a table."""
_TIMES = frozenset(
    "date time datetime day days week month year hour timestamp created updated modified changed added published sent "
    "received since after from start begin begun last at on now today yesterday timedelta cutoff threshold ago until "
    "expires expired expiry when seen".split()
)
"""Words of what tells when."""
_TREE = frozenset("depth level parent lft numchild".split())
_KEYS = frozenset("id pk uuid".split())
_RARE = frozenset(
    "current superuser staff admin temporary spam hidden banned blocked rejected rescinded withdrawn cancelled "
    "canceled flagged locked duplicate merged broken invalid".split()
)
"""Flags that few rows carry."""
_DONE = frozenset(
    "finished processed sent done completed handled notified synced indexed delivered exported imported migrated "
    "consumed announced".split()
)
"""Flags that a loop over the others sets: what waits for it is few at any time."""
_WAITING = frozenset(
    "pending queued waiting scheduled running processing progress draft unsent unpaid unprocessed unready undecided "
    "unreviewed unmoderated failed error open new".split()
)
"""States that a loop ends."""
_DUE = frozenset("eta due scheduled schedule live next deadline remind retry publish".split())
"""Dates at which something is to be done with a row."""
_LEAVING = frozenset({"deletion", "expiration", "expiry"})
"""Dates of rows that are about to go."""


def growth(
    view: View,
    table: str,
    conditions: Iterable[tuple[str, ast.expr]],
    columns: Iterable[str],
    for_many: bool = False,
) -> int:
    """How much speaks for a table that grows and for a query that meets most of it; ``ENOUGH`` is to be sure.

    table: the name of the model or table. conditions: what rows must be, as a lookup and a value. columns: what is
    selected of each row, where that is not all. for_many: who asks is made for so many rows as would not fit.
    """
    selected = list(columns)
    found = _by_name(table)
    if _is_of_tenants(view, table) or _is_in_order(view, table) or _is_of_kinds(view, table):
        return 0
    if 0 <= found < _SURE:
        found = min(found + _by_definition(view, table), _SURE)
    asked = list(conditions)
    for name, value in asked:
        found -= _narrows(name, value)
        if _is_one_of_many(name, value) and not _is_common(view, table, name, value):
            found -= _HINT
        if name.endswith("__isnull") and (_is_of_itself(view, table, name) or _points_here(view, table, name, value)):
            found -= 2 * _HINT
    found -= 2 * _HINT if len(selected) == 1 and selected[0] in _KEYS else 0
    return found if found < ENOUGH or for_many or _is_filled_by_use(view, table, bool(asked)) else found - _SURE


def _is_filled_by_use(view: View, table: str, in_part: bool) -> bool:
    """Whether nothing speaks for rows that only the few who run the program put in. in_part: not all are asked for.

    A whole program tells more of a large table than its name; of one where it does not, as of a part of one, it is as
    likely as not that there are few.
    """
    word = _last_word(table)
    signs_in = word in _ACCOUNTS and _signs_in(view, table)
    grown = many.is_grown(view)
    if in_part and grown and _by_definition(view, table) <= _HINT and not many.is_written_at_once(view, table):
        return False
    if signs_in and many.anybody_joins(view):
        return True
    if many.is_put_in_by_staff(view, table):
        return False
    if word in _PEOPLE or _by_definition(view, table) > _HINT:
        joins = many.anybody_joins(view) and (signs_in or not grown or many.is_made(view, table))
        return joins or many.is_many(view, table) or many.is_too_long_to_choose_from(view, table)
    if many.is_many(view, table) or _by_definition(view, table) > 0:
        return True
    if many.is_inserted_into(view, table):
        return True
    known = is_program(view) and definition(view, table)
    return word not in _GOODS and not grown and (not known or many.is_made(view, table))


def _signs_in(view: View, table: str) -> bool:
    """Whether each row of what is called a member or a profile is somebody who signs in."""
    body = definition(view, table)
    if _last_word(table) in ("user", "account") or not body:
        return True
    of_users = [field for field in _OF_USERS.findall(body) if _OPTIONAL.search(field) is None]
    return bool(of_users) or _HAS_PASSWORD.search(body) is not None


def says_large(table: str) -> bool:
    """Whether a table is called like one that grows with use."""
    return _by_name(table) > 0


def may_be_large(table: str) -> bool:
    """Whether a table of that name can be sure to grow, whatever else speaks for it."""
    return _by_name(table) >= 0


def _by_name(table: str) -> int:
    words = [_singular(word) for word in words_of(table)]
    if not words:
        return 0
    if not _WAITING.isdisjoint(words[:-1]):
        return 0  # what is taken out again
    hints = sum(_HINT for word in words[:-1] if word in _GROWING - _WEAK)
    hints -= sum(_HINT for word in words[:-1] if word in _FEW)
    if words[-1] in _FEW or not _SET_UP.isdisjoint(words[:-1]):
        return hints - _SURE
    if words[-1] == _PAGE and words[:-1]:
        return min(hints, _HINT)
    if words[-1] in _WEAK:
        return hints + _HINT
    if words[-1] in _GROWING or words[-1].endswith(_ENDINGS):
        return _SURE + min(hints, 0)
    return hints


def _last_word(table: str) -> str:
    return _singular((words_of(table) or [""])[-1])


def _singular(word: str) -> str:
    known = _GROWING | _FEW
    for ending, instead in (("ies", "y"), ("es", ""), ("s", "")):
        if word not in known and word.endswith(ending) and word.removesuffix(ending) + instead in known:
            return word.removesuffix(ending) + instead
    return word


_OF_USER = r"(?:AUTH_USER_MODEL|\bUser\b|\bauth\.User\b|get_user_model)"
_ONE_FOR_EACH = re.compile(rf"OneToOneField\([^)]*{_OF_USER}")
_MANY_FOR_EACH = re.compile(rf"ForeignKey\([^)]*(?:{_OF_USER}|[\"']users?\.id[\"'])")

_HAS_PASSWORD = re.compile(r"^[ \t]+password[ \t]*[:=]|Abstract(?:Base)?User|UserMixin", re.MULTILINE)
_OF_USERS = re.compile(rf"(?:OneToOneField|ForeignKey)\([^)]*{_OF_USER}[^)]*\)")
_OPTIONAL = re.compile(r"\bnull\s*=\s*True")
_SIGNS_IN = re.compile(
    r"^[ \t]+(?:(?:e?mail|user|owner|person)(?:_?name|_id|_address)?|login|password)[ \t]*[:=]"
    r"|Abstract(?:Base)?User|UserMixin",
    re.MULTILINE,
)
_SORTED = re.compile(r"^[ \t]+(?:sort|display)_?(?:number|order|index)[ \t]*[:=]", re.MULTILINE)
_WORDED = re.compile(r"^[ \t]+(?:code|slug|name)[ \t]*=[ \t]*[\w.]+\([^)]*\bunique[ \t]*=[ \t]*True", re.MULTILINE)
_OWNER = re.compile(r"(?:ForeignKey\(|foreign_key\s*=)\s*[\"']?([\w.]+)")


def _by_definition(view: View, table: str) -> int:
    """What the model's class says: one row for each user, or some that belong to one."""
    body = definition(view, table)
    if _ONE_FOR_EACH.search(body):
        return 2 * _HINT
    owners = {_singular(word) for name in _OWNER.findall(body) for word in words_of(name)}
    owning = _GROWING - _WEAK - (_GOODS - set(words_of(table)))
    return _HINT if _MANY_FOR_EACH.search(body) or owners & owning else 0


def _is_of_tenants(view: View, table: str) -> bool:
    """Whether what is called an account is one of an organisation: nobody signs in with it, or owns it."""
    body = definition(view, table) if _last_word(table) == "account" else ""
    return bool(body) and _SIGNS_IN.search(body) is None


def _is_in_order(view: View, table: str) -> bool:
    """Whether rows belong to nothing and are put in an order by hand: the choices of a form."""
    body = definition(view, table)
    return _SORTED.search(body) is not None and "Key(" not in body


def _is_of_kinds(view: View, table: str) -> bool:
    """Whether each row has a word of its own that people gave it, and its name is not of what comes with use."""
    words = [_singular(word) for word in words_of(table)] or [""]
    return words[-1] not in _GROWING and _WORDED.search(definition(view, table)) is not None


def definition(view: View, table: str) -> str:
    """The text of the model's class; "" where the project has none."""
    if not table:
        return ""
    defined = re.compile(rb"^class " + re.escape(table.encode()) + rb"\b.*?(?=^[^\s)]|\Z)", re.MULTILINE | re.DOTALL)
    for text in (view.module.source.data, *view.texts(DEFINITION + table)):
        match = defined.search(text)
        if match is not None:
            return match[0].decode("utf-8", "replace")
    return ""


def _narrows(name: str, value: ast.expr) -> int:
    """By how much a condition speaks against meeting most of the table."""
    fields, lookup = _lookup_of(name)
    if fields[0] in _TREE:
        return _SURE  # the roots of a tree, or those of one level
    constant = value.value if isinstance(value, ast.Constant) else ...
    if (constant in (None, "") and name) or (constant is True and lookup == "isnull"):
        return 2 * _HINT  # what should not be missing, mostly is not
    if lookup in _PARTS:
        return 2 * _HINT
    if _is_text_or_state(value) and fields[-1] in _UNIQUE and lookup in _ONE:
        return _SURE  # the one row of that name, or those of the one that is called so
    if constant is False and lookup == "isnull":
        return 0  # what should be there, mostly is
    if constant is False and not _DONE.isdisjoint(words_of(name)):
        return 2 * _HINT
    if constant is True and not _RARE.isdisjoint(words_of(name)):
        return 2 * _HINT
    if lookup in _UNTIL and (_is_fixed(value) or not _DUE.isdisjoint(words_of(fields[-1]))):
        return 2 * _HINT  # what was there at a time, and grows no more; or what is due, and no more once it was done
    if lookup in _SINCE and type(constant) not in (int, float) and _is_of_time(fields[-1], value):
        return 2 * _HINT  # what came lately
    if type(constant) in (int, float) and lookup == "exact":
        return 2 * _HINT  # one of many kinds
    if constant is True and words_of(name)[:1] == ["can"]:
        return 2 * _HINT  # what only some are allowed to do
    if not _LEAVING.isdisjoint(words_of(name)):
        return 2 * _HINT
    state = constant if isinstance(constant, str) else getattr(value, "attr", getattr(value, "id", ""))
    if not _WAITING.isdisjoint(words_of(state)):
        return 2 * _HINT
    return _HINT


def _is_of_time(field: str, value: ast.expr) -> bool:
    """Whether a field is one of days or times, by its name or by what it is compared with."""
    words = {
        *words_of(field),
        *(word for part in ast.walk(value) for word in words_of(getattr(part, "id", getattr(part, "attr", "")))),
    }
    return not words.isdisjoint(_TIMES)


def _is_one_of_many(name: str, value: ast.expr) -> bool:
    """Whether a condition wants one text or state of those a field may have."""
    if _lookup_of(name)[1] not in ("exact", "iexact") or not _is_text_or_state(value):
        return False
    return not isinstance(value, ast.Constant) or value.value != ""


def _is_text_or_state(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return isinstance(value, ast.Attribute) and value.attr.isupper()


def _is_common(view: View, table: str, name: str, value: ast.expr) -> bool:
    """Whether the project says that many rows have that state: new rows begin with it, or there are many of each."""
    of_people = _last_word(table) in _PEOPLE or _by_definition(view, table) > 0
    if many.is_written_at_once(view, table) or (of_people and many.anybody_joins(view)):
        return True
    first = _DEFAULT.search(_field(view, table, name))
    state = value.value if isinstance(value, ast.Constant) else getattr(value, "attr", "")
    return first is not None and re.split(r"\W+", first[1].strip("\"'"))[-1].lower() == str(state).lower()


def _is_of_itself(view: View, table: str, name: str) -> bool:
    """Whether a field refers to a row of the same table: few are merged into, reverse or follow another."""
    return re.search(rf"\(\s*(?:to\s*=\s*)?[\"'](?:self|(?:\w+\.)?{table})[\"']", _field(view, table, name)) is not None


def _points_here(view: View, table: str, name: str, value: ast.expr) -> bool:
    """Whether a condition wants rows that others refer to, by the plural the other table is called here: few are."""
    field = name.rpartition("__")[0]
    plural = field.endswith("s") and not field.endswith(("ss", "us", "is"))
    wanted = isinstance(value, ast.Constant) and value.value is False
    return plural and wanted and not _field(view, table, name)


_DEFAULT = re.compile(r"\bdefault\s*=\s*([^\s,()]+)")


def _field(view: View, table: str, name: str) -> str:
    """What the model's class says of the field that a condition begins with."""
    start = re.compile(rf"^([ \t]+){name.partition('__')[0]}\b[^=\n]*=.*?(?=^\1\w|^\s*$|\Z)", re.MULTILINE | re.DOTALL)
    found = start.search(definition(view, table))
    return found[0] if found is not None else ""


def _is_fixed(value: ast.expr) -> bool:
    """Whether a value is a day that was written down."""
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    if not isinstance(value, ast.Call) or name_of(value) not in ("date", "datetime"):
        return False
    return any(isinstance(item, ast.Constant) for item in [*value.args, *(word.value for word in value.keywords)])


_SINCE = frozenset({"gt", "gte"})
_UNTIL = frozenset({"lt", "lte"})
_LOOKUPS = _ONE | _PARTS | frozenset("isnull in gt gte lt lte ne date year".split())


def _lookup_of(name: str) -> tuple[list[str], str]:
    """The fields a condition goes through, and how it compares: ``user__name__startswith`` is about ``user.name``."""
    fields = name.split("__")
    lookup = fields.pop() if len(fields) > 1 and fields[-1] in _LOOKUPS else "exact"
    return fields, lookup
