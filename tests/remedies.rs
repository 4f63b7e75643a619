//! What a person is told to do does what it was said for: it names the home and the file that they named, and is of what went wrong. A file that is
//! damaged, a disk that is full and a home that others may write are told as what they are, by their exit code too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::stage::{Ended, Running, Stage, agentry, begin, end, guest};

trait Says {
    fn says(&self, part: &str);
}

impl Says for Ended {
    /// It stands anywhere in what was said on standard error.
    fn says(&self, part: &str) {
        assert!(self.stderr.contains(part), "no `{part}`:\n{}", self.stderr);
    }
}

fn chmod(stage: &Stage, name: &str, mode: u32) {
    fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// A file that nobody else may write.
fn write(stage: &Stage, name: &str, text: &str) {
    stage.write(name, text);
    chmod(stage, name, 0o600);
}

#[test]
fn hints_name_the_home_and_the_agent_that_were_named() {
    let stage = Stage::new();
    let home = stage.home().display().to_string();
    let down = end(&mut stage.agentry("status"));
    assert!(down.code == 5 && down.stdout.contains(&format!("agentry serve --home {home}")), "{}", down.stdout);
    end(&mut stage.agentry("pause last")).with(5).says(&format!("agentry serve --home {home}"));
    let refused = end(&mut stage.run(&guest("echo"), &json!(1)));
    let file = guest("echo").display().to_string();
    refused.says(&format!("agentry inspect {file} --grant --home {home}"));
    refused.says(&format!("save it as 50-echo.toml in {home}/policies"));
    end(stage.agentry("trace").arg("zzzz")).with(2).says(&format!("`agentry ps --home {home}`"));
    // Where nobody named one, nothing is added.
    let own = end(agentry().env("AGENTRY_HOME", stage.home()).arg("status"));
    assert!(own.stdout.contains("agentry serve") && !own.stdout.contains("--home /"), "{}", own.stdout);
    // The next page is one of the same list.
    stage.grant("echo", "");
    (0..2).for_each(|n| drop(end(&mut stage.run(&guest("echo"), &json!(n))).with(0)));
    let first = end(stage.agentry("ps").args(["--agent", "echo", "--limit", "1"])).with(0);
    let next = first.stderr.trim().strip_prefix("there are more: agentry ").expect("there are").to_owned();
    assert!(next.contains("--agent echo") && next.contains(&home), "{next}");
    let second = end(agentry().args(next.split(' '))).with(0);
    assert!(second.stdout.lines().count() >= 2 && second.stdout != first.stdout, "{}", second.stdout);
}

#[test]
fn what_is_damaged_is_not_an_agent_that_failed() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    write(&stage, "home/agents.lock", "{\"format\":1}");
    for verb in ["list", "run echo", "verify"] {
        end(&mut stage.agentry(verb)).with(5).says("not as it was written");
    }
    fs::remove_file(stage.path("home/agents.lock")).expect("it is there");
    let nothing = end(&mut stage.agentry("verify")).with(0);
    nothing.says("no packages");
    // A stream that is cut is told by its name.
    let backups = stage.path("kept").display().to_string();
    end(stage.agentry("backup").arg(&backups)).with(0);
    let pack = fs::read(stage.path("kept/000001.pack")).expect("a pack");
    let half = stage.path("half");
    fs::write(&half, &pack[..pack.len() / 2]).expect("written");
    let torn = end(agentry().arg("restore").arg(&half).arg("--to").arg(stage.path("new")));
    assert!(torn.code == 5 && !torn.stderr.contains("stream.pack"), "{}", torn.stderr);
    torn.says(&half.display().to_string());
    torn.says("get it again");
    // One generation that is damaged hides no other, and a misspelt directory is none.
    end(stage.agentry("backup").arg(&backups)).with(0);
    let list = stage.path("kept/000001.json");
    fs::write(&list, fs::read_to_string(&list).expect("a list").replacen("format", "fromat", 1)).expect("written");
    let listed = end(stage.agentry("backup --list").arg(&backups)).with(5);
    assert!(listed.stdout.contains("is damaged") && listed.stdout.contains("another generation"), "{}", listed.stdout);
    let listed = end(stage.agentry("backup --list --json").arg(&backups)).with(5).json();
    assert!(listed[0]["damaged"].is_string() && listed[1]["generation"] == 2, "{listed}");
    end(stage.agentry("backup --list").arg(stage.path("nowhere"))).with(2).says("there is no directory");
}

