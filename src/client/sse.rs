//! Server-sent events out of the pieces of an answer.

/// An event larger than this is none of ours: a job with its result, and then some.
const LIMIT: usize = 8 * 1024 * 1024;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SseEvent {
    /// Its name.
    pub(super) name: String,
    /// Its data, on one line.
    pub(super) data: String,
}

/// Collects pieces, and gives whole events.
#[derive(Default)]
pub(super) struct SseReader {
    buffer: Vec<u8>,
    last_id: Option<String>,
}

impl SseReader {
    /// Takes a piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Whether what came is an event without end.
    pub(super) fn is_endless(&self) -> bool {
        self.buffer.len() > LIMIT
    }

    /// Forgets half an event, which comes again whole on the next connection.
    pub(super) fn hang_up(&mut self) {
        self.buffer.clear();
    }

    /// The id of the last event taken.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Takes a whole event out of the buffer. Comments, which keep the connection open, are none.
    pub(super) fn take(&mut self) -> Option<SseEvent> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
            self.buffer.drain(..end + 2);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
            if let Some(id) = field("id:") {
                self.last_id = Some(id.to_owned());
            }
            let (Some(name), Some(data)) = (field("event:"), field("data:")) else { continue };
            return Some(SseEvent { name: name.to_owned(), data: data.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_out_of_pieces_and_comments_are_none() {
        let mut reader = SseReader::default();
        reader.push(b": keep-alive\n\nid: 7\nevent: state\nda");
        assert_eq!((reader.take(), reader.last_id()), (None, None));
        reader.push(b"ta: {}\n\nevent: half");
        let event = SseEvent { name: "state".to_owned(), data: "{}".to_owned() };
        assert_eq!((reader.take(), reader.last_id()), (Some(event), Some("7")));
        reader.hang_up();
        reader.push(b"event: open\ndata: {}\n\n");
        assert_eq!(reader.take().map(|event| event.name).as_deref(), Some("open"));
    }
}
