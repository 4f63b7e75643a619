//! Sums and products of decimal numbers, read and worked out in one pass. It never rounds without a division, and never recurses deeper than
//! it says.

use std::fmt;

use rust_decimal::Decimal;

/// How deep brackets and signs may nest: each takes a part of the stack.
const DEPTH_MAX: usize = 64;

/// Why an expression has no value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// At this byte something else is expected.
    Expected(&'static str, usize),
    /// At this byte stands a number with more digits than are kept.
    TooLong(usize),
    TooDeep,
    DividedByZero,
    TooLarge,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expected(what, at) => write!(f, "{what} is expected behind character {at}"),
            Self::TooLong(at) => write!(f, "the number behind character {at} has more than 28 digits"),
            Self::TooDeep => write!(f, "brackets and signs nest deeper than {DEPTH_MAX}"),
            Self::DividedByZero => f.write_str("it divides by zero"),
            Self::TooLarge => f.write_str("a value in it has more than 28 digits"),
        }
    }
}

/// The value of an expression.
///
/// # Errors
/// If it is none, or its value cannot be told in 28 digits.
pub(crate) fn value(text: &str) -> Result<Decimal, Flaw> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let value = reader.sum()?;
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.expected("an operator or the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn sum(&mut self) -> Result<Decimal, Flaw> {
        let mut value = self.product()?;
        loop {
            let sum = match self.peek() {
                Some('+') => value.checked_add(self.behind(Self::product)?),
                Some('-') => value.checked_sub(self.behind(Self::product)?),
                _ => return Ok(value),
            };
            value = sum.ok_or(Flaw::TooLarge)?;
        }
    }

    fn product(&mut self) -> Result<Decimal, Flaw> {
        let mut value = self.factor()?;
        loop {
            let product = match self.peek() {
                Some('*') => value.checked_mul(self.behind(Self::factor)?),
                Some('/') => match self.behind(Self::factor)? {
                    divisor if divisor.is_zero() => return Err(Flaw::DividedByZero),
                    divisor => value.checked_div(divisor),
                },
                _ => return Ok(value),
            };
            value = product.ok_or(Flaw::TooLarge)?;
        }
    }

    fn factor(&mut self) -> Result<Decimal, Flaw> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Flaw::TooDeep);
        }
        let value = match self.peek() {
            Some('-') => -self.behind(Self::factor)?,
            Some('(') => {
                let value = self.behind(Self::sum)?;
                if self.peek() != Some(')') {
                    return Err(self.expected("`)`"));
                }
                self.at += 1;
                value
            }
            _ => self.number()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn number(&mut self) -> Result<Decimal, Flaw> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let digits = &rest[..end];
        if !digits.starts_with(|c: char| c.is_ascii_digit()) || digits.ends_with('.') || digits.matches('.').count() > 1
        {
            return Err(self.expected("a number"));
        }
        let value = Decimal::from_str_exact(digits).map_err(|_| Flaw::TooLong(self.at))?;
        self.at += end;
        Ok(value)
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<char> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        self.text[self.at..].chars().next()
    }

    /// What stands behind an operator of one byte, which was looked at.
    fn behind(&mut self, what: impl FnOnce(&mut Self) -> Result<Decimal, Flaw>) -> Result<Decimal, Flaw> {
        self.at += 1;
        self.peek();
        what(self)
    }

    fn expected(&self, what: &'static str) -> Flaw {
        Flaw::Expected(what, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked_out(text: &str) -> Result<String, Flaw> {
        value(text).map(|value| value.normalize().to_string())
    }

    #[test]
    fn expressions_have_exact_values() {
        let right = [
            ("6 * 7", "42"),
            ("0.1 + 0.2", "0.3"),
            ("(19.99 + 5) * 3", "74.97"),
            ("2 - 3 - 4", "-5"),
            ("100 / 8 / 2", "6.25"),
            ("-(2 + 3) * --2", "-10"),
            ("\u{a0}7 ", "7"),
        ];
        for (text, value) in right {
            assert_eq!(worked_out(text), Ok(value.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_says_where() {
        assert_eq!(worked_out(""), Err(Flaw::Expected("a number", 0)));
        assert_eq!(worked_out("2 +"), Err(Flaw::Expected("a number", 3)));
        assert_eq!(worked_out("(2 + 3"), Err(Flaw::Expected("`)`", 6)));
        assert_eq!(worked_out("2 3"), Err(Flaw::Expected("an operator or the end", 2)));
        assert_eq!(worked_out("1.2.3"), Err(Flaw::Expected("a number", 0)));
        assert_eq!(worked_out("2 × 3"), Err(Flaw::Expected("an operator or the end", 2)));
        assert_eq!(worked_out("1 / (2 - 2)"), Err(Flaw::DividedByZero));
        assert_eq!(worked_out(&"9".repeat(40)), Err(Flaw::TooLong(0)));
        assert_eq!(worked_out("9999999999 * ".repeat(4).trim_end_matches("* ")), Err(Flaw::TooLarge));
        assert_eq!(worked_out(&"(".repeat(1000)), Err(Flaw::TooDeep));
    }
}
