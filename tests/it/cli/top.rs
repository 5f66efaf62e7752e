//! `windlass top` on a terminal, into a pipe, and for scripts.

use std::process::Command;

use super::process::{ADMIN_KEY, Server, run};
use super::pty::Pty;
use crate::support::redis::TestRedis;

const ENTERED: &str = "\u{1b}[?1049h";
const LEFT: &str = "\u{1b}[?1049l";

/// A server with a job in a queue that nobody serves.
async fn server(redis: &TestRedis) -> Server {
    let server = Server::start(redis).await;
    server.run(&["jobs", "submit", "echo", "--workspace", "acme", "--queue", "mail"]).ok();
    server
}

fn is_given_back(pty: &Pty) -> bool {
    // The command may have ended before the last of its output was read.
    pty.wait_for(0, LEFT).contains("\u{1b}[?25h") && pty.is_sane()
}

#[tokio::test]
async fn top_shows_the_fleet_and_q_gives_the_terminal_back() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    let mut pty = Pty::run(&server.url, &["top", "--interval", "250ms"]);
    let text = pty.wait_for(0, "no live worker serves it");
    assert!(text.contains(ENTERED) && text.contains("mail") && text.contains("no live workers"), "{text:?}");
    assert!(!pty.is_sane(), "keys are read one by one");
    // A frame is rows at their places: nothing scrolls, and every row is erased to its end.
    let frame = text.split("\u{1b}[?2026h").nth(1).expect("a frame");
    assert!(frame.contains("\u{1b}[1;1H") && frame.contains("\u{1b}[K") && !frame.contains('\n'), "{frame:?}");
    pty.press("q");
    assert_eq!(pty.ended(), Some(0));
    assert!(is_given_back(&pty), "{:?}", pty.text());
}

#[tokio::test]
async fn an_interrupt_and_a_signal_give_the_terminal_back() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    let mut interrupted = Pty::run(&server.url, &["top"]);
    let mut terminated = Pty::run(&server.url, &["top"]);
    interrupted.wait_for(0, "QUEUE");
    terminated.wait_for(0, "QUEUE");
    interrupted.press("\u{3}");
    assert_eq!(interrupted.ended(), Some(0));
    assert!(Command::new("kill").args(["-s", "TERM", &terminated.pid()]).status().unwrap().success());
    assert_eq!(terminated.ended(), Some(130));
    assert!(is_given_back(&interrupted) && is_given_back(&terminated), "{:?}", terminated.text());
}

#[tokio::test]
async fn keys_choose_a_queue_and_ask_why_and_a_new_size_is_followed() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    server.run(&["queues", "pause", "mail", "--reason", "the provider is down"]).ok();
    let mut pty = Pty::run(&server.url, &["top", "--interval", "250ms"]);
    pty.wait_for(0, "QUEUE");
    let mark = pty.mark();
    pty.press("?");
    pty.wait_for(mark, "choose a queue");
    let mark = pty.mark();
    pty.press("xjj\r");
    let why = pty.wait_for(mark, "windlass queues resume mail");
    assert!(why.contains("Why mail stands as it does"), "{why:?}");
    pty.press("x");
    let mark = pty.mark();
    pty.resize(160, 40);
    // At 80 columns there is no room for all of it.
    pty.wait_for(mark, "the provider is down");
    pty.press("q");
    assert_eq!(pty.ended(), Some(0));
}

#[tokio::test]
async fn an_api_that_goes_away_is_told_and_waited_for() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    let mut pty = Pty::run(&server.url, &["top", "--interval", "250ms"]);
    pty.wait_for(0, "QUEUE");
    drop(server);
    pty.wait_for(0, "API AWAY since");
    assert_eq!(pty.child.try_wait().unwrap(), None, "it never ends by itself");
    pty.press("q");
    assert_eq!(pty.ended(), Some(0));
}

#[tokio::test]
async fn into_a_pipe_goes_one_frame_of_plain_text() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    for arguments in [&["top", "--interval", "250ms"][..], &["top", "--once", "--interval", "250ms"]] {
        let text = server.run(arguments).ok();
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let row = text.lines().find(|line| line.starts_with("mail ")).unwrap_or_else(|| panic!("{text}"));
        assert!(row.contains("0.0"), "rates are between two reads: {row}");
        assert!(text.contains("no_workers"), "{text}");
    }
}

#[tokio::test]
async fn scripts_get_one_document_with_rates_and_conditions() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    let found = server.run(&["top", "--output", "json", "--interval", "250ms"]).json();
    let queue = found["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == "mail").unwrap().clone();
    assert_eq!((&queue["depth"], &queue["dequeued_per_second"]), (&1.into(), &0.0.into()));
    let conditions = found["conditions"].as_array().unwrap();
    assert!(conditions.iter().any(|c| c["name"] == "no_workers" && c["severity"] == "critical"), "{found}");
    assert!(found["workers"].is_array() && found["dead_letters"].is_array() && found["ready"]["ready"] == true);
}

#[tokio::test]
async fn a_key_that_may_not_look_and_a_bad_interval_are_told_before_the_screen_changes() {
    let redis = TestRedis::start().await;
    let server = server(&redis).await;
    let refused = run(&["top"], &[("WINDLASS_URL", &server.url), ("WINDLASS_API_KEY", "wl_wrong")]);
    assert_eq!(refused.code, 4);
    assert!(refused.stderr.contains("windlass keys list"), "{}", refused.stderr);
    for interval in ["100ms", "2h", "x", "0"] {
        assert_eq!(server.run(&["top", "--once", "--interval", interval]).code, 2, "{interval}");
    }
    let away = run(&["top", "--once"], &[("WINDLASS_URL", "http://127.0.0.1:9"), ("WINDLASS_API_KEY", ADMIN_KEY)]);
    assert_eq!(away.code, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_knows_no_escapes_gets_one_plain_frame() {
    let redis = TestRedis::start().await;
    let server = Server::start(&redis).await;
    let mut dumb = Pty::on("dumb", &server.url, &["top", "--interval", "250ms"]);
    dumb.wait_for(0, "QUEUE");
    assert_eq!(dumb.ended(), Some(0));
    assert!(!dumb.text().contains('\u{1b}'), "{:?}", dumb.text());
    let mut refused = Pty::on("dumb", &server.url, &["queues", "drain", "typo"]);
    refused.wait_for(0, "hint:");
    assert_eq!(refused.ended(), Some(3));
    assert!(!refused.text().contains('\u{1b}'), "{:?}", refused.text());
}
