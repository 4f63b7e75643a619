//! The versions that publishers list, out of lists that have been verified. Nothing is listed that its publisher may not list, and of a list only what
//! somebody asks for is taken out of its bytes.

use std::fmt;

use agentry_kernel::digest::Digest;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::metadata::{Listing, Target, Text};
use crate::holders::Holders;
use crate::name::{bytes, is_package};

/// A version of a package, as its publisher lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The index that it is in.
    pub index: String,
    /// Who lists it.
    pub publisher: String,
    /// The publisher's key or keys, for which the index vouches.
    pub holders: Holders,
    /// What is said of it.
    pub listing: Listing,
    /// Of its file.
    pub digest: Digest,
    /// Of its file.
    pub bytes: u64,
    /// Of its signature, which is listed beside it.
    pub(super) signature: Digest,
}

impl Listed {
    /// Its path among all that is listed.
    pub(super) fn path(&self) -> String {
        let agent = self.listing.name.split_once(':').map_or("", |(_, agent)| agent);
        target_path(&self.publisher, agent, &self.listing.version)
    }
}

/// A version that is listed, while its list is read.
#[derive(Debug)]
pub struct Entry<'l> {
    by: &'l By,
    /// What is said of it.
    pub listing: &'l Listing<Text<'l>>,
    files: &'l Files<'l>,
    at: usize,
}

impl Entry<'_> {
    /// The digest of its file; none if that is none.
    pub fn digest(&self) -> Option<Digest> {
        sha(self.target()?)
    }

    /// The same, for whoever goes on with it; none if its file and its signature are not named as they must.
    pub fn listed(&self) -> Option<Listed> {
        Some(Listed {
            index: self.by.index.clone(),
            publisher: self.by.publisher.clone(),
            holders: self.by.holders.clone(),
            listing: self.listing.owned(),
            digest: self.digest()?,
            bytes: self.target()?.length,
            signature: self.files.signature(self.at)?,
        })
    }

    fn target(&self) -> Option<&Target<Text<'_>>> {
        self.files.0.get(self.at).map(|(_, target)| target)
    }
}

/// Whose list it is, and in which index.
#[derive(Debug)]
pub(super) struct By {
    pub index: String,
    pub publisher: String,
    pub holders: Holders,
}

impl By {
    /// What is taken of the versions of a list, in the order of their paths.
    pub(super) fn taken<T>(&self, files: &Files<'_>, take: &(impl Fn(&Entry<'_>) -> Option<T> + ?Sized)) -> Vec<T> {
        (0..files.0.len()).filter_map(|at| take(&self.version(files, at)?)).collect()
    }

    /// A version, if its path and what is said of it are one: a publisher lists nothing that is another's.
    fn version<'l>(&'l self, files: &'l Files<'l>, at: usize) -> Option<Entry<'l>> {
        let (path, target) = files.0.get(at)?;
        let listing = target.custom.as_deref()?;
        let agent = listing.name.strip_prefix(&self.publisher)?.strip_prefix(':')?;
        is_target_path(path, [&self.publisher, agent, &listing.version]).then_some(())?;
        is_package(&listing.name, &listing.version).then_some(())?;
        Some(Entry { by: self, listing, files, at })
    }
}

/// The files of a list in the order of their paths, as they stand in its bytes.
#[derive(Debug)]
pub(super) struct Files<'l>(Vec<(Text<'l>, Target<Text<'l>>)>);

impl Files<'_> {
    /// The digest of the signature of the file at this place: what begins with its path stands behind it.
    fn signature(&self, at: usize) -> Option<Digest> {
        let (path, _) = self.0.get(at)?;
        let mut behind =
            self.0.get(at + 1..)?.iter().map_while(|(other, target)| Some((other.strip_prefix(&**path)?, target)));
        sha(behind.find(|(rest, _)| *rest == ".sig")?.1)
    }
}

