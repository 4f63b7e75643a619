//! What somebody who hands out an index and has no key of it can make of its files: nothing that is taken apart before it is refused.

use super::*;
use crate::index::metadata::{Meta, Snapshot, TimestampRole};
use crate::index::signed::write;

fn metadata(place: &Place, file: &str) -> PathBuf {
    place.path().join("metadata").join(file)
}

/// What a file says.
fn said<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let file: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    serde_json::from_value(file["signed"].clone()).unwrap()
}

/// Has the index say of each list which version it is and no more, as earlier versions of Agentry wrote it.
fn as_before(place: &Place) {
    let timestamp = metadata(place, "timestamp.json");
    let mut newest: TimestampRole = said(&timestamp);
    let mut snapshot: Snapshot =
        said(&metadata(place, &format!("{}.snapshot.json", newest.meta["snapshot.json"].version)));
    snapshot.meta.values_mut().for_each(|meta| (meta.length, meta.hashes) = (None, None));
    snapshot.version += 1;
    let bytes = write(&snapshot, &[&place.online]);
    fs::write(metadata(place, &format!("{}.snapshot.json", snapshot.version)), &bytes).unwrap();
    newest.version += 1;
    newest.meta.insert("snapshot.json".to_owned(), Meta::of(snapshot.version, &bytes));
    fs::write(timestamp, write(&newest, &[&place.online])).unwrap();
}

#[test]
fn a_list_is_named_by_its_bytes_and_an_index_that_names_a_version_alone_is_read_too() {
    let place = Place::new();
    assert_eq!(place.versions("a"), ["1.0.0"]);
    // It says the same, and its signature is good.
    let path = metadata(&place, "1.acme.json");
    let mut other = fs::read(&path).unwrap();
    *other.last_mut().unwrap() = b' ';
    fs::write(&path, &other).unwrap();
    check_refused(place.read("b", NOW), "`acme.json` of the index is not the file that it speaks of");
    assert_eq!(place.versions("a"), ["1.0.0"], "whoever has it asks for no other");
    as_before(&place);
    assert_eq!((place.versions("a"), place.versions("b")), (vec!["1.0.0".to_owned()], vec!["1.0.0".to_owned()]));
    // The next snapshot names what lies there.
    place.repository(NOW).sign(&place.online, 30).unwrap();
    assert_eq!(place.versions("c"), ["1.0.0"]);
    other.push(b' ');
    fs::write(&path, &other).unwrap();
    check_refused(place.read("d", NOW), "has more than");
}

#[test]
fn what_is_not_signed_is_not_taken_apart() {
    let place = Place::new();
    as_before(&place);
    let path = metadata(&place, "1.acme.json");
    let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let id = file["signatures"][0]["keyid"].as_str().unwrap();
    let spoilt = |signatures: &str, fill: &str| {
        let mut signed = file["signed"].to_string();
        signed.pop();
        fs::write(&path, format!(r#"{{"signatures":[{signatures}],"signed":{signed},"x":[{fill}]}}}}"#)).unwrap();
        place.read("a", NOW)
    };
    let wrong = |id: &str| format!(r#"{{"keyid":"{id}","sig":"{}"}}"#, "00".repeat(64));
    check_refused(spoilt(&wrong(id), &vec![r#"{"":0}"#; 500_000].join(",")), "has more than 1500000 values");
    check_refused(spoilt(&vec![wrong(id); 16].join(","), "0"), "signs it twice");
    check_refused(spoilt(&wrong(id), "0"), "is not signed by whom it should be");
    check_refused(spoilt(&wrong(id), "0]}"), "is not as it was signed");
}
