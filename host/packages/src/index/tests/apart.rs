//! What is wrong with the list of one publisher is told, and hides nothing of the others.

use super::*;
use crate::index::metadata::{Delegated, Targets};
use crate::index::signed::write;
use crate::limits::TARGETS_MAX_BYTES;

/// Two publishers with a package each.
fn two() -> (Place, SigningKey) {
    let place = Place::new();
    let blue = key::create(&place.directory.path().join("keys-of-all"), "blue").unwrap();
    place.repository(NOW).add("blue", &PublicKey::of(&blue).into(), &place.root).unwrap();
    publish(&place, &blue, "1.0.0", 1).unwrap();
    assert_eq!(place.repository(NOW).sign(&place.online, 30).unwrap(), Signed::default());
    (place, blue)
}

fn publish(place: &Place, blue: &SigningKey, version: &str, seq: u64) -> Result<(), Fault> {
    let (mut package, bytes) = package(version, seq);
    package.manifest.name = "blue:tool".to_owned();
    let envelope = Statement::of(&package, PublicKey::of(blue).into()).sign(blue);
    place.repository(NOW).publish(&package, &bytes, &envelope, blue).map(drop)
}

/// What a search finds for somebody who never looked before, what it leaves out, and why nothing of this publisher is installed.
fn searched(place: &Place) -> (Vec<String>, Vec<Fault>, Option<Fault>) {
    let (source, home) = (Source::Directory(place.path()), tempfile::tempdir().unwrap());
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    threads.block_on(async {
        let index = Index::read(home.path(), "main", PublicKey::of(&place.root), &source, NOW).await.unwrap();
        let (found, left_out) = index.picked_of_believed(|entry| entry.listed()).await.unwrap();
        let names = found.into_iter().map(|listed| format!("{} {}", listed.listing.name, listed.listing.version));
        (names.collect(), left_out, index.of("blue").await.err())
    })
}

#[track_caller]
fn check_apart(place: &Place, part: &str) {
    let (found, left_out, refused) = searched(place);
    assert_eq!(found, ["acme:clock 1.0.0"], "{part}");
    let [why] = &left_out[..] else { panic!("{part}: {left_out:?}") };
    assert!(why.message.contains(part), "{part}: {why}");
    assert_eq!(refused.as_ref(), Some(why), "an installation is refused for the same reason");
}

/// The place with something in the place of this list of `blue`.
fn spoil(place: &Place, version: u64, with: &str) -> PathBuf {
    let path = place.path().join(format!("metadata/{version}.blue.json"));
    let _ = fs::remove_file(&path);
    match with {
        "nothing" => {}
        "a directory" => fs::create_dir(&path).unwrap(),
        "too much" => fs::write(&path, vec![b' '; TARGETS_MAX_BYTES + 1]).unwrap(),
        "another version" => drop(fs::copy(place.path().join("metadata/1.blue.json"), &path).unwrap()),
        text => fs::write(&path, text).unwrap(),
    }
    path
}

/// What spoils what an index says of a publisher.
type Spoil = Box<dyn Fn(&mut Targets)>;

#[test]
fn a_newer_list_that_cannot_be_read_is_told_and_the_one_before_stands() {
    for with in ["{\"half", "", "a directory", "too much", "another version"] {
        let (place, blue) = two();
        let path = spoil(&place, 2, with);
        place.publish("1.1.0", 2).unwrap();
        let signed = place.repository(NOW).sign(&place.online, 30).unwrap();
        let [told] = &signed.passed_over[..] else { panic!("{with}: {signed:?}") };
        assert_eq!((&*told.file, told.is_named), ("metadata/2.blue.json", false), "{with}");
        assert_eq!(searched(&place).0, ["acme:clock 1.0.0", "acme:clock 1.1.0", "blue:tool 1.0.0"], "{with}");
        // Whoever goes on from the one before it would undo what stood in it.
        let told = publish(&place, &blue, "1.1.0", 2).unwrap_err();
        assert!(told.message.contains("2.blue.json") && told.hint.contains("take it away"), "{with}: {told}");
        if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
        publish(&place, &blue, "1.1.0", 2).unwrap();
        assert_eq!(place.repository(NOW).sign(&place.online, 30).unwrap(), Signed::default(), "{with}");
        assert_eq!(searched(&place).0.len(), 4, "{with}");
    }
}

