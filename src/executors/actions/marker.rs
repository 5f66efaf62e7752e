//! The mark of an effect inside what it makes, by which a later attempt recognises it.

/// Mark for texts in Markdown, where an HTML comment is not shown.
pub(super) fn hidden(key: &str) -> String {
    format!("<!-- windlass:{key} -->")
}

/// Mark for plain texts, where everything is shown.
pub(super) fn plain(key: &str) -> String {
    format!("[windlass:{key}]")
}

/// `text` with `mark` at its end.
pub(super) fn marked(text: &str, mark: &str) -> String {
    if text.is_empty() { mark.to_owned() } else { format!("{text}\n\n{mark}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_names_the_effect_and_closes_its_comment() {
        assert_eq!(hidden("0jab.send"), "<!-- windlass:0jab.send -->");
        assert_eq!(marked("text", &plain("k")), "text\n\n[windlass:k]");
        assert_eq!(marked("", "m"), "m");
    }
}
