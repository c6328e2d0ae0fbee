"""Whether the values of a parameter or key come from an open domain (ids, texts, what requests say) or a closed one.

Nothing in Python says so; people's names do. Types decide first, then the words of a name; what is unknown is closed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

from leakfix.languages.python.modules import FunctionInfo, FunctionNode, Value, own_nodes, parameter_parts
from leakfix.languages.python.names import Place
from leakfix.patterns.view import View

_TRAFFIC = frozenset(
    "user username userid email mail phone token session sid request req ip addr address url href query sql "
    "question prompt text message msg content body search keyword lat lon lng latitude longitude order customer "
    "account item product sku isbn room chat channel member hash "
    "digest checksum host hostname domain city street zip zipcode postcode postal document doc word phrase sentence "
    "author ticket invoice payment card cart song movie book article post comment thread conversation visitor "
    "subscriber contact lead shipment coordinate coords match run page title".split()
)
"""Words of who or what comes to the program from outside, without end."""
_OPEN = _TRAFFIC | frozenset(
    "id ids pk uid uuid guid key users client term path keywords date day when timestamp number input string payload "
    "params args kwargs name data value code tag topic track point tile job task".split()
)
AMBIGUOUS = frozenset(
    "path title name data value code tag string key item path job task number domain args kwargs params".split()
)
_FEW = frozenset(
    "symbol ticker exchange timeframe guild server forum bot rule workflow queue deployment database command "
    "connection device sensor tenant org organization organisation company".split()
)
"""What one program meets hundreds of at most, also by number or name."""
_LIVE = frozenset({"connection"})
"""Of those, the ones few by name, while numbers are given anew to each that is opened."""
_ANYTHING = frozenset("key name value data args kwargs".split())
"""Words that tell nothing by themselves."""
_IDENTITIES = frozenset("id ids pk uuid".split())
_NAMES = frozenset("name key url title code".split())
_CLOSED = _FEW | frozenset(
    "size type kind lang language locale mode level env environment cls klass class model module func function "
    "fn method font color colour ext extension suffix version dtype backend driver dialect engine format fmt "
    "unit tz timezone encoding charset field fields column columns table template schema config settings "
    "option options setting filename filepath file fname dirname dir directory folder package pkg import "
    "plugin app application theme icon style script platform arch os signature annotation callable obj cfg "
    "registry loader parser namespace attr attribute property operator precision scale width height depth "
    "strategy algorithm mimetype media urlconf resource currency country region role permission status state "
    "flag verbose debug dry strict default base root interpreter python compiler target shape ndim axis asset "
    "static stylesheet weekday month category feature metric provider service alias regex regexp syntax offset seconds "
    "kw characters merge delta char component tool db database dsn api warehouse deployment".split()
)
_READS_FILES = re.compile(r"\b(open|read_text|read_bytes|exists|isfile|isdir|listdir|stat|getmtime)\b")
LONG_LIVED = ("Manager", "Adapter", "Bot", "Client", "Server", "Provider", "Store", "Registry", "Backend")
"""How classes are called of whose objects there are few, which live as long as the program."""
_CACHE = re.compile(r"cache|memo(?!r)|^ttl$")
_HOLDERS = frozenset("client engine pool connection singleton instance".split())
"""Things of which there is one for each server or tenant, on purpose."""
_SERVERS = frozenset("host hostname url uri address addr server dsn endpoint".split())
_PLAIN = (
    "builtins.str",
    "builtins.int",
    "builtins.float",
    "builtins.bytes",
    "builtins.tuple",
    "builtins.object",
    "builtins.frozenset",
    "datetime.",
    "uuid.",
    "decimal.",
    "ipaddress.",
    "typing.Any",
    "typing.Hashable",
    "typing.Tuple",
    "typing.NewType()",
    "collections.abc.Hashable",
)


def words_of(name: str) -> list[str]:
    """The words of an identifier, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def _known_words(name: str) -> list[str]:
    """The words of an identifier, a plural as what it is many of where only that is known."""
    return [
        word[:-1] if word not in _OPEN and word.endswith("s") and word[:-1] in _CLOSED | _OPEN else word
        for word in words_of(name)
    ]


