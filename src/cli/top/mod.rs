//! `windlass top`: the fleet at a glance, over HTTP.

mod conditions;
#[cfg(test)]
mod fixtures;
mod frame;
mod grid;
mod read;
mod screen;
mod view;
mod why;

use std::future::pending;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, EventStream};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};

use super::failure::{Code, Failure};
use super::output::Output;
use super::span;
use crate::client::{Client, ClientError};
use crate::clock::{self, Instant};
use frame::{Away, Scene};
use read::Snapshot;
use screen::Screen;
use view::Sort;
use view::{Overlay, View, Wish};

/// The least time between two reads, so that no view is a load.
const LEAST: Duration = Duration::from_millis(250);
/// The most.
const MOST: Duration = Duration::from_secs(3600);
/// A read that takes longer than this counts as the API being away.
const PATIENCE: Duration = Duration::from_secs(10);
/// A frame that is no terminal's is this wide at the most.
const WIDE: usize = 200;

/// Options of `top`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass top
  windlass top --interval 500ms --sort depth
  windlass top --once | head -20
  windlass top --output json | jq '.conditions[]'

Keys: q quit, p stand still, s order, j/k choose a queue, Enter why, ? help.
Conditions are what the alert rules look at, at this moment and without their waiting times.
It needs a key for all workspaces with the scope queue:operate.")]
pub struct TopArgs {
    /// Between two reads: 250ms to 1h; rates are over this time
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// Order of the queues
    #[arg(long, value_enum, default_value_t = Sort::Name)]
    sort: Sort,
    /// Print one frame as plain text and end; so it is where stdout is no terminal
    #[arg(long)]
    once: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let length = span::parse(text)?;
    let fits = (LEAST..=MOST).contains(&length);
    if fits { Ok(length) } else { Err("must be 250ms to 1h".to_owned()) }
}

/// Runs the command.
pub(super) async fn run(args: TopArgs, client: &Client, out: &mut Output) -> Result<(), Failure> {
    // A key that may not look never may: that is said before the screen changes.
    let first = match read::read(client, None).await {
        Ok(snapshot) => Ok(snapshot),
        Err(error) if args.once || out.is_json() || !out.is_terminal() || !passes(&error) => return Err(error.into()),
        Err(error) => Err(error),
    };
    if let (Ok(first), true) = (&first, args.once || out.is_json() || !out.is_terminal()) {
        return once(&args, client, first, out).await;
    }
    let gone = |e: std::io::Error| Failure::new(Code::Failure, format_args!("cannot use this terminal: {e}"));
    let screen = Screen::take(out.paint()).map_err(gone)?;
    Live::new(&args, client, first).run(&screen).await.map_err(gone)
}

/// Whether the API may answer later.
fn passes(error: &ClientError) -> bool {
    !matches!(error, ClientError::Setup(_))
        && !matches!(error, ClientError::Problem(problem) if problem.status < 500 && problem.status != 429)
}

async fn once(args: &TopArgs, client: &Client, first: &Snapshot, out: &mut Output) -> Result<(), Failure> {
    tokio::time::sleep(args.interval).await;
    let snapshot = read::read(client, Some(first)).await?;
    let view = View { sort: args.sort, ..View::default() };
    let width = if out.is_terminal() { Screen::size().0 } else { WIDE };
    let (interval, away) = (args.interval, None);
    let scene = Scene { snapshot: Some(&snapshot), view: &view, away, interval, width, height: None };
    out.text(&snapshot, |_| {
        frame::frame(&scene).into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    })
}

/// The view that goes on until the viewer ends it.
struct Live {
    client: Client,
    interval: Duration,
    view: View,
    snapshot: Option<Snapshot>,
    away: Option<Away>,
    reading: Option<BoxFuture<'static, Result<Snapshot, String>>>,
    asking: Option<BoxFuture<'static, (String, Vec<String>)>>,
    due: Instant,
}

impl Live {
    fn new(args: &TopArgs, client: &Client, first: Result<Snapshot, ClientError>) -> Self {
        let mut live = Self {
            client: client.clone(),
            interval: args.interval,
            view: View { sort: args.sort, ..View::default() },
            snapshot: None,
            away: None,
            reading: None,
            asking: None,
            due: clock::now() + args.interval,
        };
        live.took(first.map_err(|error| error.to_string()));
        live
    }

    async fn run(mut self, screen: &Screen) -> std::io::Result<()> {
        let mut events = EventStream::new();
        loop {
            let (width, height) = Screen::size();
            let Self { snapshot, view, away, interval, .. } = &self;
            let (snapshot, away, interval) = (snapshot.as_ref(), away.as_ref(), *interval);
            let scene = Scene { snapshot, view, away, interval, width, height: Some(height) };
            screen.show(&frame::frame(&scene))?;
            if !self.step(&mut events).await? {
                return Ok(());
            }
        }
    }

    /// Waits for whatever comes next; false when the viewer has seen enough.
    async fn step(&mut self, events: &mut EventStream) -> std::io::Result<bool> {
        let idle = self.reading.is_none() && !self.view.paused;
        tokio::select! {
            event = events.next() => match event {
                Some(event) => return Ok(self.event(&event?)),
                None => return Ok(false),
            },
            read = arrives(&mut self.reading) => {
                self.reading = None;
                self.due = clock::now() + self.interval;
                self.took(read);
            }
            (queue, lines) = arrives(&mut self.asking) => {
                self.asking = None;
                if matches!(&self.view.overlay, Overlay::Why(asked, _) if *asked == queue) {
                    self.view.overlay = Overlay::Why(queue, Some(lines));
                }
            }
            () = tokio::time::sleep_until(self.due), if idle => self.look(),
        }
        Ok(true)
    }

    fn event(&mut self, event: &Event) -> bool {
        match self.view.take(event, self.snapshot.as_ref()) {
            Wish::Quit => return false,
            Wish::Ask(queue) => {
                let row = why::row(self.snapshot.as_ref(), &queue);
                let asked = why::ask(self.client.clone(), queue.clone(), row);
                self.asking = Some(asked.map(move |lines| (queue, lines)).boxed());
            }
            Wish::Draw | Wish::Nothing => {}
        }
        true
    }

    fn look(&mut self) {
        let (client, before) = (self.client.clone(), self.snapshot.clone());
        let read = async move {
            match tokio::time::timeout(PATIENCE, read::read(&client, before.as_ref())).await {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {}", span::brief(PATIENCE))),
            }
        };
        self.reading = Some(read.boxed());
    }

    fn took(&mut self, read: Result<Snapshot, String>) {
        match read {
            Ok(snapshot) => {
                self.snapshot = Some(snapshot);
                self.away = None;
            }
            Err(reason) => {
                let since = self.away.as_ref().map_or_else(clock::wall, |away| away.since);
                self.away = Some(Away { since, reason });
            }
        }
    }
}

/// What a future brings, if there is one.
async fn arrives<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => pending().await,
    }
}
