//! Backups of homes that go on: whole at whatever instant they are taken and whatever is killed, proven, refused where they were changed, and put back so
//! that what ran in them goes on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::conditions::Dice;
use crate::serve::{Server, serve};
use crate::stage::{Ended, Stage, agentry, begin, end, guest};

/// Backups that are taken at random instants, and killed.
const INSTANTS: u64 = 12;

/// A home in which `steps` may write and rest, with heads of its log in a second place beside it.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.grant("steps", "memory = { read = [\"team/**\"], write = [\"team/**\"] }\n[budget]\nwall_run = \"1h\"\n");
    stage.write("home/agentry.toml", "format = 1\naudit.heads = \"../heads\"\n[idle]\nafter_ms = 0\n");
    stage
}

fn serving(stage: &Stage) -> Server {
    serve(stage.agentry("serve").args(["--drain", "0s"]))
}

/// Where a home is put back: each with a second place of its own, but for the one that is put back where it was.
fn place(stage: &Stage, home: &str) -> PathBuf {
    if home == "home" { stage.home() } else { stage.path(home).join("home") }
}

/// `agentry VERB --home HOME` in such a home.
fn beside(stage: &Stage, home: &str, verb: &str) -> Command {
    let mut command = agentry();
    command.args(verb.split(' ')).arg("--home").arg(place(stage, home));
    command
}

fn detach(stage: &Stage, steps: &Value) -> String {
    let run = end(stage.agentry("run").arg("--detach").arg(guest("steps")).args(["--input", &steps.to_string()]));
    run.with(0).stdout.trim().to_owned()
}

fn put(n: u64, bytes: usize) -> Value {
    json!([["put", "team/b", format!("k{n}"), "x".repeat(bytes)]])
}

fn ran(stage: &Stage, steps: &Value) {
    end(&mut stage.run(&guest("steps"), steps)).with(0);
}

fn backup(stage: &Stage) -> Ended {
    end(stage.agentry("backup").arg(stage.path("backups")).arg("--json"))
}

fn generations(stage: &Stage) -> Vec<Value> {
    let list = end(stage.agentry("backup").arg("--list").arg(stage.path("backups")).arg("--json")).with(0).json();
    list.as_array().expect("a list").clone()
}

/// Puts one back into an empty place.
fn restore(stage: &Stage, home: &str, more: &[&str]) -> Ended {
    let mut restore = agentry();
    restore.arg("restore").arg(stage.path("backups")).args(more).arg("--to").arg(place(stage, home));
    let ended = end(restore.arg("--json"));
    if ended.code == 0 {
        second_place(stage, home);
    }
    ended
}

/// Its second place begins anew where it stands now.
fn second_place(stage: &Stage, home: &str) {
    let heads = place(stage, home).join("../heads");
    if !heads.exists() {
        fs::write(heads, "").expect("it is ours");
    }
}

