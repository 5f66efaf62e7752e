"""Lints deploy/helm/windlass with Helm's own library and renders it with several sets of values, a file each.

    python scripts/deploy/render_chart.py FOLDER

Values that values.schema.json or a template must refuse are given too, and have to be refused.
"""

import pathlib
import sys

import helm_python as helm

CHART = "deploy/helm/windlass"

GOOD = {
    "defaults": {},
    "production": {
        "image": {"repository": "ghcr.io/acme/windlass", "tag": "main-abc1234", "pullSecrets": ["ghcr", "mirror"]},
        "ingress": {"enabled": True, "host": "windlass.acme.dev"},
        "service": {"type": "NodePort", "port": 80},
        "worker": {"autoscaling": "keda-list", "queues": "default=3,bulk=1"},
        "persistence": {"storageClass": "fast", "size": "50Gi"},
        "monitoring": {"enabled": True},
        "settings": {"ACTIONS_ENABLED": True, "MAX_DEPTH": 500000},
        "extraSecrets": ["models"],
    },
    "own-redis": {
        "redis": {"enabled": False},
        "existingSecret": "windlass-secrets",
        "extraSecrets": ["windlass-secrets"],
        "worker": {"autoscaling": "keda-api", "queues": "default, mail.bulk"},
        "networkPolicy": {"enabled": False},
    },
    "passing": {
        "persistence": {"enabled": False},
        "ingress": {"enabled": True, "host": "windlass.test", "tls": False, "className": "", "annotations": {}},
        "worker": {"autoscaling": "keda-prometheus"},
        "api": {"replicas": 12},
    },
}

BAD = {
    "a misspelt value": {"imagee": {}},
    "an unknown kind of service": {"service": {"type": "Proxy"}},
    "a port that is none": {"service": {"port": 99999}},
    "an unknown way of scaling": {"worker": {"autoscaling": "magic"}},
    "no worker at all": {"worker": {"replicas": 0}},
    "no Redis and no secret that names one": {"redis": {"enabled": False}},
    "the list of a Redis that is not the chart's": {
        "redis": {"enabled": False},
        "existingSecret": "s",
        "worker": {"autoscaling": "keda-list"},
    },
}


def main(folder):
    problems = 0
    linted = helm.lint(CHART)
    # 1 is a recommendation (an icon).
    for message in linted["messages"]:
        if message["severity"] > 1:
            print(f"lint: {message}")
            problems += 1
    with helm.Chart.load(CHART) as chart:
        for name, values in GOOD.items():
            rendered = chart.render(values, name="windlass", namespace="windlass")
            text = [text for file, text in sorted(rendered.items()) if file.endswith(".yaml") and text.strip()]
            assert "NOTES" in "".join(rendered) and text
            pathlib.Path(folder, f"{name}.yaml").write_text("\n---\n".join(text))
        for name, values in BAD.items():
            try:
                chart.validate_schema(values)
                chart.render(values, name="windlass", namespace="windlass")
            except helm.HelmError:
                continue
            print(f"not refused: {name}")
            problems += 1
    print(f"Helm {helm.helm_sdk_version()}: rendered with {len(GOOD)} sets of values, {len(BAD)} refused, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
