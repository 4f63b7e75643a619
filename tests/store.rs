//! Disks that are full or may not be written, and homes that somebody else uses: clear, and nothing half-written.

use std::process::Command;

use serde_json::{Value, json};

use crate::stage::{Stage, agentry, begin, end, guest};

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
