//! Files of an index with their signatures: held against the keys of whoever may have signed, read, and written. What a file says counts for nothing
//! before enough of these keys have signed it, and until then nothing is built of it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

use agentry_engine::package::canonical_json;
use agentry_journal::export::sign::SigningKey;
use agentry_kernel::text::line;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::canonical::{canonical, is_light};
use super::metadata::{Keys, Role, Text};
use crate::fault::Fault;
use crate::key::PublicKey;
use crate::limits::{JSON_NESTS_MAX, JSON_VALUES_MAX, SIGNATURES_MAX};

/// The version of the specification that files are written by.
const SPEC: &str = "1.0.31";

/// A signed file that nobody has believed yet.
#[derive(Debug)]
pub struct Unverified<'f, T> {
    /// Its name, for errors.
    name: String,
    /// What is signed, as it stands there.
    signed: &'f str,
    /// The same in its canonical form, once somebody asked for it; none if it has none.
    canonical: OnceCell<Option<String>>,
    signatures: Vec<(String, Vec<u8>)>,
    role: PhantomData<T>,
}

#[derive(Deserialize)]
struct File<'f> {
    signatures: Vec<Signature>,
    #[serde(borrow)]
    signed: &'f RawValue,
}

#[derive(Deserialize)]
struct Signature {
    keyid: String,
    sig: String,
}

impl<'f, T: Role + Deserialize<'f>> Unverified<'f, T> {
    /// Takes a file apart into what is signed and its signatures; `name` is for errors.
    ///
    /// # Errors
    /// If it is no signed file, or has more in it than any of an index.
    pub fn read(name: &str, bytes: &'f [u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| not_as_signed(name, why);
        if !is_light(bytes) {
            return Err(wrong(&format!(
                "it has more than {JSON_VALUES_MAX} values, or {JSON_NESTS_MAX} lists of them"
            )));
        }
        let file: File<'_> = serde_json::from_slice(bytes).map_err(|why| wrong(&why.to_string()))?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(wrong(&format!("it has more than {SIGNATURES_MAX} signatures")));
        }
        let mut signers = BTreeSet::new();
        if let Some(twice) = file.signatures.iter().find(|one| !signers.insert(&one.keyid)) {
            return Err(wrong(&format!("the key `{:.16}` signs it twice", line(&twice.keyid))));
        }
        let signatures = file.signatures.into_iter().filter_map(|one| Some((one.keyid, unhex(&one.sig)?))).collect();
        let (name, signed) = (name.to_owned(), file.signed.get());
        Ok(Self { name, signed, canonical: OnceCell::new(), signatures, role: PhantomData })
    }

    /// What it says, though nobody vouches for it yet: for the root, which vouches for itself as well, and for whoever runs the index.
    ///
    /// # Errors
    /// If it is no file of this role.
    pub fn unverified(&self) -> Result<T, Fault> {
        let wrong = |why: &str| not_as_signed(&self.name, why);
        let headed: Headed<'_, T> = serde_json::from_str(self.signed).map_err(|why| wrong(&why.to_string()))?;
        if &*headed.kind != T::TYPE || !headed.spec_version.starts_with("1.") {
            return Err(wrong(&format!("it is no {} of TUF 1", T::TYPE)));
        }
        Ok(headed.role)
    }

    /// What it says, if enough of these keys signed it.
    ///
    /// # Errors
    /// If they did not, or it is no file of this role.
    pub fn verified(self, keys: &BTreeMap<String, Value>, role: &Keys) -> Result<T, Fault> {
        if self.is_signed_by(keys, role) {
            return self.unverified();
        }
        let message = format!("`{}` of the index is not signed by whom it should be", line(&self.name));
        Err(Fault::denied(message, "nothing of it is believed; tell whoever runs the index"))
    }
}

