//! A body after the admin's changes to how requests are written: fields left out, renamed, added. What stands in a field stays byte for byte.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::config::Adjust;

/// The body as it is sent.
pub(super) fn rewritten(body: Vec<u8>, adjust: &Adjust) -> Vec<u8> {
    if adjust.leaves_bodies() {
        return body;
    }
    let mut fields: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(&body).expect("a body is a JSON object that was written here");
    for name in &adjust.drop {
        fields.remove(name);
    }
    for (from, to) in &adjust.map {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.clone(), value);
        }
    }
    for (name, value) in &adjust.body {
        fields.insert(name.clone(), serde_json::value::to_raw_value(value).expect("it was read from a file"));
    }
    serde_json::to_vec(&fields).expect("a body has a form in JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_left_out_renamed_and_added_and_the_others_stay_as_they_are() {
        let body =
            br#"{"model":"m","seed":7,"stream_options":{"include_usage":true},"tools":[{"z":1.0,"a":2}]}"#.to_vec();
        let mut adjust = Adjust::default();
        assert_eq!(rewritten(body.clone(), &adjust), body);
        adjust.drop.push("stream_options".to_owned());
        adjust.map.insert("seed".to_owned(), "random_seed".to_owned());
        adjust.body.insert("provider".to_owned(), serde_json::json!({"only": ["a"]}));
        let sent = String::from_utf8(rewritten(body, &adjust)).unwrap();
        assert_eq!(sent, r#"{"model":"m","provider":{"only":["a"]},"random_seed":7,"tools":[{"z":1.0,"a":2}]}"#);
    }
}
