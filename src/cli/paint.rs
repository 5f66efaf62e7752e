//! Colours: on a terminal only, unless someone says otherwise.

use clap::ValueEnum;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set, CLICOLOR is 0 or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorWhen {
    /// What `--color` says among raw arguments, for what is printed before they are parsed: help and usage errors.
    #[must_use]
    pub fn among(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Self {
        let words: Vec<String> = arguments.into_iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let joined = words.iter().filter_map(|word| word.strip_prefix("--color="));
        let apart = words.iter().zip(words.iter().skip(1)).filter(|(name, _)| *name == "--color");
        let mut named = joined.chain(apart.map(|(_, value)| value.as_str()));
        named.find_map(|word| Self::from_str(word, true).ok()).unwrap_or_default()
    }

    /// The same for clap.
    #[must_use]
    pub fn for_clap(self) -> clap::ColorChoice {
        match self {
            Self::Auto => clap::ColorChoice::Auto,
            Self::Always => clap::ColorChoice::Always,
            Self::Never => clap::ColorChoice::Never,
        }
    }
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Nothing special.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Something that needs someone now.
    Bad,
    /// Something to look at.
    Warn,
    /// Something that goes well, or what to do.
    Good,
    /// What matters less.
    Dim,
    /// The chosen row.
    Chosen,
}

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// `no_color`: `NO_COLOR` is set to something (<https://no-color.org>). `clicolor`: the value of `CLICOLOR`
    /// (<https://bixense.com/clicolors/>), of which 0 means none.
    #[must_use]
    pub fn decide(when: ColorWhen, terminal: bool, no_color: bool, clicolor: Option<&str>) -> Self {
        let on = match when {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && !no_color && clicolor != Some("0"),
        };
        Self { on }
    }

    /// The text in the colours of its look.
    #[must_use]
    pub fn apply(self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Bold => "1",
            Look::Bad => "31",
            Look::Warn => "33",
            Look::Good => "32",
            Look::Dim => "2",
            Look::Chosen => "7",
            Look::Plain => "",
        };
        if !self.on || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_someone_says_otherwise() {
        let on = |when, terminal, no_color, clicolor| Paint::decide(when, terminal, no_color, clicolor).on;
        assert!(on(ColorWhen::Auto, true, false, None) && on(ColorWhen::Auto, true, false, Some("1")));
        assert!(!on(ColorWhen::Auto, false, false, None));
        assert!(!on(ColorWhen::Auto, true, true, None) && !on(ColorWhen::Auto, true, false, Some("0")));
        assert!(on(ColorWhen::Always, false, true, Some("0")) && !on(ColorWhen::Never, true, false, None));
    }

    #[test]
    fn the_option_is_found_before_arguments_are_parsed() {
        let among = |words: &[&str]| ColorWhen::among(words.iter().map(std::ffi::OsString::from));
        assert_eq!(among(&["windlass", "--color", "never", "top"]), ColorWhen::Never);
        assert_eq!(among(&["windlass", "top", "--color=always"]), ColorWhen::Always);
        assert_eq!(among(&["windlass", "--color"]), ColorWhen::Auto);
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let (on, off) = (Paint { on: true }, Paint::default());
        assert_eq!((on.apply(Look::Bad, "x"), off.apply(Look::Bad, "x")), ("\u{1b}[31mx\u{1b}[0m".into(), "x".into()));
        assert_eq!(on.apply(Look::Plain, "x"), "x");
    }
}
