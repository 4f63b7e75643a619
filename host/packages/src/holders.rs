//! Whose word counts as a publisher's: that of one key, or of so many of several. A set of keys is compared as a whole: with one key more, one
//! less, or another number of them that must sign, it is another set.

use std::collections::BTreeSet;
use std::fmt;

use agentry_engine::package::canonical_json;
use agentry_kernel::digest::Digest;
use agentry_kernel::publisher::PublisherKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::Fault;
use crate::key::PublicKey;
use crate::limits::SIGNATURES_MAX;

/// The keys of a publisher, each once, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Holders {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
}

/// As files have it. One key stands as it did before there were several.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    One(PublicKey),
    Several(Several),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
}

/// Who may sign, and who of them did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenVouched", into = "WrittenVouched")]
pub struct Vouched {
    /// Who may.
    pub holders: Holders,
    /// Who did.
    pub by: BTreeSet<PublicKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenVouched {
    One(PublicKey),
    Several(SeveralVouched),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeveralVouched {
    keys: BTreeSet<PublicKey>,
    threshold: usize,
    by: BTreeSet<PublicKey>,
}

impl Holders {
    /// These keys, of which so many must sign; a key that stands there twice counts once.
    ///
    /// # Errors
    /// If there is none, there are too many, or no such number of them can sign.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, threshold: usize) -> Result<Self, Fault> {
        let keys: BTreeSet<PublicKey> = keys.into_iter().collect();
        let count = keys.len();
        if count == 0 || count > SIGNATURES_MAX {
            let message = format!("a publisher has between 1 and {SIGNATURES_MAX} keys, and not {count}");
            return Err(Fault::usage(message, "name each of them once"));
        }
        if threshold == 0 || threshold > count {
            let message = format!("of {count} different keys, {threshold} cannot be those that must sign");
            return Err(Fault::usage(message, format!("--threshold is a number from 1 to {count}")));
        }
        Ok(Self { keys, threshold })
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = PublicKey> {
        self.keys.iter().copied()
    }

    /// How many of them must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// Whether this is one of them.
    pub fn has(&self, key: PublicKey) -> bool {
        self.keys.contains(&key)
    }

    /// The key, if it is one alone.
    pub fn only(&self) -> Option<PublicKey> {
        self.keys.first().copied().filter(|_| self.keys.len() == 1)
    }

    /// What a grant names them by: the key, or the SHA-256 of all of them and their number.
    pub fn name(&self) -> PublisherKey {
        self.only().map_or_else(
            || {
                let written = serde_json::to_value(self).expect("keys have nothing that JSON lacks");
                PublisherKey::Several(Digest(Sha256::digest(canonical_json(&written)).into()))
            },
            PublisherKey::from,
        )
    }

    /// How they are named on the line of a command.
    pub fn arguments(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        match self.only() {
            Some(key) => key.to_string(),
            None => format!("{} --threshold {}", keys.join(" "), self.threshold),
        }
    }
}

impl From<PublicKey> for Holders {
    fn from(key: PublicKey) -> Self {
        Self { keys: BTreeSet::from([key]), threshold: 1 }
    }
}

impl TryFrom<Written> for Holders {
    type Error = Fault;

    fn try_from(written: Written) -> Result<Self, Fault> {
        match written {
            Written::One(key) => Ok(key.into()),
            // One key has one form.
            Written::Several(Several { keys, threshold }) if keys.len() > 1 => Self::new(keys, threshold),
            Written::Several(_) => Err(Fault::usage("these are not several keys", "one key stands there as a text")),
        }
    }
}

impl From<Holders> for Written {
    fn from(holders: Holders) -> Self {
        match holders.only() {
            Some(key) => Self::One(key),
            None => Self::Several(Several { keys: holders.keys, threshold: holders.threshold }),
        }
    }
}

/// `ed25519:…`, or `2 of 3 keys: …`
impl fmt::Display for Holders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.only() {
            return key.fmt(f);
        }
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        write!(f, "{} of {} keys: {}", self.threshold, keys.len(), keys.join(", "))
    }
}

impl Vouched {
    /// Whether enough of those who may have signed.
    pub fn suffices(&self) -> bool {
        self.by.len() >= self.holders.threshold
    }

    /// Whether enough have signed of those that are not among these.
    pub fn suffices_without(&self, lost: impl Fn(PublicKey) -> bool) -> bool {
        self.by.iter().filter(|key| !lost(**key)).count() >= self.holders.threshold
    }
}

