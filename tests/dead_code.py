"""Which definitions of the package nothing runs, read off the syntax trees of its callers.

What the callers (experiments, launch, configs) and the modules' own top level mention is alive, and
so is whatever a living definition mentions. Functions, classes and constants are looked up by
module; methods, properties and fields by their name alone, since the type of `x` in `x.name` is
unknown: one that shares its name with an attribute in use is taken as alive. The same holds for the
functions of a module that is itself passed on as a value.
"""

import ast
import collections
import dataclasses
import pathlib

PACKAGE = "moa_jax"
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


@dataclasses.dataclass
class Definition:
    """A function, class, method, field or constant, and what it mentions."""

    name: str
    kind: str
    node: ast.AST
    # Full name of the class of a method or field.
    owner: str | None = None
    # Full names of what it mentions, and the names of all attributes that it reads.
    mentions: set[str] = dataclasses.field(default_factory=set)
    attributes: set[str] = dataclasses.field(default_factory=set)
    calls: list["Call"] = dataclasses.field(default_factory=list)
    # Functions and modules that it hands on without calling them.
    values: set[str] = dataclasses.field(default_factory=set)
    # Classes all fields of which it reads.
    unpacked: set[str] = dataclasses.field(default_factory=set)

    @property
    def word(self):
        return self.name.rpartition(".")[2]


