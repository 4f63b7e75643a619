//! What a tool said, for a model: its words, and its data where it gives some. What is neither is named and left out.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::cut;

/// What a tool said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its words; empty where they say the same as its data.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Its data, as its own schema of outputs has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
}

impl Answer {
    /// Reads the result of a call.
    ///
    /// # Errors
    /// What the tool says went wrong, if it did; or that this is no result.
    pub fn of(result: &Value) -> Result<Self, String> {
        let structured = result.get("structuredContent").filter(|value| !value.is_null()).cloned();
        let content = match result.get("content") {
            Some(Value::Array(content)) => content.as_slice(),
            None if structured.is_some() => &[],
            _ => return Err("the tool's result has no content".to_owned()),
        };
        let mut text = content.iter().map(part).collect::<Vec<_>>().join("\n");
        if result.get("isError").and_then(Value::as_bool).unwrap_or(false) {
            return Err(format!("the tool failed: {}", cut(&text)));
        }
        if structured.is_some() && serde_json::from_str(&text).ok() == structured {
            text.clear();
        }
        Ok(Self { text, structured })
    }
}

fn part(part: &Value) -> String {
    let text = |at: &str| part.pointer(at).and_then(Value::as_str);
    match text("/type").unwrap_or_default() {
        "text" => text("/text").unwrap_or_default().to_owned(),
        "resource_link" => text("/uri").unwrap_or_default().to_owned(),
        "resource" if text("/resource/text").is_some() => text("/resource/text").unwrap_or_default().to_owned(),
        kind => {
            let of = text("/mimeType").or_else(|| text("/resource/mimeType")).unwrap_or("no type");
            format!("({}, {}: left out)", cut(kind), cut(of))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_and_data_are_given_once_and_what_is_neither_is_named() {
        let words = json!({"content": [
            {"type": "text", "text": "three"},
            {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "https://a.example/b"},
            {"type": "resource", "resource": {"uri": "a", "text": "four"}},
        ]});
        let text = "three\n(image, image/png: left out)\nhttps://a.example/b\nfour".to_owned();
        assert_eq!(Answer::of(&words), Ok(Answer { text, structured: None }));
        let both = json!({"content": [{"type": "text", "text": "{\"sum\": 3}"}], "structuredContent": {"sum": 3}});
        let data = Some(json!({"sum": 3}));
        assert_eq!(Answer::of(&both), Ok(Answer { text: String::new(), structured: data.clone() }));
        assert_eq!(
            Answer::of(&json!({"structuredContent": {"sum": 3}})),
            Ok(Answer { text: String::new(), structured: data })
        );
    }

    #[test]
    fn a_tool_that_failed_is_a_failure_in_its_words() {
        let failed = json!({"content": [{"type": "text", "text": "no such city"}], "isError": true});
        assert_eq!(Answer::of(&failed), Err("the tool failed: no such city".to_owned()));
        for bad in [json!({}), json!({"content": "text"}), json!({"content": null})] {
            assert!(Answer::of(&bad).is_err(), "{bad}");
        }
    }
}
