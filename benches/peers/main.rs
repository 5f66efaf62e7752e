//! `make bench-peers`: Windlass beside other queues on Redis, in rounds that take turns, as tables.
//! Nothing is asserted. README.md in this folder's parent says how each figure comes about.
#![expect(clippy::expect_used, reason = "a bench that cannot go on should say so")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the tables are what a bench is for")]
#![expect(clippy::disallowed_methods, reason = "a bench starts servers and processes of its own")]

mod child;
mod figures;
mod footprint;
mod measure;
mod order;
mod ours;
mod proxy;
#[path = "../queue/redis.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod redis;
mod report;
mod rounds;
mod systems;

/// The first argument that makes this binary one of the measured children.
pub(crate) const OURS: &str = "windlass-peer";

/// As in the binary; the other systems in Rust have it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some(OURS) => {
            let order = serde_json::from_str(&arguments[2]).expect("an order");
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
            runtime.block_on(ours::run(&arguments[1], order));
        }
        Some("sweep") => rounds::sweep(arguments.get(1).map(String::as_str)),
        Some("footprint") => report::footprint(&footprint::measure()),
        only => rounds::run(only),
    }
}
