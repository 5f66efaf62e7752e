//! What stands in a frame, on terminals of several sizes.

use unicode_width::UnicodeWidthStr;

use super::super::fixtures::{queue, snapshot};
use super::*;

fn shown(snapshot: &Snapshot, view: &View, width: usize, height: Option<usize>) -> Vec<String> {
    let interval = Duration::from_secs(2);
    let scene = Scene { snapshot: Some(snapshot), view, away: None, interval, width, height };
    frame(&scene).into_iter().map(|line| line.text).collect()
}

fn many() -> Snapshot {
    let mut many = snapshot((0..40).map(|n| queue(&format!("queue-{n:02}"))).collect());
    let switch = serde_json::json!({"by": "ops", "at": "2026-01-01T00:00:00Z", "reason": "日本語 \u{1b}[31m"});
    many.queues[3].view.paused = serde_json::from_value(switch).expect("a switch");
    many.workers = (0..20).map(|n| super::super::fixtures::worker(&format!("host-{n}"), &["queue-03"])).collect();
    many
}

#[test]
fn a_frame_fits_the_terminal_whatever_its_size() {
    let snapshot = many();
    for (width, height) in [(80, 24), (40, 10), (200, 60), (10, 3), (1, 1)] {
        let lines = shown(&snapshot, &View::default(), width, Some(height));
        assert!(lines.len() <= height, "{width}x{height}: {lines:#?}");
        assert!(lines.iter().all(|line| line.width() <= width), "{width}x{height}: {lines:#?}");
    }
}

#[test]
fn at_80_columns_every_number_of_a_queue_can_be_read() {
    let mut one = snapshot(vec![queue("a-name-of-a-queue")]);
    let view = &mut one.queues[0].view;
    (view.depth, view.running, view.dead, view.oldest_pending_ms) = (123_456, 32, 1234, Some(7_500_000));
    one.queues[0].dequeued_per_second = Some(1234.5);
    let lines = shown(&one, &View::default(), 80, Some(24));
    let row = lines.iter().find(|line| line.starts_with("a-name")).expect("the queue");
    for cell in ["123456", "32", "1234", "2h", "1234.5"] {
        assert!(row.contains(cell), "{cell} is missing in {row}");
    }
}

#[test]
fn the_chosen_queue_is_always_on_the_screen() {
    let snapshot = many();
    for name in ["queue-00", "queue-20", "queue-39"] {
        let view = View { chosen: Some(name.to_owned()), ..View::default() };
        let lines = shown(&snapshot, &view, 80, Some(24));
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}: {lines:#?}");
    }
}

#[test]
fn everything_is_shown_where_there_is_no_height_and_nothing_moves_the_cursor() {
    let lines = shown(&many(), &View::default(), 400, None);
    assert_eq!(lines.iter().filter(|line| line.starts_with("queue-")).count(), 40);
    assert_eq!(lines.iter().filter(|line| line.starts_with("host-")).count(), 20);
    assert!(lines.iter().any(|line| line.contains("paused by ops") && line.contains("日本語")), "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
}

#[test]
fn an_api_that_is_away_is_told_over_what_was_last_known() {
    let (snapshot, view) = (many(), View::default());
    let away = Away { since: Timestamp::from_unix_ms(0), reason: "connection refused".to_owned() };
    let scene = Scene {
        snapshot: Some(&snapshot),
        view: &view,
        away: Some(&away),
        interval: Duration::from_secs(2),
        width: 120,
        height: Some(30),
    };
    let lines = frame(&scene);
    assert!(lines[1].text.starts_with("API AWAY since 1970-01-01T00:00:00.000Z"), "{lines:?}");
    assert!(lines.iter().any(|line| line.text.starts_with("queue-00")));
}
