//! A private Redis for `dev` and `demo`: a redis-server or valkey-server child on a unix socket,
//! with its data in a folder that survives restarts.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::StartError;
use super::child::{Child, ChildSpec, Launcher};
use crate::clock;

/// The longest path of a unix socket that every kernel takes (`sun_path` has 104 to 108 bytes).
const SOCKET_PATH_MAX: usize = 100;
/// How long the server may take to load its data.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to write its data and stop.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Binaries to look for, in this order.
const BINARIES: [&str; 2] = ["valkey-server", "redis-server"];

/// A running private server.
#[derive(Debug)]
pub(super) struct RedisChild {
    child: Child,
    socket: PathBuf,
    /// Made for the socket when the data folder's own path is too long for one.
    socket_dir: Option<PathBuf>,
    /// Held as long as the server runs, so that two never write the same files.
    _lock: File,
}

impl RedisChild {
    /// Starts the server on `data` and waits until it answers. Must be called on the main thread.
    pub(super) async fn start(
        launcher: &Launcher,
        binary: Option<&Path>,
        data: &Path,
        search_path: &str,
    ) -> Result<Self, StartError> {
        let data = std::path::absolute(data).map_err(|e| StartError::folder(data, &e))?;
        std::fs::create_dir_all(&data).map_err(|e| StartError::folder(&data, &e))?;
        let lock = lock(&data)?;
        let program = match binary {
            Some(path) => path.to_owned(),
            None => find_binary(search_path).ok_or(StartError::NoRedis)?,
        };
        let (socket, socket_dir) = socket_path(&data).map_err(|e| StartError::folder(&data, &e))?;
        let log = data.join("redis.log");
        let child = launcher
            .start(ChildSpec {
                name: "redis".to_owned(),
                arguments: arguments(&data, &socket),
                program: program.clone(),
                environment: Vec::new(),
                log,
            })
            .map_err(|e| StartError::Child(format!("cannot start {}: {e}", program.display())))?;
        let mut server = Self { child, socket, socket_dir, _lock: lock };
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// Its address for `REDIS_URL`.
    pub(super) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    /// Where its socket is.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Waits for its end, which is a failure of whoever needs it.
    pub(super) async fn ended(&mut self) {
        let status = self.child.ended().await.map_or_else(|e| e.to_string(), |s| s.to_string());
        tracing::error!(status, log = self.child.last_words(), "redis ended");
    }

    /// Stops it; its data is written first.
    pub(super) async fn stop(mut self) {
        self.child.stop(STOP_LIMIT).await;
        if let Some(dir) = &self.socket_dir {
            let _ = std::fs::remove_dir_all(dir);
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), StartError> {
        let deadline = clock::now() + START_LIMIT;
        loop {
            if ping(&self.socket).await.is_ok_and(|answer| answer.starts_with("+PONG")) {
                return Ok(());
            }
            if let Some(status) = self.child.try_ended() {
                let log = self.child.last_words();
                return Err(StartError::Child(format!("redis ended at once ({status}); its log says:\n{log}")));
            }
            if clock::now() > deadline {
                let log = self.child.last_words();
                return Err(StartError::Child(format!("redis is not ready after a minute; its log says:\n{log}")));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// One PING by hand: before the server has loaded its data it answers `-LOADING`.
async fn ping(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 64];
    let length = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn arguments(data: &Path, socket: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    let mut option = |name: &str, value: &std::ffi::OsStr| {
        arguments.push(name.into());
        arguments.push(value.to_owned());
    };
    option("--port", "0".as_ref());
    option("--unixsocket", socket.as_os_str());
    option("--unixsocketperm", "700".as_ref());
    option("--dir", data.as_os_str());
    option("--appendonly", "yes".as_ref());
    option("--appendfsync", "everysec".as_ref());
    option("--save", "".as_ref());
    option("--maxmemory-policy", "noeviction".as_ref());
    option("--maxmemory", "512mb".as_ref());
    arguments
}

fn lock(data: &Path) -> Result<File, StartError> {
    let path = data.join("windlass.lock");
    let file = File::create(&path).map_err(|e| StartError::folder(&path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Busy(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(StartError::folder(&path, &error)),
    }
}

/// A socket in the data folder; or, when that path is too long or has characters that a URL would
/// escape, in a folder of its own that only this user can enter.
fn socket_path(data: &Path) -> io::Result<(PathBuf, Option<PathBuf>)> {
    let socket = data.join("redis.sock");
    let text = socket.to_string_lossy();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'-' | b'_'));
    if plain && text.len() <= SOCKET_PATH_MAX {
        return Ok((socket, None));
    }
    let dir = std::env::temp_dir().join(format!("windlass-{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir)?;
    Ok((dir.join("redis.sock"), Some(dir)))
}

fn find_binary(search_path: &str) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_file();
    BINARIES.iter().find_map(|name| std::env::split_paths(search_path).map(|dir| dir.join(name)).find(is_file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_server_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(StartError::Busy(_))));
        drop(first);
        assert!(lock(dir.path()).is_ok());
    }

    #[test]
    fn a_long_or_odd_path_gets_a_socket_elsewhere() {
        let (near, none) = socket_path(Path::new("/data")).unwrap();
        assert_eq!((near.to_str(), none), (Some("/data/redis.sock"), None));
        let (far, dir) = socket_path(Path::new("/a folder with blanks")).unwrap();
        assert!(far.to_string_lossy().len() <= SOCKET_PATH_MAX);
        std::fs::remove_dir_all(dir.unwrap()).unwrap();
    }

    #[test]
    fn no_binary_is_a_clear_error() {
        assert_eq!(find_binary("/nonexistent"), None);
        assert!(StartError::NoRedis.to_string().contains("apt-get install"));
    }
}
