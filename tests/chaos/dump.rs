//! Everything that is left at a quiet moment, written as it is read: half an hour of jobs is more than memory should hold.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Mutex;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::client::{Api, Call, Phase};
use super::history::History;
use super::pace;
use super::redis::Server;
use super::resp::{Connection, Reply};
use super::workload::WORKSPACES;

const LOOK: &str = include_str!("lua/look.lua");

/// A JSON object in a file, written member by member; a name that comes again is passed over.
struct Members {
    file: BufWriter<File>,
    seen: HashSet<String>,
}

impl Members {
    fn open(mut file: BufWriter<File>, before: &str) -> std::io::Result<Self> {
        write!(file, "{before}{{")?;
        Ok(Self { file, seen: HashSet::new() })
    }

    fn add(&mut self, name: &str, value: &Value) -> std::io::Result<()> {
        if !self.seen.insert(name.to_owned()) {
            return Ok(());
        }
        let comma = if self.seen.len() > 1 { ",\n" } else { "" };
        write!(self.file, "{comma}{}:{value}", json!(name))
    }

    fn close(mut self) -> std::io::Result<BufWriter<File>> {
        write!(self.file, "}}")?;
        Ok(self.file)
    }
}

/// Writes every key of Redis with its content, and every job acknowledged since the last dump as the API shows it.
pub(crate) async fn write(history: &History, name: &str, redis: &Server, api: &Api) -> std::io::Result<()> {
    let file = BufWriter::new(File::create(history.folder().join(name))?);
    let entry = json!(redis.newest_entry().await);
    let mut members = Members::open(file, &format!("{{\"entry\":{entry},\"keys\":"))?;
    keys(redis, &mut members).await?;
    let members = Mutex::new(Members::open(members.close()?, ",\n\"jobs\":")?);
    jobs(api, &members).await?;
    let mut file = members.into_inner().map_err(|_| std::io::Error::other("a writer panicked"))?.close()?;
    writeln!(file, "}}")?;
    file.flush()
}

async fn keys(redis: &Server, into: &mut Members) -> std::io::Result<()> {
    let mut connection = Connection::open(&redis.socket()).await?;
    let mut cursor = "0".to_owned();
    loop {
        let page = connection.ask(&["SCAN", &cursor, "COUNT", "1000"]).await?;
        let [next, names] = page.list() else { return Err(std::io::Error::other(format!("SCAN said {page:?}"))) };
        let names: Vec<String> = names.list().iter().map(Reply::text).collect();
        let mut look = vec!["EVAL", LOOK, "0"];
        look.extend(names.iter().map(String::as_str));
        let looks = connection.ask(&look).await?;
        for (name, key) in names.iter().zip(looks.list()) {
            let [kind, left, text] = key.list() else { continue };
            let value = match text {
                Reply::Text(text) => json!(text),
                _ => content(&mut connection, name, &kind.text()).await?,
            };
            into.add(name, &json!({"type": kind.text(), "pttl": left.json(), "value": value}))?;
        }
        cursor = next.text();
        if cursor == "0" {
            return Ok(());
        }
    }
}

async fn content(connection: &mut Connection, name: &str, kind: &str) -> std::io::Result<Value> {
    let command: &[&str] = match kind {
        "hash" => &["HGETALL", name],
        "list" => &["LRANGE", name, "0", "-1"],
        "set" => &["SMEMBERS", name],
        "zset" => &["ZRANGE", name, "0", "-1", "WITHSCORES"],
        // The log is the tail's business.
        "stream" => &["XLEN", name],
        _ => return Ok(Value::Null),
    };
    let reply = connection.ask_for_much(command).await?;
    Ok(match (kind, &reply) {
        ("hash" | "zset", Reply::List(_)) => reply.object(),
        _ => reply.json(),
    })
}

/// Lists first, which costs a request per two hundred jobs; one by one what no list has.
async fn jobs(api: &Api, into: &Mutex<Members>) -> std::io::Result<()> {
    let acked = api.take_acked();
    let lists = WORKSPACES.iter().map(async |(workspace, _)| list(api, workspace, into).await);
    join_all(lists).await.into_iter().collect::<std::io::Result<()>>()?;
    let rest: BTreeMap<String, String> = {
        let listed = &into.lock().unwrap().seen;
        acked.into_iter().filter(|(id, _)| !listed.contains(id)).collect()
    };
    let rest: Vec<(String, String)> = rest.into_iter().collect();
    for some in rest.chunks(16) {
        let shown = join_all(some.iter().map(async |(id, workspace)| show(api, id, workspace).await)).await;
        for ((id, _), job) in some.iter().zip(shown) {
            into.lock().unwrap().add(id, &job)?;
        }
    }
    Ok(())
}

async fn list(api: &Api, workspace: &str, into: &Mutex<Members>) -> std::io::Result<()> {
    let mut path = "/ai/jobs?limit=200".to_owned();
    loop {
        let page = api.send(0, &Call::get(workspace, &path)).await;
        for job in page.body["jobs"].as_array().into_iter().flatten() {
            into.lock().unwrap().add(job["id"].as_str().unwrap_or_default(), job)?;
        }
        match page.body["next_cursor"].as_str() {
            Some(cursor) => path = format!("/ai/jobs?limit=200&cursor={cursor}"),
            None if page.phase == Phase::Done => return Ok(()),
            None => pace::pause_ms(100).await,
        }
    }
}

/// One job as the API shows it, or that it does not.
async fn show(api: &Api, id: &str, workspace: &str) -> Value {
    let mut answer = api.send(0, &Call::get(workspace, format!("/ai/jobs/{id}"))).await;
    for n in 1..20 {
        if answer.phase == Phase::Done {
            return answer.body;
        }
        if answer.status == 404 {
            break;
        }
        pace::pause_ms(100).await;
        answer = api.send(n, &Call::get(workspace, format!("/ai/jobs/{id}"))).await;
    }
    json!({"missing": answer.status})
}