impl<T> Unverified<'_, T> {
    /// Whether this key made this signature: of what stands there, which is canonical where we wrote it, or of its canonical form.
    fn is_of(&self, key: PublicKey, signature: &[u8]) -> bool {
        let canonical = || {
            let made = self.canonical.get_or_init(|| canonical(self.signed).filter(|text| text != self.signed));
            made.as_ref().is_some_and(|text| key.has_signed(text.as_bytes(), signature))
        };
        key.has_signed(self.signed.as_bytes(), signature) || canonical()
    }

    /// Whether enough of these keys signed it.
    pub fn is_signed_by(&self, keys: &BTreeMap<String, Value>, role: &Keys) -> bool {
        role.threshold > 0 && self.signers(keys, role) as u64 >= role.threshold
    }

    /// How many of these keys signed it: each key counts once, under whatever ids.
    pub fn signers(&self, keys: &BTreeMap<String, Value>, role: &Keys) -> usize {
        let mut signers = BTreeSet::new();
        for (id, signature) in &self.signatures {
            let key = keys.get(id).filter(|_| role.keyids.contains(id)).and_then(PublicKey::of_json);
            signers.extend(key.filter(|key| self.is_of(*key, signature)));
        }
        signers.len()
    }

    /// Whether this key is among its signers.
    pub fn is_signed_by_key(&self, key: PublicKey) -> bool {
        self.signatures.iter().any(|(_, signature)| self.is_of(key, signature))
    }
}

fn not_as_signed(name: &str, why: &str) -> Fault {
    let message = format!("`{}` of the index is not as it was signed: {}", line(name), line(why));
    Fault::denied(message, "try again later; if it stays so, tell whoever runs the index")
}

/// A role, and of which kind its file says that it is: both in one reading, since lists are long.
struct Headed<'f, T> {
    kind: Text<'f>,
    spec_version: Text<'f>,
    role: T,
}

impl<'f, T: Deserialize<'f>> Deserialize<'f> for Headed<'f, T> {
    fn deserialize<D: Deserializer<'f>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Whole(PhantomData))
    }
}

struct Whole<T>(PhantomData<T>);

impl<'f, T: Deserialize<'f>> Visitor<'f> for Whole<T> {
    type Value = Headed<'f, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a role of TUF")
    }

    fn visit_map<A: MapAccess<'f>>(self, map: A) -> Result<Self::Value, A::Error> {
        let (mut kind, mut spec_version) = (None, None);
        let rest = Rest { map, kind: &mut kind, spec_version: &mut spec_version };
        let role = T::deserialize(MapAccessDeserializer::new(rest))?;
        let missing = A::Error::missing_field;
        Ok(Headed {
            kind: kind.ok_or_else(|| missing("_type"))?,
            spec_version: spec_version.ok_or_else(|| missing("spec_version"))?,
            role,
        })
    }
}

/// The fields of a role, without those that all roles have.
struct Rest<'h, 'f, A> {
    map: A,
    kind: &'h mut Option<Text<'f>>,
    spec_version: &'h mut Option<Text<'f>>,
}

impl<'f, A: MapAccess<'f>> MapAccess<'f> for Rest<'_, 'f, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'f>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<Text<'f>>()? {
            let (place, name) = match &*key {
                "_type" => (&mut *self.kind, "_type"),
                "spec_version" => (&mut *self.spec_version, "spec_version"),
                _ => return seed.deserialize(key.0.into_deserializer()).map(Some),
            };
            if place.replace(self.map.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(name));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'f>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The bytes of a role's file, signed by these keys.
pub fn write<T: Role + Serialize>(role: &T, keys: &[&SigningKey]) -> Vec<u8> {
    let mut signed = serde_json::to_value(role).expect("metadata has nothing that JSON lacks");
    signed["_type"] = T::TYPE.into();
    signed["spec_version"] = SPEC.into();
    let text = canonical_json(&signed);
    let sign =
        |key: &&SigningKey| json!({"keyid": PublicKey::of(key).id(), "sig": hex(&key.sign_message(text.as_bytes()))});
    let signatures: Vec<Value> = keys.iter().map(sign).collect();
    format!("{}\n", canonical_json(&json!({"signatures": signatures, "signed": signed}))).into_bytes()
}

