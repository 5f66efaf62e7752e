//! What the viewer chose: which order, which queue, which overlay.

use clap::ValueEnum;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};

use super::read::{QueueRow, Snapshot};

/// What orders the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// By name.
    #[default]
    Name,
    /// Most jobs in line first.
    Depth,
    /// Longest wait first.
    Oldest,
    /// Most claims per second first.
    Rate,
    /// Most dead letters first.
    Dead,
}

impl Sort {
    /// As shown.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Depth => "depth",
            Self::Oldest => "oldest",
            Self::Rate => "rate",
            Self::Dead => "dead",
        }
    }

    fn next(self) -> Self {
        let all = Self::value_variants();
        let at = all.iter().position(|sort| *sort == self).unwrap_or_default();
        all[(at + 1) % all.len()]
    }
}

/// What lies over the frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The keys.
    Help,
    /// Why a queue stands as it does; the lines come when the API has answered.
    Why(String, Option<Vec<String>>),
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Draw again.
    Draw,
    /// End.
    Quit,
    /// Ask why this queue stands as it does.
    Ask(String),
    /// Nothing.
    Nothing,
}

/// What the viewer chose.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The order of the queues.
    pub(super) sort: Sort,
    /// Whether the frame stands still.
    pub(super) paused: bool,
    /// The chosen queue; by name, so that a new order does not change it.
    pub(super) chosen: Option<String>,
    /// What lies over the frame.
    pub(super) overlay: Overlay,
}

impl View {
    /// The queues in the chosen order.
    pub(super) fn order<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a QueueRow> {
        let mut rows: Vec<&QueueRow> = snapshot.queues.iter().collect();
        rows.sort_by(|a, b| {
            let by = match self.sort {
                Sort::Name => std::cmp::Ordering::Equal,
                Sort::Depth => b.view.depth.cmp(&a.view.depth),
                Sort::Oldest => b.view.oldest_pending_ms.cmp(&a.view.oldest_pending_ms),
                Sort::Rate => {
                    let rate = |row: &QueueRow| row.dequeued_per_second.unwrap_or_default();
                    rate(b).total_cmp(&rate(a))
                }
                Sort::Dead => b.view.dead.cmp(&a.view.dead),
            };
            by.then_with(|| a.view.name.cmp(&b.view.name))
        });
        rows
    }

    /// Takes an event of the terminal.
    pub(super) fn take(&mut self, event: &Event, snapshot: Option<&Snapshot>) -> Wish {
        let key = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Resize(..) => return Wish::Draw,
            _ => return Wish::Nothing,
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Wish::Quit,
            KeyCode::Char('l') if control => return Wish::Draw,
            KeyCode::Char('q' | 'Q') => return Wish::Quit,
            // Any other key takes the overlay away.
            _ if self.overlay != Overlay::None => self.overlay = Overlay::None,
            KeyCode::Char('?' | 'h') => self.overlay = Overlay::Help,
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('j') | KeyCode::Down => self.step(snapshot, 1),
            KeyCode::Char('k') | KeyCode::Up => self.step(snapshot, -1),
            KeyCode::Enter => {
                let chosen = self.chosen.clone().or_else(|| self.name_at(snapshot, 0));
                let Some(queue) = chosen else { return Wish::Nothing };
                self.overlay = Overlay::Why(queue.clone(), None);
                return Wish::Ask(queue);
            }
            _ => return Wish::Nothing,
        }
        Wish::Draw
    }

    fn name_at(&self, snapshot: Option<&Snapshot>, at: usize) -> Option<String> {
        Some(self.order(snapshot?).get(at)?.view.name.clone())
    }

    fn step(&mut self, snapshot: Option<&Snapshot>, by: isize) {
        let Some(snapshot) = snapshot else { return };
        let rows = self.order(snapshot);
        let at = rows.iter().position(|row| Some(&row.view.name) == self.chosen.as_ref());
        let to = at.map_or(0, |at| at.saturating_add_signed(by).min(rows.len().saturating_sub(1)));
        self.chosen = rows.get(to).map(|row| row.view.name.clone());
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::super::fixtures::{queue, snapshot};
    use super::*;

    fn press(view: &mut View, code: KeyCode, snapshot: &Snapshot) -> Wish {
        view.take(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)), Some(snapshot))
    }

    #[test]
    fn the_chosen_queue_stays_chosen_in_another_order() {
        let mut deep = queue("z");
        deep.view.depth = 9;
        let snapshot = snapshot(vec![queue("a"), queue("b"), deep]);
        let mut view = View::default();
        for code in [KeyCode::Down, KeyCode::Char('j'), KeyCode::Up] {
            press(&mut view, code, &snapshot);
        }
        assert_eq!(view.chosen.as_deref(), Some("a"));
        press(&mut view, KeyCode::Char('s'), &snapshot);
        let names: Vec<&str> = view.order(&snapshot).iter().map(|row| row.view.name.as_str()).collect();
        assert_eq!((names, view.chosen.as_deref()), (vec!["z", "a", "b"], Some("a")));
        press(&mut view, KeyCode::Up, &snapshot);
        press(&mut view, KeyCode::Up, &snapshot);
        assert_eq!(press(&mut view, KeyCode::Enter, &snapshot), Wish::Ask("z".to_owned()));
    }

    #[test]
    fn keys_quit_pause_and_take_an_overlay_away() {
        let snapshot = snapshot(vec![queue("a")]);
        let mut view = View::default();
        press(&mut view, KeyCode::Char('?'), &snapshot);
        assert_eq!(view.overlay, Overlay::Help);
        press(&mut view, KeyCode::Char('p'), &snapshot);
        assert_eq!((view.overlay.clone(), view.paused), (Overlay::None, false), "it only took the help away");
        press(&mut view, KeyCode::Char('p'), &snapshot);
        assert!(view.paused);
        assert_eq!(press(&mut view, KeyCode::Char('q'), &snapshot), Wish::Quit);
        let interrupt = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert_eq!(view.take(&interrupt, None), Wish::Quit);
        assert_eq!(view.take(&Event::Resize(80, 24), None), Wish::Draw);
    }
}
