"""The review on the whole screen: findings on the left, the leaking path and its repair on the right.

Everything it decides it decides through ``Review``; it writes nothing. How it ended says what is to be done.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.text import Text
from textual import on
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ScrollableContainer, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Footer, Input, ProgressBar, Static, Tree
from textual.widgets.tree import TreeNode

from leakfix.finding import Finding, Safety, Severity
from leakfix.project.display import visible
from leakfix.report.difference import drawn
from leakfix.review.decisions import Answer, Item, NotPossible, Review
from leakfix.review.prompt import matches
from leakfix.source import SourceFile

Describe = Callable[[Finding, SourceFile], str]
Edit = Callable[[str, bytes], bytes | None]

_MARKS: dict[Answer | None, tuple[str, str]] = {
    None: ("○", "dim"),
    Answer.ACCEPT: ("✔", "bold green"),
    Answer.EDIT: ("✎", "bold green"),
    Answer.SKIP: ("–", "dim"),
    Answer.SUPPRESS: ("#", "cyan"),
    Answer.BASELINE: ("≡", "cyan"),
}
_SEVERITIES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}

HELP = """\
[b]Decide[/b]
  y        accept the fix: it is written at the end
  n        skip it
  a / d    accept / skip it and the rest of its file
  A / D    accept / skip it and the rest of its rule
           (fixes to review go along only where this fix is one)
  e        edit the repaired file in $EDITOR; it is checked again
  i        allow the leak with a comment
  b        put it into the baseline
  u / U    undo / do again

[b]Move[/b]
  j / k    next / previous open finding      ↓ / ↑  in the list
  J / K    scroll the fix down / up
  /        search; Enter goes to the next hit
  g        by file or by rule

[b]End[/b]
  q        write what was accepted
  Ctrl-C   write nothing; the answers are kept for the next review

The mouse works, too: on the list and on the buttons."""


class Ending(StrEnum):
    """How a review ended."""

    WRITE = "write"
    LEAVE = "leave"


class HelpScreen(ModalScreen[None]):
    """All keys."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "close")]

    def compose(self) -> ComposeResult:
        """One box of text."""
        with Vertical(id="help"):
            yield Static(HELP)
            yield Button("Close", id="close", compact=True)

    @on(Button.Pressed, "#close")
    def close(self) -> None:
        """By the mouse."""
        self.dismiss()


