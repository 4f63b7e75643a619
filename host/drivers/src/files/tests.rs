//! What a guest finds under a root, and what it does not, whoever puts what there.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn root() -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    (folder, root)
}

#[track_caller]
fn check_invalid<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert!(matches!(result, Err(Error::Invalid(_))), "{result:?}");
}

#[test]
fn what_is_told_of_a_root_that_nobody_gave_names_it() {
    assert_eq!(not_given(&no_root("inbox")), Some("inbox"));
    assert_eq!(not_given("this host has no root"), None);
    assert_eq!(not_given("there is no file `a`"), None);
}

#[test]
fn what_is_written_is_read_and_nothing_else_is_left() {
    let (folder, root) = root();
    root.write("a/b/c.txt", b"hello").unwrap();
    root.write("a/b/c.txt", b"world!").unwrap();
    assert_eq!(root.read("a/b/c.txt", 1, 3).unwrap(), b"orl");
    assert_eq!(root.read("a/b/c.txt", 100, 3).unwrap(), b"");
    assert_eq!(root.read("a/b/c.txt", u64::MAX >> 1, u64::MAX).unwrap(), b"");
    assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1);
}

#[test]
fn a_path_that_is_not_plain_is_refused() {
    let (_folder, root) = root();
    for path in ["..", "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "a\0b", "a/"] {
        check_invalid(root.read(path, 0, 1));
        check_invalid(root.write(path, b""));
        check_invalid(root.list(path));
        check_invalid(root.delete(path));
    }
}

#[test]
fn a_link_is_not_followed_wherever_it_leads() {
    let (folder, root) = root();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/x"), "x").unwrap();
    symlink("/etc", folder.path().join("out")).unwrap();
    symlink("in", folder.path().join("also")).unwrap();
    symlink("/etc/passwd", folder.path().join("passwd")).unwrap();
    for path in ["out/passwd", "also/x", "passwd", "out"] {
        check_invalid(root.read(path, 0, 1));
        check_invalid(root.stat(path));
        check_invalid(root.write(path, b"x"));
    }
    check_invalid(root.write("out/new", b"x"));
    let names: Vec<_> = root.list("").unwrap().into_iter().map(|stat| stat.path).collect();
    assert_eq!(names, ["in"]);
}

#[test]
fn a_pipe_makes_nobody_wait() {
    let (folder, root) = root();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    check_invalid(root.read("pipe", 0, 1));
    check_invalid(root.write("pipe", b"x"));
    assert_eq!(root.list("").unwrap(), []);
}

#[test]
fn a_listing_is_sorted_and_relative_to_the_root() {
    let (_folder, root) = root();
    for name in ["d/b", "d/a", "d/c/x"] {
        root.write(name, b"12").unwrap();
    }
    let list = root.list("d").unwrap();
    let seen: Vec<_> = list.iter().map(|stat| (stat.path.as_str(), stat.size, stat.directory)).collect();
    assert_eq!(seen, [("d/a", 2, false), ("d/b", 2, false), ("d/c", 0, true)]);
    assert_eq!(root.list("").unwrap().len(), 1);
    assert!(matches!(root.list("d/nope"), Err(Error::NotFound(_))));
}

#[test]
fn another_directory_in_the_place_of_a_root_is_the_root_and_none_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (place, old) = (folder.path().join("inbox"), folder.path().join("old"));
    fs::create_dir(&place).unwrap();
    let files = Files::open(&BTreeMap::from([("inbox".to_owned(), place.clone())])).unwrap();
    files.find("inbox").unwrap().write("a", b"first").unwrap();
    fs::rename(&place, &old).unwrap();
    assert!(matches!(files.find("inbox"), Err(Error::Unavailable(_))));
    fs::create_dir(&place).unwrap();
    let root = files.find("inbox").unwrap();
    assert_eq!(root.list("").unwrap(), []);
    root.write("b", b"second").unwrap();
    assert!(place.join("b").exists() && !old.join("b").exists());
    assert!(matches!(files.find("outbox"), Err(Error::NotFound(_))));
}

#[test]
fn no_root_contains_the_home_or_lies_in_it_under_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let (home, beside) = (folder.path().join("home"), folder.path().join("home-2"));
    fs::create_dir_all(home.join("policies")).unwrap();
    fs::create_dir(&beside).unwrap();
    symlink(&home, folder.path().join("link")).unwrap();
    let open =
        |path: &Path| Files::open(&BTreeMap::from([("r".to_owned(), path.to_path_buf())])).unwrap().apart_from(&home);
    for bad in [&home, &home.join("policies"), folder.path(), &folder.path().join("link"), Path::new("/")] {
        let refused = open(bad).unwrap_err().to_string();
        assert!(refused.contains("contains the home") && refused.contains("\nhint: "), "{refused}");
    }
    let files = open(&beside).unwrap();
    fs::remove_dir(&beside).unwrap();
    symlink(&home, &beside).unwrap();
    assert!(matches!(files.find("r"), Err(Error::Unavailable(_))), "nor does it become the home later");
}

#[test]
fn a_full_directory_is_not_deleted() {
    let (_folder, root) = root();
    root.write("d/a", b"1").unwrap();
    assert!(matches!(root.delete("d"), Err(Error::Conflict(_))));
    root.delete("d/a").unwrap();
    root.delete("d").unwrap();
    assert!(matches!(root.delete("d"), Err(Error::NotFound(_))));
    check_invalid(root.delete(""));
}

#[test]
fn no_error_tells_where_a_root_lies() {
    let (folder, root) = root();
    let errors = [root.read("x", 0, 1).map(drop), root.list("x").map(drop), root.delete("x")];
    let shown = folder.path().display().to_string();
    assert!(errors.iter().all(|error| !format!("{error:?}").contains(&shown)));
}
