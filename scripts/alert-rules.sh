#!/usr/bin/env bash
# What Prometheus and Alertmanager themselves say of deploy/prometheus and deploy/alertmanager: syntax, the cases of
# every rule, and who is told.
set -euo pipefail
cd "$(dirname "$0")/../deploy"

promtool check rules prometheus/alerts.yml prometheus/recording.yml prometheus/slo.yml
printf "%s\n" prometheus/tests/*.yml | xargs -n 1 -P "$(nproc 2>/dev/null || echo 2)" promtool test rules
promtool check config --syntax-only prometheus/prometheus.yml
amtool check-config alertmanager/alertmanager.yml

# What Slack is told, besides what was meant: of no alert, one, one that is over, and more than a message holds.
said() {
  local template
  for template in title color link text; do
    printf '%s: ' "$template"
    amtool template render --template.glob='alertmanager/templates/*.tmpl' --template.data="$1" \
      --template.text="{{ template \"windlass.$template\" . }}"
    echo
  done
}
for data in alertmanager/tests/*.json; do
  said "$data" | sed 's/ *$//' | diff "${data%.json}.txt" - || {
    echo "alert-rules: the message of $data is another" >&2
    exit 1
  }
done

# Who is told of an alert with the labels that follow; fails when that is another.
told() {
  local receiver=$1
  shift
  amtool config routes test --config.file=alertmanager/alertmanager.yml "--verify.receivers=$receiver" "$@" 2>/dev/null
}
told slack-now alertname=AIJobProcessingStalled severity=critical queue=default
told slack-now alertname=ApiDown severity=critical scope=all
told slack-later alertname=DeadLettersGrowing severity=warning queue=default
told slack-later alertname=SomethingOfYourOwn