fn runs(stage: &Stage, home: &str) -> Vec<Value> {
    let runs = end(beside(stage, home, "ps").args(["--json", "--limit", "100000"])).with(0).json();
    runs.as_array().expect("a list").clone()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(90), "it does not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// What was put back is whole, and all that had not ended in it comes to its end.
fn goes_on(stage: &Stage, home: &str) {
    end(&mut beside(stage, home, "audit verify")).with(0);
    let server = serve(beside(stage, home, "serve").arg("--accept-older").args(["--drain", "0s"]));
    until("all runs are done", || runs(stage, home).iter().all(|run| run["status"] == "done"));
    let budget = end(beside(stage, home, "budget").arg("--json")).with(0).json().to_string();
    assert!(!budget.contains("\"reserved\":") || budget.matches("\"reserved\":0").count() > 0, "{budget}");
    server.stop();
    end(&mut beside(stage, home, "audit verify")).with(0);
    let last = runs(stage, home)[0]["run"].as_str().expect("an id").to_owned();
    let replay = end(beside(stage, home, "replay").args([&last, "--json"])).with(0).json();
    assert_eq!(replay["same"], true, "{replay}");
}

#[test]
fn a_home_is_copied_while_it_serves_and_what_is_put_back_goes_on() {
    let stage = stage();
    let server = serving(&stage);
    for n in 0..20 {
        detach(&stage, &put(n, 20_000));
    }
    let sleeper = detach(&stage, &json!([["sleep", "8000"], ["put", "team/b", "late", "x"]]));
    until("one rests", || runs(&stage, "home").iter().any(|run| run["run"] == *sleeper && !run["rests"].is_null()));
    let first = backup(&stage).with(0).json();
    for n in 20..25 {
        detach(&stage, &put(n, 1000));
    }
    let second = backup(&stage).with(0).json();
    assert!(second["new_bytes"].as_u64() < first["new_bytes"].as_u64().map(|all| all / 3), "{first} {second}");
    server.stop();
    let third = backup(&stage).with(0).json();
    let all = generations(&stage);
    assert_eq!(all, [first.clone(), second, third], "no host is needed");
    let shown = end(stage.agentry("backup").arg("--list").arg(stage.path("backups"))).with(0).stdout;
    assert!(shown.lines().count() == 4 && shown.contains("generation"), "{shown}");
    let put_back = restore(&stage, "one", &["--generation", "1"]).with(0).json();
    assert_eq!((&put_back["generation"], &put_back["rows"]), (&json!(1), &first["rows"]), "{put_back}");
    let at = first["at_ms"].as_u64().expect("a time") / 1000 + 1;
    let at = Command::new("date").args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%SZ"]).output();
    let at = String::from_utf8(at.expect("there is a date").stdout).expect("text");
    // Where the home is to be can be said as every other command has it.
    let there = place(&stage, "three");
    end(agentry().arg("restore").arg(stage.path("backups")).arg("--home").arg(&there)).with(0);
    assert!(there.is_dir());
    assert!(restore(&stage, "two", &["--at", at.trim()]).with(0).json()["generation"].as_u64() >= Some(1));
    for home in ["one", "two"] {
        goes_on(&stage, home);
        assert!(runs(&stage, home).iter().any(|run| run["run"] == *sleeper), "it came along");
        assert!(place(&stage, home).join("policies/50-steps.toml").exists());
        assert!(nothing_left(&stage.path(home)));
    }
}

#[test]
fn a_backup_as_a_stream_is_whole_and_has_no_secret() {
    let stage = stage();
    stage.write("home/approvers/eve.toml", "secret = \"JBSWY3DPEHPK3PXP\"\n");
    stage.write("home/export.key", "a private key");
    ran(&stage, &put(1, 30_000));
    let file = stage.path("home.backup");
    let stream = Stdio::from(fs::File::create(&file).expect("a file"));
    let status = stage.agentry("backup").arg("-").stdout(stream).stderr(Stdio::null()).status().expect("it starts");
    assert!(status.success());
    let bytes = fs::read(&file).expect("it is ours");
    for secret in ["JBSWY3DPEHPK3PXP", "a private key"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let put_back = |from: &str, home: &str| {
        let mut restore = agentry();
        restore.arg("restore").arg(from).arg("--to").arg(place(&stage, home));
        end(restore.stdin(Stdio::from(fs::File::open(&file).expect("it is there"))))
    };
    put_back("-", "one").with(0);
    put_back(&file.display().to_string(), "two").with(0);
    second_place(&stage, "one");
    goes_on(&stage, "one");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("it is ours");
    let half = put_back("-", "three").with(5);
    half.complains("is damaged");
    assert!(!place(&stage, "three").exists());
}

#[test]
fn what_cannot_be_copied_or_put_back_is_told_and_nothing_is_there() {
    let stage = stage();
    end(stage.agentry("backup").arg(stage.path("backups"))).with(2).complains("nothing ever ran");
    restore(&stage, "one", &[]).with(2).complains("cannot read");
    ran(&stage, &put(1, 10));
    end(stage.agentry("backup").arg(stage.home())).with(2).complains("lies in the home");
    let taken = stage.directory("taken");
    stage.write("taken/x", "x");
    end(stage.agentry("backup").arg(taken)).with(2).complains("other things in it");
    end(stage.agentry("backup").arg("-").arg("--json")).with(2).complains("standard output is the backup");
    end(stage.agentry("backup").arg("-").arg("--list")).with(2).complains("a stream has one");
    let file = stage.write("file", "x");
    end(stage.agentry("backup").arg(&file)).with(5).complains("cannot use");
    fs::create_dir(stage.path("backups")).expect("a directory");
    restore(&stage, "one", &[]).with(2).complains("there is no backup");
    backup(&stage).with(0);
    restore(&stage, "home", &[]).with(2).complains("is not empty");
    restore(&stage, "home/inner", &[]).with(2).complains("lies in the home");
    restore(&stage, "one", &["--generation", "7"]).with(2).complains("no generation");
    restore(&stage, "one", &["--at", "2001-01-01"]).with(2).complains("no generation");
    assert!(restore(&stage, "one", &["--at", "noon"]).with(2).stderr.contains("is no moment"));
    assert!(
        restore(&stage, "one", &["--at", "2001-01-01", "--generation", "1"]).with(2).stderr.contains("cannot be used")
    );
    let mut restore = agentry();
    restore.arg("restore").arg(stage.path("backups/000001.pack")).args(["--generation", "1"]);
    end(restore.arg("--to").arg(stage.path("one"))).with(2).complains("a stream has one");
    assert!(!place(&stage, "one").exists());
}

#[test]
fn a_bit_that_flips_in_a_backup_is_found() {
    let stage = stage();
    ran(&stage, &put(1, 10_000));
    backup(&stage).with(0);
    for name in ["000001.pack", "000001.json"] {
        let file = stage.path("backups").join(name);
        let whole = fs::read(&file).expect("it is ours");
        for at in [20, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
            let mut changed = whole.clone();
            changed[at] ^= 4;
            fs::write(&file, changed).expect("it is ours");
            restore(&stage, "one", &[]).with(5).complains("is damaged");
            backup(&stage).with(5).complains("is damaged");
        }
        fs::write(&file, whole).expect("it is ours");
    }
    assert!(!place(&stage, "one").exists());
    restore(&stage, "one", &[]).with(0);
}

#[test]
fn a_full_disk_leaves_the_earlier_backup_whole() {
    let stage = stage();
    ran(&stage, &put(1, 1000));
    backup(&stage).with(0);
    for n in 0..8 {
        ran(&stage, &put(n, 100_000));
    }
    // As a full disk would: no file grows past this, and the signal that says so is not listened to.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 700; exec \"$0\" \"$@\""]);
    let run = stage.agentry("backup");
    let ended = end(limited.arg(run.get_program()).args(run.get_args()).arg(stage.path("backups")));
    ended.with(5).complains("there is no room");
    assert_eq!(generations(&stage).len(), 1);
    let left = fs::read_dir(stage.path("backups")).expect("it is ours").count();
    assert_eq!(left, 3, "a pack, its list and the lock");
    restore(&stage, "one", &[]).with(0);
    assert_eq!(runs(&stage, "one").len(), 1);
    // A place that is full puts nothing back either.
    backup(&stage).with(0);
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1200; exec \"$0\" \"$@\""]);
    limited.arg(agentry().get_program()).arg("restore").arg(stage.path("backups"));
    limited.arg("--to").arg(place(&stage, "two"));
    let full = end(&mut limited);
    assert!(full.code == 5 && !place(&stage, "two").exists(), "{} {}", full.code, full.stderr);
    restore(&stage, "two", &[]).with(0);
}

