"""Alerting rules for Prometheus: on the gauges of the application's own pool, and on what ``leakfix watch`` serves.

Every threshold stands in the file as a number, to be changed there; every alert says what to do next.
"""

from __future__ import annotations

import os
from string import Template

from leakfix.instrument import NewContent, Proposal
from leakfix.instrument.engines import Engine, only_engine, rule_of
from leakfix.instrument.known import Project

NAME = "connection-leaks.rules.yml"
_USUAL_FOLDER = "monitoring"
_ENDINGS = (".rules.yml", ".rules.yaml")
_PASSED_BY = frozenset({"node_modules", "site-packages", "build", "dist", "venv"})
_GAUGE = "db_pool_connections_active"

# Prometheus reads {{ }} itself; only $capacity, $full, $beyond are filled in here, which is why its own
# {{ $labels }} are written with two dollars.
_RULES = Template("""\
# Alerts on connections that are not given back.
# The first group reads the gauges of the application's pool, the second what `leakfix watch --prometheus` serves.
groups:
  - name: connection-leaks-pool
    rules:
      - alert: ConnectionPoolNearlyExhausted
        # $beyond
        expr: db_pool_connections_active / $capacity > $full
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: "{{ $$labels.instance }}: {{ $$value | humanizePercentage }} of the connection pool is in use"
          description: >-
            Requests will soon wait for a connection. If the load is no higher than usual, connections are not given
            back: `leakfix check .` names the lines, `leakfix watch` shows what the sessions of the database last did.

      - alert: ConnectionsNeverGivenBack
        # Even the quietest moment of each hour had more connections in use than that of the hour before.
        expr: >-
          min_over_time(db_pool_connections_active[1h]) > min_over_time(db_pool_connections_active[1h] offset 1h)
          and
          min_over_time(db_pool_connections_active[1h] offset 1h)
          > min_over_time(db_pool_connections_active[1h] offset 2h)
        for: 10m
        labels:
          severity: warning
        annotations:
          summary: "{{ $$labels.instance }}: never fewer than {{ $$value }} connections in use, more every hour"
          description: >-
            Connections in use should fall back between requests; a floor that climbs is a leak. `leakfix check .`
            names the lines that lose one, `pytest --leakfix` the tests that do.

  - name: connection-leaks-server
    rules:
      - alert: DatabaseConnectionsNearLimit
        expr: leakfix_db_connections_used / leakfix_db_connections_limit > 0.8
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: "{{ $$labels.instance }}: {{ $$value | humanizePercentage }} of the server's connections are taken"
          description: >-
            At the limit the server refuses everybody. `leakfix watch` shows which application holds them; in its code
            `leakfix check .` names the lines that do not give them back.

      - alert: TransactionLeftOpen
        expr: leakfix_db_idle_in_transaction_seconds_max > 300
        for: 1m
        labels:
          severity: warning
        annotations:
          summary: "{{ $$labels.instance }}: a session is idle in its transaction for {{ $$value | humanizeDuration }}"
          description: >-
            It keeps its locks and a connection and does nothing. `leakfix watch` shows whose it is and its last query;
            `leakfix check .` names the lines that neither commit nor roll back on some path.

      - alert: DatabaseUnreachable
        expr: leakfix_db_up == 0
        for: 2m
        labels:
          severity: critical
        annotations:
          summary: "{{ $$labels.instance }}: the database does not answer"
          description: >-
            It is down, or has no connection left to give. Look at its log first; once it answers, `leakfix watch`
            shows who holds its connections.
""")


def propose(project: Project) -> Proposal:
    """The rules, or why there is nothing to write."""
    files = _rule_files()
    there = next((path for path in files if os.path.basename(path) == NAME), None)
    path = there or os.path.normpath(os.path.join(os.path.dirname(files[0]) if files else _USUAL_FOLDER, NAME))
    if os.path.lexists(path):
        return Proposal(f"{path} is there already", exists=True)
    if not project.uses_database:
        return Proposal("nothing here imports a library that opens database connections")
    content = NewContent(path, None, _rules(only_engine(project)).encode())
    return Proposal("alerting rules for Prometheus", (content,), tuple(_notes(project, path)))


def _rule_files() -> list[str]:
    """The files of rules that the project keeps, the uppermost first."""
    found = []
    for folder, folders, names in os.walk("."):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _PASSED_BY)
        found += [os.path.normpath(os.path.join(folder, name)) for name in names if name.endswith(_ENDINGS)]
    return sorted(found, key=lambda path: (path.count(os.sep), path))


def _rules(engine: Engine | str) -> str:
    overflow = engine.overflow if isinstance(engine, Engine) else None
    if overflow is None or overflow < 0:
        beyond = "In use against the pool's size; what it may open beyond that is not known here."
        return _RULES.substitute(capacity="db_pool_connections_total", full="0.9", beyond=beyond)
    assert isinstance(engine, Engine)
    capacity = f"(db_pool_connections_total + {overflow})" if overflow else "db_pool_connections_total"
    beyond = f"{overflow}: how many connections the engine of {engine.path} may open beyond its pool's size."
    return _RULES.substitute(capacity=capacity, full="0.9", beyond=beyond)


def _notes(project: Project, path: str) -> list[str]:
    rule = rule_of(project)
    notes = [f"name {path} below `rule_files:` of Prometheus' configuration"]
    if not any(_GAUGE.encode() in project.read(file) for file in project.files) and rule:
        notes.append(f"the pool's gauges are not served yet: `leakfix apply --select {rule} --unsafe-fixes` adds them")
    notes.append("the other metrics are those of `leakfix watch --prometheus`")
    return notes