/// The same file signed by one key more; none if it is no signed file.
pub fn cosigned(file: &[u8], key: &SigningKey) -> Option<Vec<u8>> {
    let mut file: Value = serde_json::from_slice(file).ok()?;
    let text = canonical_json(file.get("signed")?);
    let id = PublicKey::of(key).id();
    let signatures = file.get_mut("signatures")?.as_array_mut()?;
    signatures.retain(|signature| signature["keyid"] != id.as_str());
    signatures.push(json!({"keyid": id, "sig": hex(&key.sign_message(text.as_bytes()))}));
    Some(format!("{}\n", canonical_json(&file)).into_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || digits.len() > 256 || !digits.is_ascii() {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::metadata::Snapshot;
    use super::*;

    fn read(signed: &str) -> Result<u64, String> {
        let file = format!(r#"{{"signatures":[],"signed":{signed}}}"#);
        let read = Unverified::<Snapshot>::read("snapshot.json", file.as_bytes()).and_then(|read| read.unverified());
        read.map(|read| read.version).map_err(|fault| fault.message)
    }

    #[test]
    fn a_file_is_read_as_what_it_says_it_is_in_whatever_order_and_says_it_once() {
        let whole = r#"{"_type":"snapshot","spec_version":"1.0.31","version":7,"expires":"","meta":{}}"#;
        assert_eq!(read(whole), Ok(7));
        assert_eq!(
            read(
                r#"{"version":7,"x":[1,{"_type":2}],"meta":{},"spec_version":"1.0","expires":"","\u005ftype":"snapshot"}"#
            ),
            Ok(7)
        );
        let other = |from: &str, to: &str| read(&whole.replace(from, to)).unwrap_err();
        assert!(other("snapshot", "targets").contains("no snapshot of TUF 1"));
        assert!(other("1.0.31", "2.0.0").contains("no snapshot of TUF 1"));
        assert!(other(r#""_type":"snapshot","#, "").contains("missing field `_type`"));
        assert!(other(r#""spec_version":"1.0.31","#, "").contains("missing field `spec_version`"));
        assert!(other("{\"_type\"", r#"{"_type":"snapshot","_type""#).contains("duplicate field `_type`"));
        assert!(other(r#""version":7"#, r#""version":7,"version":8"#).contains("duplicate field `version`"));
        assert!(other(r#""version":7,"#, "").contains("missing field `version`"));
    }

    #[test]
    fn a_key_signs_once_and_what_is_too_full_is_not_taken_apart() {
        let signed = |signatures: &str, fill: &str| {
            let file = format!(r#"{{"signatures":[{signatures}],"signed":{{"version":7,"x":[{fill}]}}}}"#);
            Unverified::<Snapshot>::read("snapshot.json", file.as_bytes()).map(|_| ()).map_err(|fault| fault.message)
        };
        let by = |id: &str| format!(r#"{{"keyid":"{id}","sig":"00"}}"#);
        assert_eq!(signed(&[by("a"), by("b")].join(","), "1"), Ok(()));
        assert!(signed(&[by("a"), by("b"), by("a")].join(","), "1").unwrap_err().contains("signs it twice"));
        for fill in [vec!["{}"; JSON_NESTS_MAX], vec!["0"; JSON_VALUES_MAX]] {
            assert!(signed("", &fill.join(",")).unwrap_err().contains("has more than"), "{}", fill[0]);
        }
    }

    #[test]
    fn a_file_of_another_form_holds_by_its_canonical_one() {
        let key = SigningKey::create(&tempfile::tempdir().unwrap().path().join("a.key")).unwrap();
        let signed = r#"{"b":[1,{"d":null,"c":"\u00e9\n"}], "a":{"":-0.5}}"#;
        let text = canonical_json(&serde_json::from_str(signed).unwrap());
        assert_ne!(text, signed);
        let sig = hex(&key.sign_message(text.as_bytes()));
        let file = format!(r#"{{"signatures":[{{"keyid":"x","sig":"{sig}"}}],"signed":{signed}}}"#);
        let read = Unverified::<Snapshot>::read("snapshot.json", file.as_bytes()).unwrap();
        assert!(read.is_signed_by_key(PublicKey::of(&key)));
    }
}
