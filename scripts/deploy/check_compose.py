"""What the schema of compose files does not see in deploy/compose.yml: limits, health, order, secrets, ports, files.

    python scripts/deploy/check_compose.py deploy/compose.yml
"""

import pathlib
import re
import sys

import yaml

# Run once and end.
TASKS = {"backup", "restore"}
# Open to everyone; the rest is bound to this machine.
PUBLIC = {"caddy"}
# Made by init-secrets.sh, by a backup, or by whoever sets it up.
MADE = {"secrets", "backups", "windlass.env"}


def sources(service):
    for volume in service.get("volumes", []):
        yield volume.split(":")[0]


def secrets_of(service):
    """Names of a service's secrets, and where it finds them."""
    for secret in service.get("secrets", []):
        if isinstance(secret, dict):
            yield secret["source"], secret["target"]
        else:
            yield secret, f"/run/secrets/{secret}"


def files_read(folder, service):
    """Files that a service's settings and Alertmanager's configuration name by something that ends in `file`."""
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            yield value
    for volume in service.get("volumes", []):
        configuration = folder / volume.split(":")[0] / "alertmanager.yml"
        if configuration.exists():
            yield from re.findall(r"api_url_file: *(\S+)", configuration.read_text())


def check(path):
    folder = pathlib.Path(path).parent
    stack = yaml.safe_load(pathlib.Path(path).read_text())
    services, problems = stack["services"], []

    def say(name, problem):
        problems.append(f"{name}: {problem}")

    for name, service in services.items():
        image = service["image"]
        if "${" not in image and (":" not in image or image.endswith(":latest")):
            say(name, f"image {image} has no fixed tag")
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        if {"cpus", "memory"} - set(limits):
            say(name, "no limit of CPU and memory")
        if name not in TASKS and "test" not in service.get("healthcheck", {}):
            say(name, "no health check")
        for port in service.get("ports", []):
            if name not in PUBLIC and not port.startswith("127.0.0.1:"):
                say(name, f"port {port} is open to everyone")
        for needed, how in service.get("depends_on", {}).items():
            if how.get("condition") != "service_healthy":
                say(name, f"does not wait until {needed} is healthy")
            if services.get(needed, {}).get("profiles"):
                say(name, f"waits for {needed}, which is not started by itself")
        for secret, _ in secrets_of(service):
            if secret not in stack["secrets"]:
                say(name, f"secret {secret} is not defined")
        places = {place for _, place in secrets_of(service)}
        for file in files_read(folder, service):
            if file not in places:
                say(name, f"reads {file}, which no secret is")
        for source in sources(service):
            if source.startswith("."):
                if not (folder / source).exists() and pathlib.PurePath(source).parts[:1] not in [(m,) for m in MADE]:
                    say(name, f"{source} does not exist")
            elif not source.startswith("/") and source not in stack["volumes"]:
                say(name, f"volume {source} is not defined")
        for network in service.get("networks", []):
            if network not in stack["networks"]:
                say(name, f"network {network} is not defined")
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|TOKEN|KEY", variable) and not re.search(r"_?_FILE$", variable):
                say(name, f"{variable} is a secret in the environment")
    for secret, where in stack["secrets"].items():
        made = (folder / "scripts/init-secrets.sh").read_text()
        if f"put {pathlib.PurePath(where['file']).name} " not in made:
            say(secret, "init-secrets.sh does not make it")
    return services, problems


def main(path):
    services, problems = check(path)
    for problem in problems:
        print(problem)
    print(f"{path}: {len(services)} services, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
