//! Numbers and texts as servers write them, where it is certain what is meant: a count as a fraction or a text, a text as a list of
//! pieces. What is not certain is left to who reads it; nothing here fails.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// A count; none if there is none, or what stands there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) Option<u64>);

/// A text, or what stands in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Loose<'a> {
    #[default]
    Nothing,
    /// Borrowed where nothing is escaped.
    Text(Cow<'a, str>),
    /// Something else that is there.
    Other(Value),
}

/// JSON as it was written, or the text of one that was written into a text: arguments of a tool. Empty if there is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Written<'a>(Cow<'a, str>);

impl Written<'_> {
    /// It.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Written<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(match serde_json::from_str::<Loose<'de>>(raw) {
            Ok(Loose::Nothing) => Cow::Borrowed(""),
            Ok(Loose::Text(text)) => text,
            Ok(Loose::Other(_)) | Err(_) => Cow::Borrowed(raw),
        }))
    }
}

/// What stands there if it is a `T`, none if it is anything else: for what an answer can do without.
pub(crate) fn if_it_is_one<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(Option::<T>::deserialize(value).ok().flatten())
}

/// What was certainly meant by JSON that a strict reader does not take, for the reason `why`: half of a letter in two halves, numbers that
/// are none or larger than any, one field twice, of which the last counts. None if that is not what is wrong.
pub(crate) fn repaired(json: &str, why: &str) -> Option<String> {
    let readable = readable(json);
    if matches!(readable, Cow::Borrowed(_)) && !why.contains("duplicate field") {
        return None;
    }
    serde_json::from_str::<Value>(&readable).ok().map(|value| value.to_string())
}

/// The same, with a mark for half a letter and nothing for a number that is none.
fn readable(json: &str) -> Cow<'_, str> {
    let bytes = json.as_bytes();
    let (mut written, mut from, mut at, mut in_text) = (Vec::new(), 0, 0, false);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let (length, instead) = match rest {
            [b'\\', b'u', ..] if in_text => letter(rest),
            [b'\\', ..] if in_text => (2, ""),
            [b'"', ..] => {
                in_text = !in_text;
                (1, "")
            }
            _ if in_text => (1, ""),
            _ => ["-Infinity", "Infinity", "NaN"]
                .iter()
                .find(|word| rest.starts_with(word.as_bytes()))
                .map_or_else(|| number(rest), |word| (word.len(), "null")),
        };
        if !instead.is_empty() {
            written.extend_from_slice(bytes.get(from..at).unwrap_or_default());
            written.extend_from_slice(instead.as_bytes());
            from = at + length;
        }
        at += length;
    }
    if from == 0 {
        return Cow::Borrowed(json);
    }
    written.extend_from_slice(bytes.get(from..).unwrap_or_default());
    Cow::Owned(String::from_utf8_lossy(&written).into_owned())
}

/// How long a number is, or what else begins here, and what stands in its place if it is larger than any number that can be read.
fn number(written: &[u8]) -> (usize, &'static str) {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    let length = written.iter().take_while(|byte| is_part(byte)).count();
    let digits = written.get(..length).and_then(|digits| std::str::from_utf8(digits).ok());
    let value = digits.and_then(|digits| digits.parse::<f64>().ok());
    (length.max(1), if value.is_some_and(f64::is_infinite) { "null" } else { "" })
}

/// How long an escaped letter is, and what stands in its place if it is half of one.
fn letter(escaped: &[u8]) -> (usize, &'static str) {
    let unit = |at: usize| {
        let digits = escaped.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, ""),
        (Some(0xd800..=0xdfff), _) => (6, "\\ufffd"),
        (Some(_), _) => (6, ""),
        (None, _) => (2, ""),
    }
}

impl Loose<'_> {
    /// The text; empty if there is none.
    pub(crate) fn text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    /// The text, or the JSON of what stands in its place: a name that is a number, arguments that are an object.
    pub(crate) fn written(&self) -> Cow<'_, str> {
        match self {
            Self::Nothing => Cow::Borrowed(""),
            Self::Text(text) => Cow::Borrowed(text),
            Self::Other(value) => Cow::Owned(value.to_string()),
        }
    }

    /// The pieces of a text that is a list of them, thoughts apart, each given to `heard` with whether it is a thought.
    pub(crate) fn pieces(&self, heard: &mut impl FnMut(&str, bool)) {
        match self {
            Self::Nothing => {}
            Self::Text(text) => heard(text, false),
            Self::Other(value) => pieces(value, false, heard),
        }
    }
}

