//! What was spent, in words and as JSON.

use agentry_kernel::{Amounts, Resource};
use serde_json::{Map, Value};

use super::units;

/// Every resource of which something was spent, by its stable name.
pub fn as_json(amounts: &Amounts) -> Value {
    let spent = Resource::ALL.into_iter().filter(|resource| amounts[*resource] > 0);
    let entries = spent.filter_map(|resource| {
        let name = serde_json::to_value(resource).ok()?;
        Some((name.as_str()?.to_owned(), Value::from(amounts[resource])))
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// Tokens and money, where there were any: `812 tokens  $0.0012`.
pub fn bill(amounts: &Amounts) -> String {
    let mut parts = Vec::new();
    if amounts[Resource::Tokens] > 0 {
        parts.push(units::plural(amounts[Resource::Tokens], "token"));
    }
    if amounts[Resource::Usd] > 0 {
        parts.push(units::dollars(amounts[Resource::Usd]));
    }
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_spent_is_not_said() {
        let spent = Amounts::of(Resource::Tokens, 812).with(Resource::LlmCalls, 1);
        assert_eq!(as_json(&spent).to_string(), r#"{"llm-calls":1,"tokens":812}"#);
        assert_eq!(bill(&spent), "812 tokens");
        assert_eq!(bill(&spent.with(Resource::Usd, 1_200)), "812 tokens  $0.0012");
        assert_eq!(bill(&Amounts::ZERO), "");
    }
}
