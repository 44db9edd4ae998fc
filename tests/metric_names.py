#!/usr/bin/env python3
"""Checks that each metric that dashboards and alerts name is documented, and that each alert has its runbook page."""

import json
import re
import sys
from pathlib import Path

root = Path(__file__).parent.parent
files = root / "helm/weir/files"
alerts = files / "alerts.yaml"
pages = [root / "docs/metrics.md", root / "docs/agent.md"]
documented = {}
for page in pages:
    documented |= dict(re.findall(r"^\| `(weir_\w+)` \| (counter|gauge|histogram) \|", page.read_text(), re.MULTILINE))
problems = []


def check(place, text):
    """Names that stand in a query: those of histograms with what Prometheus adds."""
    for name in re.findall(r"\bweir_\w+", text):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        is_histogram = documented.get(base) == "histogram"
        if not (is_histogram and base != name) and documented.get(name) not in ("counter", "gauge"):
            problems.append(f"{place}: {name} is not in the tables of metrics")


queries = 0
for dashboard in sorted(files.glob("dashboards/*.json")):
    panels = json.loads(dashboard.read_text())["panels"]
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        squares = {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}
        if squares & taken or max(columns) >= 24:
            problems.append(f"{dashboard.name}: {panel['title']} lies over another panel, or past the edge")
        taken |= squares
        if panel["type"] != "row" and panel["datasource"]["uid"] != "${datasource}":
            problems.append(f"{dashboard.name}: {panel['title']} has a data source of its own")
    if len({panel["id"] for panel in panels}) < len(panels):
        problems.append(f"{dashboard.name}: two panels have one id")
    for panel in panels:
        for target in panel.get("targets", []):
            check(f"{dashboard.name}: {panel['title']}", target["expr"])
            queries += 1

text = alerts.read_text()
check(alerts.name, text)
runbooks = re.findall(r"runbook_url: docs/runbooks/([\w-]+\.md)$", text, re.MULTILINE)
names = re.findall(r"- alert: (\w+)", text)
if len(runbooks) != len(names):
    problems.append(f"{alerts.name}: {len(names)} alerts, but {len(runbooks)} runbooks")
for name, runbook in zip(names, runbooks):
    page = root / "docs/runbooks" / runbook
    if not page.is_file():
        problems.append(f"{name}: there is no {page.relative_to(root)}")
    elif f"# {name}\n" not in page.read_text():
        problems.append(f"{page.relative_to(root)}: its title is not {name}")
for page in root.glob("docs/runbooks/*.md"):
    if page.name not in (*runbooks, "README.md"):
        problems.append(f"{page.relative_to(root)}: no alert leads there")

if problems or not (queries and names):
    sys.exit("\n".join(problems) or "no queries or no alerts were found")
print(f"{queries} queries of dashboards and {len(names)} alerts use documented metrics")