fn pieces(value: &Value, is_thought: bool, heard: &mut impl FnMut(&str, bool)) {
    match value {
        Value::String(text) => heard(text, is_thought),
        Value::Array(items) => items.iter().for_each(|item| pieces(item, is_thought, heard)),
        Value::Object(fields) => {
            let thought = ["thinking", "reasoning", "summary"].into_iter().find_map(|name| fields.get(name));
            match (thought, fields.get("text").or_else(|| fields.get("content")).or_else(|| fields.get("refusal"))) {
                (Some(thought), _) => pieces(thought, true, heard),
                (None, Some(text)) => pieces(text, is_thought, heard),
                (None, None) => {}
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counts;
        impl<'de> Visitor<'de> for Counts {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }
            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(Some(count)))
            }
            fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
                Ok(Count(u64::try_from(count).ok()))
            }
            fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
                // A part of a token is paid as one. Above its range the conversion stays at the largest.
                Ok(Count((count >= 0.0).then(|| count.ceil() as u64)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Count, E> {
                let text = text.trim();
                let whole = text.parse().ok();
                let fraction =
                    || text.parse().ok().filter(|count: &f64| *count >= 0.0).map(|count| count.ceil() as u64);
                Ok(Count(whole.or_else(fraction)))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
                Ok(Count(None))
            }
            fn visit_unit<E>(self) -> Result<Count, E> {
                Ok(Count(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }
        }
        deserializer.deserialize_any(Counts)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Loose<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Loose<'de>, E> {
                Ok(Loose::Text(Cow::Owned(text)))
            }
            fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
                Ok(Loose::Nothing)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Loose<'de>, E> {
                Ok(Loose::Other(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Loose<'de>, E> {
                Ok(Loose::Other(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Loose<'de>, E> {
                Ok(Loose::Other(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Loose<'de>, E> {
                Ok(Loose::Other(value.into()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Loose::Other(Value::Array(items)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
                let mut fields = serde_json::Map::new();
                while let Some((name, value)) = map.next_entry()? {
                    fields.insert(name, value);
                }
                Ok(Loose::Other(Value::Object(fields)))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_read_in_every_spelling_and_never_fails() {
        let spelled = [
            ("12", Some(12)),
            ("12.0", Some(12)),
            ("14417.92", Some(14418)),
            ("\"12\"", Some(12)),
            ("\" 12.0\"", Some(12)),
            ("\"1.2e1\"", Some(12)),
            ("\"-3\"", None),
            ("\"NaN\"", None),
            ("1e300", Some(u64::MAX)),
            ("9223372036854775808", Some(1 << 63)),
            ("0", Some(0)),
            ("-1", None),
            ("-0.5", None),
            ("null", None),
            ("true", None),
            ("\"many\"", None),
            ("[1]", None),
            ("{\"a\":1}", None),
        ];
        for (text, count) in spelled {
            assert_eq!(serde_json::from_str::<Count>(text).unwrap(), Count(count), "{text}");
        }
    }

    #[test]
    fn what_was_certainly_meant_is_repaired_and_nothing_else() {
        let repaired = |json: &str| repaired(json, "");
        assert_eq!(repaired(r#"{"a":"\ud83d"}"#).as_deref(), Some("{\"a\":\"\u{fffd}\"}"));
        assert_eq!(repaired(r#"{"a":"\ude00\ud83d\ude00"}"#).as_deref(), Some("{\"a\":\"\u{fffd}😀\"}"));
        assert_eq!(
            repaired(r#"{"a":[NaN,-Infinity,Infinity],"b":"NaN"}"#).as_deref(),
            Some(r#"{"a":[null,null,null],"b":"NaN"}"#)
        );
        assert_eq!(
            repaired(r#"{"a":[1e999,-1e999,1e30],"b":"1e999"}"#).as_deref(),
            Some(r#"{"a":[null,null,1e+30],"b":"1e999"}"#)
        );
        for json in [
            r#"{"a":"\\ud83d"}"#,
            r#"{"a":"\ud83d\ude00"}"#,
            r#"{"a":"\u00"#,
            r#"{"a":1,"a":2}"#,
            "{oops}",
            "\\",
            "",
            "1e9",
            "1-",
        ] {
            assert_eq!(repaired(json), None, "{json}");
        }
        assert_eq!(super::repaired(r#"{"a":1,"a":2}"#, "duplicate field `a`").as_deref(), Some(r#"{"a":2}"#));
        assert_eq!(repaired("{\"a\":\"\\é\",\"b\":NaN"), None, "it does not become JSON by that");
    }

    #[test]
    fn a_text_may_be_a_list_of_pieces_and_thoughts() {
        let text = r#"[{"type":"thinking","thinking":[{"type":"text","text":"well"}]},{"type":"text","text":"Hel"},"lo",7,null]"#;
        let mut heard = Vec::new();
        let loose: Loose<'_> = serde_json::from_str(text).unwrap();
        loose.pieces(&mut |piece, is_thought| heard.push((piece.to_owned(), is_thought)));
        assert_eq!(heard, [("well".to_owned(), true), ("Hel".to_owned(), false), ("lo".to_owned(), false)]);
        let written = |json| serde_json::from_str::<Written<'_>>(json).unwrap().text().to_owned();
        assert_eq!(["null", r#"{"b":1,"a":2}"#, r#""{\"x\":1}""#].map(written), ["", r#"{"b":1,"a":2}"#, r#"{"x":1}"#]);
        let object: Loose<'_> = serde_json::from_str(r#"{"x": 1}"#).unwrap();
        assert_eq!((object.written().as_ref(), object.text()), (r#"{"x":1}"#, ""));
        assert_eq!(serde_json::from_str::<Loose<'_>>("null").unwrap(), Loose::Nothing);
    }
}
