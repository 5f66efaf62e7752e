//! The Lua verbs: assembled from their parts at start, named by content so that old and new
//! binaries can run side by side.

use fred::util::sha1_hash;

/// One verb, ready to run.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// The verb, for errors and metrics.
    pub(super) name: &'static str,
    /// The whole text: shebang, parts, body.
    pub(super) text: String,
    /// SHA-1 of the text, as `EVALSHA` wants it.
    pub(super) sha: String,
    /// Whether calls under way at once have to be done in the order they were made.
    pub(super) in_order: bool,
    /// Whether its answer is a promise, which under strict has to be durable.
    pub(super) durable: bool,
}

const PARTS: &[(&str, &str)] = &[
    ("base", include_str!("lua/lib/base.lua")),
    ("record", include_str!("lua/lib/record.lua")),
    ("times", include_str!("lua/lib/times.lua")),
    ("line", include_str!("lua/lib/line.lua")),
    ("park", include_str!("lua/lib/park.lua")),
    ("place", include_str!("lua/lib/place.lua")),
    ("leave", include_str!("lua/lib/leave.lua")),
    ("settle", include_str!("lua/lib/settle.lua")),
    ("admit", include_str!("lua/lib/admit.lua")),
    ("effects", include_str!("lua/lib/effects.lua")),
    ("close", include_str!("lua/lib/close.lua")),
    ("aside", include_str!("lua/lib/aside.lua")),
    ("revive", include_str!("lua/lib/revive.lua")),
    ("withdraw", include_str!("lua/lib/withdraw.lua")),
    ("let_go", include_str!("lua/lib/let_go.lua")),
    ("shelve", include_str!("lua/lib/shelve.lua")),
    ("forget", include_str!("lua/lib/forget.lua")),
    ("shift", include_str!("lua/lib/shift.lua")),
    ("sift", include_str!("lua/lib/sift.lua")),
    ("walk", include_str!("lua/lib/walk.lua")),
    ("part", include_str!("lua/lib/part.lua")),
    ("step", include_str!("lua/lib/step.lua")),
    ("transfer", include_str!("lua/lib/transfer.lua")),
    ("step_end", include_str!("lua/lib/step_end.lua")),
    ("due", include_str!("lua/lib/due.lua")),
    ("reap", include_str!("lua/lib/reap.lua")),
    ("finish", include_str!("lua/lib/finish.lua")),
    ("finish_batch", include_str!("lua/lib/finish_batch.lua")),
    ("claim", include_str!("lua/lib/claim.lua")),
    ("claim_record", include_str!("lua/lib/claim_record.lua")),
    ("claim_batch", include_str!("lua/lib/claim_batch.lua")),
    ("serve", include_str!("lua/lib/serve.lua")),
    ("tell", include_str!("lua/lib/tell.lua")),
    ("look", include_str!("lua/lib/look.lua")),
    ("llm", include_str!("lua/lib/llm.lua")),
    ("llm_rate", include_str!("lua/lib/llm_rate.lua")),
    ("llm_cells", include_str!("lua/lib/llm_cells.lua")),
    ("llm_room", include_str!("lua/lib/llm_room.lua")),
    ("llm_share", include_str!("lua/lib/llm_share.lua")),
    ("llm_breaker", include_str!("lua/lib/llm_breaker.lua")),
    ("llm_verdict", include_str!("lua/lib/llm_verdict.lua")),
    ("llm_ledger", include_str!("lua/lib/llm_ledger.lua")),
    ("llm_close", include_str!("lua/lib/llm_close.lua")),
    ("llm_choose", include_str!("lua/lib/llm_choose.lua")),
    ("llm_pick", include_str!("lua/lib/llm_pick.lua")),
];

macro_rules! verbs {
    ($($name:ident),+ $(,)?) => {
        /// Every verb.
        #[derive(Clone, Debug)]
        pub(super) struct Scripts { $(pub(super) $name: Script,)+ }

        #[cfg(any(test, feature = "chaos"))]
        pub(super) const SOURCES: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("lua/", stringify!($name), ".lua")))),+];

        impl Scripts {
            /// Assembles all verbs from the sources compiled in.
            pub(super) fn assemble() -> Self {
                Self { $($name: assemble(stringify!($name), include_str!(concat!("lua/", stringify!($name), ".lua"))),)+ }
            }

            #[cfg(feature = "chaos")]
            pub(super) fn each(&mut self) -> Vec<&mut Script> {
                vec![$(&mut self.$name,)+]
            }
        }
    };
}

verbs!(
    cancel, cap, claim, compact, confirm, cooldown, credential, cycle, deltas, effect, enqueue, epoch, fence, fleet,
    heartbeat, level, limit, list, locate, note, operate, operation, order, outlook, pause, policy, probe, probed,
    progress, read, receipts, redrive, release, replay, reserve, resume, retire, ring, settle, summary, survey, sweep,
    tend, turn, unhold, verify,
);

/// The verbs whose answers somebody relies on: under strict these wait until they are durable.
const PROMISES: &[&str] = &["cancel", "credential", "cycle", "effect", "enqueue", "redrive", "release", "unhold"];

fn assemble(name: &'static str, source: &'static str) -> Script {
    let text: String = pieces(name, source).into_iter().map(|(_, text)| text).collect();
    let sha = sha1_hash(&text);
    Script { name, text, sha, in_order: name == "enqueue", durable: PROMISES.contains(&name) }
}

/// Stands between parts that begin a function inside the ones before. A function made inside another finds that
/// one's names at once; made beside it, it looks for each of them in a list of all that any function uses, which
/// took a third of the time of a call for one job.
const NEST: &str = "|";

/// Shebang first (Redis wants it there), then the parts that the `Uses:` line names, then the body.
pub(super) fn pieces(name: &'static str, source: &'static str) -> Vec<(&'static str, String)> {
    let (shebang, body) = source.split_once('\n').unwrap_or(("#!lua", source));
    let uses = body.lines().find_map(|line| line.strip_prefix("-- Uses: ")).unwrap_or_default();
    let mut pieces = vec![("shebang", format!("{shebang}\n"))];
    for part in uses.split_whitespace() {
        if part == NEST {
            pieces.push((NEST, "return (function()\n".to_owned()));
            continue;
        }
        let found = PARTS.iter().find(|(known, _)| *known == part).map_or("", |(_, text)| text);
        pieces.push((part, strip(found)));
    }
    pieces.push((name, strip(body)));
    pieces.extend(uses.split_whitespace().filter(|part| *part == NEST).map(|_| (NEST, "end)()\n".to_owned())));
    pieces
}

/// Comments and indentation are for people; Redis keeps and hashes the rest.
fn strip(source: &str) -> String {
    source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("--"))
        .fold(String::new(), |text, line| text + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_a_verb_uses_exists() {
        for (verb, source) in SOURCES {
            let uses = source.lines().find_map(|l| l.strip_prefix("-- Uses: ")).unwrap_or_default();
            for part in uses.split_whitespace().filter(|part| *part != NEST) {
                assert!(PARTS.iter().any(|(known, _)| *known == part), "{verb} names no part {part}");
            }
        }
    }

    #[test]
    fn every_promise_is_a_verb() {
        assert!(PROMISES.iter().all(|name| SOURCES.iter().any(|(verb, _)| verb == name)));
    }

    #[test]
    fn the_shebang_stays_first() {
        let scripts = Scripts::assemble();
        assert!(scripts.cycle.text.starts_with("#!lua flags=allow-oom\n"));
        assert!(scripts.enqueue.text.starts_with("#!lua\n"));
    }
}