#[test]
fn a_home_that_is_put_back_is_older_than_its_second_place_and_waits_for_a_word() {
    let stage = stage();
    ran(&stage, &put(1, 10));
    backup(&stage).with(0);
    ran(&stage, &put(2, 10));
    fs::rename(stage.home(), stage.path("lost")).expect("it is ours");
    restore(&stage, "home", &[]).with(0);
    end(&mut stage.agentry("serve")).with(2).complains("set back to an earlier day");
    end(&mut stage.run(&guest("steps"), &put(3, 10))).with(2).complains("set back to an earlier day");
    serve(stage.agentry("serve").arg("--accept-older")).stop();
    ran(&stage, &put(3, 10));
    assert_eq!(runs(&stage, "home").len(), 2);
    end(&mut stage.agentry("audit verify")).with(0);
}

#[test]
fn backups_at_random_instants_are_whole_whatever_is_killed() {
    let stage = stage();
    let instants = std::env::var("AGENTRY_BACKUPS").ok().and_then(|number| number.parse().ok()).unwrap_or(INSTANTS);
    let (mut dice, mut server, mut taken, mut killed) = (Dice(7), Some(serving(&stage)), 0, 0);
    for instant in 0..instants {
        let host = server.take().unwrap_or_else(|| serving(&stage));
        for n in 0..4 {
            detach(&stage, &put(instant * 4 + n, 3000));
        }
        detach(&stage, &json!([["sleep", "1000"], ["put", "team/b", format!("s{instant}"), "x"]]));
        let taking = begin(stage.agentry("backup").arg(stage.path("backups")));
        thread::sleep(Duration::from_millis(dice.below(120)));
        match dice.below(3) {
            0 => {
                taking.kill();
                killed += 1;
                server = Some(host);
            }
            1 => {
                // The host goes in the middle of it: then it is there, or it is told.
                host.kill();
                let ended = taking.end();
                assert!(ended.code == 0 || ended.code == 5, "{} {}", ended.code, ended.stderr);
                killed += 1;
            }
            _ => {
                taking.end().with(0);
                taken += 1;
                server = Some(host);
            }
        }
    }
    drop(server);
    let all = generations(&stage);
    assert!(all.len() as u64 >= taken, "{taken} were taken: {all:?}");
    for generation in &all {
        let number = generation["generation"].to_string();
        let home = format!("home-{number}");
        restore(&stage, &home, &["--generation", &number]).with(0);
        goes_on(&stage, &home);
    }
    eprintln!("{instants} backups, {killed} of them cut: {} generations, each whole", all.len());
}

