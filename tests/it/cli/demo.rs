//! `windlass demo`: what a newcomer sees first.

use super::process::run;

#[test]
fn the_demo_loses_nothing_when_a_worker_is_killed_and_mends_a_stall() {
    let ran = run(&["demo", "--jobs", "60"], &[]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let figure = |name: &str| {
        let line = ran.stdout.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{}", ran.stdout));
        line[name.len()..].trim().to_owned()
    };
    assert_eq!((figure("submitted  "), figure("succeeded"), figure("lost")), ("60".into(), "60".into(), "0".into()));
    assert_eq!(figure("submitted again, same job returned"), "6 of 6");
    let stalled = figure("stalled on purpose: cause named / mended / succeeded");
    assert!(stalled.starts_with("yes / yes / 5 of 5"), "{stalled}");
    assert!(
        ran.stderr.contains("$ windlass why ") && ran.stderr.contains("$ windlass queues resume default"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("SIGKILL") && ran.stderr.contains("/docs"), "{}", ran.stderr);
}
