//! Follows the order for what the fleet logs, and goes back to the settings' own level when its time is over.

use tokio::sync::watch;

use crate::engine::{Policies, tasks};
use crate::store::{LevelOrder, Shards};
use crate::telemetry::Levels;

/// Follows orders as long as the rules for actions are looked at.
pub(super) fn start(policies: &Policies, store: Shards, levels: Levels) {
    let orders = policies.level();
    tasks::spawn("log-levels", follow(orders, store, levels));
}

async fn follow(mut orders: watch::Receiver<Option<LevelOrder>>, store: Shards, levels: Levels) {
    let mut in_force: Option<LevelOrder> = None;
    loop {
        let order = orders.borrow_and_update().clone();
        let order = order.map(|order| (order.until.since(store.now_estimate()), order));
        let order = order.filter(|(left, _)| !left.is_zero());
        let (left, order) = order.unzip();
        if order != in_force {
            apply(order.as_ref(), &levels);
            in_force = order;
        }
        let over = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = over => {}
            changed = orders.changed() => if changed.is_err() { return },
        }
    }
}

fn apply(order: Option<&LevelOrder>, levels: &Levels) {
    match (levels.set(order.map(|order| order.level.as_str())), order) {
        (Err(error), _) => tracing::warn!(%error, "an order for the log's level is not understood by this version"),
        (Ok(()), Some(order)) => {
            tracing::info!(log_level = order.level, until = %order.until, by = order.by, "the log's level is changed");
        }
        (Ok(()), None) => tracing::info!(log_level = levels.own(), "the log's level is that of the settings again"),
    }
}
