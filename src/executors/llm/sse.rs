//! Server-sent events as providers write them.
//!
//! The WHATWG format (HTML standard, section 9.2.6), less what no provider sends: a lone CR does not end a line, and
//! `id` and `retry` are passed over, because a broken stream is never resumed, it is asked for anew.

/// The most bytes of one event: a tool call may come as one piece, and JSON escapes can double it.
const EVENT_LIMIT: usize = 2 * 1024 * 1024;

/// What stands in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A comment or an event that only keeps the connection open.
    KeepAlive,
    /// An event; [`Events::data`] has its text.
    Event,
    /// An event that the provider calls an error.
    Error,
}

/// An event is longer than any may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Cuts bytes into events, wherever the network cut them.
#[derive(Default)]
pub(super) struct Events {
    buffer: Vec<u8>,
    /// Where the first line that was not read begins.
    at: usize,
    /// How much of that line is known to hold no line end.
    scanned: usize,
    data: Vec<u8>,
    open: bool,
    kind: Option<Item>,
}

impl Events {
    /// Takes bytes from the network.
    ///
    /// # Errors
    /// When they make an event too long.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
        let open = if self.open { self.data.len() } else { 0 };
        if self.scanned.saturating_add(open) > EVENT_LIMIT { Err(TooLong) } else { Ok(()) }
    }

    /// What comes next, if it is there as a whole.
    pub(super) fn next(&mut self) -> Option<Item> {
        loop {
            let rest = &self.buffer[self.at..];
            let Some(end) = rest[self.scanned..].iter().position(|b| *b == b'\n') else {
                self.scanned = rest.len();
                return None;
            };
            let end = self.scanned + end;
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            self.at += end + 1;
            self.scanned = 0;
            let item = match line.split_first() {
                None => self.open.then(|| self.kind.unwrap_or(Item::Event)),
                Some((b':', _)) => return Some(Item::KeepAlive),
                Some(_) => {
                    field(line, &mut self.data, &mut self.open, &mut self.kind);
                    continue;
                }
            };
            self.open = false;
            self.kind = None;
            if item.is_some() {
                return item;
            }
        }
    }

    /// The last event of a stream whose end lacks the blank line.
    pub(super) fn last(&mut self) -> Option<Item> {
        self.buffer.extend_from_slice(b"\n\n");
        self.next()
    }

    /// The text of the event that [`Events::next`] found.
    pub(super) fn data(&self) -> &[u8] {
        &self.data
    }
}

fn field(line: &[u8], data: &mut Vec<u8>, open: &mut bool, kind: &mut Option<Item>) {
    let colon = line.iter().position(|b| *b == b':').unwrap_or(line.len());
    let (name, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match name {
        b"data" => {
            if *open {
                data.push(b'\n');
            } else {
                data.clear();
            }
            *open = true;
            data.extend_from_slice(value);
        }
        b"event" => {
            *kind = match value {
                b"error" => Some(Item::Error),
                b"keepalive" | b"ping" => Some(Item::KeepAlive),
                _ => None,
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(Item, String)> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in pieces {
            events.push(piece).unwrap();
            while let Some(item) = events.next() {
                let text = if item == Item::KeepAlive { "" } else { std::str::from_utf8(events.data()).unwrap() };
                found.push((item, text.to_owned()));
            }
        }
        if let Some(item) = events.last() {
            found.push((item, String::from_utf8(events.data().to_vec()).unwrap()));
        }
        found
    }

    fn event(text: &str) -> (Item, String) {
        (Item::Event, text.to_owned())
    }

    #[test]
    fn events_are_the_same_however_the_network_cuts_them() {
        let stream = b": hello\n\ndata: a\n\ndata:b\r\ndata: c\r\n\r\nid: 7\nevent: error\ndata: d\n\nevent: ping\ndata: {}\n\ndata: e\n";
        let wanted = [
            (Item::KeepAlive, String::new()),
            event("a"),
            event("b\nc"),
            (Item::Error, "d".to_owned()),
            (Item::KeepAlive, String::new()),
            event("e"),
        ];
        assert_eq!(read(&[stream]), wanted);
        assert_eq!(read(&stream.iter().map(std::slice::from_ref).collect::<Vec<_>>()), wanted);
        for cut in 0..stream.len() {
            assert_eq!(read(&[&stream[..cut], &stream[cut..]]), wanted, "cut at {cut}");
        }
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut events = Events::default();
        let refused = (0..100).find(|_| {
            let pushed = events.push(&[b'x'; 64 * 1024]);
            assert_eq!(events.next(), None);
            pushed.is_err()
        });
        assert_eq!(refused, Some(EVENT_LIMIT / (64 * 1024) + 1));
        let mut lines = Events::default();
        let refused = (0..3_000).any(|_| {
            let pushed = lines.push(&[b"data: ", &[b'x'; 1024][..], b"\n"].concat());
            assert_eq!(lines.next(), None);
            pushed.is_err()
        });
        assert!(refused, "many lines are an event too");
    }
}
