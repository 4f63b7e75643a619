//! The publishers that this home knows, each by its key, its set of keys or an identity: pinned by an admin, vouched for by an index, or taken at first sight
//! where an admin allows that. Whoever changed always stops; whoever is revoked is never taken again.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use agentry_kernel::time::Millis;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::file;
use crate::holders::Vouched;
use crate::identity::Identity;
use crate::key::PublicKey;
use crate::limits::KEYRING_MAX_BYTES;
use crate::name::imitated;
use crate::party::{Party, Voucher};

/// The file's name in the home.
pub const PUBLISHERS_FILE: &str = "publishers.json";

/// Its version.
const FORMAT: u32 = 3;

/// Those before it: every publisher had one key, and then keys alone.
const FORMATS_BEFORE: [u32; 2] = [1, 2];

/// How a home came to know a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// An admin said so.
    Pinned,
    /// An index lists it as the publisher's.
    Index,
    /// It signed the first package of this publisher that came here.
    FirstUse,
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "pinned by an admin",
            Self::Index => "vouched for by an index",
            Self::FirstUse => "taken at first sight",
        })
    }
}

/// Whose word is a publisher's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Which keys, and how many of them must sign; or whom certificates name.
    #[serde(rename = "key")]
    pub party: Party,
    /// From whom this home has it.
    pub how: How,
    /// Since when.
    pub since: Millis,
}

/// That a key is never taken again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Since when.
    pub since: Millis,
    /// Why, in a person's words; may be empty.
    pub because: String,
}

/// That an identity is never taken again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedIdentity {
    /// Which, and all that it covers.
    pub identity: Identity,
    /// Since when, and why.
    pub revoked: Revoked,
}

/// What a home revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// A key.
    Key(PublicKey),
    /// An identity, and all that it covers.
    Identity(Identity),
}

impl Lost {
    /// Whether it is one of those whose word that is.
    pub fn is_of(&self, voucher: &Voucher) -> bool {
        match (self, voucher) {
            (Self::Key(key), Voucher::Keys(vouched)) => vouched.by.contains(key),
            (Self::Identity(lost), Voucher::Identity(certified)) => certified.is_of(lost),
            (Self::Key(_), Voucher::Identity(_)) | (Self::Identity(_), Voucher::Keys(_)) => false,
        }
    }
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    format: u32,
    /// By name.
    pub publishers: BTreeMap<String, Known>,
    /// By key.
    pub revoked: BTreeMap<PublicKey, Revoked>,
    /// In the order in which they were.
    #[serde(default)]
    pub revoked_identities: Vec<RevokedIdentity>,
}

impl Default for Keyring {
    fn default() -> Self {
        let (publishers, revoked, revoked_identities) = Default::default();
        Self { format: FORMAT, publishers, revoked, revoked_identities }
    }
}

impl Keyring {
    /// The publishers of this home.
    ///
    /// # Errors
    /// If others may write the file, or it is not one.
    pub fn load(home: &Path) -> Result<Self, Fault> {
        let path = home.join(PUBLISHERS_FILE);
        let Some(text) = file::text(&path, KEYRING_MAX_BYTES)? else { return Ok(Self::default()) };
        let hint = "get it back out of a backup; without it nobody is trusted that was";
        let keyring: Self = serde_json::from_str(&text)
            .map_err(|why| Fault::damaged(format!("{} cannot be read: {why}", path.display()), hint))?;
        if keyring.format != FORMAT && !FORMATS_BEFORE.contains(&keyring.format) {
            let message = format!("{} has format {}, and this version reads {FORMAT}", path.display(), keyring.format);
            return Err(Fault::usage(message, "use the agentry that wrote it, or a later one"));
        }
        Ok(Self { format: FORMAT, ..keyring })
    }

