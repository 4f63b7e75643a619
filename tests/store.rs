//! Disks that are full or may not be written, and homes that somebody else uses: clear, and nothing half-written.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;

use serde_json::{Value, json};

use crate::serve::serve;
use crate::stage::{Ended, Stage, agentry, begin, end, guest, skip};

/// Kibibytes that a file may have: enough for a store to begin, too little for a long run.
const FILE_MAX_KIB: u32 = 3 * 1024;

#[test]
fn a_home_that_cannot_be_made_is_told_with_its_path() {
    let stage = Stage::granting(&guest("echo"));
    let file = stage.write("file", "");
    for home in [file.join("home"), "/proc/agentry".into()] {
        let mut run = agentry();
        run.arg("run").arg(guest("echo")).arg("--home").arg(&home);
        let ended = end(run.arg("--policies").arg(stage.home().join("policies")));
        assert_ne!(ended.code, 0);
        ended.complains("cannot");
    }
}

#[test]
fn a_disk_that_fills_up_ends_the_run_clearly_and_the_next_one_works() {
    let component = guest("memory");
    let stage = Stage::granting(&component);
    end(&mut stage.run(&component, &json!(1))).with(0);
    // As a full disk would: no file grows past this, and the signal that says so is not listened to.
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {FILE_MAX_KIB}; exec \"$0\" \"$@\"")]);
    let run = stage.run(&component, &json!(20_000));
    let ended = end(limited.arg(run.get_program()).args(run.get_args()));
    assert!(ended.code != 0, "20 000 entries fit: {}", ended.stdout);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    end(&mut stage.run(&component, &json!(3))).with(0);
}

/// Runs a script with mounts of its own: `$0` is the home and `"$@"` a run in it. None where nobody may mount.
fn with_mounts(test: &str, stage: &Stage, run: &Command, script: &str) -> Option<Ended> {
    if !Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success()) {
        skip(test, "this user may not make a mount namespace");
        return None;
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["-rm", "sh", "-euc", script]).arg(stage.home()).arg(run.get_program()).args(run.get_args());
    Some(end(&mut unshare))
}

fn entries(stage: &Stage) -> BTreeSet<OsString> {
    std::fs::read_dir(stage.home()).expect("it is there").flatten().map(|entry| entry.file_name()).collect()
}

#[test]
fn a_disk_that_may_not_be_written_is_told_and_nothing_begins() {
    let component = guest("memory");
    let stage = Stage::granting(&component);
    let run = stage.run(&component, &json!(1));
    let before = entries(&stage);
    let read_only = "mount --bind \"$0\" \"$0\"; mount -o remount,ro,bind \"$0\"; exec \"$@\"";
    let Some(ended) = with_mounts("a_disk_that_may_not_be_written", &stage, &run, read_only) else { return };
    ended.with(5).complains("Read-only file system");
    assert_eq!(entries(&stage), before, "something was half written");
}

#[test]
fn a_disk_without_room_ends_the_run_clearly_and_with_room_the_next_one_works() {
    let component = guest("memory");
    let stage = Stage::granting(&component);
    let run = stage.run(&component, &json!(20_000));
    // The run on the full disk may end as it must; what is looked at is the one after it, on the same store.
    let small =
        "policies=$(mktemp -d); cp -p \"$0\"/policies/* \"$policies\"; mount -t tmpfs -o size=3m,mode=755 none \"$0\"
        mkdir -m 755 \"$0/policies\"; cp -p \"$policies\"/* \"$0/policies\"; rm -r \"$policies\"
        code=0; \"$@\" >&2 || code=$?; [ $code != 0 ] || exit 90
        mount -o remount,size=64m \"$0\"; exec \"$1\" run \"$5\" --json --input 3 --home \"$0\"";
    let Some(ended) = with_mounts("a_disk_without_room", &stage, &run, small) else { return };
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.stderr.contains("disk of the store is full"), "it is not named: {}", ended.stderr);
    ended.with(0);
}

