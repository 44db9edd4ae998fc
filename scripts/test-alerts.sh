#!/usr/bin/env bash
# Fires and silences each alert, and looks for each metric of dashboards and alerts in the documentation.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_program promtool prometheus

say "Alerts and dashboards"
promtool check rules helm/weir/files/alerts.yaml
promtool test rules tests/alerts.yaml
tests/metric_names.py
