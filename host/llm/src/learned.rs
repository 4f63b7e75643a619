//! What models refused when they were probed, kept in the home. It asks no model.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::adapt::Lesson;

/// Where what was learned is kept, in the home.
pub(super) const LEARNED_FILE: &str = "learned.json";

/// What probes found, by what names a model: its thoughts' mark.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learned {
    format: u32,
    models: BTreeMap<String, Vec<Lesson>>,
}

impl Learned {
    /// What earlier probes found. A file that is none of ours says nothing: what it would have said is learned again.
    pub(super) fn of_home(home: &Path) -> Self {
        let read = std::fs::read(home.join(LEARNED_FILE)).ok();
        let learned: Option<Self> = read.and_then(|text| serde_json::from_slice(&text).ok());
        learned.filter(|learned| learned.format == 1).unwrap_or_default()
    }

    /// Of one model.
    pub(super) fn of(&self, origin: &str) -> Vec<Lesson> {
        self.models.get(origin).cloned().unwrap_or_default()
    }

    /// Keeps what a probe of one model found, beside what is known of others.
    ///
    /// # Errors
    /// If the home cannot be written.
    pub(super) fn keep(mut self, home: &Path, origin: &str, lessons: Vec<Lesson>) -> Result<(), String> {
        self.format = 1;
        self.models.insert(origin.to_owned(), lessons);
        let text = serde_json::to_vec_pretty(&self).expect("what was learned is plain data");
        let (target, draft) = (home.join(LEARNED_FILE), home.join(format!("{LEARNED_FILE}.new")));
        let kept = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &target));
        kept.map_err(|why| format!("cannot write `{}`: {why}", target.display()))
    }
}
