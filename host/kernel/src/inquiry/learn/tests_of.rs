//! Calls as `[[test]]`s of a policy file, so that whoever narrows the grant later sees what it would break.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::key;
use crate::call::Call;
use crate::inquiry::{Replay, call};
use crate::json::Value;
use crate::policy::quoted;

/// Tests of one grant.
const TESTS_MAX: usize = 48;

/// The longest call that is written down.
const CALL_MAX_BYTES: usize = 4 * 1024;

/// Writes a test for each different call.
pub(super) fn write<'a>(text: &mut String, calls: impl Iterator<Item = &'a Replay>) {
    let mut written: Vec<(String, bool)> = Vec::new();
    for replay in calls {
        if matches!(&replay.what, Call::ToolsCall { value, .. } if value.entries().is_none()) {
            continue;
        }
        let call = toml(&call::show(&replay.what));
        let Some(call) = call.filter(|call| call.starts_with('{') && call.len() <= CALL_MAX_BYTES) else { continue };
        // Once people were asked, the same call is one that they are asked about.
        let asked = replay.asked.is_some();
        if let Some((_, already)) = written.iter_mut().find(|(known, _)| *known == call) {
            *already |= asked;
        } else if written.len() < TESTS_MAX {
            written.push((call, asked));
        }
    }
    for (call, asked) in written {
        let expect = if asked { "ask" } else { "allow" };
        text.push_str(&format!("\n[[test]]\nexpect = \"{expect}\"\ncall = {call}\n"));
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
