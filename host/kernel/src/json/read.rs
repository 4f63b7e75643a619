//! The reader: one pass over the bytes, as deep as [`JSON_DEPTH_MAX`] and no deeper, or [`JSON_CHECK_DEPTH_MAX`] where nothing is decided on it.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Flaw, JSON_CHECK_DEPTH_MAX, JSON_DEPTH_MAX, JSON_VALUES_MAX, Value};

/// Doubles hold every whole number up to here.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Room for this much is made at once; most lists and objects are no longer.
const FEW: usize = 4;

pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    values: usize,
    /// Only whether it is JSON is asked.
    checks: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, values: 0, checks: false }
    }

    pub(super) fn checking(text: &'a str) -> Self {
        Self { checks: true, ..Self::new(text) }
    }

    pub(super) fn whole(mut self) -> Result<Value, Flaw> {
        let value = self.value(0)?;
        match self.next_byte() {
            None => Ok(value),
            Some(_) => Err(self.flaw("something behind the value")),
        }
    }

    fn flaw(&self, what: &'static str) -> Flaw {
        Flaw { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not space; it is not taken.
    fn next_byte(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8, else_what: &'static str) -> Result<(), Flaw> {
        if self.next_byte() != Some(byte) {
            return Err(self.flaw(else_what));
        }
        self.at += 1;
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, Flaw> {
        self.values += 1;
        if self.values > JSON_VALUES_MAX && !self.checks {
            return Err(self.flaw("more than 65536 values"));
        }
        match self.next_byte() {
            None => Err(self.flaw("a value is missing")),
            Some(b'{' | b'[') if self.checks && depth >= JSON_CHECK_DEPTH_MAX => {
                Err(self.flaw("nested deeper than 128"))
            }
            Some(b'{' | b'[') if !self.checks && depth >= JSON_DEPTH_MAX => Err(self.flaw("nested deeper than 32")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => Err(self.flaw("not a value")),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Flaw> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.flaw("not a value"));
        }
        self.at += word.len();
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Flaw> {
        self.at += 1;
        if self.next_byte() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(Vec::new()));
        }
        let mut values = Vec::with_capacity(FEW);
        loop {
            values.push(self.value(depth + 1)?);
            match self.next_byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.flaw("`,` or `]` is missing")),
            }
        }
        self.at += 1;
        Ok(Value::List(values))
    }

    fn object(&mut self, depth: usize) -> Result<Value, Flaw> {
        let begin = self.at;
        self.at += 1;
        if self.next_byte() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Vec::new()));
        }
        let mut entries: Vec<(String, Value)> = Vec::with_capacity(FEW);
        loop {
            if self.next_byte() != Some(b'"') {
                return Err(self.flaw("a key is missing"));
            }
            let key = self.string()?;
            self.take(b':', "`:` is missing")?;
            entries.push((key, self.value(depth + 1)?));
            match self.next_byte() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.flaw("`,` or `}` is missing")),
            }
        }
        self.at += 1;
        let ascend = |entries: &[(String, Value)]| entries.is_sorted_by(|(a, _), (b, _)| a < b);
        if !ascend(&entries) {
            entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            if !ascend(&entries) {
                return Err(Flaw { what: "a key that stands twice in the object", at: begin });
            }
        }
        Ok(Value::Object(entries))
    }

    /// A text. Nearly all have no escape: these are copied in one piece, into room of their own size.
    fn string(&mut self) -> Result<String, Flaw> {
        self.at += 1;
        let plain = self.plain();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(plain.into());
        }
        let mut text = String::from(plain);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escaped()?);
                    text.push_str(self.plain());
                }
                Some(_) => return Err(self.flaw("a control character in a text")),
                None => return Err(self.flaw("a text does not end")),
            }
        }
    }

    /// What of a text stands for itself from here on; it is taken.
    fn plain(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let length = plain_bytes(rest.as_bytes());
        self.at += length;
        &rest[..length]
    }

    fn escaped(&mut self) -> Result<char, Flaw> {
        let byte = self.peek();
        self.at += 1;
        Ok(match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => {
                self.at -= 1;
                return Err(self.flaw("an unknown escape"));
            }
        })
    }

    fn unicode(&mut self) -> Result<char, Flaw> {
        let half = Flaw { what: "half of a surrogate pair", at: self.at - 2 };
        let first = self.hex()?;
        let code = match first {
            0xD800..=0xDBFF => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return Err(half);
                }
                self.at += 2;
                match self.hex()? {
                    second @ 0xDC00..=0xDFFF => 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                    _ => return Err(half),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or(half)
    }

    fn hex(&mut self) -> Result<u32, Flaw> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.flaw("four hexadecimal digits are missing"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let begin = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == begin { Err(self.flaw("a digit is missing")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Value, Flaw> {
        let begin = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let zero = self.peek() == Some(b'0');
        let whole = self.at;
        self.digits()?;
        if zero && self.at > whole + 1 {
            return Err(Flaw { what: "a number with a zero before it", at: begin });
        }
        let mut exact = true;
        if self.peek() == Some(b'.') {
            exact = false;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            exact = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let large = Flaw { what: "a number that does not fit 64 bits", at: begin };
        let digits = &self.text[begin..self.at];
        if exact && self.checks && digits.parse::<u64>().is_ok() {
            return Ok(Value::Null);
        }
        if exact {
            return digits.parse().map(Value::Integer).map_err(|_| large);
        }
        let number: f64 = digits.parse().map_err(|_| large)?;
        if !number.is_finite() {
            return Err(large);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the range is tested before, and the way back after")]
        let near = if number.abs() < EXACT_MAX { Some(number as i64) } else { None };
        #[expect(clippy::cast_precision_loss, reason = "whole numbers of this size are doubles")]
        let same = near.filter(|near| *near as f64 == number);
        Ok(same.map_or(Value::Decimal(number), Value::Integer))
    }
}

/// How many bytes of a text stand for themselves: a block at a time, without branches, so that it is compiled to vectors.
fn plain_bytes(bytes: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    let is_plain = |block: &&[u8]| !block.iter().fold(false, |found, byte| found | special(*byte));
    let blocks = bytes.chunks_exact(BLOCK).take_while(is_plain).count();
    let done = blocks * BLOCK;
    done + bytes[done..].iter().take_while(|byte| !special(**byte)).count()
}
