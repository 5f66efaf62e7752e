#!/usr/bin/env python3
"""Writes dashboards/*.json. `generate.py --check` says whether they are what it would write.

Everything that dashboards repeat (grid, data source, legends) stands here once; a panel is what it shows. A test checks
every query against src/metrics.rs and the recording rules, and asks a live Prometheus each of them.
"""

import json
import pathlib
import sys

RUNBOOK = "https://runbooks.example.com/windlass/runbook.md"
SCHEMA = 39  # Grafana 10.4 and 11; later ones migrate it on loading.
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HERE = pathlib.Path(__file__).parent / "dashboards"


def thresholds(*steps):
    """Colours from values on: the first holds from minus infinity."""
    found = [{"color": "green", "value": None}]
    found += [{"color": color, "value": value} for value, color in steps]
    return {"mode": "absolute", "steps": found}


def warn(value):
    return thresholds((value, "orange"))


def alarm(value):
    return thresholds((value, "red"))


def panel(title, unit, *queries, kind="timeseries", width=8, limits=None, about="", least=0, most=None):
    """A panel; a query is PromQL and its legend."""
    defaults = {"unit": unit, "thresholds": limits or thresholds()}
    if least is not None:
        defaults["min"] = least
    if most is not None:
        defaults["max"] = most
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto"}
    if kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 8,
            "showPoints": "never",
            "spanNulls": False,
            "thresholdsStyle": {"mode": "line" if limits else "off"},
        }
        options = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    targets = [
        {"refId": chr(65 + n), "datasource": SOURCE, "expr": expr, "legendFormat": legend, "editorMode": "code"}
        for n, (expr, legend) in enumerate(queries)
    ]
    if kind == "stat":
        for target in targets:
            target["instant"] = True
    height = 4 if kind == "stat" else 8
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": targets,
        "gridPos": {"w": width, "h": height},
    }


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def variable(name, query):
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "current": {},
    }


