//! Servers of a cluster that die, come back, are replaced or give a shard away: its jobs wait, those of
//! the others go on, and nothing is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use windlass::domain::{JobId, JobState};
use windlass::store::{Enqueued, Scope, Shards, StoreError};

use crate::support::api::{ADMIN, Api};
use crate::support::cluster::node_id;
use crate::support::fleet::{registry, short_lease, start, until};
use crate::support::jobs::{queue, spec_of};
use crate::support::redis::TestRedis;

const SHARDS: u8 = 8;

/// One job per shard; the ids.
async fn one_each(shards: &Shards, name: &str) -> Vec<JobId> {
    let mut ids = Vec::new();
    for store in shards.all() {
        let id = JobId::new(store.now().await.unwrap().unix_ms() as u64, store.shard());
        let answers = store.enqueue(&queue(), &[(id, spec_of("ws", &format!("{name}{}", store.shard())))]).await;
        assert!(matches!(answers.unwrap()[0], Enqueued::New(_)));
        ids.push(id);
    }
    ids
}

/// Waits until a job has succeeded, whatever Redis says meanwhile.
async fn succeeds(shards: &Shards, id: JobId) {
    until("the job succeeds", async || match shards.job(&Scope::All, id).await {
        Ok(Some(job)) if job.state == JobState::Succeeded => Some(()),
        Ok(Some(job)) => {
            assert!(!job.state.is_terminal(), "{id} ended as {}", job.state);
            None
        }
        Ok(None) => panic!("{id} is lost"),
        Err(_) => None,
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_takes_only_its_shards_along_and_brings_them_back() {
    let redis = TestRedis::cluster(3, 0, &["--appendfsync", "always"]);
    let shards = redis.shards(SHARDS).await;
    let mut api = Api::start_on(redis, shards.clone(), |_, _| {}).await;
    let key = api.client_key("acme").await;
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&shards, &registry, short_lease(3_000));
    // Not the server that keys and this test's commands depend on.
    let first = api.redis.servers().owner("{ai:0}:jobs");
    let lost =
        |servers: &crate::support::cluster::TestCluster, shard: u8| servers.owner(&format!("{{ai:{shard}}}:jobs"));
    let owners: BTreeMap<u8, usize> = (0..SHARDS).map(|shard| (shard, lost(api.redis.servers(), shard))).collect();
    let victim = *owners.values().find(|server| **server != first).unwrap();
    let away = |id: JobId| owners[&id.shard()] == victim;
    let epochs = shards.server_facts().await.unwrap().epoch;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    api.redis.servers().kill(victim);
    let mut request = 0;
    // Both kinds are met soon, as requests spread over the shards.
    while accepted.len() < 20 || refused < 5 {
        request += 1;
        let answer = api.submit(&key, &format!("r{request}")).await;
        match answer.status {
            202 => accepted.push(answer.id()),
            503 => refused += 1,
            other => panic!("{other}: {answer:?}"),
        }
    }
    for id in &accepted {
        assert!(!away(*id), "a job of a shard that is away was acknowledged");
        succeeds(&shards, *id).await;
    }
    let degraded = async || {
        let ready = api.get(ADMIN, "/ready").await;
        let detail = ready.json()["checks"]["redis"]["detail"].as_str()?.to_owned();
        (ready.status == 200 && detail.contains("shards do not answer")).then_some(())
    };
    until("/ready says that shards are away", degraded).await;
    assert_eq!(shards.server_facts().await.unwrap().epoch, epochs, "who is away has lost nothing yet");
    api.redis.servers().launch(victim);
    until("all shards answer", async || shards.server_facts().await.ok().filter(|f| f.shards_away == 0).map(drop))
        .await;
    assert_eq!(shards.server_facts().await.unwrap().epoch, epochs);
    for id in one_each(&shards, "after").await {
        succeeds(&shards, id).await;
    }
    for i in 1..=request {
        let answer = api.submit(&key, &format!("r{i}")).await;
        assert!(matches!(answer.status, 200 | 202), "{answer:?}");
        succeeds(&shards, answer.id()).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_promoted_replica_goes_on_with_every_job_of_its_shards() {
    let redis = TestRedis::cluster(3, 1, &[]);
    let shards = redis.shards(SHARDS).await;
    let mut redis = redis;
    let ids = one_each(&shards, "before").await;
    let servers = redis.servers();
    until("the replica has them", async || (servers.ask(0, &["WAIT", "1", "1000"]) == "1").then_some(())).await;
    servers.kill(0);
    let registry = registry(|context| async move { Ok(context.raw_input().clone()) });
    let worker = start(&shards, &registry, short_lease(3_000));
    for id in ids {
        succeeds(&shards, id).await;
    }
    for id in one_each(&shards, "after").await {
        succeeds(&shards, id).await;
    }
    // What was the master comes back as a replica and changes nothing.
    redis.servers().launch(0);
    for id in one_each(&shards, "later").await {
        succeeds(&shards, id).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_shard_that_moved_is_followed_by_commands_and_by_blocked_readers() {
    let redis = TestRedis::cluster(3, 0, &[]);
    let shards = redis.shards(SHARDS).await;
    let store = &shards.all()[2];
    let mut redis = redis;
    let bell = store.bell(&[queue()]).unwrap();
    until("the bell is connected", async || bell.wait(Duration::from_millis(10)).await.ok()).await;
    let servers = redis.servers();
    let from = servers.owner("{ai:2}:jobs");
    let to = (from + 1) % 3;
    let slot = servers.ask(from, &["CLUSTER", "KEYSLOT", "{ai:2}:jobs"]);
    assert_eq!(servers.ask(from, &["DBSIZE"]), "0", "an empty slot moves at once");
    for server in [to, from, (from + 2) % 3] {
        assert_eq!(servers.ask(server, &["CLUSTER", "SETSLOT", &slot, "NODE", &node_id(to)]), "OK");
    }
    let breaks = store.link_breaks();
    let id = JobId::new(store.now().await.unwrap().unix_ms() as u64, 2);
    let answers = store.enqueue(&queue(), &[(id, spec_of("ws", "r"))]).await.unwrap();
    assert!(matches!(answers[0], Enqueued::New(_)), "followed, not failed: {answers:?}");
    assert!(store.link_breaks() > breaks, "who depends on the server hears of the change");
    assert_eq!(servers.ask(to, &["LLEN", "{ai:2}:queue:pending"]), "1");
    let rung = async || match bell.wait(Duration::from_millis(10)).await {
        Ok(None) => {
            servers.ask(to, &["RPUSH", "{ai:2}:queue:wake", "1"]);
            None
        }
        Ok(Some(rung)) => Some(rung),
        Err(StoreError::Unavailable(_)) => None,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(until("the bell is heard on the new server", rung).await, queue());
}

#[tokio::test]
async fn one_seed_is_enough_and_a_dead_one_among_them_no_trouble() {
    let mut redis = TestRedis::cluster(3, 0, &[]);
    redis.servers().kill(1);
    // The URL names the first two.
    let options = windlass::store::StoreOptions {
        shards: SHARDS,
        pool_size: 1,
        ..windlass::store::StoreOptions::new(&redis.url())
    };
    let shards = Shards::connect(options).await.unwrap();
    let servers = redis.servers();
    let (mut reached, mut away) = (0, 0);
    for store in shards.all() {
        let owner_lives = (0..3).filter(|n| *n != 1).any(|server| {
            !servers.ask(server, &["EXISTS", &format!("{{ai:{}}}:jobs", store.shard())]).starts_with("MOVED")
        });
        if owner_lives {
            store.wait_connected(Duration::from_secs(20)).await.unwrap();
            reached += 1;
        } else {
            assert!(matches!(store.epoch().await, Err(StoreError::Unavailable(_))));
            away += 1;
        }
    }
    assert!(reached > 0 && away > 0, "{reached} {away}");
}
