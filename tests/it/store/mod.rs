//! One file per verb: happy, repeated, wrong owner, missing, concurrent, wrong types. `fairness`,
//! `full`, `outage` and `leak` are about several verbs at once.

mod cancel;
mod claim;
mod compact;
mod confirm;
mod cycle;
mod deltas;
mod enqueue;
mod epoch;
mod fairness;
mod fleet;
mod full;
mod heartbeat;
mod leak;
mod limit;
mod list;
mod locate;
mod outage;
mod pause;
mod planted;
mod progress;
mod read;
mod reap;
mod redrive;
mod release;
mod reserve;
mod reserve_later;
mod reserve_model;
mod resume;
mod retire;
mod ring;
mod settle;
mod settle_breaker;
mod summary;
mod sweep;
mod tend;
