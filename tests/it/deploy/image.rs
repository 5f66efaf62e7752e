//! What the image and the deployments bring along besides the binary: the health check, and Redis' configuration.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::archive::Started;
use crate::support::fleet::until;
use crate::support::processes::Process;
use crate::support::redis::{TestRedis, server_binary};

fn deploy(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(below)
}

fn health(settings: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new("bash");
    command.arg(deploy("scripts/healthcheck.sh")).env_clear().envs(settings.iter().copied());
    let output = command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().expect("bash");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn the_health_check_of_the_image_is_what_ready_says() {
    let mut redis = TestRedis::start().await;
    let (_serve, url) = Process::serve(&redis, &[]);
    let port = url.rsplit(':').next().unwrap().to_owned();
    // A worker in the same container would be asked on a port of its own; nobody listens on that of the API there.
    let api = [("PORT", port.as_str()), ("WORKER_PORT", "1")];
    let worker = [("PORT", "1"), ("WORKER_PORT", port.as_str())];
    until("it is ready", async || health(&api).0.then_some(())).await;
    assert!(health(&worker).0, "{:?}", health(&worker));
    redis.kill();
    let unready = async || (health(&api) == (false, format!("/ready on port {port}: 503\n"))).then_some(());
    until("it is not ready without Redis", unready).await;
    assert_eq!(health(&[("PORT", "1"), ("WORKER_PORT", "1")]), (false, "nobody listens on 1 or 1\n".to_owned()));
}

/// The directives of a configuration of Redis, without comments and without what differs by place.
fn directives(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut lines: Vec<&str> =
        lines.filter(|line| !line.starts_with("dir ") && !line.starts_with("maxmemory ")).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn doctor_finds_nothing_to_mend_in_a_redis_of_the_configuration_that_is_shipped() {
    let mut redis = TestRedis::start().await;
    redis.kill();
    let (folder, socket) = (redis.folder().to_owned(), redis.socket());
    let (_, _started) = Started::by_command(&redis);
    let _ = std::fs::remove_file(&socket);
    let mut server = Command::new(server_binary());
    server.arg(deploy("redis.conf")).args(["--port", "0", "--daemonize", "yes"]);
    server.arg("--unixsocket").arg(&socket).arg("--dir").arg(&folder);
    assert!(server.stdout(std::process::Stdio::null()).status().expect("redis-server").success());
    until("it listens", async || socket.exists().then_some(())).await;
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_windlass"));
    doctor.arg("doctor").current_dir(&folder).env_clear().env("REDIS_URL", redis.url());
    // No API runs, which it says too.
    let output = doctor.env("WINDLASS_URL", "http://127.0.0.1:1").output().expect("the binary");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let checks: Vec<&str> = said.lines().filter(|line| line.starts_with("redis ")).collect();
    assert!(checks.len() > 5, "{said}{}", String::from_utf8_lossy(&output.stderr));
    for check in checks {
        assert_eq!(check.split_whitespace().nth(2), Some("ok"), "{said}");
    }
}

#[test]
fn redis_is_configured_alike_everywhere() {
    let read = |below: &str| std::fs::read_to_string(deploy(below)).unwrap();
    let shipped = read("redis.conf");
    for place in ["kubernetes/redis.yaml", "helm/windlass/templates/redis.yaml"] {
        let text = read(place);
        let rest = text.split("redis.conf: |\n").nth(1).expect("the configuration");
        let block = rest.split("\n---").next().unwrap();
        assert_eq!(directives(block), directives(&shipped), "{place}");
    }
}