    /// Writes it; whoever calls has its turn with the home.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn save(&self, home: &Path, by_way_of: &Path) -> Result<(), Fault> {
        let mut text = serde_json::to_string_pretty(self).expect("a keyring has nothing that JSON lacks");
        text.push('\n');
        if text.len() > KEYRING_MAX_BYTES {
            return Err(Fault::usage(
                "this home knows too many publishers",
                "take out those that nobody needs any more",
            ));
        }
        file::write(&home.join(PUBLISHERS_FILE), text.as_bytes(), by_way_of, 0o600)
    }

    /// Whether this home takes what is signed so for a publisher, and by whose word. Where it does not know the publisher, `sponsor`
    /// says who speaks for whoever signed: an admin who pinned the identity, an index, or, where an admin allows that, first sight.
    ///
    /// # Errors
    /// If too few are left that are not revoked, they are others than before, or nobody vouches for them.
    pub fn trusts(&self, publisher: &str, voucher: &Voucher, sponsor: Option<How>) -> Result<How, Fault> {
        self.still_takes(voucher)?;
        let party = voucher.party();
        let (another, arguments) = (party.another(), party.arguments());
        match (self.publishers.get(publisher), sponsor) {
            (Some(known), _) if known.party == party => Ok(known.how),
            (Some(known), _) => Err(Fault::denied(
                format!("`{publisher}` signed with {another} than before: {party} instead of {}", known.party),
                format!(
                    "ask `{publisher}` on another way whether that is meant; if so: agentry key trust {publisher} {arguments} --replace"
                ),
            )),
            (None, Some(how)) => Ok(how),
            (None, None) => Err(Fault::denied(
                format!("nobody here knows the publisher `{publisher}`, who signed with {party}"),
                format!(
                    "compare that with what `{publisher}` says on another way, then: agentry key trust {publisher} {arguments}"
                ),
            )),
        }
    }

    /// Whether what is signed so may still be taken: enough of those who signed it are not revoked.
    ///
    /// # Errors
    /// If not, with the first one that is.
    pub fn still_takes(&self, voucher: &Voucher) -> Result<(), Fault> {
        let vouched = match voucher {
            Voucher::Keys(vouched) => vouched,
            Voucher::Identity(certified) => {
                return self.is_no_revoked_identity(|lost| certified.is_of(lost));
            }
        };
        if vouched.suffices_without(|key| self.revoked.contains_key(&key)) {
            return Ok(());
        }
        vouched.by.iter().try_for_each(|key| self.is_not_revoked(*key))?;
        Err(Fault::denied("too few of its keys have signed", "get file and signature again, both of one version"))
    }

    /// Whether a key may still be taken.
    ///
    /// # Errors
    /// If it is revoked, with when and why.
    pub fn is_not_revoked(&self, key: PublicKey) -> Result<(), Fault> {
        match self.revoked.get(&key) {
            None => Ok(()),
            Some(revoked) => Err(is_revoked(&key, revoked)),
        }
    }

    /// Whether none of the identities that are revoked is one that is meant.
    fn is_no_revoked_identity(&self, is_meant: impl Fn(&Identity) -> bool) -> Result<(), Fault> {
        match self.revoked_identities.iter().find(|lost| is_meant(&lost.identity)) {
            None => Ok(()),
            Some(lost) => Err(is_revoked(&lost.identity, &lost.revoked)),
        }
    }

    /// Never takes it again. What was revoked before stays as it was.
    pub(crate) fn revoke(&mut self, lost: Lost, revoked: Revoked) {
        match lost {
            Lost::Key(key) => {
                self.revoked.entry(key).or_insert(revoked);
            }
            Lost::Identity(identity) if self.revoked_identities.iter().any(|lost| lost.identity == identity) => {}
            Lost::Identity(identity) => self.revoked_identities.push(RevokedIdentity { identity, revoked }),
        }
    }

    /// From now on this is the publisher's key, or its identity.
    ///
    /// # Errors
    /// If there is another one and nobody says that it is to be replaced, or it is revoked.
    pub fn trust(&mut self, publisher: &str, known: Known, replace: bool) -> Result<(), Fault> {
        match &known.party {
            // As if all of them had signed: are enough left?
            Party::Keys(holders) => {
                self.still_takes(&Vouched { by: holders.keys().collect(), holders: holders.clone() }.into())?;
            }
            Party::Identity(identity) => self.is_no_revoked_identity(|lost| lost.covers(identity))?,
        }
        match self.publishers.get(publisher) {
            Some(before) if before.party != known.party && !replace => Err(Fault::denied(
                format!("`{publisher}` has {} here", has(&before.party)),
                "ask the publisher on another way; with --replace the new one stands for it",
            )),
            // An admin's word counts more than how it came here, and never less.
            Some(before) if before.party == known.party && known.how != How::Pinned => Ok(()),
            Some(_) | None => {
                self.publishers.insert(publisher.to_owned(), known);
                Ok(())
            }
        }
    }

    /// A publisher whose name this one could be taken for.
    pub fn imitated(&self, publisher: &str) -> Option<&str> {
        imitated(publisher, self.publishers.keys().map(String::as_str))
    }
}

fn has(party: &Party) -> String {
    match party {
        Party::Keys(holders) => format!("the key {holders}"),
        Party::Identity(identity) => format!("the identity {identity}"),
    }
}

