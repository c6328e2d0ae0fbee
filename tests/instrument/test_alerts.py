"""The alerting rules: where they go, and when they fire."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .projects import ENGINE, Instrument, Write, contents

RULES = "monitoring/connection-leaks.rules.yml"
_PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(_PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")

SCENES = """\
rule_files: [connection-leaks.rules.yml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'db_pool_connections_total{instance="full"}', values: '5x300'}
      - {series: 'db_pool_connections_active{instance="full"}', values: '14x300'}
      - {series: 'db_pool_connections_total{instance="busy"}', values: '5x300'}
      - {series: 'db_pool_connections_active{instance="busy"}', values: '0 13 0 13 0 13 0 13 0x290'}
      - {series: 'db_pool_connections_active{instance="climbs"}', values: '0+0.05x300'}
      - {series: 'leakfix_db_connections_used{instance="server"}', values: '90x300'}
      - {series: 'leakfix_db_connections_limit{instance="server"}', values: '100x300'}
      - {series: 'leakfix_db_idle_in_transaction_seconds_max{instance="server"}', values: '0+60x300'}
      - {series: 'leakfix_db_up{instance="server"}', values: '1x200 0x100'}
    alert_rule_test:
      - {eval_time: 4m, alertname: ConnectionPoolNearlyExhausted, exp_alerts: []}
      - eval_time: 10m
        alertname: ConnectionPoolNearlyExhausted
        exp_alerts: [{exp_labels: {severity: critical, instance: full}, exp_annotations: {%(full)s}}]
      - {eval_time: 100m, alertname: ConnectionsNeverGivenBack, exp_alerts: []}
      - eval_time: 250m
        alertname: ConnectionsNeverGivenBack
        exp_alerts: [{exp_labels: {severity: warning, instance: climbs}, exp_annotations: {%(climbs)s}}]
      - eval_time: 10m
        alertname: DatabaseConnectionsNearLimit
        exp_alerts: [{exp_labels: {severity: critical, instance: server}, exp_annotations: {%(near)s}}]
      - {eval_time: 5m, alertname: TransactionLeftOpen, exp_alerts: []}
      - eval_time: 10m
        alertname: TransactionLeftOpen
        exp_alerts: [{exp_labels: {severity: warning, instance: server}, exp_annotations: {%(open)s}}]
      - {eval_time: 200m, alertname: DatabaseUnreachable, exp_alerts: []}
      - eval_time: 210m
        alertname: DatabaseUnreachable
        exp_alerts: [{exp_labels: {severity: critical, instance: server}, exp_annotations: {%(away)s}}]
"""


def annotations(text: str, alert: str, summary: str) -> str:
    """What an alert is expected to say: the summary as given, the description as it stands in the rules."""
    rule = text.partition(f"- alert: {alert}\n")[2].partition("- alert:")[0].partition("\n  - name:")[0]
    description = " ".join(rule.partition("description: >-\n")[2].split())
    return f'summary: "{summary}", description: "{description}"'


@needs_promtool
@pytest.mark.parametrize("overflow", ["", ", max_overflow=10"])
def test_they_fire_when_they_should(shop: Write, instrument: Instrument, tree: Path, overflow: str) -> None:
    shop({"app/db.py": ENGINE.replace("=QueuePool", "=QueuePool" + overflow)})
    assert instrument("alerts", "--yes")[:2] == (0, f"created  {RULES}\n")
    text = (tree / RULES).read_text()
    said = {
        "full": annotations(text, "ConnectionPoolNearlyExhausted", "full: 93.33% of the connection pool is in use"),
        "climbs": annotations(
            text, "ConnectionsNeverGivenBack", "climbs: never fewer than 9.5 connections in use, more every hour"
        ),
        "near": annotations(text, "DatabaseConnectionsNearLimit", "server: 90% of the server's connections are taken"),
        "open": annotations(text, "TransactionLeftOpen", "server: a session is idle in its transaction for 10m 0s"),
        "away": annotations(text, "DatabaseUnreachable", "server: the database does not answer"),
    }
    (tree / "monitoring/scenes.yml").write_text(SCENES % said)
    for command in (("check", "rules", RULES), ("test", "rules", "monitoring/scenes.yml")):
        done = subprocess.run([_PROMTOOL or "", *command], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("engine", "capacity"),
    [
        ("poolclass=QueuePool", "(db_pool_connections_total + 10)"),
        ("poolclass=QueuePool, max_overflow=3", "(db_pool_connections_total + 3)"),
        ("poolclass=QueuePool, max_overflow=0", "db_pool_connections_total"),
        ("poolclass=QueuePool, max_overflow=-1", "db_pool_connections_total"),
        ("poolclass=QueuePool, max_overflow=LIMIT", "db_pool_connections_total"),
        ("poolclass=StaticPool", "db_pool_connections_total"),
    ],
)
def test_the_capacity_of_the_pool(shop: Write, instrument: Instrument, tree: Path, engine: str, capacity: str) -> None:
    shop({"app/db.py": ENGINE.replace("poolclass=QueuePool", engine)})
    instrument("alerts", "--yes")
    assert f"expr: db_pool_connections_active / {capacity} > 0.9\n" in (tree / RULES).read_text()


def test_beside_the_rules_that_are_there(shop: Write, instrument: Instrument, tree: Path) -> None:
    shop({"deploy/prometheus/api.rules.yml": "groups: []\n"})
    assert instrument("alerts", "--yes")[1] == "created  deploy/prometheus/connection-leaks.rules.yml\n"
    before = contents(tree)
    code, told, said = instrument("alerts", "--yes")
    assert (code, told) == (0, "")
    assert "deploy/prometheus/connection-leaks.rules.yml is there already" in said
    assert contents(tree) == before


def test_metrics_that_nobody_serves_are_told(shop: Write, instrument: Instrument) -> None:
    served = 'Gauge("db_pool_connections_active", "")\n'
    assert (
        "`leakfix apply --select sqlalchemy/pool-metrics --unsafe-fixes` adds them"
        in instrument("alerts")[2] + instrument()[1]
    )
    shop({"app/metrics.py": served})
    assert "adds them" not in instrument()[1]


def test_every_alert_names_the_next_step(shop: Write, instrument: Instrument, tree: Path) -> None:
    instrument("alerts", "--yes")
    rules = re.split(r"- alert: ", (tree / RULES).read_text())[1:]
    assert len(rules) == 5
    for rule in rules:
        assert "summary: " in rule
        assert "`leakfix " in rule.partition("description:")[2]


def test_without_a_database(write: Write, instrument: Instrument) -> None:
    write({"app.py": "import json\n"})
    code, _, said = instrument("alerts", "--yes")
    assert code == 1
    assert "nothing here imports a library that opens database connections" in said
