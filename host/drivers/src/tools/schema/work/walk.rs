//! A value, walked by the sets that look at it: what checking it takes at most. It stops as soon as that is too much.

use serde_json::Value;

use super::Work;

/// Looks at one value. Each takes some tenths of a microsecond.
const WORK_MAX: u64 = 2_000_000;

/// Steps over its texts, by patterns that are matched in the worst way there is.
const TEXT_STEPS_MAX: u64 = 400_000_000;

/// As deep as JSON is read here.
const DEPTH_MAX: u64 = 256;

/// What checking one value takes at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tools::schema) struct Estimate {
    /// Looks.
    pub work: u64,
    /// Steps over texts.
    pub text: u64,
    /// Looks that are one inside the other.
    pub levels: u64,
}

impl Work {
    /// What it takes to check this value, which is called `whole`.
    ///
    /// # Errors
    /// If that is more than anybody waits for.
    pub(in crate::tools::schema) fn on(&self, value: &Value, whole: &str) -> Result<Estimate, String> {
        let mut estimate = Estimate::default();
        let fits = self.walk(value, Some(0), Above { levels: 0, depth: 0, compared: 0 }, &mut estimate);
        fits.map(|()| estimate).ok_or_else(|| {
            format!("{whole}: checking this by its schema is too much work: make it smaller, or say less in the schema")
        })
    }

    /// One place, and all below it; none as soon as it is too much.
    fn walk(&self, value: &Value, set: Option<usize>, above: Above, estimate: &mut Estimate) -> Option<()> {
        let Above { levels, depth, compared } = above;
        let set = set.and_then(|set| self.sets.get(set));
        if depth > DEPTH_MAX {
            return None;
        }
        estimate.work += compared + set.map_or(0, |set| set.looks);
        let levels = levels + set.map_or(0, |set| set.levels);
        estimate.levels = estimate.levels.max(levels);
        let (each, names) = set.map_or((0, 0), |set| (set.each, set.names));
        let compared = compared + set.map_or(0, |set| set.compared);
        let below = Above { levels, depth: depth + 1, compared };
        // Nobody looks at anything below.
        let ends = set.is_none() && compared == 0;
        match value {
            Value::String(text) => estimate.text += text.len() as u64 * set.map_or(0, |set| set.text),
            Value::Array(items) if !ends => {
                for (at, item) in items.iter().enumerate() {
                    estimate.work += each;
                    let looks = set.and_then(|set| set.first.get(at).copied().or(set.rest));
                    self.walk(item, looks, below, estimate)?;
                }
            }
            Value::Object(fields) if !ends => {
                for (name, field) in fields {
                    estimate.work += each + names;
                    estimate.text += name.len() as u64 * set.map_or(0, |set| set.name_text);
                    let looks = set.and_then(|set| set.named.get(name).copied().or(set.other));
                    self.walk(field, looks, below, estimate)?;
                }
            }
            Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        (estimate.work <= WORK_MAX && estimate.text <= TEXT_STEPS_MAX).then_some(())
    }
}

/// What lies above a place.
#[derive(Clone, Copy)]
struct Above {
    levels: u64,
    depth: u64,
    /// How often each value here is compared with others.
    compared: u64,
}
