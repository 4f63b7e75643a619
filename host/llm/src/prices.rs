//! Models of well-known providers: list prices, windows and what else is known of each, shipped and dated, so that a known model needs no
//! price in `agentry.toml`. It never guesses: a name fits whole or not at all.

mod import;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use agentry_kernel::model::Price;
use serde::{Deserialize, Serialize};

use agentry_config::policies;

pub use import::{ImportError, Imported, import};

/// Where prices that were read with `agentry models --prices` are kept, in the home.
pub const PRICES_FILE: &str = "prices.json";

/// Prices older than this are told to be.
pub const AGE_MAX_DAYS: u64 = 60;

/// A longer file is no list of prices.
const FILE_MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Lists of models, as they are shipped and as they are kept in a home.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    format: u32,
    list: Vec<List>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct List {
    provider: String,
    /// The day on which its prices were true, as `2026-11-28`.
    date: String,
    source: String,
    models: BTreeMap<String, Listed>,
}

/// What is known of one model. Prices are in micro-USD for a million tokens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    input: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_read: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write: Option<u64>,
    output: u64,
    /// Tokens that prompt and answer fill together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// Tokens of the longest answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<u64>,
    /// Of `image`, `pdf` and `audio`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// Its words for how long to think, the least first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<Vec<String>>,
    /// Whether it takes temperature and top-p.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<bool>,
    /// Whether it calls tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
}

/// The price of a whole call whose prompt has more tokens than these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Over {
    tokens: u64,
    input: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_read: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write: Option<u64>,
    output: u64,
}

impl Listed {
    /// The price of a call to a model whose window is `context_tokens`: of the longest prompt that fits, as a hold is made for the worst.
    pub fn price(&self, context_tokens: u64) -> Price {
        let of = |input, read: Option<u64>, write: Option<u64>, output| Price {
            input,
            output,
            cache_read: read.unwrap_or(input),
            cache_write: write.unwrap_or(input),
        };
        match self.over {
            Some(over) if context_tokens > over.tokens => {
                of(over.input, over.cache_read, over.cache_write, over.output)
            }
            _ => of(self.input, self.cache_read, self.cache_write, self.output),
        }
    }

    /// The window within which its price is the lower one.
    pub fn window(&self) -> Option<u64> {
        let context = self.context?;
        Some(self.over.map_or(context, |over| context.min(over.tokens)))
    }
}

/// A line and the list that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is known.
    pub model: Listed,
    /// The day on which it was true, as `2026-11-28`.
    pub date: String,
    /// Who said so.
    pub source: String,
}

impl Lists {
    /// The lists that were read into this home, none if there are none.
    ///
    /// # Errors
    /// If there is a file that is not such a list, in a sentence for the admin.
    pub fn of_home(home: &Path) -> Result<Self, String> {
        let file = home.join(PRICES_FILE);
        let told = |why: &dyn std::fmt::Display| {
            format!("{}: {why}\nhint: read it again with `agentry models --prices FILE`, or delete it", file.display())
        };
        match std::fs::metadata(&file) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(data) if data.len() > FILE_MAX_BYTES => return Err(told(&"it is too long")),
            Ok(_) | Err(_) => {}
        }
        // Whoever may write prices may make them nothing.
        let text = policies::text(&file).map_err(|why| why.to_string())?;
        let lists: Self = serde_json::from_str(&text).map_err(|why| told(&why))?;
        if lists.format == 1 { Ok(lists) } else { Err(told(&"it has another format")) }
    }

    /// The line of a provider's model: what was read into the home, completed by what is shipped, or that alone.
    pub fn find(&self, provider: &str, model: &str) -> Option<Found> {
        let shipped = SHIPPED.line(provider, model);
        let (list, line) = self.line(provider, model).or(shipped)?;
        let mut model = line.clone();
        if let Some((_, shipped)) = shipped {
            let Listed { context, answer, media, effort, sampling, tools, .. } = shipped.clone();
            model.context = model.context.or(context);
            model.answer = model.answer.or(answer);
            model.media = if model.media.is_empty() { media } else { model.media };
            model.effort = model.effort.or(effort);
            model.sampling = model.sampling.or(sampling);
            model.tools = model.tools.or(tools);
        }
        Some(Found { model, date: list.date.clone(), source: list.source.clone() })
    }

    /// Of several lines the last.
    fn line(&self, provider: &str, model: &str) -> Option<(&List, &Listed)> {
        let lists = self.list.iter().rev().filter(|list| list.provider == provider);
        lists.filter_map(|list| Some((list, list.models.get(model)?))).next()
    }
}

