//! What happens to the edges between processes.

use serde_json::json;

use crate::dice::Dice;
use crate::pace;
use crate::proxy::Mode;

use super::Stage;

pub(super) const KINDS: &[&str] = &[
    "net_delay",
    "net_bandwidth",
    "net_blackhole",
    "net_half_open_up",
    "net_half_open_down",
    "net_cut_reply",
    "net_cut_after",
    "net_refuse",
    "net_reset",
    "net_replication",
];

impl Stage {
    pub(super) async fn strike_network(&self, kind: &str, dice: &mut Dice) {
        let mut edges = if kind == "net_replication" { vec![self.pair.link.clone()] } else { self.edges() };
        dice.shuffle(&mut edges);
        edges.truncate(dice.between(1, 3) as usize);
        let (mode, args) = match kind {
            "net_delay" => {
                let (ms, jitter) = (dice.between(20, 300), dice.between(0, 200));
                (Mode::Delay { ms, jitter }, json!({"ms": ms, "jitter": jitter}))
            }
            "net_bandwidth" => {
                let rate = dice.between(4, 64) * 1024;
                (Mode::Bandwidth(rate), json!({"bytes_per_second": rate}))
            }
            "net_half_open_up" => (Mode::HalfOpenUp, json!({})),
            "net_half_open_down" => (Mode::HalfOpenDown, json!({})),
            "net_cut_reply" => {
                let percent = dice.between(5, 60);
                (Mode::CutReply(percent), json!({"percent": percent}))
            }
            "net_cut_after" => {
                let bytes = dice.between(200, 20_000);
                (Mode::CutAfter(bytes), json!({"bytes": bytes}))
            }
            "net_refuse" => (Mode::Refuse, json!({})),
            "net_reset" => (Mode::Forward, json!({})),
            _ => (Mode::Blackhole, json!({})),
        };
        let names: Vec<&str> = edges.iter().map(|edge| edge.name.as_str()).collect();
        let begun = self.begin(kind, "S", &format!("proxy:{}", names.join(",")), args);
        for edge in &edges {
            edge.set(mode);
            if kind == "net_reset" {
                edge.reset();
            }
        }
        // Sometimes longer than a lease.
        let ms = if kind == "net_reset" { 100 } else { dice.between(500, self.lease_ms * 2) };
        pace::pause_ms(ms).await;
        for edge in &edges {
            edge.set(Mode::Forward);
        }
        self.end(begun, json!({"ms": ms}));
    }
}
