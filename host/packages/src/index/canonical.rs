//! The canonical form of what a stranger wrote, and whether it has more in it than any file of an index: out of its text and into a text, without a
//! value of its own for each that stands there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::metadata::Text;
use crate::limits::{JSON_NESTS_MAX, JSON_VALUES_MAX};

/// Whether a text has no more values, and no more lists and objects, than a file of an index has. It may be no JSON.
pub(super) fn is_light(text: &[u8]) -> bool {
    let (mut nests, mut commas, mut is_quoted, mut is_escaped) = (0, 0, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_quoted,
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b'{' | b'[' => nests += 1,
            b',' => commas += 1,
            _ => {}
        }
    }
    nests <= JSON_NESTS_MAX && nests + commas <= JSON_VALUES_MAX
}

/// The canonical form of a JSON text, as `canonical_json` has it of a value; none if it is none, or says something twice.
pub(super) fn canonical(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut from = serde_json::Deserializer::from_str(text);
    Onto(&mut out).deserialize(&mut from).ok()?;
    from.end().ok()?;
    Some(out)
}

/// Writes what is read behind what is there.
struct Onto<'o>(&'o mut String);

impl Onto<'_> {
    fn plain<E>(self, value: &Value) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }
}

impl<'f> DeserializeSeed<'f> for Onto<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'f>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'f> Visitor<'f> for Onto<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.plain(&Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.plain(&value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.plain(&value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.plain(&value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.plain(&value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.plain(&value.into())
    }

    fn visit_seq<A: SeqAccess<'f>>(self, mut items: A) -> Result<(), A::Error> {
        let Self(out) = self;
        out.push('[');
        let start = out.len();
        while items.next_element_seed(Onto(out))?.is_some() {
            out.push(',');
        }
        if out.len() > start {
            out.pop();
        }
        out.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'f>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self(out) = self;
        out.push('{');
        let start = out.len();
        // Each field by its name and where it stands, with the comma behind it.
        let mut written: Vec<(Text<'f>, usize, usize)> = Vec::new();
        while let Some(name) = fields.next_key::<Text<'f>>()? {
            let at = out.len();
            out.push_str(&Value::from(&*name).to_string());
            out.push(':');
            fields.next_value_seed(Onto(out))?;
            out.push(',');
            written.push((name, at, out.len()));
        }
        if !written.is_sorted_by(|a, b| a.0 < b.0) {
            written.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            if written.windows(2).any(|two| two[0].0 == two[1].0) {
                return Err(A::Error::custom("a field stands there twice"));
            }
            let sorted: String = written.iter().map(|(_, at, end)| &out[*at..*end]).collect();
            out.truncate(start);
            out.push_str(&sorted);
        }
        if !written.is_empty() {
            out.pop();
        }
        out.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agentry_engine::package::canonical_json;

    use super::*;

    #[test]
    fn it_is_what_a_value_of_the_same_is() {
        for text in [
            "null",
            "[]",
            "{}",
            " [ [ ] , { } , 1 ] ",
            r#"{"b":1,"a":{"d":[true,false],"c":-7},"":1.50}"#,
            r#"{"\u00e9":"\u00e9\u0000\n\"\\","e":1e300,"B":18446744073709551615,"a b":0.1}"#,
            r#"[{"z":[{"y":{"b":1,"a":2}}],"a":-0.0}]"#,
        ] {
            assert_eq!(canonical(text), Some(canonical_json(&serde_json::from_str(text).unwrap())), "{text}");
        }
        for bad in
            ["", "{", "[1,]", "{\"a\":1,\"a\":1}", "{\"b\":1,\"a\":1,\"b\":2}", "1 2", "nul", &"[".repeat(100_000)]
        {
            assert_eq!(canonical(bad), None, "{bad:.20}");
        }
    }

    #[test]
    fn what_stands_in_a_text_does_not_count() {
        let many = "[,{".repeat(JSON_VALUES_MAX);
        assert!(is_light(format!("[\"{many}\"]").as_bytes()) && is_light(format!(r#"["\"{many}\\"]"#).as_bytes()));
        assert!(!is_light(many.as_bytes()) && !is_light(format!(r#"["\\"{many}"]"#).as_bytes()));
    }
}