fn is_revoked(what: &dyn fmt::Display, revoked: &Revoked) -> Fault {
    let because = match revoked.because.as_str() {
        "" => String::new(),
        because => format!(": {}", agentry_kernel::text::line(because)),
    };
    Fault::denied(
        format!("{what} is revoked{because}"),
        "what it signed is not taken any more; a package of a new key is, once that is trusted",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Kind;
    use crate::holders::Holders;
    use crate::identity::Certified;
    use crate::key;

    fn public(home: &Path, name: &str) -> PublicKey {
        PublicKey::of(&key::create(home, name).unwrap())
    }

    #[test]
    fn a_changed_key_always_stops_and_a_revoked_one_never_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let (first, second) = (public(home.path(), "a"), public(home.path(), "b"));
        let known = |key: PublicKey| Known { party: key.into(), how: How::FirstUse, since: Millis(1) };
        let mut keyring = Keyring::default();
        let stranger = keyring.trusts("acme", &first.into(), None).unwrap_err();
        assert!(stranger.kind == Kind::Denied && stranger.hint.contains("agentry key trust acme ed25519:"));
        assert_eq!(keyring.trusts("acme", &first.into(), Some(How::FirstUse)), Ok(How::FirstUse));
        keyring.trust("acme", known(first), false).unwrap();
        for vouched in [None, Some(How::FirstUse), Some(How::Index)] {
            let told = keyring.trusts("acme", &second.into(), vouched).unwrap_err();
            assert!(told.message.contains("another key than before"), "{told}");
        }
        assert!(keyring.trust("acme", known(second), false).is_err());
        keyring.trust("acme", known(second), true).unwrap();
        keyring.revoked.insert(second, Revoked { since: Millis(2), because: "stolen\u{1b}[2J".into() });
        let told = keyring.trusts("acme", &second.into(), Some(How::Index)).unwrap_err();
        assert!(told.message.ends_with("is revoked: stolen\\u{1b}[2J"), "{told}");
        assert!(keyring.trust("acme", known(second), true).is_err());
        assert_eq!(keyring.imitated("acrne"), Some("acme"));
    }

    #[test]
    fn a_keyring_comes_back_and_one_that_is_not_whole_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let mut keyring = Keyring::default();
        let key = public(home.path(), "a");
        keyring.trust("acme", Known { party: key.into(), how: How::Pinned, since: Millis(1) }, false).unwrap();
        keyring.save(home.path(), home.path()).unwrap();
        assert_eq!(Keyring::load(home.path()).unwrap(), keyring);
        let path = home.path().join(PUBLISHERS_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        for bad in ["{}", "[", &text.replace("\"format\": 3", "\"format\": 4"), &text.replace("pinned", "blessed")] {
            std::fs::write(&path, bad).unwrap();
            assert!(Keyring::load(home.path()).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_several_are_one_word_and_a_lost_one_is_borne_as_far_as_enough_are_left() {
        let home = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| public(home.path(), name));
        let holders = Holders::new([a, b, c], 2).unwrap();
        let signed =
            |by: &[PublicKey]| Voucher::from(Vouched { holders: holders.clone(), by: by.iter().copied().collect() });
        let mut keyring = Keyring::default();
        let told = keyring.trusts("acme", &signed(&[a, b]), None).unwrap_err();
        assert!(told.hint.ends_with("--threshold 2") && told.message.contains("2 of 3 keys: ed25519:"), "{told}");
        let known = |holders: &Holders| Known { party: holders.clone().into(), how: How::Pinned, since: Millis(1) };
        keyring.trust("acme", known(&holders), false).unwrap();
        assert_eq!(keyring.trusts("acme", &signed(&[a, b]), None), Ok(How::Pinned));
        for other in [Holders::new([a, b, c], 1), Holders::new([a, b], 2), Ok(a.into())] {
            let other = other.unwrap();
            let told =
                keyring.trusts("acme", &Vouched { by: other.keys().collect(), holders: other.clone() }.into(), None);
            assert!(told.unwrap_err().message.contains("than before"));
            assert!(keyring.trust("acme", known(&other), false).is_err());
        }
        keyring.revoked.insert(a, Revoked { since: Millis(2), because: "lost".into() });
        let told = keyring.trusts("acme", &signed(&[a, b]), None).unwrap_err();
        assert!(told.message.ends_with("is revoked: lost"), "{told}");
        assert_eq!(keyring.trusts("acme", &signed(&[b, c]), None), Ok(How::Pinned));
        assert_eq!(keyring.trusts("acme", &signed(&[a, b, c]), None), Ok(How::Pinned));
        keyring.trust("acme", known(&holders), false).unwrap();
        keyring.revoked.insert(b, Revoked { since: Millis(3), because: String::new() });
        assert!(keyring.trust("acme", known(&holders), true).is_err(), "nobody could sign any more");
    }

    #[test]
    fn an_identity_that_changed_stops_as_a_key_does_and_a_revoked_one_takes_all_that_it_covers_along() {
        let home = tempfile::tempdir().unwrap();
        let issuer = "https://accounts.example";
        let of = |tag: &str| Identity::new(&format!("https://a.example/flow@refs/tags/{tag}"), issuer).unwrap();
        let signed = |tag: &str, by: &str| {
            let by = format!("https://a.example/flow@refs/tags/{by}");
            Voucher::from(Certified { identity: of(tag), by, at: Millis(1) })
        };
        let known = |party: Party| Known { party, how: How::Pinned, since: Millis(1) };
        let mut keyring = Keyring::default();
        assert!(keyring.trusts("acme", &signed("*", "v1"), None).is_err());
        assert_eq!(keyring.trusts("acme", &signed("*", "v1"), Some(How::Pinned)), Ok(How::Pinned));
        keyring.trust("acme", known(of("*").into()), false).unwrap();
        let told = keyring.trusts("acme", &signed("v*", "v1"), Some(How::Pinned)).unwrap_err();
        assert!(told.message.contains("another identity than before"), "{told}");
        assert!(told.hint.ends_with(&format!("agentry key trust acme {} --replace", of("v*").name())), "{told}");
        let key = public(home.path(), "a");
        let told = keyring.trusts("acme", &key.into(), Some(How::Index)).unwrap_err();
        assert!(told.message.contains("with another key than before"), "{told}");
        assert!(keyring.trust("acme", known(key.into()), false).unwrap_err().message.contains("has the identity"));
        keyring.revoke(Lost::Identity(of("v1*")), Revoked { since: Millis(2), because: "stolen".into() });
        assert!(
            keyring.trusts("acme", &signed("*", "v1.2"), None).unwrap_err().message.ends_with("is revoked: stolen")
        );
        assert_eq!(keyring.trusts("acme", &signed("*", "v2"), None), Ok(How::Pinned));
        assert!(keyring.trust("acme", known(of("v1.3").into()), true).is_err(), "it is covered");
        keyring.trust("acme", known(of("v2").into()), true).unwrap();
    }

    #[test]
    fn keyrings_of_this_version_and_of_those_before_stay_readable() {
        let home = tempfile::tempdir().unwrap();
        let key = |digits: &str| format!("ed25519:{}", digits.repeat(32)).parse::<PublicKey>().unwrap();
        let mut keyring = Keyring::default();
        for (name, digits, how) in [("a", "0a", How::Pinned), ("b", "0b", How::Index), ("c", "0c", How::FirstUse)] {
            keyring.trust(name, Known { party: key(digits).into(), how, since: Millis(7) }, false).unwrap();
        }
        let before = keyring.clone();
        let several = Holders::new(["0e", "0f", "1a"].map(key), 2).unwrap();
        keyring.trust("d", Known { party: several.into(), how: How::Pinned, since: Millis(8) }, false).unwrap();
        keyring.revoked.insert(key("0d"), Revoked { since: Millis(9), because: "stolen".into() });
        let second = keyring.clone();
        let identity = |mail: &str| Identity::new(mail, "https://accounts.example").unwrap();
        let known = Known { party: identity("me@a.example").into(), how: How::Pinned, since: Millis(9) };
        keyring.trust("e", known, false).unwrap();
        let lost = Lost::Identity(identity("you@a.example"));
        keyring.revoke(lost, Revoked { since: Millis(9), because: String::new() });
        keyring.save(home.path(), home.path()).unwrap();
        let written = std::fs::read_to_string(home.path().join(PUBLISHERS_FILE)).unwrap();
        expect_test::expect_file!["../../../tests/golden/publishers-3.json"].assert_eq(&written);
        assert_eq!(Keyring::load(home.path()).unwrap(), keyring);
        std::fs::write(home.path().join(PUBLISHERS_FILE), include_str!("../../../tests/golden/publishers-2.json"))
            .unwrap();
        assert_eq!(Keyring::load(home.path()).unwrap(), second);
        let text = include_str!("../../../tests/golden/publishers-1.json");
        std::fs::write(home.path().join(PUBLISHERS_FILE), text).unwrap();
        let revoked = keyring.revoked.clone();
        assert_eq!(Keyring::load(home.path()).unwrap(), Keyring { revoked, ..before });
    }
}