#[test]
fn a_list_that_is_lost_is_told_and_hides_nothing_of_others() {
    let told = ["has no `1.blue.json`", "is not the file that it speaks of", "is not a regular file", "has more than"];
    for (with, part) in ["nothing", "{\"half", "a directory", "too much"].into_iter().zip(told) {
        let (place, _) = two();
        let whole = fs::read(place.path().join("metadata/1.blue.json")).unwrap();
        let path = spoil(&place, 1, with);
        check_apart(&place, part);
        let signed = place.repository(NOW).sign(&place.online, 30).unwrap();
        let [told] = &signed.passed_over[..] else { panic!("{with}: {signed:?}") };
        assert_eq!((&*told.file, told.is_named), ("metadata/1.blue.json", true), "{with}");
        check_apart(&place, part);
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        fs::write(&path, whole).unwrap();
        assert_eq!(searched(&place).0.len(), 2, "{with}");
    }
    // Where it is lost for good, another one comes behind it.
    let (place, blue) = two();
    spoil(&place, 1, "nothing");
    publish(&place, &blue, "1.1.0", 2).unwrap();
    assert!(place.path().join("metadata/2.blue.json").exists());
    assert_eq!(place.repository(NOW).sign(&place.online, 30).unwrap(), Signed::default());
    assert_eq!(searched(&place).0, ["acme:clock 1.0.0", "blue:tool 1.1.0"]);
}

#[test]
fn a_publisher_with_keys_that_nobody_could_sign_with_is_left_out() {
    fn blue(list: &mut Targets) -> &mut Delegated {
        let roles = &mut list.delegations.as_mut().unwrap().roles;
        roles.iter_mut().find(|role| role.name == "blue").unwrap()
    }
    let key = |list: &mut Targets, public: &str| {
        let id = blue(list).keyids[0].clone();
        list.delegations.as_mut().unwrap().keys.get_mut(&id).unwrap()["keyval"]["public"] = public.into();
    };
    let all: [(&str, Spoil); 5] = [
        ("no threshold", Box::new(|list: &mut Targets| blue(list).threshold = 0)),
        ("too high a threshold", Box::new(|list: &mut Targets| blue(list).threshold = 2)),
        ("no keys", Box::new(|list: &mut Targets| blue(list).keyids.clear())),
        ("a key of another form", Box::new(move |list: &mut Targets| key(list, "00"))),
        ("a key of everybody", Box::new(move |list: &mut Targets| key(list, &"0".repeat(64)))),
    ];
    for (what, spoils) in all {
        let (place, _) = two();
        let path = place.path().join("metadata/3.targets.json");
        let file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let mut list: Targets = serde_json::from_value(file["signed"].clone()).unwrap();
        spoils(&mut list);
        fs::write(&path, write(&list, &[&place.root])).unwrap();
        assert_eq!(place.repository(NOW).sign(&place.online, 30).unwrap().unsigned, ["blue"], "{what}");
        check_apart(&place, "knows `blue` by keys with which nobody can sign");
    }
}

#[test]
fn a_file_that_was_kept_and_is_another_now_is_told_as_one_of_this_home() {
    let place = Place::new();
    for name in ["root.json", "timestamp.json", "snapshot.json"] {
        place.read("a", NOW).unwrap();
        let kept = fs::read_dir(place.home("a").join("indexes")).unwrap().flatten().next().unwrap().path();
        let whole = fs::read(kept.join(name)).unwrap();
        let mut spoilt = vec![whole[..whole.len() / 2].to_vec(), vec![b' '; 5 << 20]];
        if name == "root.json" {
            let other = String::from_utf8(whole.clone()).unwrap().replacen("\"version\":1", "\"version\":2", 1);
            spoilt.push(other.into_bytes());
        }
        for bytes in spoilt {
            fs::write(kept.join(name), bytes).unwrap();
            let told = place.read("a", NOW).unwrap_err();
            assert_eq!(told.kind, Kind::Damaged, "{name}: {told}");
            assert!(told.message.contains(name) && told.hint.contains("rm -r "), "{name}: {told}");
        }
        fs::remove_dir_all(kept).unwrap();
    }
    // A list is had again.
    place.read("a", NOW).unwrap();
    let kept = fs::read_dir(place.home("a").join("indexes")).unwrap().flatten().next().unwrap().path();
    fs::write(kept.join("list-acme.json"), vec![b' '; TARGETS_MAX_BYTES + 1]).unwrap();
    assert_eq!(place.versions("a"), ["1.0.0"]);
}