# A value that a caller passes, other than an optional parameter of its own.
KNOWN = "known"


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a function (its full name) or of a method (`.name`).

    A value is KNOWN, or the optional parameter that is handed on: (function, parameter).
    """

    function: str
    positional: list
    keywords: dict
    # Whether `*args` or `**kwargs` hide what else is passed.
    has_star: bool
    has_double_star: bool

    def passes(self, position, parameter):
        """The values that the call passes for a parameter: one or none."""
        if parameter in self.keywords:
            return [self.keywords[parameter]]
        if position is not None and position < len(self.positional):
            return [self.positional[position]]
        hidden = self.has_double_star or (self.has_star and position is not None)
        return [KNOWN] if hidden else []


class Code:
    """The definitions of the package and of its callers. `files`: path -> source."""

    def __init__(self, files, template_words=()):
        # Attributes that the page templates read.
        self.template_words = frozenset(template_words)
        self.trees = {module_of(path): ast.parse(source) for path, source in files.items()}
        self.names = {module: self._names_in(module) for module in self.trees}
        self.definitions = {}
        for module, tree in self.trees.items():
            self._read_module(module, tree)

    def _names_in(self, module):
        """Name in the module -> full name, for what it defines and imports."""
        tree = self.trees[module]
        names = {word: f"{module}.{word}" for word in defined_words(tree.body)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.Import):
                names |= {a.asname: a.name for a in node.names if a.asname}
                roots = {a.name.split(".")[0] for a in node.names if not a.asname}
                names |= dict(zip(roots, roots, strict=True))
        return names

    def full_name(self, name):
        """The name where a thing is defined, for a name under which a module passes it on."""
        for _ in range(5):
            module, _, word = name.rpartition(".")
            passed_on = self.names.get(module, {}).get(word, name)
            if passed_on == name:
                break
            name = passed_on
        return name

    def _read_module(self, module, tree):
        top = self._add(Definition(f"{module}.<module>", "module", tree))
        for statement in tree.body:
            if isinstance(statement, ast.ClassDef):
                self._read_class(module, statement)
            elif isinstance(statement, FUNCTIONS):
                self._define(module, f"{module}.{statement.name}", "function", statement)
            elif words := defined_words([statement]):
                for word in words:
                    self._define(module, f"{module}.{word}", "constant", statement)
            elif not isinstance(statement, (ast.Import, ast.ImportFrom)):
                Reader(self, module, top).visit(statement)

    def _read_class(self, module, node):
        name = f"{module}.{node.name}"
        owner = self._add(Definition(name, "class", node))
        for part in (*node.decorator_list, *node.bases, *node.keywords):
            Reader(self, module, owner).visit(part)
        for statement in node.body:
            if isinstance(statement, FUNCTIONS):
                kind = "property" if is_property(statement) else "method"
                self._define(module, f"{name}.{statement.name}", kind, statement, name)
            else:
                for word in defined_words([statement]):
                    self._add(Definition(f"{name}.{word}", "field", statement, name))
                Reader(self, module, owner).visit(statement)

    def _define(self, module, name, kind, node, owner=None):
        Reader(self, module, self._add(Definition(name, kind, node, owner))).read(node)

    def _add(self, definition):
        return self.definitions.setdefault(definition.name, definition)

    def alive(self):
        """All definitions that something runs."""
        alive, words = set(), set(self.template_words)
        open_modules, unpacked = set(), set()
        of_word, members = collections.defaultdict(list), collections.defaultdict(list)
        top_level = collections.defaultdict(list)
        for found in self.definitions.values():
            if not found.owner:
                top_level[found.name.rpartition(".")[0]].append(found)
            else:
                of_word[found.word].append(found)
                members[found.owner].append(found)
        waiting = [
            found
            for found in self.definitions.values()
            if found.kind == "module" or not in_package(found.name)
        ]
        while waiting:
            found = waiting.pop()
            if found.name in alive or (found.owner and found.owner not in alive):
                continue
            alive.add(found.name)
            waiting += [
                self.definitions[name] for name in found.mentions if name in self.definitions
            ]
            whole = found.name in unpacked
            waiting += [
                m for m in members[found.name] if whole or m.word in words or is_special(m.word)
            ]
            # Of a module that is passed on as a value, whatever any `x.name` may mean.
            for module in (found.values & self.trees.keys()) - open_modules:
                open_modules.add(module)
                waiting += [m for m in top_level[module] if m.word in words]
            for word in found.attributes - words:
                words.add(word)
                waiting += of_word[word]
                waiting += [
                    m for module in open_modules for m in top_level[module] if m.word == word
                ]
            unpacked |= found.unpacked
            for name in found.unpacked:
                waiting += members[name]
        return alive

    def dead(self, allowed=()):
        """The package's definitions that nothing runs; of a dead class not its members."""
        alive = self.alive()
        return [
            found
            for found in self.definitions.values()
            if in_package(found.name)
            and found.name not in alive
            and (found.owner is None or found.owner in alive)
            and not is_special(found.word)
            and found.name not in allowed
            and found.word not in allowed
        ]

    def unset_parameters(self, allowed=()):
        """Optional parameters that no living caller sets, as (function, parameter).

        A caller that hands on an optional parameter of its own sets it where that one is set. What
        the callers of a function that is passed on as a value set is unknown, and taken as all.
        """
        alive = self.alive()
        calls, values = collections.defaultdict(list), set()
        for name in alive:
            values |= self.definitions[name].values
            for call in self.definitions[name].calls:
                calls[call.function].append(call)
        optional, are_set = {}, set()
        for name in sorted(alive):
            found = self.definitions[name]
            # Who calls an instance (`__call__`) cannot be told from its name.
            if not isinstance(found.node, FUNCTIONS) or found.word == "__call__":
                continue
            if found.word == "__init__":
                key = found.owner
            else:
                key = f".{found.word}" if found.owner else name
            for position, parameter in optional_parameters(found.node, bool(found.owner)):
                passed = [
                    value for call in calls[key] for value in call.passes(position, parameter)
                ]
                optional[name, parameter] = passed
                if key in values or KNOWN in passed:
                    are_set.add((name, parameter))
        while more := {
            place
            for place, passed in optional.items()
            if place not in are_set
            and any(value in are_set or value not in optional for value in passed)
        }:
            are_set |= more
        return [
            place
            for place in optional
            if place not in are_set
            and in_package(place[0])
            and not {place, place[1]} & set(allowed)
        ]