impl From<PublicKey> for Vouched {
    fn from(key: PublicKey) -> Self {
        Self { holders: key.into(), by: BTreeSet::from([key]) }
    }
}

impl TryFrom<WrittenVouched> for Vouched {
    type Error = Fault;

    fn try_from(written: WrittenVouched) -> Result<Self, Fault> {
        let SeveralVouched { keys, threshold, by } = match written {
            WrittenVouched::One(key) => return Ok(key.into()),
            WrittenVouched::Several(several) => several,
        };
        let holders = Holders::try_from(Written::Several(Several { keys, threshold }))?;
        let vouched = Self { by, holders };
        if !vouched.by.iter().all(|key| vouched.holders.has(*key)) || !vouched.suffices() {
            return Err(Fault::usage("not enough of its keys have signed", "install it again"));
        }
        Ok(vouched)
    }
}

impl From<Vouched> for WrittenVouched {
    fn from(vouched: Vouched) -> Self {
        match Written::from(vouched.holders) {
            Written::One(key) => Self::One(key),
            Written::Several(Several { keys, threshold }) => {
                Self::Several(SeveralVouched { keys, threshold, by: vouched.by })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(digits: &str) -> PublicKey {
        format!("ed25519:{}", digits.repeat(32)).parse().unwrap()
    }

    #[test]
    fn a_key_counts_once_and_no_number_of_keys_that_cannot_sign_is_taken() {
        let (a, b) = (key("0a"), key("0b"));
        assert_eq!(Holders::new([a, b, a], 2).unwrap(), Holders::new([b, a], 2).unwrap());
        for (keys, threshold) in [(vec![], 1), (vec![a, b], 0), (vec![a, b], 3), (vec![a, a], 2), (vec![a], 0)] {
            assert!(Holders::new(keys, threshold).is_err(), "{threshold}");
        }
        assert_eq!(Holders::new([a], 1).unwrap(), Holders::from(a));
        assert!(Holders::new((1..18).map(|at| key(&format!("{at:02x}"))), 1).is_err());
    }

    #[test]
    fn one_key_has_the_form_it_always_had_and_another_set_another_name() {
        let (a, b, c) = (key("0a"), key("0b"), key("0c"));
        let written = |holders: &Holders| serde_json::to_string(holders).unwrap();
        assert_eq!(written(&a.into()), format!("\"{a}\""));
        let two = Holders::new([a, b], 2).unwrap();
        assert_eq!(serde_json::from_str::<Holders>(&written(&two)).unwrap(), two);
        assert_eq!(Holders::from(a).name(), PublisherKey::from(a));
        let names = [two, Holders::new([a, b], 1).unwrap(), Holders::new([a, b, c], 2).unwrap()].map(|set| set.name());
        assert!(names[0] != names[1] && names[0] != names[2] && names[0].to_string().starts_with("keys:"));
        for bad in [
            format!(r#"{{"keys":["{a}"],"threshold":1}}"#),
            format!(r#"{{"keys":["{a}","{b}"],"threshold":0}}"#),
            format!(r#"{{"keys":["{a}","{a}"],"threshold":2}}"#),
            format!(r#"{{"keys":["{a}","{b}"],"threshold":2,"more":1}}"#),
        ] {
            assert!(serde_json::from_str::<Holders>(&bad).is_err(), "{bad}");
        }
        for (by, good) in
            [(format!("\"{a}\",\"{b}\""), true), (format!("\"{a}\""), false), (format!("\"{a}\",\"{c}\""), false)]
        {
            let text = format!(r#"{{"keys":["{a}","{b}"],"threshold":2,"by":[{by}]}}"#);
            assert_eq!(serde_json::from_str::<Vouched>(&text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_lost_key_is_borne_as_long_as_enough_others_have_signed() {
        let (a, b, c) = (key("0a"), key("0b"), key("0c"));
        let holders = Holders::new([a, b, c], 2).unwrap();
        let all = Vouched { holders: holders.clone(), by: [a, b, c].into() };
        assert!(all.suffices_without(|key| key == a) && !all.suffices_without(|key| key != a));
        let two = Vouched { holders, by: [a, b].into() };
        assert!(two.suffices() && two.suffices_without(|key| key == c) && !two.suffices_without(|key| key == a));
    }
}
