//! The code of an authenticator app as people type it: apps show it in two groups. It is read here so that a slip of the hand is no wrong code,
//! of which a few lock its owner out; whether it is right it must never say.

/// Digits of a code, as apps have it (RFC 6238).
const DIGITS: usize = 6;

/// Reads one: `123456`, `123 456` or `123-456`.
///
/// # Errors
/// What it should be.
pub fn parse(given: &str) -> Result<String, String> {
    let code: String = given.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
    if code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(code);
    }
    Err(format!("a code is the {DIGITS} digits that the app shows, such as 123456"))
}

/// A line that is a code, perhaps behind a name; none if it is something else.
pub fn named(line: &str) -> Option<(Option<&str>, String)> {
    if let Ok(code) = parse(line) {
        return Some((None, code));
    }
    let (name, rest) = line.split_once(char::is_whitespace)?;
    Some((Some(name), parse(rest.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_six_digits_in_one_group_or_two() {
        for given in ["123456", "123 456", "123-456", " 123456 "] {
            assert_eq!(parse(given).as_deref(), Ok("123456"), "{given}");
        }
        for given in ["", "12345", "1234567", "abcdef", "12345\u{0665}", "123.456"] {
            assert!(parse(given).is_err(), "{given}");
        }
    }

    #[test]
    fn a_name_stands_before_a_code() {
        assert_eq!(named("alice 123 456"), Some((Some("alice"), "123456".to_owned())));
        assert_eq!(named("123 456"), Some((None, "123456".to_owned())));
        assert_eq!(named("007 123456"), Some((Some("007"), "123456".to_owned())));
        for line in ["", "yes please", "alice", "alice 1234567", "a b 123456"] {
            assert_eq!(named(line), None, "{line}");
        }
    }
}
