//! Calls as `[[test]]`s of a policy file, so that whoever narrows the grant later sees what it would break.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::key;
use crate::call::Call;
use crate::inquiry::call;
use crate::json::Value;
use crate::policy::quoted;

/// Tests of one grant.
const TESTS_MAX: usize = 48;

/// The longest call that is written down.
const CALL_MAX_BYTES: usize = 4 * 1024;

/// Writes a test for each different call.
pub(super) fn write<'a>(text: &mut String, calls: impl Iterator<Item = &'a Call>) {
    let mut written: Vec<String> = Vec::new();
    for call in calls.filter(|call| !matches!(call, Call::ToolsCall { value, .. } if value.entries().is_none())) {
        let Some(call) = toml(&call::show(call)).filter(|call| call.starts_with('{') && call.len() <= CALL_MAX_BYTES)
        else {
            continue;
        };
        if written.len() < TESTS_MAX && !written.contains(&call) {
            written.push(call);
        }
    }
    for call in written {
        text.push_str(&format!("\n[[test]]\nexpect = \"allow\"\ncall = {call}\n"));
    }
}

/// A value as TOML on one line; none where TOML has no such value.
fn toml(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Decimal(number) => format!("{number:?}"),
        Value::Text(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(toml).collect::<Option<Vec<_>>>()?.join(", ")),
        Value::Object(entries) => {
            let entry = |(word, value): &(String, Value)| Some(format!("{} = {}", key(word), toml(value)?));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Option<Vec<_>>>()?.join(", "))
        }
    })
}