class ReviewApp(App[Ending]):
    """One review.

    describe: the text that explains a finding, coloured with ANSI codes.
    edit: what a person's editor makes of a file; called while the screen is left to it.
    """

    TITLE = "leakfix review"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #head { height: 1; background: $panel; padding: 0 1; }
    #title { width: 1fr; }
    #count { width: auto; padding: 0 2; }
    ProgressBar { width: auto; }
    #list { width: 38%; border-right: solid $primary; }
    #detail { padding: 0 1; height: 1fr; }
    #what { padding: 0 1; }
    #fix { width: auto; }
    .-narrow #panes { layout: vertical; }
    .-narrow #list { width: 100%; height: 30%; border-right: none; border-bottom: solid $primary; }
    .-narrow ProgressBar { display: none; }
    .-narrow #buttons Button { min-width: 6; margin-right: 0; }
    #buttons { height: 1; padding: 0 1; }
    #buttons Button { margin-right: 1; min-width: 10; }
    #search { display: none; height: 3; }
    #search.shown { display: block; }
    #message { height: 1; padding: 0 1; color: $warning; }
    HelpScreen { align: center middle; }
    #help { width: 76; height: auto; max-height: 95%; border: thick $primary; background: $surface; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('accept')", "accept"),
        Binding("n", "answer('skip')", "skip"),
        Binding("a", "rest('accept', 'file')", "file", show=False),
        Binding("d", "rest('skip', 'file')", "skip file", show=False),
        Binding("A", "rest('accept', 'rule')", "rule", show=False),
        Binding("D", "rest('skip', 'rule')", "skip rule", show=False),
        Binding("e", "edit", "edit"),
        Binding("i", "answer('suppress')", "allow"),
        Binding("b", "answer('baseline')", "baseline"),
        Binding("u", "undo", "undo"),
        Binding("U", "redo", "redo", show=False),
        Binding("j", "next_open(1)", "next", show=False),
        Binding("k", "next_open(-1)", "previous", show=False),
        Binding("J", "scroll_fix(1)", "scroll", show=False),
        Binding("K", "scroll_fix(-1)", "scroll", show=False),
        Binding("slash", "search", "search"),
        Binding("g", "regroup", "by rule"),
        Binding("question_mark", "help", "help"),
        Binding("q", "finish", "write & quit"),
        Binding("ctrl+c", "leave", "leave", priority=True, show=False),
    ]

    def __init__(self, review: Review, describe: Describe, edit: Edit) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self._review = review
        self._describe = describe
        self._edit_file = edit
        self._item = next(filter(review.is_open, review.items), review.items[0])
        self._leaves: dict[str, TreeNode[Item]] = {}
        self._by_rule = False
        self._moves = 0

    def compose(self) -> ComposeResult:
        """List, detail, buttons."""
        with Horizontal(id="head"):
            yield Static("leakfix review", id="title")
            yield Static(id="count")
            yield ProgressBar(total=len(self._review.items), show_eta=False)
        with Horizontal(id="panes"):
            tree: Tree[Item] = Tree("findings", id="list")
            tree.show_root = False
            tree.guide_depth = 2
            yield tree
            with Vertical():
                yield Static(id="what")
                with ScrollableContainer(id="detail", can_focus=False):
                    yield Static(id="fix")
                with Horizontal(id="buttons"):
                    for answer, text, variant in (
                        (Answer.ACCEPT, "Accept", "success"),
                        (Answer.SKIP, "Skip", "default"),
                        (Answer.SUPPRESS, "Allow", "default"),
                        (Answer.BASELINE, "Baseline", "default"),
                    ):
                        yield Button(text, id=str(answer), variant=variant, compact=True)  # type: ignore[arg-type]
                    yield Button("Undo", id="undo", compact=True)
                    yield Button("Write & quit", id="finish", variant="primary", compact=True)
        yield Input(placeholder="rule, file, function or message", id="search")
        yield Static(id="message")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Fill the list and go to the first open finding."""
        self._list()
        self._tree().focus()
        self._go(self._item)

    def _tree(self) -> Tree[Item]:
        return self.query_one("#list", Tree)

    def _list(self) -> None:
        tree = self._tree()
        tree.clear()
        self._leaves.clear()
        groups: dict[str, TreeNode[Item]] = {}
        for item in self._review.items:
            name = item.finding.rule if self._by_rule else item.path
            if name not in groups:
                groups[name] = tree.root.add(Text(visible(name), "bold"), expand=True)
            self._leaves[item.key] = groups[name].add_leaf(self._label(item), item)
        tree.root.expand()

    def _label(self, item: Item) -> Text:
        decision = self._review.decision(item)
        answer = decision.answer if decision is not None else None
        gone = decision is None and self._review.current(item) is None
        sign, style = _MARKS[Answer.ACCEPT if gone else answer]
        finding = item.finding
        what = visible(finding.path) if self._by_rule else finding.rule
        label = Text.assemble((f"{sign} ", style), (f"{finding.line} ", "dim"), (what, _SEVERITIES[finding.severity]))
        if finding.fix is None:
            label.append(" no fix", "dim italic")
        elif finding.fix.safety is Safety.REVIEW:
            label.append(" review", "dim italic")
        if answer is Answer.SKIP:
            label.stylize("dim")
        return label

    def _go(self, item: Item) -> None:
        """Show a finding, and mark it in the list once that is drawn."""
        self._item = item
        self._moves += 1
        self.call_after_refresh(self._follow)
        self._show()

    def _follow(self) -> None:
        """Mark what is on show; until all such moves are done, what is highlighted is no choice of the person."""
        self._tree().move_cursor(self._leaves[self._item.key])
        self.call_after_refresh(self._followed)

    def _followed(self) -> None:
        self._moves -= 1

    @on(Tree.NodeHighlighted)
    def highlighted(self, event: Tree.NodeHighlighted[Item]) -> None:
        """By the arrows or the mouse."""
        item = event.node.data
        if not self._moves and item is not None and item is not self._item and self._leaves.get(item.key) is event.node:
            self._item = item
            self._show()

    def _show(self) -> None:
        heading, detail = self._detail(self._item)
        self.query_one("#what", Static).update(heading)
        self.query_one("#fix", Static).update(Group(*detail))
        self.query_one("#detail", ScrollableContainer).scroll_home(animate=False)
        self._tell("")
        counts = self._review.counts()
        done = len(self._review.items) - counts[None]
        accepted = counts[Answer.ACCEPT] + counts[Answer.EDIT]
        self.query_one("#count", Static).update(f"{done} of {len(self._review.items)} decided, {accepted} accepted")
        self.query_one(ProgressBar).update(progress=done)

    def _detail(self, item: Item) -> tuple[Text, list[RenderableType]]:
        """The heading of a finding, and what is below it."""
        review = self._review
        decision, finding = review.decision(item), review.current(item)
        shown = finding if decision is None and finding is not None else item.finding
        state = review.state(item.path)
        source = state.now if shown is finding else state.read
        heading, _, path = self._describe(shown, source).partition("\n")
        parts: list[RenderableType] = [Text.from_ansi(path, no_wrap=True)]
        if decision is not None:
            parts.append(Text(f"{_MARKS[decision.answer][0]} {decision.answer}\n", _MARKS[decision.answer][1]))
        elif finding is None:
            parts.append(Text("✔ went along with another fix of this file\n", "bold green"))
        if shown.fix is not None and shown.fix.safety is Safety.REVIEW and shown.fix.check:
            parts.append(Text(f"Please check: {shown.fix.check}\n", "yellow"))
        proposal = review.proposal(item)
        if proposal is not None:
            marked = shown if proposal[0] is source else item.finding
            parts += drawn(marked, *proposal, dark=self.current_theme.dark)
        return Text.from_ansi(heading), parts

    def _tell(self, text: str) -> None:
        self.query_one("#message", Static).update(Text(text))

    def _refresh_list(self) -> None:
        if len(self._leaves) != len(self._review.items) or any(i.key not in self._leaves for i in self._review.items):
            self._list()
            return
        for item in self._review.items:
            self._leaves[item.key].set_label(self._label(item))
            self._leaves[item.key].data = item

    def _decided(self, act: Callable[[], str]) -> None:
        """Carry out a decision, then go to the next open finding."""
        try:
            said = act()
        except NotPossible as error:
            self._tell(str(error))
            return
        self._refresh_list()
        following = self._open_from(self._item, 1)
        self._go(following if following is not None else self._item)
        if following is None:
            said = f"{said}; all is decided: q writes what was accepted"
        self._tell(said)

    def action_answer(self, answer: str) -> None:
        """Decide about the finding on show."""

        def act() -> str:
            self._review.answer(self._item, Answer(answer))
            return f"{self._item.finding.rule}, line {self._item.finding.line}: {answer}"

        self._decided(act)

    def action_rest(self, answer: str, of: str) -> None:
        """Decide about it and the open ones behind it of the same file or rule."""
        self._decided(lambda: f"{self._review.answer_rest(self._item, Answer(answer), of)} of this {of}: {answer}")

    def action_undo(self) -> None:
        """Take the last answer back."""
        self._travelled(self._review.undo(), "nothing to undo")

    def action_redo(self) -> None:
        """Give it again."""
        self._travelled(self._review.redo(), "nothing to do again")

    def _travelled(self, item: Item | None, otherwise: str) -> None:
        if item is None:
            self._tell(otherwise)
            return
        self._refresh_list()
        self._go(item)

    def action_next_open(self, step: int) -> None:
        """Go to the nearest open finding."""
        item = self._open_from(self._item, step)
        if item is None:
            self._tell("all is decided: q writes what was accepted")
        else:
            self._go(item)

    def _open_from(self, item: Item, step: int) -> Item | None:
        shown = self._shown()
        at = shown.index(item)
        around = [shown[(at + step * number) % len(shown)] for number in range(1, len(shown) + 1)]
        return next(filter(self._review.is_open, around), None)

    def _shown(self) -> list[Item]:
        """The findings in the order of the list."""
        groups = list(self._tree().root.children)
        return [leaf.data for group in groups for leaf in group.children if leaf.data is not None]

    def action_scroll_fix(self, step: int) -> None:
        """Move the fix, not the list."""
        self.query_one("#detail", ScrollableContainer).scroll_relative(y=step * 6, animate=False)

    def action_regroup(self) -> None:
        """List by file or by rule."""
        self._by_rule = not self._by_rule
        self._list()
        self._go(self._item)

    def action_search(self) -> None:
        """Open the search line."""
        search = self.query_one("#search", Input)
        search.add_class("shown")
        search.focus()

    @on(Input.Submitted, "#search")
    def sought(self, event: Input.Submitted) -> None:
        """Go to the next finding that has the text."""
        event.input.remove_class("shown")
        self._tree().focus()
        shown = self._shown()
        at = shown.index(self._item)
        around = [*shown[at + 1 :], *shown[: at + 1]]
        found = next((item for item in around if event.value and matches(item.finding, event.value)), None)
        if found is None:
            self._tell(f"nothing has {event.value!r}")
        else:
            self._go(found)

    def key_escape(self) -> None:
        """Close the search line."""
        self.query_one("#search", Input).remove_class("shown")
        self._tree().focus()

    def action_edit(self) -> None:
        """Let a person change the repaired file; it is taken once it holds."""
        proposal = self._review.proposal(self._item)
        shown = proposal[1] if proposal is not None else self._review.state(self._item.path).now
        try:
            with self.suspend():
                data = self._edit_file(self._item.path, shown.raw)
        except (OSError, SuspendNotSupported) as error:
            self._tell(f"the editor did not work: {getattr(error, 'strerror', None) or error}")
            return
        if data is None:
            self._tell("nothing was changed")
            return

        def act() -> str:
            self._review.edit(self._item, data)
            return "your version was checked and taken"

        self._decided(act)

    def action_help(self) -> None:
        """Show all keys."""
        self.push_screen(HelpScreen())

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        """By the mouse."""
        match event.button.id:
            case "undo":
                self.action_undo()
            case "finish":
                self.action_finish()
            case "accept" | "skip" | "suppress" | "baseline":
                self.action_answer(event.button.id)
        if event.button.id != "close":
            self._tree().focus()

    def action_finish(self) -> None:
        """End; what was accepted is to be written."""
        self.exit(Ending.WRITE)

    def action_leave(self) -> None:
        """End at once; nothing is to be written."""
        self.exit(Ending.LEAVE)