#[test]
fn a_restore_that_is_killed_leaves_a_whole_home_or_none() {
    let stage = stage();
    for n in 0..10 {
        ran(&stage, &put(n, 100_000));
    }
    backup(&stage).with(0);
    let mut whole = 0;
    for instant in 0..10_u64 {
        let mut restoring = agentry();
        restoring.arg("restore").arg(stage.path("backups")).arg("--to").arg(place(&stage, "one"));
        let restoring = begin(&mut restoring);
        thread::sleep(Duration::from_millis(instant * 12));
        restoring.kill();
        if place(&stage, "one").exists() {
            assert_eq!(runs(&stage, "one").len(), 10);
            second_place(&stage, "one");
            end(&mut beside(&stage, "one", "audit verify")).with(0);
            fs::remove_dir_all(place(&stage, "one")).expect("it is ours");
            whole += 1;
        }
    }
    restore(&stage, "one", &[]).with(0);
    goes_on(&stage, "one");
    assert!(nothing_left(&stage.path("one")), "what was cut was removed");
    eprintln!("10 restores killed, {whole} of them had come to their end");
}

fn nothing_left(place: &Path) -> bool {
    let entries: Vec<PathBuf> = fs::read_dir(place).expect("it is ours").flatten().map(|entry| entry.path()).collect();
    !entries.iter().any(|entry| entry.to_string_lossy().contains(".restoring"))
}