static SHIPPED: LazyLock<Lists> = LazyLock::new(|| {
    let lists: Lists = toml::from_str(include_str!("data/models.toml")).expect("the shipped lists are tested");
    assert_eq!(lists.format, 1, "the shipped lists are tested");
    lists
});

/// What the shipped lists know of a provider's model.
pub fn listed(provider: &str, model: &str) -> Option<&'static Listed> {
    SHIPPED.line(provider, model).map(|(_, listed)| listed)
}

/// Days from `date`, as `2026-11-28`, to `now`; none if it is no date or lies ahead.
pub fn age_days(date: &str, now: SystemTime) -> Option<u64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let today = now.duration_since(UNIX_EPOCH).ok()?.as_secs() / 86_400;
    today.checked_sub(days(year, month, day))
}

/// Days since the epoch. Years are counted from March, so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let since_year_0 = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    since_year_0 - 719_468
}

/// The day of a moment, as `2026-11-28`.
pub(crate) fn date(at: SystemTime) -> String {
    let today = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    // The last year, month and day that do not begin later.
    let year = (1970..=9999).rev().find(|year| days(*year, 1, 1) <= today).unwrap_or(1970);
    let month = (1..=12).rev().find(|month| days(year, *month, 1) <= today).unwrap_or(1);
    format!("{year:04}-{month:02}-{:02}", today - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_shipped_lists_are_whole_and_plausible() {
        let now = UNIX_EPOCH + Duration::from_secs(86_400 * days(2100, 1, 1));
        assert!(SHIPPED.list.iter().map(|list| list.models.len()).sum::<usize>() >= 100);
        for List { provider, date, source, models } in &SHIPPED.list {
            assert!(age_days(date, now).is_some() && source.contains('.'), "{provider} {date} {source}");
            for (model, listed) in models {
                let price = listed.price(0);
                let free = price == Price::default();
                // A price in dollars instead of micro-USD would be far below, one with a zero too many far above.
                assert!(free || (10_000..=200_000_000).contains(&price.input), "{model}");
                assert!(price.input <= price.output && price.cache_read <= price.input, "{model}");
                assert!(price.cache_write >= price.input, "{model}");
                let longest = listed.price(u64::MAX);
                assert!(price.input <= longest.input && price.output <= longest.output, "{model}");
                assert!(listed.answer <= listed.context && listed.window() <= listed.context, "{model}");
                assert!(listed.media.iter().all(|media| ["image", "pdf", "audio"].contains(&&**media)), "{model}");
            }
        }
    }

    #[test]
    fn a_name_that_only_begins_like_a_known_one_has_no_price() {
        assert!(listed("openai", "gpt-4o").is_some());
        assert!(listed("openai", "gpt-4o-of-my-own").is_none());
        assert!(listed("anthropic", "gpt-4o").is_none());
    }

    #[test]
    fn a_window_that_holds_long_prompts_has_their_price() {
        let listed = listed("openai", "gpt-5.4").unwrap();
        assert_eq!(listed.window(), Some(272_000));
        assert_eq!(listed.price(272_000).input, 2_500_000);
        assert_eq!(listed.price(272_001).output, 22_500_000);
    }

    #[test]
    fn the_age_of_a_list_is_counted_in_days() {
        let at = |year, month, day| UNIX_EPOCH + Duration::from_secs(86_400 * days(year, month, day) + 3600);
        assert_eq!(age_days("2026-07-02", at(2026, 11, 28)), Some(149));
        assert_eq!(age_days("2026-07-02", at(2026, 7, 1)), None);
        assert_eq!(age_days("yesterday", at(2026, 7, 1)), None);
        for (year, month, day) in [(1970, 1, 1), (2024, 2, 29), (2026, 11, 28), (2027, 1, 1)] {
            assert_eq!(date(at(year, month, day)), format!("{year:04}-{month:02}-{day:02}"));
        }
    }
}