class Reader(ast.NodeVisitor):
    """Notes what a piece of code mentions, reads and calls."""

    def __init__(self, code, module, found):
        self.code, self.names, self.found = code, code.names[module], found
        self.local, self.optional = set(), set()

    def read(self, node):
        """Read a whole function: names that it binds itself are not the module's."""
        if isinstance(node, FUNCTIONS):
            self.local = bound_words(node)
            self.optional = {name for _, name in optional_parameters(node, False)}
        self.visit(node)

    def resolve(self, node):
        """The full name of `name` or `module.name`, None for anything else."""
        if isinstance(node, ast.Name) and node.id in self.names and node.id not in self.local:
            return self.code.full_name(self.names[node.id])
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            return owner and self.code.full_name(f"{owner}.{node.attr}")
        return None

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Store):
            self.note(node)

    def visit_Attribute(self, node):
        if not isinstance(node.ctx, ast.Store):
            self.found.attributes.add(node.attr)
            self.found.values.add(f".{node.attr}")
            self.note(node)
        self.visit_inside(node.value)

    def visit_inside(self, node):
        """What stands before a dot: `module` or `Class` is mentioned, but not handed on."""
        if isinstance(node, ast.Name):
            if (name := self.resolve(node)) is not None:
                self.found.mentions.add(name)
        else:
            self.visit(node)

    def note(self, node):
        name = self.resolve(node)
        if name is not None and name != self.found.name:
            self.found.mentions.add(name)
            self.found.values.add(name)

    def value_of(self, node):
        if isinstance(node, ast.Name) and node.id in self.optional:
            return (self.found.name, node.id)
        return KNOWN

    def visit_Constant(self, node):
        # Fields and methods that are looked up by name: getattr(x, "name"), method="name".
        if isinstance(node.value, str) and node.value.isidentifier():
            self.found.attributes.add(node.value)

    def visit_Call(self, node):
        called, positional = node.func, node.args
        if self.resolve(node.func) == "functools.partial" and node.args:
            called, positional = node.args[0], node.args[1:]
        if self.resolve(node.func) == "dataclasses.fields":
            self.found.unpacked |= {self.resolve(argument) for argument in node.args}
        keywords = {k.arg: self.value_of(k.value) for k in node.keywords if k.arg}
        has_star = any(isinstance(argument, ast.Starred) for argument in positional)
        has_double_star = len(keywords) < len(node.keywords)
        name = self.resolve(called)
        names = [name] if name else []
        if isinstance(called, ast.Attribute):
            names.append(f".{called.attr}")
            self.found.attributes.add(called.attr)
            self.visit_inside(called.value)
        elif not isinstance(called, ast.Name):
            self.visit(called)
        for called_name in names:
            in_order = [self.value_of(argument) for argument in positional]
            self.found.calls.append(
                Call(called_name, in_order, keywords, has_star, has_double_star)
            )
        if name and name != self.found.name:
            self.found.mentions.add(name)
        for part in (*positional, *(keyword.value for keyword in node.keywords)):
            self.visit(part)


def module_of(path):
    """`moa_jax/data/splits/manifest.py` -> `moa_jax.data.splits.manifest`; a package's `__init__`
    is the package.
    """
    parts = pathlib.PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def in_package(name):
    return name.split(".")[0] == PACKAGE


def is_special(word):
    return word.startswith("__") and word.endswith("__")


def is_property(node):
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def defined_words(statements):
    """Names that statements bind by definition or assignment (not by import)."""
    words = []
    for statement in statements:
        if isinstance(statement, DEFINITIONS):
            words.append(statement.name)
            continue
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        for target in targets:
            words += [
                node.id
                for node in ast.walk(target)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            ]
    return words


def bound_words(function):
    """Parameters and variables of a function and of the functions inside it."""
    bound = set()
    for node in ast.walk(function):
        if isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif isinstance(node, FUNCTIONS) and node is not function:
            bound.add(node.name)
    return bound


def optional_parameters(function, is_method):
    """Position (None for keyword-only) and name of each parameter with a default."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args]
    static = any(ast.unparse(d) == "staticmethod" for d in function.decorator_list)
    first = 1 if is_method and not static else 0
    start = len(plain) - len(arguments.defaults)
    found = [(i - first, plain[i].arg) for i in range(start, len(plain))]
    with_defaults = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found + [(None, arg.arg) for arg, default in with_defaults if default is not None]