impl<'l> Deserialize<'l> for Files<'l> {
    fn deserialize<D: Deserializer<'l>>(from: D) -> Result<Self, D::Error> {
        struct Each;

        impl<'l> Visitor<'l> for Each {
            type Value = Files<'l>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("files by their paths")
            }

            fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<Files<'l>, A::Error> {
                let mut files: Vec<(Text<'l>, Target<Text<'l>>)> = Vec::new();
                while let Some(file) = map.next_entry()? {
                    files.push(file);
                }
                // Of a path that stands there twice, the last one counts, as in every other reading of such a file.
                if !files.is_sorted_by(|(before, _), (behind, _)| before < behind) {
                    files.reverse();
                    files.sort_by(|(one, _), (other, _)| one.cmp(other));
                    files.dedup_by(|(behind, _), (before, _)| behind == before);
                }
                Ok(Files(files))
            }
        }
        from.deserialize_map(Each)
    }
}

/// The digest of a file that is listed.
fn sha(target: &Target<Text<'_>>) -> Option<Digest> {
    bytes(target.hashes.sha256.as_deref()?).map(Digest)
}

/// The path of a version among all that is listed.
pub(super) fn target_path(publisher: &str, agent: &str, version: &str) -> String {
    format!("{publisher}/{agent}/{version}.wasm")
}

/// Whether it is the path of this version.
fn is_target_path(path: &str, [publisher, agent, version]: [&str; 3]) -> bool {
    let rest = path.strip_prefix(publisher).and_then(|rest| rest.strip_prefix('/')?.strip_prefix(agent));
    rest.and_then(|rest| rest.strip_prefix('/')?.strip_prefix(version)) == Some(".wasm")
}

/// Where its file lies.
pub(super) fn stored(path: &str, digest: Digest) -> String {
    let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
    format!("targets/{directory}/{digest}.{file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(json: &str) -> Vec<(String, u64)> {
        let files: Files<'_> = serde_json::from_str(json).unwrap();
        files.0.into_iter().map(|(path, target)| (path.0.into_owned(), target.length)).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_paths_and_of_a_path_twice_the_last_one_counts() {
        let file = |path: &str, length: u64| format!(r#""{path}":{{"length":{length},"hashes":{{}}}}"#);
        let list = |files: &[String]| format!("{{{}}}", files.join(","));
        let own = |files: &[(&str, u64)]| {
            files.iter().map(|(path, length)| ((*path).to_owned(), *length)).collect::<Vec<_>>()
        };
        assert_eq!(paths(&list(&[file("a", 1), file("b", 2)])), own(&[("a", 1), ("b", 2)]));
        assert_eq!(paths(&list(&[file("b", 1), file("a", 2), file("b", 3)])), own(&[("a", 2), ("b", 3)]));
        assert_eq!(paths(&list(&[file("a", 1), file(r"\u0061", 2)])), own(&[("a", 2)]));
        assert!(serde_json::from_str::<Files<'_>>(r#"{"a":{"hashes":{}}}"#).is_err());
    }

    #[test]
    fn the_path_of_a_version_is_its_own_alone() {
        let is = |path: &str| is_target_path(path, ["acme", "clock", "1.0.0"]);
        assert!(is(&target_path("acme", "clock", "1.0.0")));
        let others = [
            "acme/clock/1.0.0.wasm.sig",
            "acme/clock/1.0.0",
            "acmeclock/1.0.0.wasm",
            "acme/clocks/1.0.0.wasm",
            "other/clock/1.0.0.wasm",
        ];
        assert!(!others.into_iter().any(is));
    }

    #[test]
    fn a_signature_is_found_behind_others_that_begin_as_its_file_does() {
        let hex = |digit: char| digit.to_string().repeat(64);
        let file = |path: &str, digit| format!(r#""{path}":{{"length":1,"hashes":{{"sha256":"{}"}}}}"#, hex(digit));
        let list = format!("{{{},{},{},{}}}", file("a", '1'), file("a-b", '2'), file("a.sig", '3'), file("b", '4'));
        let files: Files<'_> = serde_json::from_str(&list).unwrap();
        assert_eq!(files.signature(0), Digest::of_hex(&hex('3')));
        assert!((1..4).all(|at| files.signature(at).is_none()));
    }
}
