//! What makes Redis forget what it acknowledged. Traffic stops at the edges first, so that the history knows all
//! that was written, then the marker says from where on it is lost.

use std::time::Duration;

use serde_json::{Value, json};

use crate::children;
use crate::dice::Dice;
use crate::history::now_us;
use crate::pace;
use crate::proxy::Mode;
use crate::workload::WORKSPACES;

use super::Stage;

pub(super) const KINDS: &[&str] = &["power_cut", "promotion", "flushall"];

impl Stage {
    pub(super) async fn strike_with_loss(&self, kind: &str, dice: &mut Dice) {
        let redis = self.pair.primary();
        let ms = dice.between(800, 2_500);
        let begun = self.begin(kind, "F", &redis.name, json!({"ms": ms}));
        let args = match kind {
            "power_cut" => self.power_cut(ms).await,
            "promotion" => self.promotion(ms).await,
            _ => self.flushall().await,
        };
        self.pair.retarget();
        let kept = self.api.provision(&WORKSPACES).await;
        self.end(begun, json!({"ms": ms, "found": args, "provisioned": kept}));
    }

    /// Nobody reaches Redis any more, and the history has all that is in it.
    async fn stop_traffic(&self) {
        self.pair.target.send_replace(None);
        for slot in self.fleet.all() {
            slot.redis.reset();
        }
        // What had arrived is carried out.
        pace::pause_ms(150).await;
        self.watch.catch_up().await;
    }

    async fn power_cut(&self, ms: u64) -> Value {
        let redis = self.pair.primary();
        self.stop_traffic().await;
        let moment = ((now_us() / 1_000).saturating_sub(ms) / 1_000).to_string();
        redis.kill().await;
        let manifest = redis.folder().join("appendonlydir/appendonly.aof.manifest").display().to_string();
        let said = children::run("redis-check-aof", &["--truncate-to-timestamp", &moment, &manifest]).await;
        if let Err(error) = redis.launch().await {
            self.history.note(&format!("{}: {error}", redis.name));
        }
        self.watch.lost_suffix("power_cut").await;
        json!(said.map(|text| text.lines().last().unwrap_or_default().to_owned()))
    }

    async fn promotion(&self, ms: u64) -> Value {
        let old = self.pair.primary();
        let followed = self.pair.follows(Duration::from_secs(20)).await;
        self.pair.link.set(Mode::Blackhole);
        pace::pause_ms(ms).await;
        self.stop_traffic().await;
        old.kill().await;
        self.pair.promote().await;
        self.pair.link.reset();
        self.pair.link.set(Mode::Forward);
        self.watch.lost_suffix("promotion").await;
        self.mend_redis().await;
        self.pair.retarget();
        let again = self.pair.attach_replica().await;
        json!({"followed": followed, "new_replica": again.is_ok()})
    }

    async fn flushall(&self) -> Value {
        self.stop_traffic().await;
        let said = self.pair.primary().ask(&["FLUSHALL"]).await;
        self.watch.lost_suffix("flushall").await;
        json!(said.map(|reply| reply.text()))
    }
}