def strength(name: str) -> int:
    """How surely the values of a name grow with use: 2 for what comes from outside, 1 for other open words, else 0.

    A number or name alone does not tell: what ``measure_id`` and ``resolver_name`` count may be a dozen things.
    """
    if not says_open(name, AMBIGUOUS):
        return 0
    words = _known_words(name)
    if not _TRAFFIC.isdisjoint(words) and words[-1] not in ("key", "name"):
        return 2
    return 0 if (_OPEN - _ANYTHING - _IDENTITIES).isdisjoint(words) else 1


def says_open(name: str, ambiguous: Collection[str] = ()) -> bool:
    """Whether a name tells of an open domain; of the words that often mean something else, those given count."""
    words = _known_words(name)
    if not words or words[-1] in _CLOSED or (len(words) > 1 and _CLOSED.intersection(words) and words[-1] in AMBIGUOUS):
        return False
    few = (_FEW - _LIVE if words[-1] in _IDENTITIES else _FEW).intersection(words)
    if few and not (_OPEN - _IDENTITIES - _NAMES).intersection(words):
        return False
    if words[-1] in _IDENTITIES or not _CLOSED.intersection(words):
        return any(word in _OPEN and (word in ambiguous or word not in AMBIGUOUS) for word in words)
    return False


def says_long_lived(name: str) -> bool:
    """Whether a class is called like one of whose objects there are few, which live as long as the program."""
    return name.endswith(LONG_LIVED)


def says_server(name: str) -> bool:
    """Whether a parameter is called by where a server is, of which somebody wrote down a few."""
    words = words_of(name)
    return bool(words) and words[-1] in _SERVERS


def says_one_each(name: str) -> bool:
    """Whether something is called by what is there once for each server or tenant."""
    words = words_of(name)
    return bool(words) and words[-1].removesuffix("s") in _HOLDERS


def says_cache(name: str) -> bool:
    """Whether something is called a cache."""
    return any(map(_CACHE.search, words_of(name)))


def says_closed(name: str) -> bool:
    """Whether a name tells of a closed domain: a kind, a language, a file of the program."""
    return not says_open(name, AMBIGUOUS) and not _CLOSED.isdisjoint(_known_words(name))


def is_open_parameter(view: View, function: FunctionInfo, argument: ast.arg) -> bool:
    """Whether a parameter can take any number of values over the life of the program: all do of which nothing says no.

    What says no: a closed type, an object that is no plain value, a flag as default, a word of a closed domain, being
    looked up in a constant first, and, for a private function, callers that only give constants.
    """
    name = argument.arg
    if name in ("self", "cls") or argument is function.node.args.kwarg:
        return False
    if argument.annotation is not None and _is_closed_type(view, argument.annotation, function):
        return False
    if not says_open(name, AMBIGUOUS) and not _CLOSED.isdisjoint(_known_words(name)):
        return False
    if not says_open(name) and (reads_files(function.node) or not _CLOSED.isdisjoint(words_of(function.node.name))):
        return False
    if isinstance(parameter_parts(function.node, name)[1], ast.Constant) and argument.annotation is None:
        default = parameter_parts(function.node, name)[1]
        if isinstance(default, ast.Constant) and isinstance(default.value, bool):
            return False
    return not _is_validated(view, function, name) and not _only_constants(view, function, name)


def _is_validated(view: View, function: FunctionInfo, name: str) -> bool:
    """Whether a function turns away every value of a parameter that is not in some constant, or that its object does
    not know already.
    """
    looked_up: set[str] = set()
    for node in own_nodes(function.node):
        match node:
            case ast.Assign(
                targets=[ast.Name(id=found)],
                value=ast.Call(func=ast.Attribute(value=known, attr="get"), args=[ast.Name(id=left), *_]),
            ) if left == name and is_written_down(view, function, known):
                looked_up.add(found)
            case ast.If(
                test=ast.UnaryOp(op=ast.Not(), operand=ast.Name(id=found))
                | ast.Compare(left=ast.Name(id=found), ops=[ast.Is()], comparators=[ast.Constant(value=None)]),
                body=[*_, ast.Raise() | ast.Return()] as body,
            ) if found in looked_up and not _goes_on(body, name):
                return True
            case ast.If(test=ast.Compare(left=ast.Name(id=left), ops=[ast.NotIn()], comparators=[known]), body=body):
                constant = ast.unparse(known).rpartition(".")[2].isupper() or isinstance(known, ast.Tuple | ast.Set)
                if left == name and constant and isinstance(body[-1], ast.Raise | ast.Return):
                    return True
                if left == name and ast.unparse(known).startswith("self.") and isinstance(body[-1], ast.Raise):
                    return True
    return False