#[test]
fn two_at_once_in_one_home_are_told_apart() {
    let component = guest("sleep_year");
    let stage = Stage::granting_within(&component, "wall_run = \"20s\"");
    let mut first = stage.run(&component, &json!({}));
    let mut first =
        first.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("it starts");
    let in_use = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let second = end(&mut stage.run(&component, &json!({})));
        (second.code == 5).then_some(second)
    });
    first.kill().expect("it runs");
    first.wait().expect("it ends");
    in_use.expect("the home is in use").complains("another agentry is using");
    // Killed in the middle, it left a run that did not end, and a home that works.
    let cut = end(&mut stage.run(&guest("sleep_year"), &Value::Null));
    assert_eq!(cut.code, 4, "{}", cut.stderr);
}

#[test]
fn what_runs_is_listed_and_traced_while_it_runs() {
    let component = guest("sleep_year");
    let stage = Stage::granting_within(&component, "wall_run = \"100s\"");
    let running = begin(&mut stage.run(&component, &json!({})));
    let listed = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let listed = end(stage.agentry("ps").arg("--json")).with(0).json();
        listed[0]["run"].is_string().then_some(listed)
    });
    let listed = listed.expect("it is listed while it runs");
    assert_eq!((&listed[0]["status"], &listed[0]["agent"]), (&json!("running"), &json!("sleep-year")));
    let traced = end(stage.agentry("trace").args(["last", "--json"])).with(0).json();
    assert_eq!(traced["run"], listed[0]["run"]);
    running.interrupt();
    running.end().with(1);
    assert_eq!(stage.last()["status"], "stopped");
}

#[test]
fn a_store_that_a_process_without_a_socket_has_is_told_by_every_command_that_needs_it() {
    let stage = Stage::granting(&guest("echo"));
    let run = end(&mut stage.run(&guest("echo"), &json!(1))).with(0).json()["run"].as_str().expect("an id").to_owned();
    let file = stage.path("run.agentry");
    end(stage.agentry("export").arg(&run).arg("--out").arg(&file)).with(0);
    let store = std::fs::File::open(stage.home().join("store.redb")).expect("it is there");
    store.lock().expect("nobody has it");
    let hands = [
        vec!["serve"],
        vec!["ps"],
        vec!["trace", "last"],
        vec!["audit verify"],
        vec!["budget"],
        vec!["mail"],
        vec!["questions"],
        vec!["replay", "last"],
        vec!["resume", "last"],
        vec!["policy lock", "--because", "a leak"],
        vec!["resolve", "last/1", "--happened"],
        vec!["import", file.to_str().expect("it is text")],
    ];
    std::thread::scope(|scope| {
        let stage = &stage;
        for words in &hands {
            scope.spawn(move || {
                let mut command = stage.agentry(words[0]);
                let ended = end(command.args(&words[1..]));
                assert!(
                    ended.code == 5 && ended.stderr.contains("another agentry is using"),
                    "{words:?}: {} {}",
                    ended.code,
                    ended.stderr
                );
            });
        }
    });
    store.unlock().expect("it was locked");
    end(stage.agentry("ps").arg("--json")).with(0);
}

/// The same command where no file system has locks.
fn without_locks(command: &Command) -> Command {
    let mut without = Command::new("python3");
    without.arg(crate::stage::repository("tests/no_locks.py")).arg(command.get_program()).args(command.get_args());
    without
}

#[test]
fn two_hosts_never_share_a_home_where_the_file_system_has_no_locks() {
    let component = guest("memory");
    let stage = Stage::granting(&component);
    let run = || end(&mut without_locks(&stage.run(&component, &json!(3))));
    run().with(0);
    let host = serve(&mut without_locks(&stage.agentry("serve")));
    let second = end(&mut without_locks(&stage.agentry("serve"))).with(5);
    second.complains("another agentry is using");
    end(&mut without_locks(stage.agentry("compact").arg("--json"))).with(5);
    let listed = end(&mut without_locks(stage.agentry("ps").arg("--json"))).with(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "the host is asked: {listed}");
    // One that was killed is seen to be gone, and is not waited for.
    host.kill();
    run().with(0);
    end(&mut stage.agentry("audit verify")).with(0);
}
