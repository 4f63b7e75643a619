//! What an index is while it is changed: by several at once, by somebody who is killed at any step, by somebody who plants a file.

use std::collections::BTreeMap;

use super::*;
use crate::file::crash;
use crate::index::metadata::Targets;
use crate::index::signed::write;

/// New keys, root and online.
fn new_keys(place: &Place) -> [SigningKey; 2] {
    let keys = place.directory.path().join("keys-of-all");
    ["root-2", "online-2"].map(|name| key::create(&keys, name).unwrap())
}

/// Does something as often as it has steps, and dies after one more each time; `then` is given what it had to do with.
fn die_everywhere<T>(mut begin: impl FnMut() -> T, act: impl Fn(&T) -> bool, then: impl Fn(T)) {
    for steps in 0..100 {
        let with = begin();
        crash::after(Some(steps));
        let is_done = act(&with);
        crash::after(None);
        then(with);
        if is_done {
            assert!(steps > 5, "it died nowhere");
            return;
        }
    }
    panic!("it never comes to its end");
}

/// Whether nothing that is not whole lies beside the metadata.
fn is_swept(index: &Path) -> bool {
    let mut names = fs::read_dir(index.join("metadata")).unwrap().flatten().map(|entry| entry.file_name());
    names.all(|name| !name.to_str().unwrap().starts_with('.'))
}

#[test]
fn commands_at_the_same_time_undo_nothing_of_each_other() {
    let place = Place::new();
    let publish = |at: usize| {
        let (mut package, bytes) = package("1.0.0", 1);
        package.manifest.name = format!("acme:clock-{at}");
        let envelope = Statement::of(&package, PublicKey::of(&place.acme).into()).sign(&place.acme);
        place.repository(NOW).publish(&package, &bytes, &envelope, &place.acme).unwrap();
        let holders = PublicKey::of(&place.acme).into();
        place.repository(NOW).add(&format!("other-{at}"), &holders, &place.root).unwrap();
    };
    std::thread::scope(|scope| (0..4).for_each(|at| drop(scope.spawn(move || publish(at)))));
    place.repository(NOW).sign(&place.online, 30).unwrap();
    assert_eq!(place.read("a", NOW).unwrap().len(), 5);
    let repository = place.repository(NOW);
    (0..4).for_each(|at| repository.remove(&format!("other-{at}"), &place.root).unwrap());
}

#[test]
fn an_index_that_was_begun_is_finished_by_its_keys_and_by_no_others() {
    let begin = || {
        let place = Place::new();
        fs::remove_dir_all(place.path()).unwrap();
        place
    };
    let init = |place: &Place| place.repository(NOW).init(&place.root, &place.online, 30).is_ok();
    die_everywhere(begin, init, |place| {
        let others = new_keys(&place);
        let is_whole = place.path().join("metadata/timestamp.json").exists();
        if place.path().join("metadata/1.root.json").exists() {
            let told = place.repository(NOW).init(&others[0], &others[1], 30).unwrap_err();
            let part = if is_whole { "there is an index in" } else { "an index of other keys was begun" };
            assert!(told.kind == Kind::Usage && told.message.contains(part), "{told}");
        }
        assert_eq!(init(&place), !is_whole);
        place.repository(NOW).add("acme", &PublicKey::of(&place.acme).into(), &place.root).unwrap();
        place.publish("1.0.0", 1).unwrap();
        place.repository(NOW).sign(&place.online, 30).unwrap();
        assert_eq!(place.versions("a"), ["1.0.0"]);
        assert!(is_swept(&place.path()), "what a command left is taken away");
    });
}

#[test]
fn keys_of_an_index_are_replaced_or_not_wherever_it_ends_and_everybody_reads_it() {
    let begin = || {
        let place = Place::new();
        place.read("a", NOW).unwrap();
        let keys = new_keys(&place);
        (place, keys)
    };
    let rotate = |(place, [root, online]): &(Place, [SigningKey; 2])| {
        place.repository(NOW).rotate((&place.root, Some(&place.online)), (root, online), 30).is_ok()
    };
    die_everywhere(begin, rotate, |with| {
        let is_new = with.0.path().join("metadata/2.root.json").exists();
        assert_eq!((with.0.versions("a"), with.0.versions("b")), (vec!["1.0.0".into()], vec!["1.0.0".into()]));
        assert_eq!(rotate(&with), !is_new, "what was not done is done again");
        with.0.repository(NOW).sign(&with.1[1], 30).unwrap();
        assert_eq!((with.0.versions("a"), with.0.versions("c")), (vec!["1.0.0".into()], vec!["1.0.0".into()]));
    });
    let (place, [root, online]) = begin();
    let told = place.repository(NOW).rotate((&place.root, None), (&place.root, &online), 30).unwrap_err();
    assert!(told.kind == Kind::Usage && told.message.contains("is the key that the index has"), "{told}");
    // Who has it copied while it changes reads the roots before the timestamp.
    place.repository(NOW).rotate((&place.root, Some(&place.online)), (&root, &online), 30).unwrap();
    fs::remove_file(place.path().join("metadata/2.root.json")).unwrap();
    assert_eq!(place.versions("a"), ["1.0.0"]);
}

#[test]
fn keys_that_replace_a_lost_one_are_finished_by_the_new_ones() {
    let begin = || {
        let place = Place::new();
        let keys = new_keys(&place);
        (place, keys)
    };
    let rotate = |(place, [root, online]): &(Place, [SigningKey; 2])| {
        place.repository(NOW).rotate((&place.root, None), (root, online), 30).is_ok()
    };
    die_everywhere(begin, rotate, |with| {
        let (place, [root, online]) = &with;
        if !place.path().join("metadata/2.root.json").exists() {
            return assert_eq!(place.versions("a"), ["1.0.0"]);
        }
        let repository = place.repository(NOW);
        if !place.path().join("metadata/3.targets.json").exists() {
            let told = repository.sign(online, 30).unwrap_err();
            assert!(told.message.contains("2.targets.json is signed by those before"), "{told}");
            assert!(repository.renew(root).unwrap());
        }
        repository.sign(online, 30).unwrap();
        assert!(!repository.renew(root).unwrap());
        assert_eq!(place.versions("a"), ["1.0.0"]);
    });
}

#[test]
fn a_list_of_publishers_that_others_planted_is_signed_by_nobody() {
    let place = Place::new();
    let [root, online] = new_keys(&place);
    place.repository(NOW).rotate((&place.root, Some(&place.online)), (&root, &online), 30).unwrap();
    let expires = "2099-01-01T00:00:00Z".to_owned();
    let list: Targets = Targets { version: 9, expires, targets: BTreeMap::new(), delegations: None };
    let planted = place.path().join("metadata/9.targets.json");
    // By somebody, and by the key that was replaced, since it may have been stolen.
    for signer in [&place.acme, &place.root] {
        fs::write(&planted, write(&list, &[signer])).unwrap();
        let (repository, holders) = (place.repository(NOW), PublicKey::of(&place.acme).into());
        let told = [
            repository.sign(&online, 30).map(drop),
            repository.renew(&root).map(drop),
            repository.add("blue", &holders, &root),
            repository.remove("acme", &root),
            repository.rotate((&root, Some(&online)), (&place.root, &place.online), 30),
        ];
        for told in told.map(Result::unwrap_err) {
            assert!(told.kind == Kind::Denied && told.message.contains("9.targets.json is not signed by"), "{told}");
        }
        assert_eq!(place.versions("a"), ["1.0.0"]);
    }
    fs::remove_file(planted).unwrap();
    place.repository(NOW).sign(&online, 30).unwrap();
}
