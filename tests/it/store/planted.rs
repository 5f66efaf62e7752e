//! The bugs on purpose: every one of them is what it says, and only in the build that is meant to have them.

#[cfg(feature = "chaos")]
mod of_the_special_build {
    use std::collections::BTreeSet;

    use windlass::store::planted::{BUGS, misfits, script_texts};

    use crate::support::redis::TestRedis;

    #[test]
    fn every_patch_stands_once_where_it_says() {
        let found: Vec<String> = BUGS.iter().flat_map(misfits).collect();
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn names_are_told_apart() {
        let names: BTreeSet<&str> = BUGS.iter().map(|bug| bug.name).collect();
        assert_eq!(names.len(), BUGS.len());
        assert!(BUGS.len() >= 18);
    }

    #[tokio::test]
    async fn redis_takes_every_script_of_every_bug() {
        let redis = TestRedis::start().await;
        for bug in BUGS {
            for (verb, text) in script_texts(bug) {
                let sha = redis.ask(&["SCRIPT", "LOAD", &text]);
                assert_eq!(sha.len(), 40, "{} in {verb}: {sha}", bug.name);
            }
        }
    }
}

/// Whatever else a bug needs, a process learns of it by this variable.
#[test]
fn only_the_special_build_knows_the_variable() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_windlass")).unwrap();
    let knows = binary.windows(20).any(|bytes| bytes == b"WINDLASS_PLANTED_BUG");
    assert_eq!(knows, cfg!(feature = "chaos"));
}
