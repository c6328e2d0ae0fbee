"""Which loops over querysets are for review: a database that reads as it goes sees what the loop writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from leakfix import engine
from leakfix.config import Config
from leakfix.finding import Safety
from leakfix.registry import Registry

MODELS = """\
from django.db import connection, models


class Order(models.Model):
    total = models.IntegerField()
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"{self.total}"

    @property
    def doubled(self):
        return self.total * 2

    @property
    def noted(self):
        return Note.objects.create(text=str(self.total))


class Note(models.Model):
    text = models.TextField()
"""
COMMAND = """\
from functools import partial

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection

from shop.models import Note, Order

note = partial(Note.objects.create, text="new")


def run(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


def double(total):
    return total * 2


class Switch:
    def __setitem__(self, key, value):
        run("delete from shop_order")


switch = Switch()
seen = {{}}


class Command(BaseCommand):
    hook = staticmethod(Note.objects.create)

    @property
    def current(self):
        return 0

    @current.setter
    def current(self, value):
        run("insert into shop_order default values")

    def tell(self, total):
        self.stdout.write(str(total))

    def handle(self, *args, **options):
        for order in Order.objects.all():
            {}
"""


@pytest.mark.parametrize(
    ("done", "safety"),
    [
        ("self.stdout.write(str(order))", Safety.SAFE),
        ("self.tell(double(order.total))", Safety.SAFE),
        ("print(order.doubled)", Safety.SAFE),
        ("seen[order.pk] = order.total", Safety.SAFE),
        ("run('insert into shop_order default values')", Safety.REVIEW),
        ("note()", Safety.REVIEW),
        ("self.hook(text=order.total)", Safety.REVIEW),
        ("self.current = order.total", Safety.REVIEW),
        ("switch[order.pk] = order.total", Safety.REVIEW),
        ("call_command('flush')", Safety.REVIEW),
        ("print(order.noted)", Safety.REVIEW),
    ],
)
def test_a_loop_over_rows_is_safe_where_nothing_it_runs_may_write(done: str, safety: Safety, tmp_path: Path) -> None:
    assert loop_over_orders(done, MODELS, tmp_path) is safety


def test_a_loop_is_for_review_where_printing_its_row_writes(tmp_path: Path) -> None:
    writing = MODELS.replace('return f"{self.total}"', "return str(Note.objects.create(text='seen'))")
    assert loop_over_orders("print(order)", writing, tmp_path) is Safety.REVIEW


def test_a_loop_is_for_review_where_a_test_gives_it_a_list(tmp_path: Path) -> None:
    put(tmp_path, "tests/test_orders.py", 'mock.patch.object(Order.objects, "all", return_value=[])\n')
    assert loop_over_orders("print(order.total)", MODELS, tmp_path) is Safety.REVIEW


def test_a_generator_that_is_kept_is_for_review(tmp_path: Path) -> None:
    loop = "for order in Order.objects.all():"
    kept = COMMAND.replace(
        loop, "totals = (order.total for order in Order.objects.all())\n        for total in totals:"
    )
    assert loop_over_orders("print(total)", MODELS, tmp_path, kept) is Safety.REVIEW


def loop_over_orders(done: str, models: str, folder: Path, command: str = COMMAND) -> Safety:
    """The safety of the repair of a command's loop."""
    put(folder, "manage.py", "")
    put(folder, "shop/models.py", models)
    put(folder, "shop/management/commands/export.py", command.format(done))
    config = Config(select=("django/whole-queryset-loop",))
    (finding,) = engine.check([str(folder)], config, Registry.load(config), jobs=1).findings
    assert finding.fix is not None
    return finding.fix.safety


def put(folder: Path, path: str, text: str) -> None:
    """A file of a project."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text)
