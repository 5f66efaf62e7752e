//! `backup.sh`: what is in an archive, what is not, and which are kept.

use std::collections::BTreeSet;

use super::archive::Yard;
use crate::support::redis::TestRedis;

/// Replication, by which the data comes, begins at once instead of after five seconds.
const AT_ONCE: &[&str] = &["--repl-diskless-sync-delay", "0"];

#[tokio::test]
async fn the_key_of_credentials_stays_out_of_the_archive_and_the_rest_of_the_configuration_is_in_it() {
    let (redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    yard.write("etc/windlass.env", "LOG_LEVEL=debug\nCREDENTIALS_KEY=k-one\nexport CREDENTIALS_OLD_KEYS=k-two\n");
    yard.write("etc/windlass.toml", "[credentials]\nkey = \"k-three\"\n[openai]\nkey = \"kept\"\n");
    yard.write("etc/credentials_key", "k-four");
    // A folder that is not absolute is below where the script was called.
    yard.run("backup.sh", &redis.url(), &["out"], &[]).ok();
    let config = yard.unpack().join("config").join(yard.path("etc").strip_prefix("/").unwrap());
    let read = |name: &str| std::fs::read_to_string(config.join(name)).unwrap_or_default();
    let all = read("windlass.env") + &read("windlass.toml") + &read("credentials_key");
    assert!(all.contains("LOG_LEVEL=debug") && all.contains("\"kept\""), "{all}");
    assert!(!all.contains("k-"), "{all}");
    yard.run("backup.sh", &redis.url(), &[], &[("BACKUP_WITH_CREDENTIALS_KEY", "yes")]).ok();
    yard.unpack();
    assert_eq!(read("credentials_key"), "k-four", "asked for, it is there");
}

#[tokio::test]
async fn no_password_is_an_argument_of_anything() {
    let (redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    redis.ask(&["CONFIG", "SET", "requirepass", "p@ss/w"]);
    let log = yard.path("arguments");
    for name in ["redis-cli", "pg_dump"] {
        let real = format!(r#"PATH=${{PATH#*:}}; command -v {name} >/dev/null && exec {name} "$@"; exit 1"#);
        yard.program(name, &format!(r#"printf '%s\n' "$0 $*" >>{}; {real}"#, log.display()));
    }
    let url = format!("redis+unix://:p%40ss%2Fw@{}", redis.socket().display());
    let settings = [("DATABASE_URL", "postgres://windlass:s3cret@127.0.0.1:9/none")];
    let said = yard.run("backup.sh", &url, &[], &settings);
    said.says(1, "Postgres was not saved");
    let arguments = std::fs::read_to_string(log).unwrap();
    assert!(arguments.contains("--rdb") && arguments.contains("-t action_audit"), "{arguments}");
    for secret in ["p@ss", "p%40ss", "s3cret"] {
        assert!(!arguments.contains(secret) && !said.text.contains(secret), "{arguments}{}", said.text);
    }
}

#[tokio::test]
async fn old_archives_go_after_a_good_backup_and_stay_after_a_bad_one() {
    let (redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    for (name, days) in [("windlass-20200101T000000Z.tar.gz", 40), ("windlass-20200201T000000Z.tar.gz", 10)] {
        let path = yard.write(&format!("out/{name}"), "an older one");
        let age = std::time::Duration::from_secs(days * 86_400);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        let now = file.metadata().unwrap().modified().unwrap();
        file.set_modified(now - age).unwrap();
    }
    yard.program("aws", "exit 1");
    let said = yard.run("backup.sh", &redis.url(), &[], &[("AWS_BUCKET", "somewhere")]);
    said.says(1, "not uploaded");
    assert_eq!(yard.archives().len(), 3, "{said:?}");
    let log = yard.path("aws.log");
    yard.program("aws", &format!(r#"printf '%s\n' "$*" >>{}"#, log.display()));
    yard.run("backup.sh", &redis.url(), &[], &[("AWS_BUCKET", "somewhere")]).ok();
    let left = yard.archives();
    assert!(!left.contains(&"windlass-20200101T000000Z.tar.gz".to_owned()), "{left:?}");
    assert!(left.contains(&"windlass-20200201T000000Z.tar.gz".to_owned()), "{left:?}");
    let uploads = std::fs::read_to_string(log).unwrap();
    assert_eq!(uploads.matches("s3://somewhere/windlass/windlass-").count(), 2, "archive and checksum: {uploads}");
}

#[tokio::test]
async fn a_redis_that_is_away_leaves_no_archive() {
    let (mut redis, yard) = (TestRedis::start().await, Yard::new());
    redis.kill();
    yard.back_up(&redis).says(5, "no answer from Redis");
    yard.run("backup.sh", "", &[], &[]).says(2, "REDIS_URL is not set");
    assert_eq!(yard.archives().len(), 0);
    assert!(!yard.path("out/latest.tar.gz").exists());
}

#[tokio::test]
async fn of_a_cluster_every_primary_is_saved_and_can_be_restored() {
    let (mut redis, yard) = (TestRedis::cluster(3, 0, AT_ONCE), Yard::new());
    let store = redis.shards(8).await;
    store.server_facts().await.expect("the layout is taken on every shard");
    drop(store);
    let figures = |redis: &mut TestRedis| -> Vec<String> {
        (0..3).map(|node| redis.servers().ask(node, &["DEBUG", "DIGEST"])).collect()
    };
    let epochs: Vec<String> = (0..8).map(|shard| format!("{{ai:{shard}}}:epoch")).collect();
    let before: Vec<String> = epochs.iter().map(|key| held(&mut redis, key)).collect();
    yard.back_up(&redis).ok();
    // The restored ones have no epoch, so the source is compared without.
    for key in &epochs {
        let owner = redis.servers().owner(key);
        redis.servers().ask(owner, &["DEL", key]);
    }
    let expected = figures(&mut redis);
    let manifest = std::fs::read_to_string(yard.unpack().join("MANIFEST")).unwrap();
    for node in 0..3 {
        let port = redis.servers().ask(node, &["CONFIG", "GET", "port"]).lines().last().unwrap().to_owned();
        let line = manifest.lines().find(|line| line.contains(&format!(":{port} "))).expect("a line per primary");
        let file = line.split_whitespace().nth(2).unwrap().to_owned();
        redis.servers().ask(node, &["FLUSHALL"]);
        redis.servers().kill(node);
        let folder = redis.servers().folder(node).display().to_string();
        let socket = format!("redis+unix://{}", redis.servers().socket(node).display());
        let arguments = ["--yes", "--data-dir", &folder, "--file", &file, &yard.latest()];
        yard.run("restore.sh", &socket, &arguments, &[]).ok();
        redis.servers().launch(node);
    }
    assert_eq!(figures(&mut redis), expected);
    assert!(before.iter().all(|epoch| !epoch.is_empty()), "{before:?}");
    assert!(epochs.iter().all(|key| held(&mut redis, key).is_empty()), "every shard gets a new one");
}

/// A value of a cluster.
fn held(redis: &mut TestRedis, key: &str) -> String {
    let owner = redis.servers().owner(key);
    redis.servers().ask(owner, &["GET", key])
}

#[tokio::test]
async fn a_backup_that_finds_no_room_says_so_and_leaves_neither_half_an_archive_nor_another_latest() {
    let (redis, yard) = (TestRedis::start_with(AT_ONCE).await, Yard::new());
    let listing = || {
        let names = std::fs::read_dir(yard.path("out")).expect("a folder").map(|e| e.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("text")).filter(|name| name != ".lock").collect::<BTreeSet<_>>()
    };
    // What a run that was killed has left is cleared away.
    std::fs::create_dir(yard.path("out/.staged.abcdef")).expect("a folder");
    yard.write("out/windlass-20200101T000000Z.tar.gz.part", "half");
    yard.program("tar", "echo half >\"$4\"; echo 'tar: No space left on device' >&2; exit 2");
    let said = yard.run("backup.sh", &redis.url(), &[], &[]);
    said.says(2, "No space left on device");
    said.says(2, "backup: failed, and left no archive");
    assert!(listing().is_empty(), "{:?}", listing());
}
