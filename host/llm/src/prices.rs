//! List prices that are shipped, so that a known model needs no price in `agentry.toml`. It never guesses: a name fits whole or not at all.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use agentry_kernel::model::Price;
use serde::Deserialize;

/// In micro-USD for a million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    format: u32,
    price: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    provider: String,
    models: Vec<String>,
    input: u64,
    output: u64,
    cache_read: u64,
    cache_write: u64,
}

type Prices = BTreeMap<(String, String), Price>;

static PRICES: LazyLock<Prices> = LazyLock::new(|| parse(include_str!("data/prices.toml")));

/// The list price of a provider's model, if it is known.
pub(crate) fn listed(provider: &str, model: &str) -> Option<Price> {
    PRICES.get(&(provider.to_owned(), model.to_owned())).copied()
}

fn parse(text: &str) -> Prices {
    let list: List = toml::from_str(text).expect("the shipped list is tested");
    assert_eq!(list.format, 1, "the shipped list is tested");
    let mut prices = Prices::new();
    for Line { provider, models, input, output, cache_read, cache_write } in list.price {
        for model in models {
            prices.insert((provider.clone(), model), Price { input, output, cache_read, cache_write });
        }
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_is_whole_and_plausible() {
        assert!(PRICES.len() >= 5);
        for ((provider, model), price) in PRICES.iter() {
            assert!(matches!(provider.as_str(), "openai" | "anthropic"), "{provider}");
            // A price in dollars instead of micro-USD would be far below, one with a zero too many far above.
            assert!((10_000..=100_000_000).contains(&price.input), "{model}");
            assert!(price.input < price.output && price.cache_read < price.input, "{model}");
            assert!(price.cache_write >= price.input, "{model}");
        }
    }

    #[test]
    fn a_name_that_only_begins_like_a_known_one_has_no_price() {
        assert!(listed("openai", "gpt-4o").is_some());
        assert!(listed("openai", "gpt-4o-of-my-own").is_none());
        assert!(listed("anthropic", "gpt-4o").is_none());
    }
}
