"""Judges Kubernetes manifests: kubernetes-validate for what it has schemas of, custom-resources.schema.json for the rest,
and what no schema sees: that names, labels, ports and grace periods fit together.

    python scripts/deploy/check_manifests.py FILE...     the files of one installation
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

VERSION = "1.31.0"
CUSTOM = json.loads((pathlib.Path(__file__).parent / "custom-resources.schema.json").read_text())
# What a person makes by hand.
BY_HAND = {("Secret", "windlass-secrets"), ("Secret", "models"), ("ConfigMap", "windlass-scripts")}


def labels_of(pods):
    return pods["metadata"].get("labels", {})


def empty(value, path=""):
    """Paths of fields without a value, as a misspelt value of a chart leaves them."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from empty(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from empty(inner, f"{path}[{number}]")


def pods_of(resource):
    """The pod template of a workload, or None."""
    spec = resource.get("spec", {})
    return spec.get("jobTemplate", {}).get("spec", spec).get("template")


class Installation:
    def __init__(self, files):
        self.problems, self.counts = [], {"schema": 0, "own schema": 0}
        self.resources = []
        for file in files:
            for resource in yaml.safe_load_all(pathlib.Path(file).read_text()):
                if resource and resource.get("kind") != "Kustomization":
                    self.resources.append((file, resource))
        self.workloads = [(file, r, pods_of(r)) for file, r in self.resources if pods_of(r)]

    def say(self, file, resource, problem):
        self.problems.append(f"{file}: {resource['kind']} {resource['metadata']['name']}: {problem}")

    def has(self, kind, name):
        there = {(r["kind"], r["metadata"]["name"]) for _, r in self.resources}
        return (kind, name) in there | BY_HAND

    def by_schema(self):
        for file, resource in self.resources:
            for path in empty(resource):
                self.say(file, resource, f"{path} has no value")
            try:
                if resource["apiVersion"].split("/")[0] in ("keda.sh", "monitoring.coreos.com"):
                    jsonschema.validate(resource, CUSTOM)
                    self.counts["own schema"] += 1
                else:
                    kubernetes_validate.validate(resource, VERSION, strict=True)
                    self.counts["schema"] += 1
            except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
                self.say(file, resource, f"{error.message} at {list(error.path)}")
            except kubernetes_validate.SchemaNotFoundError as error:
                self.say(file, resource, f"no schema: {error}")

    def references(self):
        for file, resource, pods in self.workloads:
            spec = pods["spec"]
            volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
            claims = [c["metadata"]["name"] for c in resource["spec"].get("volumeClaimTemplates", [])]
            for volume in volumes.values():
                for kind, key, name in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
                    if key in volume and not self.has(kind, volume[key][name]):
                        self.say(file, resource, f"no {kind} {volume[key][name]}")
            for container in spec["containers"]:
                for source in container.get("envFrom", []):
                    for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                        if key in source and not self.has(kind, source[key]["name"]):
                            self.say(file, resource, f"no {kind} {source[key]['name']}")
                for mount in container.get("volumeMounts", []):
                    if mount["name"] not in volumes and mount["name"] not in claims:
                        self.say(file, resource, f"no volume {mount['name']}")

    def selectors(self):
        pods = [labels_of(p) for _, _, p in self.workloads]
        for file, resource in self.resources:
            spec = resource.get("spec", {})
            wanted = spec.get("selector", {})
            wanted = wanted.get("matchLabels", wanted) if resource["kind"] != "Service" else wanted
            if not wanted or resource["kind"] == "NetworkPolicy":
                continue
            found = [r["metadata"].get("labels", {}) for _, r in self.resources if r["kind"] == "Service"]
            found = found if resource["kind"] == "ServiceMonitor" else pods
            if found and not any(wanted.items() <= labels.items() for labels in found):
                self.say(file, resource, f"its selector picks nothing: {wanted}")
            target = spec.get("scaleTargetRef")
            if target and not self.has("Deployment", target["name"]):
                self.say(file, resource, f"no Deployment {target['name']}")

    def pods_are_restricted(self):
        for file, resource, pods in self.workloads:
            spec, security = pods["spec"], pods["spec"].get("securityContext", {})
            if not security.get("runAsNonRoot") or security.get("seccompProfile") != {"type": "RuntimeDefault"}:
                self.say(file, resource, "its pods are not restricted")
            if spec.get("automountServiceAccountToken") is not False:
                self.say(file, resource, "its pods get a token that they do not need")
            for container in spec["containers"]:
                own = container.get("securityContext", {})
                if own.get("capabilities") != {"drop": ["ALL"]} or own.get("allowPrivilegeEscalation") is not False:
                    self.say(file, resource, f"container {container['name']} is not restricted")
                if not own.get("readOnlyRootFilesystem"):
                    self.say(file, resource, f"container {container['name']} may write its root")
                if not container["resources"]["limits"].get("memory"):
                    self.say(file, resource, f"container {container['name']} has no memory limit")
                image = container["image"]
                if image != "windlass" and (":" not in image or image.endswith(":latest")):
                    self.say(file, resource, f"image {image} has no fixed tag")
                ports = {port["name"] for port in container.get("ports", [])}
                for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                    asked = container.get(probe, {}).get("httpGet") or container.get(probe, {}).get("tcpSocket")
                    if asked and asked["port"] not in ports:
                        self.say(file, resource, f"{probe} asks port {asked['port']}")

    def workers_may_drain(self):
        settings = {}
        for _, resource in self.resources:
            if resource["kind"] == "ConfigMap" and "DRAIN_GRACE_SECONDS" in resource["data"]:
                settings = resource["data"]
        for file, resource, pods in self.workloads:
            if pods["spec"]["containers"][0].get("args") != ["worker"]:
                continue
            killed = pods["spec"]["terminationGracePeriodSeconds"]
            if not int(settings["DRAIN_GRACE_SECONDS"]) < int(settings["KILL_TIMEOUT_SECONDS"]) <= killed:
                self.say(file, resource, "its pods are killed before they have drained")


def main(files):
    installation = Installation(files)
    installation.by_schema()
    installation.references()
    installation.selectors()
    installation.pods_are_restricted()
    if any(pods["spec"]["containers"][0].get("args") == ["worker"] for _, _, pods in installation.workloads):
        installation.workers_may_drain()
    for problem in installation.problems:
        print(problem)
    counts = ", ".join(f"{count} by {what}" for what, count in installation.counts.items() if count)
    print(f"{len(files)} files: {counts}; {len(installation.problems)} problems")
    return 1 if installation.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
