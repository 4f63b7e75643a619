//! What stood in turns before, as a provider takes it back: names of tool calls, and arguments that were no JSON. It changes no word that
//! a guest or a model meant.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::capabilities::CallIds;
/// The arguments that a model wrote, as a JSON object. What it wrote and is none, because it was cut or because models err, goes back as
/// a text in one: so it can see what went wrong, and no server has to read what is no JSON.
pub(super) fn arguments(written: &str) -> Cow<'_, RawValue> {
    let text = if written.trim().is_empty() { "{}" } else { written };
    match serde_json::from_str::<&RawValue>(text) {
        Ok(object) if object.get().starts_with('{') => Cow::Borrowed(object),
        Ok(_) | Err(_) => {
            #[derive(Serialize)]
            struct Invalid<'a> {
                invalid_json: &'a str,
            }
            let object = serde_json::value::to_raw_value(&Invalid { invalid_json: written });
            Cow::Owned(object.expect("a text has a form in JSON"))
        }
    }
}

/// The same, where they are a text.
pub(super) fn arguments_text(written: &str) -> Cow<'_, str> {
    match arguments(written) {
        Cow::Borrowed(object) => Cow::Borrowed(object.get()),
        Cow::Owned(object) => Cow::Owned(object.get().to_owned()),
    }
}

/// A call's name in a form that the provider takes: its own, or one made from it, the same each time.
pub(super) fn call_id(id: &str, ids: CallIds) -> Cow<'_, str> {
    let fits = match ids {
        CallIds::Any => true,
        CallIds::Nine => id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        CallIds::Word => {
            let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            !id.is_empty() && id.len() <= 64 && id.bytes().all(word)
        }
    };
    if fits {
        return Cow::Borrowed(id);
    }
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digest = Sha256::digest(id);
    Cow::Owned(digest.iter().take(9).map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_are_no_object_go_back_as_a_text() {
        let sent = |text: &str| arguments(text).get().to_owned();
        assert_eq!(sent(r#"{"b":1, "a":2}"#), r#"{"b":1, "a":2}"#);
        assert_eq!(sent(" "), "{}");
        assert_eq!(sent(r#"{"x": "#), r#"{"invalid_json":"{\"x\": "}"#);
        assert_eq!(sent("[1]"), r#"{"invalid_json":"[1]"}"#);
    }

    #[test]
    fn a_call_keeps_its_name_or_gets_one_that_is_always_the_same() {
        assert_eq!(call_id("D681PevKs", CallIds::Nine), "D681PevKs");
        let made = call_id("call_abc", CallIds::Nine);
        assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{made}");
        assert_eq!(made, call_id("call_abc", CallIds::Nine));
        assert_ne!(made, call_id("call_abd", CallIds::Nine));
        assert_eq!(call_id("functions.look:0", CallIds::Any), "functions.look:0");
        assert_eq!(call_id("functions.look:0", CallIds::Word).len(), 9);
    }
}
