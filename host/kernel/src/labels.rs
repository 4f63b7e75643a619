//! Labels: marks on data that a run picks up when it reads and passes on when it writes. A set of them only grows along
//! data; it shrinks by a rule or a person alone.
//!
//! **The rule of flow.** A run holds the labels of every answer that it was given, and it holds them before the guest sees
//! the answer. A call is decided with what its run holds when the guest asks: what the call carries was made by then, so
//! it cannot hold anything that is read later. What the guest can still do to a call on its way is to drop it, and *that*
//! could tell something that was read since. So once a run has gained a label, its hand is off the calls that reach
//! outside and were admitted before: they go to their own end, whatever the guest drops and whenever it ends.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::LABELS_MAX;
use crate::text::{self, TextFlaw};

/// The label of what anybody may have written.
pub const UNTRUSTED: &str = "untrusted";

/// What a set holds that lost count: every label there is. Nothing is let through for having too many marks.
const EVERY: &str = "*";

/// A set of labels, in order. Cloning it and asking it allocate nothing.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Option<Arc<[String]>>);

impl Labels {
    /// None.
    pub const NONE: Self = Self(None);

    /// These. More than [`LABELS_MAX`] are every label there is.
    pub fn of<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        names.dedup();
        if names.len() > LABELS_MAX || names.iter().any(|name| name == EVERY) {
            return Self::every();
        }
        Self((!names.is_empty()).then(|| names.into()))
    }

    /// Every label there is: for what lost its own.
    pub fn every() -> Self {
        Self(Some([String::from(EVERY)].into()))
    }

    /// The names, in order; `*` alone for every label.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names().iter().map(String::as_str)
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether this label is among them.
    pub fn has(&self, name: &str) -> bool {
        let names = self.names();
        names.binary_search_by(|held| held.as_str().cmp(name)).is_ok()
            || names.first().is_some_and(|held| held == EVERY)
    }

    /// Whether all of these are among them; true of none.
    pub fn has_all(&self, others: &Self) -> bool {
        others.iter().all(|name| self.has(name))
    }

    /// Whether one of these is among them; false of none.
    pub fn has_any(&self, others: &Self) -> bool {
        let every = others.names().first().is_some_and(|name| name == EVERY);
        (every && !self.is_empty()) || others.iter().any(|name| self.has(name))
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        if self.has_all(others) {
            return self.clone();
        }
        if others.has_all(self) {
            return others.clone();
        }
        Self::of(self.iter().chain(others.iter()))
    }

    /// These without those. Out of every label there is nothing less than `*` takes one.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        if !self.iter().any(|name| others.has(name)) {
            return self.clone();
        }
        Self::of(self.iter().filter(|name| !others.has(name)))
    }

    fn names(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Whether a label may have this name: lowercase letters, digits and `-`, so that no two look alike.
///
/// # Errors
/// What is wrong with it; reads behind "the label".
pub fn check(name: &str) -> Result<(), TextFlaw> {
    text::label(name)
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            // One out of a file may have any name.
            if check(name).is_ok() { f.write_str(name)? } else { f.write_str(&text::show(name))? }
        }
        Ok(())
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer).map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_set_is_sorted_and_holds_each_name_once() {
        let labels = Labels::of(["untrusted", "secret", "untrusted"]);
        assert_eq!(labels.to_string(), "secret, untrusted");
        assert!(labels.has("secret") && !labels.has("public") && !Labels::NONE.has("secret"));
        assert_eq!(Labels::of::<String>([]), Labels::NONE);
    }

    #[test]
    fn labels_are_joined_tested_and_taken_off_by_name() {
        let (secret, both) = (Labels::of(["secret"]), Labels::of(["secret", "untrusted"]));
        assert_eq!(secret.and(&Labels::of(["untrusted"])), both);
        assert!(both.has_all(&secret) && !secret.has_all(&both) && secret.has_any(&both));
        assert!(secret.has_all(&Labels::NONE) && !secret.has_any(&Labels::NONE));
        assert_eq!(both.without(&secret), Labels::of(["untrusted"]));
    }

    #[test]
    fn a_set_that_lost_count_holds_every_label_and_loses_none_by_name() {
        let many = Labels::of((0..=LABELS_MAX).map(|number| format!("label-{number}")));
        assert_eq!(many, Labels::every());
        assert!(many.has("secret") && many.has_all(&Labels::of(["a", "b"])) && many.has_any(&Labels::of(["a"])));
        assert_eq!(many.without(&Labels::of(["secret"])), many);
        assert_eq!(Labels::of(["a"]).and(&many), many);
        assert_eq!(many.without(&Labels::every()), Labels::NONE);
    }

    #[test]
    fn a_name_that_looks_like_another_is_none() {
        assert!(check("untrusted").is_ok() && check("pii-eu").is_ok());
        for bad in ["", "Secret", "sécret", "a b", "*", "-a"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        for labels in [Labels::NONE, Labels::of(["b", "a"]), Labels::every()] {
            let bytes = postcard::to_allocvec(&labels).expect("memory grows");
            assert_eq!(postcard::from_bytes::<Labels>(&bytes), Ok(labels));
        }
    }
}