#[test]
fn a_home_that_others_may_write_decides_nothing() {
    let stage = Stage::granting(&guest("echo"));
    chmod(&stage, "home", 0o777);
    for command in [&mut stage.run(&guest("echo"), &json!(1)), &mut stage.agentry("policy check")] {
        end(command).with(2).says("everybody may write");
    }
    let doctor = end(stage.agentry("doctor").arg("--json")).with(2).json();
    let home = doctor.as_array().expect("a list").iter().find(|finding| finding["about"] == "home").expect("looked at");
    assert!(
        home["state"] == "wrong" && home["mend"].as_str().is_some_and(|mend| mend.starts_with("chmod o-w ")),
        "{home}"
    );
    chmod(&stage, "home", 0o755);
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    // What others could reach of a living host is closed, not taken away.
    stage.directory("home/control");
    chmod(&stage, "home/control", 0o755);
    end(&mut stage.agentry("ps")).with(5).says("hint: chmod 700 ");
}

#[test]
fn doctor_looks_at_secrets_and_packages_too() {
    let stage = Stage::new();
    write(&stage, "home/packages.toml", "format = \"1\"\n");
    let secret =
        "[secrets.crm]\nvalue = { env = \"AGENTRY_TEST_NO_SUCH_KEY\" }\nonly_to = [\"https://api.example.org\"]\n";
    write(&stage, "home/agentry.toml", &format!("format = 1\n{secret}"));
    write(&stage, "home/agents.toml", "format = 1\n[agents.clerk]\n");
    stage.write("home/agents/clark.wasm", "");
    let told = end(&mut stage.agentry("doctor")).with(2).stdout;
    for part in [
        "packages.toml:1:10: the file has another format",
        "hint: write format = 1",
        "`crm`: the environment variable `AGENTRY_TEST_NO_SUCH_KEY` is not set",
        "hint: set it where agents are run: export AGENTRY_TEST_NO_SUCH_KEY=",
        "did you mean [agents.clark]?",
    ] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    assert!(!told.contains("\\n"), "{told}");
    end(stage.agentry("run").args(["clerk", "hi"])).with(2).says("did you mean [agents.clark]?");
}

