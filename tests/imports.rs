//! A run that comes as a file is a stranger's: it is marked everywhere, no host goes on with it unasked, and what it is given here is this
//! home's.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::serve::serve;
use crate::stage::{Stage, begin, end, guest};

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "steps"
memory = { read = ["team/**"], write = ["team/**"], labels = ["secret"] }
[budget]
wall_run = "20s"
"#;

/// Reading memory marks nothing there, and a run has far more time than here.
const ELSEWHERE: &str = r#"format = 1
layer = "grant"
agent = "steps"
memory = { read = ["team/**"], write = ["team/**"] }
[budget]
wall_run = "30m"
"#;

/// The file of a run that was cut in the home where it ran, and how `ps` shows it there.
fn suspended(stage: &Stage) -> (PathBuf, Value) {
    stage.policy(ELSEWHERE);
    let order = json!([
        ["put", "team/board", "a", "one"],
        ["get", "team/board", "a"],
        ["sleep", "1000"],
        ["list", "team/board", ""]
    ]);
    let running = begin(&mut stage.run(&guest("steps"), &order));
    while stage.last()["status"] != "running" || stage.calls().len() < 3 {
        thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    let file = stage.path("run.agentry");
    end(stage.agentry("export last").arg("--out").arg(&file)).with(0);
    (file, stage.last())
}

#[test]
fn a_run_out_of_a_file_is_marked_everywhere_and_goes_on_by_a_persons_word_alone() {
    let (here, there) = (Stage::new(), Stage::new());
    let (file, ran) = suspended(&here);
    there.policy(GRANT);
    let imported = end(there.agentry("import").arg(&file).arg("--json")).with(0).json();
    assert_eq!((&imported["run"], &imported["signer"]), (&ran["run"], &Value::Null));
    let not_checked = imported["not_checked"].to_string();
    assert!(not_checked.contains("nobody signed it"), "{imported}");
    let last = there.last();
    assert_eq!((&last["status"], &last["imported"]["resumed_here"]), (&json!("suspended"), &json!(false)));
    assert_eq!(last["labels"], json!(["untrusted"]));
    let trace = end(&mut there.agentry("trace last")).with(0).stdout;
    assert!(trace.contains("came out of a file") && trace.contains("it did nothing here"), "{trace}");
    let ps = end(&mut there.agentry("ps")).with(0).stdout;
    assert!(ps.contains("came out of a file") && ps.contains("unsigned"), "{ps}");
    let resume = format!("agentry resume {}", ran["run"].as_str().expect("an id"));
    assert!(ps.contains(&resume) && !ps.contains("waits for a host"), "{ps}");
    end(there.agentry("policy learn").arg("steps")).with(2).complains("came out of files");
    let logs = end(&mut there.agentry("logs last")).with(0).stdout;
    assert!(logs.contains("came out of a file"), "{logs}");
    let audit = end(there.agentry("audit verify").arg("--json")).with(0).json();
    assert_eq!(audit["imported"], 1);

    // Neither a host that begins nor somebody who resumes all that is suspended goes on with it.
    let server = serve(&mut there.agentry("serve"));
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(there.last()["status"], "suspended", "a host went on with it by itself");
    server.stop();
    end(&mut there.agentry("resume")).with(0);
    assert_eq!(there.last()["status"], "suspended");
    let books = end(there.agentry("budget").arg("--json")).with(0).json().to_string();
    assert!(!books.contains("\"reserved\":1"), "something is held for it: {books}");

    let report = end(there.agentry("resume last").arg("--json")).with(0).json();
    assert_eq!(report["status"], "done", "{report}");
    let last = there.last();
    assert_eq!((&last["labels"], &last["imported"]["resumed_here"]), (&json!(["secret", "untrusted"]), &json!(true)));
    let trace = end(&mut there.agentry("trace last")).with(0).stdout;
    assert!(trace.contains("it went on here"), "{trace}");
    there.replays();
    end(&mut there.agentry("audit verify")).with(0);
    // Its past does not wash it: what is forked off it is marked as well.
    let forked = end(there.agentry("fork last@2").arg("--json")).with(0).json();
    let last = there.last();
    assert_eq!((&last["run"], &last["imported"]["resumed_here"]), (&forked["run"], &json!(true)));
    assert_eq!(last["labels"], json!(["secret", "untrusted"]));
}

#[test]
fn a_run_out_of_a_file_has_the_limits_of_this_home_and_not_those_that_it_brings() {
    let (here, there) = (Stage::new(), Stage::new());
    here.policy(ELSEWHERE);
    let running = begin(&mut here.run(&guest("steps"), &json!([["sleep", "600000"]])));
    while here.last()["status"] != "running" || here.calls().is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    let file = here.path("run.agentry");
    end(here.agentry("export last").arg("--out").arg(&file)).with(0);
    there.policy(&GRANT.replace("20s", "1s"));
    end(there.agentry("import").arg(&file)).with(0);
    let report = end(there.agentry("resume last").arg("--json")).with(4).json();
    assert!(report["usage"]["wall_ms"].as_u64().is_some_and(|ms| ms < 5000), "{report}");
}

#[test]
fn a_file_says_which_home_vouches_for_it_and_import_says_what_it_checked() {
    let (here, there, other) = (Stage::new(), Stage::new(), Stage::new());
    for stage in [&here, &there, &other] {
        stage.policy(ELSEWHERE);
    }
    end(&mut here.run(&guest("steps"), &json!([["put", "team/board", "a", "one"]]))).with(0);
    let (signed, plain) = (here.path("signed.agentry"), here.path("plain.agentry"));
    let said = end(here.agentry("export last --sign").arg("--out").arg(&signed)).with(0).stderr;
    let key = said.split("signed by ").nth(1).expect("it prints its key").trim().to_owned();
    end(here.agentry("export last").arg("--out").arg(&plain)).with(0);
    let asked = |stage: &Stage, file: &PathBuf, key: &str| {
        end(stage.agentry("import").arg(file).args(["--signed-by", key, "--json"]))
    };
    asked(&there, &plain, &key).with(2).complains("nobody signed this file");
    asked(&there, &signed, &"0".repeat(64)).with(2).complains("and not by");
    asked(&there, &signed, "0f").with(2);
    let taken = asked(&there, &signed, &key).with(0).json();
    assert_eq!(taken["signer"], json!(key));
    assert_eq!(there.last()["imported"]["signer"], json!(key));
    let shown = end(other.agentry("import").arg(&signed)).with(0).stderr;
    assert!(shown.contains("whose key that is") && shown.contains(&key), "{shown}");
    let mut changed = fs::read(&signed).expect("it is there");
    let place = changed.len() / 2;
    changed[place] ^= 1;
    fs::write(&signed, changed).expect("it is ours");
    asked(&Stage::new(), &signed, &key).with(2).complains("cut or changed");
}
