//! How long ago something was, as people write it: `90m`, `2d`, `1d12h`.

use std::time::Duration;

/// Not an age.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an age such as 30s, 90m, 12h, 2d, 1w or 1d12h, at most ten years")]
pub struct AgeError;

const DAY: u64 = 86_400;

/// The longest age: ten years.
pub const LONGEST_AGE: Duration = Duration::from_secs(3650 * DAY);

/// Reads an age: whole numbers, each with one of the units `s`, `m` (minutes), `h`, `d` and `w`.
///
/// # Errors
/// When the text is no age, or one of more than ten years.
pub fn parse_age(text: &str) -> Result<Duration, AgeError> {
    let (mut total, mut number) = (0_u64, None);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let shifted = number.unwrap_or(0_u64).checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            number = Some(shifted.ok_or(AgeError)?);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY,
            'w' => 7 * DAY,
            _ => return Err(AgeError),
        };
        let seconds = number.take().and_then(|n| n.checked_mul(unit)).ok_or(AgeError)?;
        total = total.checked_add(seconds).ok_or(AgeError)?;
    }
    let whole = number.is_none() && !text.is_empty();
    Some(Duration::from_secs(total)).filter(|age| whole && *age <= LONGEST_AGE).ok_or(AgeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_numbers_with_units() {
        for (text, seconds) in
            [("30s", 30), ("90m", 5400), ("2d", 172_800), ("1w", 604_800), ("1d12h", 129_600), ("0s", 0)]
        {
            assert_eq!(parse_age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "5", "d", "1.5h", "-1d", "2 d", "1y", "1D", "1dh", "4000d", "99999999999999999999d", "９m"] {
            assert_eq!(parse_age(bad), Err(AgeError), "{bad}");
        }
    }
}