#[test]
fn names_that_nobody_has_and_lists_that_are_empty_are_told() {
    let stage = Stage::new();
    end(stage.agentry("mail").arg("nobody")).with(2).says("there is no agent `nobody`");
    for verb in ["key list", "key ls"] {
        end(&mut stage.agentry(verb)).with(0).says("no keys: ");
    }
    // An end of input is nobody's answer.
    let mut setup = agentry();
    setup.arg("setup").arg("--home").arg(stage.path("new"));
    end(&mut setup).with(2).says("--yes asks nothing");
    assert!(!stage.path("new").exists());
    // The policy in force is not written over by an editor's copy of it.
    stage.grant("echo", "");
    fs::copy(stage.path("home/policies/50-echo.toml"), stage.path("home/policies/50-echo.toml~")).expect("a copy");
    let told = end(&mut stage.agentry("policy check")).with(2);
    assert!(
        told.stderr.contains("lies elsewhere: mv ") && !told.stderr.contains("if it is in force"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_place_that_is_not_there_is_told_with_what_could_be_there() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    let export = |out: &str| end(stage.agentry("export").args(["last", "--out"]).arg(stage.path(out)));
    export("nowhere/run").with(2).says("hint: name a file in a directory that is there");
    export("run").with(0);
    export("run").with(2).says("hint: name a file that is not there");
    let nobody = stage.path("nowhere.toml");
    end(stage.agentry("policy check").arg(&nobody)).with(2).says("hint: name a policy directory, or one file of it");
}

#[test]
fn a_run_that_is_ordered_while_its_host_begins_is_run_by_it_and_who_wants_its_home_hears_of_the_host() {
    for _ in 0..3 {
        let stage = Stage::granting(&guest("echo"));
        let server = begin(&mut stage.agentry("serve"));
        // Nobody waits for the socket: whoever comes first has the home, and the other one waits for it; the host a second and no longer.
        end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
        let server = until_it_serves(&stage, server);
        let process = end(stage.agentry("status").arg("--json")).with(0).json()["host"]["process"].to_string();
        for verb in ["serve", "fork last@1", "resume", "compact"] {
            let refused = end(&mut stage.agentry(verb)).with(5);
            refused.says(&format!("(pid {process}): a host that serves"));
            refused.says(&format!("kill {process}"));
        }
        server.kill();
    }
}

/// This host, or the one that is begun in its place if a run had the home for too long.
fn until_it_serves(stage: &Stage, mut server: Running) -> Running {
    let begun = Instant::now();
    while end(&mut stage.agentry("status")).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no host");
        if server.has_ended() {
            server = begin(&mut stage.agentry("serve"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    server
}

#[test]
fn what_doctor_found_stands_behind_its_title_on_a_narrow_screen_too() {
    let stage = Stage::new();
    let told = end(stage.agentry("doctor").env("COLUMNS", "60")).stdout;
    for line in told.lines().filter(|line| !line.starts_with("1 thing")) {
        // A command alone on its line is left to the terminal: whoever copies it has it whole.
        let is_command = line.trim_start_matches([' ', '`']).starts_with("agentry ");
        assert!(is_command || line.chars().count() <= 60, "{line}");
        let title = line.starts_with(['✓', '!', '✗']);
        assert!(title || line.starts_with("               "), "`{line}` looks like a title:\n{told}");
    }
}

/// The same command where no file may grow beyond so many KiB.
fn limited(command: &Command, kib: u32) -> Ended {
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"")]);
    end(limited.arg(command.get_program()).args(command.get_args()))
}

#[test]
fn what_cannot_be_written_whole_is_in_nobodys_way() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    let mut export = stage.agentry("export");
    export.args(["last", "--out"]).arg(stage.path("run"));
    assert_ne!(limited(&export, 1).code, 0);
    end(&mut export).with(0);
    let empty = stage.directory("empty");
    for place in [stage.path("crate"), empty] {
        let mut new = agentry();
        new.args(["new", "scribe", "--dir"]).arg(&place);
        assert_ne!(limited(&new, 1).code, 0);
        end(&mut new).with(0);
    }
    // A lock holds from when its file is there, whether or not the log could be told.
    let log = stage.home().join("store.wal");
    fs::remove_file(&log).expect("the run before it made it");
    fs::create_dir(&log).expect("it is ours");
    let mut lock = stage.agentry("policy lock");
    let told = limited(lock.args(["--because", "an audit"]), 1);
    assert_ne!(told.code, 0);
    told.says("locked, and the log of this home does not say so:");
    fs::remove_dir(&log).expect("it is ours");
    end(&mut stage.run(&guest("echo"), &json!(1))).with(3).says("an admin has stopped every new effect: an audit");
}

#[test]
fn a_line_that_mends_a_place_with_a_space_in_it_does_so_when_it_is_copied() {
    let stage = Stage::new();
    let home = stage.directory("my home");
    let policies = stage.directory("my home/policies");
    fs::create_dir(policies.join("a part")).expect("a directory");
    fs::set_permissions(&policies, fs::Permissions::from_mode(0o777)).expect("it is ours");
    let check = || end(agentry().args(["policy", "check", "--home"]).arg(&home));
    for mends in ["chmod ", "rmdir "] {
        let told = check().with(2).stderr.clone();
        let line = told.split(mends).nth(1).unwrap_or_else(|| panic!("no {mends}in {told}")).trim();
        end(Command::new("bash").args(["-c", &format!("{mends}{line}")])).with(0);
    }
    check().with(0);
    stage.grant("echo", "");
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    let backups = stage.path("my backups");
    end(stage.agentry("backup").arg(&backups)).with(0);
    let mut restore = agentry();
    restore.args(["restore", "--generation", "7", "--to"]).arg(stage.path("new")).arg(&backups);
    end(&mut restore).with(2).says("/my backups'");
}