def dashboard(uid, title, panels, variables=(), since="now-6h"):
    x = y = tallest = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        each["id"] = number
        each["gridPos"] = {"x": x, "y": y, **place}
        x, tallest = x + place["w"], max(tallest, place["h"])
    source = {"name": "datasource", "label": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    others = {"asDropdown": True, "icon": "external link", "tags": ["windlass"], "title": "Windlass", "type": "dashboards"}
    book = {"icon": "doc", "title": "Runbook", "type": "link", "url": RUNBOOK, "targetBlank": True, "tags": []}
    return {
        "uid": uid,
        "title": title,
        "tags": ["windlass"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": since, "to": "now"},
        "timezone": "utc",
        "templating": {"list": [source, *variables]},
        "annotations": {"list": []},
        "links": [book, others],
        "panels": panels,
    }


def latest(metric, by="queue", labels=""):
    """The fleet's figures are the same in every API process."""
    return f"max by ({by}) (last_over_time({metric}{labels}[2m]))"


RATE = "$__rate_interval"


def fleet():
    unknown = latest("windlass_held_jobs", labels='{reason="outcome_unknown"}')
    return dashboard("windlass-fleet", "Windlass: fleet", [
        panel("Jobs in line", "short", (f"sum({latest('ai_queue_depth_total')})", "jobs"), kind="stat", width=4,
              limits=warn(1000)),
        panel("Oldest", "s", (f"max({latest('windlass_oldest_pending_seconds')})", "age"), kind="stat", width=4,
              limits=warn(900)),
        panel("Workers that claim", "short", (f"sum({latest('windlass_workers_claiming')})", "workers"), kind="stat",
              width=4, limits={"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]},
              about="A worker that serves two queues counts in both."),
        panel("Deaf workers", "short", (f"sum({latest('windlass_workers_deaf')})", "workers"), kind="stat", width=4,
              limits=warn(1)),
        panel("Unknown outcomes", "short", (f"sum({unknown})", "jobs"),
              kind="stat", width=4, limits=warn(1), about="Each waits for a decision of a person."),
        panel("Alerts", "short", ('count(ALERTS{alertstate="firing"}) or vector(0)', "firing"), kind="stat", width=4,
              limits=alarm(1)),
        row("Queues"),
        panel("Jobs in line by queue", "short", ("windlass:queue_depth:max", "{{queue}}"), limits=warn(1000)),
        panel("Accepted and claimed", "ops", ("sum(windlass:queue_enqueue:rate5m)", "accepted"),
              ("sum(windlass:queue_dequeue:rate5m)", "claimed")),
        panel("Time in line, p95", "s", ("windlass:job_wait:p95_rate5m", "{{queue}}"), limits=warn(60)),
        panel("Ended", "ops", (f"sum by (state) (max by (queue, state) (rate(windlass_jobs_finished_total[{RATE}])))", "{{state}}")),
        panel("Dead letters over all that ended", "percentunit", ("windlass:jobs_dead:ratio_rate15m", "{{queue}}"),
              limits=warn(0.01)),
        panel("Held", "short", (f"sum by (reason) ({latest('windlass_held_jobs', 'queue, reason')})", "{{reason}}")),
        row("Workers"),
        panel("Workers by queue", "short", (latest("ai_queue_workers"), "{{queue}} alive"),
              (latest("windlass_workers_claiming"), "{{queue}} claiming")),
        panel("Slots in use", "percentunit", ("sum(windlass_worker_busy) / sum(windlass_worker_slots)", "busy"), most=1),
        panel("Leases that ran out", "ops", (f"max by (queue) (rate(windlass_lease_expiries_total[{RATE}]))", "{{queue}}")),
        panel("Attempts by outcome", "ops", (f"sum by (outcome) (rate(windlass_attempts_total[{RATE}]))", "{{outcome}}")),
        panel("Run time by type, p95", "s",
              (f"histogram_quantile(0.95, sum by (le, type) (rate(windlass_job_run_seconds_bucket[{RATE}])))", "{{type}}")),
        panel("Effects", "ops", (f"sum by (outcome) (rate(windlass_effects_total[{RATE}]))", "{{outcome}}")),
        row("API"),
        panel("Requests by status", "reqps", (f"sum by (status) (rate(http_requests_total[{RATE}]))", "{{status}}")),
        panel("5xx", "percentunit", ("windlass:http_errors:ratio_rate5m", "errors"), limits=alarm(0.01),
              about="Without refusals of queues that someone drains."),
        panel("Latency, p95", "s", ("windlass:http_request_duration:p95_rate5m", "{{method}} {{path}}"), limits=alarm(3),
              about="Less what clients asked to wait."),
        panel("Problems by code", "ops", (f"sum by (code) (rate(windlass_http_problems_total[{RATE}]))", "{{code}}")),
        panel("Connections", "short", ("sum(windlass_http_connections)", "HTTP"), ("sum(windlass_websockets_open)", "WebSockets")),
        panel("Processes by version", "short", ("count by (version, job) (windlass_build_info)", "{{job}} {{version}}")),
        row("Redis"),
        panel("Reached by", "short", ("sum by (job) (windlass_redis_up)", "{{job}}")),
        panel("Memory", "percentunit", ("max(windlass_redis_memory_ratio)", "used"), limits=thresholds((0.75, "orange"), (0.85, "red")), most=1),
        panel("Checks that fail", "short", ("max by (check) (windlass_redis_unsafe)", "{{check}} unsafe"),
              ("max by (check) (windlass_redis_degraded)", "{{check}} at risk"), limits=alarm(1)),
        panel("Script calls, p99", "s",
              (f"histogram_quantile(0.99, sum by (le, script) (rate(windlass_redis_script_seconds_bucket[{RATE}])))", "{{script}}")),
        panel("Replicas", "short", ("max(windlass_redis_replicas)", "replicas"), ("max(windlass_redis_replica_lag_seconds)", "seconds silent"),
              limits=warn(10)),
        panel("Breaks, commands sent again, losses", "ops", (f"sum(rate(windlass_redis_connection_breaks_total[{RATE}]))", "breaks"),
              (f"sum(rate(windlass_redis_resent_total[{RATE}]))", "sent again"),
              (f"max(rate(windlass_redis_state_losses_total[{RATE}]))", "losses")),
    ])


def queue():
    this = '{queue=~"$queue"}'
    return dashboard("windlass-queue", "Windlass: one queue", [
        panel("In line", "short", (latest("ai_queue_depth_total", labels=this), "{{queue}}"), kind="stat", width=4, limits=warn(1000)),
        panel("Oldest", "s", (latest("windlass_oldest_pending_seconds", labels=this), "{{queue}}"), kind="stat", width=4, limits=warn(900)),
        panel("Workers", "short", (latest("ai_queue_workers", labels=this), "{{queue}}"), kind="stat", width=4,
              limits={"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]}),
        panel("Deaf", "short", (latest("windlass_workers_deaf", labels=this), "{{queue}}"), kind="stat", width=4, limits=warn(1)),
        panel("Paused", "bool_yes_no", (latest("windlass_queue_paused", labels=this), "{{queue}}"), kind="stat", width=4, limits=warn(1)),
        panel("Draining", "bool_yes_no", (latest("windlass_queue_draining", labels=this), "{{queue}}"), kind="stat", width=4, limits=warn(1)),
        panel("In line and not", "short", (latest("ai_queue_depth_total", labels=this), "in line"),
              (latest("windlass_jobs", "queue, state", this), "{{state}}"), width=12, limits=warn(1000)),
        panel("Accepted and claimed", "ops", (f"max by (queue) (rate(ai_queue_enqueue_total{this}[{RATE}]))", "accepted"),
              (f"max by (queue) (rate(ai_queue_dequeue_total{this}[{RATE}]))", "claimed"), width=12),
        panel("Time in line", "s", *[(f"histogram_quantile({q}, sum by (le) (rate(windlass_job_wait_seconds_bucket{this}[{RATE}])))", f"p{int(q * 100)}")
              for q in (0.5, 0.95, 0.99)], width=12, limits=warn(60)),
        panel("Age of the next", "s", (latest("windlass_oldest_pending_seconds", labels=this), "age"), width=12, limits=warn(900)),
        panel("Ended", "ops", (f"max by (state) (rate(windlass_jobs_finished_total{this}[{RATE}]))", "{{state}}"), width=12),
        panel("Held", "short", (latest("windlass_held_jobs", "queue, reason", this), "{{reason}}"), width=12),
        panel("Workers", "short", (latest("ai_queue_workers", labels=this), "alive"), (latest("windlass_workers_claiming", labels=this), "claiming"),
              (latest("windlass_workers_deaf", labels=this), "deaf"), width=12),
        panel("Leases that ran out, unknown outcomes", "ops", (f"max by (queue) (rate(windlass_lease_expiries_total{this}[{RATE}]))", "leases"),
              (f"max by (queue) (rate(windlass_outcome_unknown_total{this}[{RATE}]))", "unknown outcomes"), width=12),
    ], [variable("queue", "label_values(ai_queue_depth_total, queue)")])


def models():
    cost = "windlass_llm_cost_nano_usd_total"
    return dashboard("windlass-llm", "Windlass: models and cost", [
        panel("Providers", "short", (latest("windlass_llm_provider_up", "provider"), "{{provider}}"), kind="stat", width=8,
              limits={"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "green", "value": 1}]},
              about="What the last probe found; calls go on whatever it says."),
        panel("Open breakers", "short", ("sum(max by (provider, model) (last_over_time(windlass_llm_breaker_open[2m])))", "breakers"), kind="stat", width=4, limits=warn(1)),
        panel("Spent today at most", "percentunit", ("max(last_over_time(windlass_llm_budget_used_ratio[2m]))", "of the fullest budget"), kind="stat", width=4,
              limits=thresholds((0.8, "orange"), (1, "red"))),
        panel("Cost of an hour", "currencyUSD", (f"sum(increase({cost}[1h])) / 1e9", "USD"), kind="stat", width=4),
        panel("Calls that failed", "percentunit", ('sum(rate(windlass_llm_queries_total{status!~"ok|cancelled"}[5m])) / sum(rate(windlass_llm_queries_total[5m]))', "failed"),
              kind="stat", width=4, limits=warn(0.05)),
        panel("Calls by provider and model", "reqps", (f"sum by (provider, model) (rate(windlass_llm_queries_total[{RATE}]))", "{{provider}}/{{model}}")),
        panel("Calls by how they ended", "reqps", (f"sum by (status) (rate(windlass_llm_queries_total[{RATE}]))", "{{status}}")),
        panel("Breakers", "short", (latest("windlass_llm_breaker_open", "provider, model"), "{{provider}}/{{model}}"), limits=alarm(1)),
        panel("Time of a call, p95", "s", (f"histogram_quantile(0.95, sum by (le, provider, model) (rate(windlass_llm_duration_seconds_bucket[{RATE}])))", "{{provider}}/{{model}}")),
        panel("Time to the first text, p95", "s", (f"histogram_quantile(0.95, sum by (le, provider, model) (rate(windlass_llm_first_token_seconds_bucket[{RATE}])))", "{{provider}}/{{model}}")),
        panel("Told to wait for a share, p95", "s", (f"histogram_quantile(0.95, sum by (le, limit) (rate(windlass_llm_limiter_delay_seconds_bucket[{RATE}])))", "{{limit}}")),
        panel("Tokens", "short", (f"sum by (kind) (rate(windlass_llm_tokens_total[{RATE}]))", "{{kind}}"), about="A second. cached_input is part of input, reasoning of output."),
        panel("Cost", "currencyUSD", (f"sum by (provider, model) (rate({cost}[{RATE}])) * 3600 / 1e9", "{{provider}}/{{model}}"), about="An hour, at the rate of now. Calls of models without a price are not in it."),
        panel("Used of daily budgets", "percentunit", (latest("windlass_llm_budget_used_ratio", "provider, model"), "{{provider}} {{model}}"),
              limits=thresholds((0.8, "orange"), (1, "red")), about="Without a model: of the provider as a whole."),
        panel("Jobs that wait for someone", "short", (f"sum by (reason) ({latest('windlass_held_jobs', 'queue, reason')})", "{{reason}}"), width=12),
        panel("Credentials that need someone", "short", ("max(windlass_credentials_needing_reauth)", "credentials"), width=12, limits=warn(1)),
    ])


def objectives():
    windows = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
    api, wait = "windlass:slo_jobs_api_errors", "windlass:slo_job_wait_slow"
    paths = 'path=~"/ai/jobs(/.*)?"'
    failed = f'(sum(increase(http_requests_total{{{paths}, status=~"5.."}}[30d])) or vector(0))'
    drained = f'(sum(increase(windlass_http_problems_total{{{paths}, code="queue_draining"}}[30d])) or vector(0))'
    late = "1 - sum by (queue) (increase(windlass_job_wait_seconds_bucket{le=~\"60|60.0\"}[30d])) / sum by (queue) (increase(windlass_job_wait_seconds_count[30d]))"
    left = {"mode": "absolute", "steps": [{"color": "red", "value": None}, {"color": "orange", "value": 0.1}, {"color": "green", "value": 0.25}]}
    return dashboard("windlass-slo", "Windlass: objectives", [
        panel("Job API: error budget left of 30 days", "percentunit",
              (f"1 - ({failed} - {drained}) / sum(increase(http_requests_total{{{paths}}}[30d])) / 0.001", "left"), kind="stat", width=12, limits=left, least=None,
              about="99.9 % of requests to /ai/jobs and below are not answered with a 5xx."),
        panel("Waiting: error budget left of 30 days", "percentunit", (f"1 - ({late}) / 0.01", "{{queue}}"), kind="stat", width=12, limits=left, least=None,
              about="99 % of jobs start within 60 s of when they could."),
        panel("Job API: errors over each window", "percentunit", *[(f"{api}:ratio_rate{w}", w) for w in windows], width=12, limits=thresholds((0.001, "orange"), (0.0144, "red")),
              about="Orange: the objective. Red: 14.4 times that, which wakes someone within an hour."),
        panel("Waiting: late starts over each window", "percentunit", *[(f"max({wait}:ratio_rate{w})", w) for w in windows], width=12, limits=thresholds((0.01, "orange"), (0.144, "red")),
              about="Of the worst queue."),
        panel("Job API: burn rate", "none", (f"{api}:ratio_rate1h / 0.001", "1h"), (f"{api}:ratio_rate6h / 0.001", "6h"), (f"{api}:ratio_rate3d / 0.001", "3d"), width=12, limits=thresholds((6, "orange"), (14.4, "red")),
              about="1 spends the budget in exactly 30 days."),
        panel("Waiting: burn rate by queue", "none", (f"{wait}:ratio_rate1h / 0.01", "{{queue}} 1h"), (f"{wait}:ratio_rate6h / 0.01", "{{queue}} 6h"), width=12, limits=thresholds((6, "orange"), (14.4, "red"))),
        panel("POST /ai/jobs, p95", "s", ('windlass:http_request_duration:p95_rate5m{path="/ai/jobs", method="POST"}', "p95"), width=12, limits=warn(0.2)),
        panel("Requests to the job API", "reqps", (f"sum by (status) (rate(http_requests_total{{{paths}}}[{RATE}]))", "{{status}}"), width=12),
    ], since="now-7d")


def main():
    stale = []
    for name, made in {"fleet": fleet(), "queue": queue(), "llm": models(), "slo": objectives()}.items():
        path, text = HERE / f"{name}.json", json.dumps(made, indent=2, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
    if stale:
        sys.exit(f"not what generate.py writes: {', '.join(stale)}; run `make dashboards`")


main()