def _goes_on(body: list[ast.stmt], name: str) -> bool:
    """Whether statements go on with a value that was not known: use it as a key."""
    keys = (node.slice for statement in body for node in ast.walk(statement) if isinstance(node, ast.Subscript))
    return any(isinstance(key, ast.Name) and key.id == name for key in keys)


def is_written_down(view: View, function: FunctionInfo, table: ast.expr) -> bool:
    """Whether a name of the file, or of an object, stands for a table that the program's text holds, or is made of."""
    match table:
        case ast.Name(id=name) if not _is_set_in(view, name, function):
            bindings = list(view.module.names.get(name, ()))
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if function.owner is not None:
            bindings = [binding for binding, _ in function.owner.attributes.get(name, ())]
        case _:
            return False
    return bool(bindings) and all(isinstance(item, Value) and is_table(item.expression) for item in bindings)


def _is_set_in(view: View, name: str, function: FunctionInfo) -> bool:
    return any(isinstance(use.ctx, ast.Store) for use in view.uses(name, function))


def is_table(value: ast.expr) -> bool:
    """Whether an expression is a display of entries, or a set made of one."""
    match value:
        case ast.Dict(keys=[_, *_]) | ast.Set() | ast.DictComp():
            return True
        case ast.List(elts=[_, *_]) | ast.Tuple(elts=[_, *_]):
            return True
        case ast.Call(func=ast.Name(id="frozenset" | "set"), args=[inner]):
            return is_table(inner)
    return False


def _only_constants(view: View, function: FunctionInfo, name: str) -> bool:
    """Whether a private function is called in its file only, with a constant each time."""
    if not function.node.name.startswith("_") or function.owner is not None:
        return False
    position = [a.arg for a in [*function.node.args.posonlyargs, *function.node.args.args]]
    calls = [node for node in view.calls if isinstance(node.func, ast.Name) and node.func.id == function.node.name]
    uses = view.uses(function.node.name, None)
    if not calls or len(uses) > len(calls):
        return False
    for call in calls:
        given = [word.value for word in call.keywords if word.arg == name]
        if name in position and position.index(name) < len(call.args):
            given.append(call.args[position.index(name)])
        if not all(isinstance(value, ast.Constant) for value in given) or any(w.arg is None for w in call.keywords):
            return False
    return True


def reads_files(node: FunctionNode) -> bool:
    """Whether a function looks at files: its paths are those of the installation."""
    return any(
        isinstance(item, ast.Name | ast.Attribute)
        and _READS_FILES.fullmatch(item.id if isinstance(item, ast.Name) else item.attr)
        for item in ast.walk(node)
    )


def _is_closed_type(view: View, annotation: ast.expr, function: FunctionInfo) -> bool:
    match annotation:
        case ast.Constant(value=None):
            return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_closed_type(view, left, function) and _is_closed_type(view, right, function)
        case ast.Subscript(value=value, slice=inner):
            names = view.of(value, function)
            if "typing.Optional" in names or "typing.Union" in names:
                parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
                return all(_is_closed_type(view, part, function) for part in parts)
            return not any(name.startswith(_PLAIN) for name in names)
        case ast.Constant(value=str() as text):
            return not re.match(r"(?:str|int|float|bytes|tuple|object|datetime|date|UUID|Decimal)\b", text)
    return not any(name.startswith(_PLAIN) for name in view.of(annotation, function))


def is_enum(view: View, name: str, depth: int = 0) -> bool:
    """Whether a symbolic name is an enumeration's class."""
    if name.startswith("enum."):
        return True
    found = view.names.class_(name)
    if found is None or depth > 8:
        return name.rpartition(".")[2] in ("Enum", "IntEnum", "StrEnum", "TextChoices", "IntegerChoices")
    place = Place(found[0], None)
    bases = [symbol for base in found[1].node.bases for symbol in view.names.of(base, place)]
    return any(is_enum(view, base, depth + 1) for base in bases)
