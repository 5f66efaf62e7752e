//! The command blocks of a runbook, and the marks before them.
//!
//! A mark is an HTML comment directly before a block: `not run: why`, `exits: 1`, `with: a fixture`. After a block,
//! `prints` before a text block says what the commands show; `# → PONG` behind a command says the same of one line.

/// One block of commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The line of the first command.
    pub(crate) line: usize,
    /// The heading above it.
    pub(crate) heading: String,
    pub(crate) script: String,
    /// Why it is not run.
    pub(crate) not_run: Option<String>,
    /// The code it ends with.
    pub(crate) exits: i32,
    /// The situation it is for.
    pub(crate) with: Option<String>,
    /// What it prints, in this order, among other things.
    pub(crate) prints: Vec<String>,
}

/// The blocks of a document, and what is wrong with its marks.
#[derive(Debug, Default)]
pub(crate) struct Document {
    pub(crate) blocks: Vec<Block>,
    pub(crate) mistakes: Vec<String>,
}

impl Block {
    /// Lines that begin a command.
    pub(crate) fn commands(&self) -> usize {
        let (mut count, mut goes_on, mut here) = (0, false, None::<String>);
        for line in self.script.lines().map(str::trim) {
            if let Some(end) = &here {
                if line == end {
                    here = None;
                }
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            count += usize::from(!goes_on);
            goes_on = line.ends_with(['\\', '|']);
            here = line.split_once("<<").and_then(|(_, word)| {
                let word = word.trim_start_matches('-').split_whitespace().next()?;
                Some(word.trim_matches(['\'', '"']).to_owned())
            });
        }
        count
    }
}

/// Reads a document.
pub(crate) fn read(text: &str) -> Document {
    let mut found = Document::default();
    let mut next = Block::default();
    let (mut heading, mut marked, mut shows) = (String::new(), None::<usize>, false);
    let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    while let Some((at, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            match (language, found.blocks.last_mut()) {
                ("sh", _) => {
                    next.prints = behind_commands(&inside);
                    (next.line, next.heading, next.script) = (at + 1, heading.clone(), inside.join("\n"));
                    found.blocks.push(std::mem::take(&mut next));
                }
                ("text", Some(last)) if shows => last.prints.extend(inside.iter().map(ToString::to_string)),
                _ => found.mistakes.extend(marked.map(|line| format!("{line}: a mark before no block of commands"))),
            }
            (marked, shows) = (None, false);
        } else if line.starts_with("<!--") {
            let mut whole = line.to_owned();
            while !whole.ends_with("-->") {
                let Some((_, more)) = lines.next() else { break };
                whole = format!("{whole} {more}");
            }
            let mark = whole.trim_start_matches("<!--").trim_end_matches("-->").trim();
            match note(mark, &mut next) {
                Ok(prints) => (marked, shows) = (Some(at), prints),
                Err(why) => found.mistakes.push(format!("{at}: {why}")),
            }
        } else if !line.is_empty() {
            found.mistakes.extend(marked.take().map(|line| format!("{line}: a mark before no block")));
            (next, shows) = (Block::default(), false);
            if line.starts_with('#') {
                heading = line.trim_start_matches('#').trim().to_owned();
            }
        }
    }
    found
}

/// Takes a mark down; whether it says that a block of text follows.
fn note(mark: &str, block: &mut Block) -> Result<bool, String> {
    let (name, value) = mark.split_once(':').map_or((mark, ""), |(name, value)| (name, value.trim()));
    match (name, value) {
        ("prints", "") => return Ok(true),
        ("not run", why) if !why.is_empty() => block.not_run = Some(why.to_owned()),
        ("with", fixture) if !fixture.is_empty() => block.with = Some(fixture.to_owned()),
        ("exits", code) => block.exits = code.parse().map_err(|_| format!("`{code}` is no exit code"))?,
        _ => return Err(format!("no such mark: `{mark}`")),
    }
    Ok(false)
}

/// What stands behind commands after `# →`.
fn behind_commands(script: &[&str]) -> Vec<String> {
    script.iter().filter_map(|line| line.split_once("# →")).map(|(_, shown)| shown.trim().to_owned()).collect()
}

/// The first of the expected lines that the output does not have, each somewhere after the one before it. `…` stands
/// for anything within a line, and white space counts for nothing.
pub(crate) fn missing<'a>(output: &str, expected: &'a [String]) -> Option<&'a str> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let output: Vec<String> = output.lines().map(plain).collect();
    let mut rest: Vec<&str> = output.iter().map(String::as_str).collect();
    expected.iter().map(String::as_str).find(|line| {
        let parts: Vec<String> = line.split('…').map(plain).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return false;
        }
        let found = rest.iter().enumerate().find_map(|(at, shown)| Some((at, behind(shown, &parts)?)));
        let Some((at, behind)) = found else { return true };
        // What two commands print may share a line.
        rest.drain(..at);
        rest[0] = behind;
        false
    })
}

/// What stands behind these parts of a line, when it has them in this order.
fn behind<'a>(line: &'a str, parts: &[String]) -> Option<&'a str> {
    parts.iter().try_fold(line, |rest, part| Some(&rest[rest.find(part.as_str())? + part.len()..]))
}
