//! Files of an index with their signatures: read in one pass, held against the keys of whoever may have signed, and written. What a file says counts
//! for nothing before enough of these keys have signed it.

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

use super::metadata::{Keys, Role, Text};
use crate::fault::Fault;
use crate::key::PublicKey;
use crate::limits::SIGNATURES_MAX;

/// The version of the specification that files are written by.
const SPEC: &str = "1.0.31";

/// A signed file that nobody has believed yet.
#[derive(Debug)]
pub struct Unverified<'f, T> {
    role: T,
    /// What is signed, as it stands there.
    signed: &'f str,
    signatures: Vec<(String, Vec<u8>)>,
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
    /// Reads a file of this role; `name` is for errors.
    ///
    /// # Errors
    /// If it is not one.
    pub fn read(name: &str, bytes: &'f [u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            let message = format!("`{}` of the index is not as it was signed: {}", line(name), line(why));
            Fault::denied(message, "try again later; if it stays so, tell whoever runs the index")
        };
        let file: File<'_> = serde_json::from_slice(bytes).map_err(|why| wrong(&why.to_string()))?;
        if file.signatures.len() > SIGNATURES_MAX {
            return Err(wrong(&format!("it has more than {SIGNATURES_MAX} signatures")));
        }
        let signed = file.signed.get();
        let headed: Headed<'_, T> = serde_json::from_str(signed).map_err(|why| wrong(&why.to_string()))?;
        if &*headed.kind != T::TYPE || !headed.spec_version.starts_with("1.") {
            return Err(wrong(&format!("it is no {} of TUF 1", T::TYPE)));
        }
        let signatures = file.signatures.into_iter().filter_map(|one| Some((one.keyid, unhex(&one.sig)?))).collect();
        Ok(Self { role: headed.role, signed, signatures })
    }
}

impl<T> Unverified<'_, T> {
    /// Whether this key made this signature: of what stands there, which is canonical where we wrote it, or of its canonical form.
    fn is_of(&self, key: PublicKey, signature: &[u8]) -> bool {
        let canonical = || serde_json::from_str::<Value>(self.signed).map(|value| canonical_json(&value));
        key.has_signed(self.signed.as_bytes(), signature)
            || canonical().is_ok_and(|text| text != self.signed && key.has_signed(text.as_bytes(), signature))
    }

    /// What it says, though nobody vouches for it yet: for the root, which vouches for itself as well.
    pub fn unverified(&self) -> &T {
        &self.role
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

    /// What it says, if enough of these keys signed it.
    ///
    /// # Errors
    /// If they did not.
    pub fn verified(self, name: &str, keys: &BTreeMap<String, Value>, role: &Keys) -> Result<T, Fault> {
        if self.is_signed_by(keys, role) {
            return Ok(self.role);
        }
        let message = format!("`{}` of the index is not signed by whom it should be", line(name));
        Err(Fault::denied(message, "nothing of it is believed; tell whoever runs the index"))
    }
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
        let read = Unverified::<Snapshot>::read("snapshot.json", file.as_bytes());
        read.map(|read| read.unverified().version).map_err(|fault| fault.message)
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
}
