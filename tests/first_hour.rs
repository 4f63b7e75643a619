//! What somebody meets who uses this for the first time: drafts that hold, names that are nearly right, screens of any width, a home that
//! is set up and looked at, and a second run beside a first.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::package::Sections;
use crate::provider::{Behaviour, Server};
use crate::stage::{Stage, agentry, begin, end, guest};

const SLOW: &str = "{\"script\": 1, \"repeat\": true}\n{\"text\": \"slow\", \"delay_ms\": 4000}\n";

/// A package that asks for these wants, with code that uses none of them.
pub fn package(stage: &Stage, wants: &str) -> std::path::PathBuf {
    let bare = stage.path("plain-of-another-toolchain.wasm");
    fs::write(&bare, Sections::of(&fs::read(guest("echo")).expect("echo is built")).bare().component())
        .expect("a component");
    stage.write("agent.toml", &format!("name = \"local:plain\"\nversion = \"0.1.0\"\n{wants}"));
    end(agentry().arg("build").arg(&bare)).with(0);
    stage.path("plain.wasm")
}

#[test]
fn a_draft_holds_as_printed_and_so_do_its_commented_lines_wherever_they_stand() {
    let all = [
        "[wants.llm]\nmodels = [\"*\"]\nwhy = \"x\"\n",
        "[wants.memory]\nread = [\"team/**\"]\nwhy = \"x\"\n",
        "[[wants.files]]\nroot = \"docs\"\naccess = \"rw\"\nwhy = \"x\"\n",
        "[[wants.tools]]\ntool = \"mail.send\"\nwhy = \"x\"\noptional = true\n",
        "[wants.http]\nwhy = \"x\"\n",
        "[wants.human]\nwhy = \"x\"\n",
        "[wants.agents]\nwhy = \"x\"\n",
        "[budget]\nwall_run = \"1m\"\n",
    ];
    // Each alone, and all of them in this order and in the other.
    let mut wants: Vec<String> = all.iter().map(|want| (*want).to_owned()).collect();
    wants.push(all.concat());
    wants.push(all.iter().rev().copied().collect());
    for wants in wants {
        let stage = Stage::new();
        let component = package(&stage, &wants);
        let draft = end(agentry().arg("inspect").arg(&component).arg("--grant")).with(0).stdout;
        stage.policy(&draft);
        let checked = end(stage.agentry("policy check").arg("--json")).with(0).json();
        assert_eq!(checked["mistakes"], json!([]), "{draft}");
        let is_code =
            |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let uncommented: String = draft
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("# ").filter(|code| is_code(code)).unwrap_or(line)))
            .collect();
        stage.policy(&uncommented);
        end(&mut stage.agentry("policy check")).with(0);
        let can = end(stage.agentry("policy can").arg("plain")).with(0).stdout;
        for (want, power) in [("wants.http", "reach https://api.example.org"), ("wants.agents", "call agent fetcher")] {
            assert!(!wants.contains(want) || can.contains(power), "{can}\n{uncommented}");
        }
        assert!(!wants.contains("wants.tools") || draft.contains("\ntool_calls_run = "), "{draft}");
        end(stage.run(&component, &json!(1)).arg("--root").arg(format!("docs={}", stage.directory("docs").display())))
            .with(0);
    }
}

#[test]
fn names_that_are_nearly_right_are_answered_with_the_right_ones() {
    let stage = Stage::granting(&guest("echo"));
    fs::copy(guest("echo"), stage.directory("home/agents").join("echo.wasm")).expect("a copy");
    let verb = end(agentry().arg("trce")).with(2).stderr;
    assert!(verb.contains("trace"), "{verb}");
    let second = end(agentry().args(["policy", "chek"])).with(2).stderr;
    assert!(second.contains("check"), "{second}");
    for verb in ["run", "inspect"] {
        let ended = end(stage.agentry(verb).arg("ecoh")).with(2);
        ended.complains("there is no agent `ecoh` here");
        assert!(ended.stderr.contains("did you mean `echo`?"), "{}", ended.stderr);
    }
    let help = end(agentry().args(["help", "rnu"])).with(2).stderr;
    assert!(help.contains("did you mean 'agentry help run'?"), "{help}");
    let report = end(&mut stage.run(&guest("echo"), &json!(1))).with(0).json();
    let run = report["run"].as_str().expect("an id").to_owned();
    let mut wrong: Vec<char> = run.chars().collect();
    wrong[5] = if wrong[5] == 'z' { 'y' } else { 'z' };
    let wrong: String = wrong.into_iter().collect();
    let ended = end(stage.agentry("trace").arg(&wrong)).with(2);
    assert!(ended.stderr.contains(&format!("did you mean {run}?")), "{}", ended.stderr);
    let ended = end(stage.agentry("logs").arg("echo")).with(2);
    assert!(ended.stderr.contains(&format!("its last run is {run}")), "{}", ended.stderr);
}

#[test]
fn one_name_means_one_agent_for_every_command() {
    let stage = Stage::granting(&guest("echo"));
    let agents = stage.directory("home/agents");
    fs::copy(guest("echo"), agents.join("echo.wasm")).expect("a copy");
    fs::create_dir_all(stage.path("elsewhere")).expect("a directory");
    fs::copy(guest("steps"), stage.path("elsewhere/s.wasm")).expect("a copy");
    let list = stage.write(
        "home/agents.toml",
        &format!("format = 1\n[agents.steps]\ncomponent = \"{}\"\n", stage.path("elsewhere/s.wasm").display()),
    );
    std::os::unix::fs::chown(list, None, None).expect("it is ours");
    stage.grant("steps", "");
    let listed = end(stage.agentry("agents").arg("--json")).with(0).json();
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|agent| agent["name"].as_str()).collect();
    assert_eq!(names, ["echo", "steps"]);
    for (name, input) in [("echo", "1"), ("steps", "[]")] {
        assert!(end(stage.agentry("inspect").arg(name)).with(0).stdout.starts_with(&format!("test:{name}")));
        end(stage.agentry("run").args([name, "--input", input])).with(0);
    }
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let component = guest("steps");
    let stage = Stage::granting_within(&component, "tool_calls_run = 1");
    let put = |n: u32| json!(["put", format!("agent/test/a-rather-long-namespace/{n}"), "key", "text"]);
    let steps =
        json!([put(1), put(2), ["put", "team/not-granted-at-all", "key", "text"], ["call", "no.such.tool", "{}"]]);
    end(&mut stage.run(&component, &steps)).with(0);
    stage.write(
        "bad/50-x.toml",
        &format!("format = 1\nlayer = \"grant\"\nagent = \"x\"\nmodles = [\"{}\"]\n", "long-".repeat(30)),
    );
    for columns in [60, 80, 120] {
        for (verb, words) in [
            ("trace", &["last"][..]),
            ("logs", &["last"]),
            ("ps", &[]),
            ("budget", &[]),
            ("policy check", &[]),
            ("policy can", &["steps"]),
            ("policy explain", &["--agent", "steps", "memory=team/secret"]),
            ("doctor", &[]),
            ("agents", &[]),
            ("models", &[]),
            ("approver add", &[&format!("alice-{columns}"), "--group", "ops"]),
            ("ps", &["--status", "finished"]),
        ] {
            let ended = end(stage.agentry(verb).args(words).env("COLUMNS", columns.to_string()));
            for line in ended.stdout.lines().chain(ended.stderr.lines()) {
                // A command alone on its line is left to the terminal: whoever copies it has it whole.
                let is_command = line.trim_start_matches([' ', '`']).starts_with("agentry ");
                let is_address = line.starts_with("otpauth://") && !line.contains(' ');
                assert!(is_command || is_address || line.chars().count() <= columns, "{verb} at {columns}:\n{line}");
            }
        }
        let wrong =
            end(agentry().args(["policy", "check"]).arg(stage.path("bad")).env("COLUMNS", columns.to_string())).with(2);
        assert!(wrong.stdout.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{}", wrong.stdout);
    }
    // What a program reads is never folded.
    let json = end(stage.agentry("trace").args(["last", "--json"]).env("COLUMNS", "60")).with(0).stdout;
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn amounts_are_told_in_one_way() {
    let component = guest("steps");
    let stage = Stage::granting_within(&component, "tool_calls_run = 1\nstorage_mb = 1");
    let report = ["one", "two"].map(|key| {
        let put = json!([["put", "agent/test/x", key, "x".repeat(600_000)]]);
        let input = stage.write("input.json", &put.to_string());
        let input = format!("@{}", input.display());
        end(stage.agentry("run").arg(&component).args(["--json", "--input", &input])).with(0).json()
    })[1]
        .clone();
    let told = report.to_string();
    assert!(told.contains("1 MiB") && !told.contains("1048576 bytes"), "{told}");
    let page = end(&mut stage.agentry("budget")).with(0).stdout;
    assert!(!page.contains(" MB") && !page.contains(" KB"), "{page}");
}

#[test]
fn what_lasts_over_a_second_is_told_in_words_also_where_nobody_looks() {
    let component = guest("ask");
    let stage = Stage::granting(&component);
    let ended = end(&mut stage.run_on(SLOW, &component, &json!({"prompt": "x"}))).with(0);
    assert!(ended.stderr.lines().any(|line| line == "… waits for a model"), "{}", ended.stderr);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
}

/// Waits until something is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn reading_works_beside_a_run_that_waits_and_a_second_run_is_told_of_serve() {
    let component = guest("steps");
    let stage = Stage::granting_within(&component, "wall_run = \"100s\"");
    let waiting = begin(&mut stage.run(&component, &json!([["sleep", "60000"]])));
    until("it waits", || {
        stage.path("home/control/host.sock").exists() && end(stage.agentry("ps").arg("--json")).stdout.contains("steps")
    });
    for verb in [
        "ps",
        "trace last",
        "logs last",
        "budget",
        "policy check",
        "policy can steps",
        "policy explain last/1",
        "approvals",
        "questions",
        "notices",
        "mail",
        "agents",
        "models",
        "tools",
        "audit verify",
        "doctor",
        "policy simulate --against last",
        "policy learn steps",
    ] {
        let ended = end(&mut stage.agentry(verb));
        assert!(
            !ended.stderr.contains("another agentry is using") && [0, 2, 3].contains(&ended.code),
            "{verb}: {}",
            ended.stderr
        );
        assert!(ended.code != 2 || verb == "doctor", "{verb}: {}", ended.stderr);
    }
    let second = end(&mut stage.run(&component, &json!([]))).with(5);
    second.complains("another agentry is using");
    assert!(second.stderr.contains("agentry serve"), "{}", second.stderr);
    waiting.interrupt();
    waiting.end().with(1);
}

#[test]
fn shells_complete_and_every_verb_has_a_manual_page() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = end(agentry().args(["completions", shell])).with(0).stdout;
        assert!(script.contains("agentry") && script.contains("simulate"), "{shell}");
    }
    end(agentry().args(["completions", "tcl"])).with(2);
    let stage = Stage::new();
    end(agentry().arg("man").arg(stage.path("man1"))).with(0);
    for page in ["agentry", "agentry-run", "agentry-policy", "agentry-policy-check", "agentry-doctor"] {
        let text = fs::read_to_string(stage.path(&format!("man1/{page}.1"))).expect(page);
        assert!(text.contains(".TH") && text.contains("agentry"), "{page}:\n{text}");
    }
    let taken = stage.write("taken", "a file");
    end(agentry().arg("man").arg(taken)).with(2).complains("cannot make");
}

#[test]
fn a_home_is_set_up_by_three_answers_and_a_second_time_nothing_is_written_over() {
    let stage = Stage::new();
    let home = stage.path("new-home");
    let mut setup = agentry();
    setup.arg("setup").arg("--home").arg(&home).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = setup.spawn().expect("it starts");
    let answers = b"\nhttp://127.0.0.1:11434/v1=qwen3:8b\n2.50\n";
    child.stdin.take().expect("stdin").write_all(answers).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = String::from_utf8_lossy(&output.stderr).matches('?').count();
    assert_eq!(asked, 3, "{}", String::from_utf8_lossy(&output.stderr));
    let site = fs::read_to_string(home.join("policies/00-site.toml")).expect("a rule of the site");
    assert!(site.contains("usd_day = \"2.50\""), "{site}");
    let in_home = |verb: &str| {
        let mut command = agentry();
        command.args(verb.split(' ')).arg("--home").arg(&home);
        command
    };
    end(&mut in_home("policy check")).with(0);
    let models = end(&mut in_home("models --json")).with(0).json();
    assert_eq!(models[0]["alias"], "server", "{models}");
    assert_eq!(models[0]["local"], true, "a budget in money would keep everybody from it: {models}");
    let mut unpriced = agentry();
    unpriced.args(["setup", "--yes", "--model", "openai=nobody-knows-me", "--home"]).arg(stage.path("unpriced"));
    assert!(end(&mut unpriced).with(0).stderr.contains("nobody knows the price of `nobody-knows-me`"));
    for (choice, kind) in [("ollama=qwen3:8b", "ollama"), ("gemini=gemini-3.5-flash", "gemini")] {
        let mut chosen = agentry();
        let other = stage.path(kind);
        end(chosen.args(["setup", "--yes", "--model", choice, "--home"]).arg(&other)).with(0);
        let lines = fs::read_to_string(other.join("agentry.toml")).expect("a configuration");
        assert!(lines.contains(&format!("kind = \"{kind}\"")), "{lines}");
    }
    let mut misspelt = agentry();
    let ended = end(misspelt.args(["setup", "--yes", "--model", "opnai=x", "--home"]).arg(stage.path("misspelt")));
    assert!(ended.with(2).stderr.contains("did you mean `openai`?"));
    fs::write(home.join("policies/00-site.toml"), "format = 1\nlayer = \"site\"\n# mine\n").expect("it is ours");
    let again = end(&mut in_home("setup --yes")).with(0);
    assert!(again.stderr.contains("stays as it is"), "{}", again.stderr);
    assert!(fs::read_to_string(home.join("policies/00-site.toml")).expect("it is there").contains("# mine"));
    for bad in ["setup --yes --model gpt", "setup --yes --model nobody=x"] {
        let elsewhere = stage.path("elsewhere");
        let mut command = agentry();
        command.args(bad.split(' ')).arg("--home").arg(&elsewhere);
        end(&mut command).with(2);
        assert!(!elsewhere.exists(), "{bad} left something");
    }
    // An answer that makes no sense is asked for again.
    let mut typos = agentry();
    let again = stage.path("again");
    typos.arg("setup").arg("--home").arg(&again).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = typos.spawn().expect("it starts");
    child.stdin.take().expect("stdin").write_all(b"\nwibble\n\nabc\n3.50\n").expect("it reads");
    let told = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(
        told.status.success() && said.contains("`wibble` is no model") && said.contains("`abc` is no amount"),
        "{said}"
    );
    let site = fs::read_to_string(again.join("policies/00-site.toml")).expect("a rule of the site");
    assert!(site.contains("usd_day = \"3.50\""), "{site}");
    let mut money = agentry();
    money.args(["setup", "--yes", "--usd-day", "a lot", "--home"]).arg(stage.path("elsewhere"));
    end(&mut money).with(2);
    for (place, amount) in ["$5", "5 USD", "5.00"].into_iter().enumerate() {
        let mut setup = agentry();
        let there = stage.path(&format!("there-{place}"));
        let told = end(setup.args(["setup", "--yes", "--usd-day", amount, "--home"]).arg(&there)).with(0);
        let site = fs::read_to_string(there.join("policies/00-site.toml")).expect("a rule of the site");
        assert!(site.contains("usd_day = \"5"), "{site}");
        // What is to be copied stands alone on its line.
        let next = format!("{}{}", told.stdout, told.stderr);
        assert!(next.lines().all(|line| !line.contains("agentry ") || !line.contains(" # ")), "{next}");
    }
}

#[test]
fn doctor_says_what_is_wrong_and_what_mends_it() {
    let stage = Stage::new();
    let look = |home: &std::path::Path| {
        let mut doctor = agentry();
        doctor.args(["doctor", "--json", "--home"]).arg(home);
        end(&mut doctor)
    };
    let found = |ended: &crate::stage::Ended, about: &str| -> Vec<Value> {
        ended.json().as_array().expect("a list").iter().filter(|finding| finding["about"] == about).cloned().collect()
    };
    let nowhere = look(&stage.path("nowhere")).with(2);
    let mend = format!("agentry setup --home {}", stage.path("nowhere").display());
    assert_eq!(found(&nowhere, "home")[0]["mend"], mend.as_str(), "{}", nowhere.stdout);
    // A host raises what a shell gives it.
    let few = |limit: &str| {
        let doctor = format!("ulimit {limit}; '{}' doctor --json --home nowhere", agentry().get_program().display());
        found(&end(std::process::Command::new("sh").args(["-c", &doctor])), "files")[0]["state"].clone()
    };
    assert_eq!((few("-Sn 256"), few("-n 256")), (json!("good"), json!("odd")));
    let server = Server::that(Behaviour::Says(404, "", String::new()));
    let model = format!("http://127.0.0.1:{}/v1=m", server.port());
    let mut setup = agentry();
    end(setup.args(["setup", "--yes", "--model", &model, "--home"]).arg(stage.path("good"))).with(0);
    let good = look(&stage.path("good")).with(0);
    assert!(
        good.json().as_array().is_some_and(|all| all.iter().all(|finding| finding["state"] != "wrong")),
        "{}",
        good.stdout
    );
    for about in [
        "kernel",
        "memory",
        "files",
        "mappings",
        "disk",
        "clock",
        "home",
        "isolation",
        "models",
        "tools",
        "policy",
        "agents",
        "host",
        "growth",
    ] {
        assert!(!found(&good, about).is_empty(), "{about}: {}", good.stdout);
    }
    // Each thing that is wrong is told with what mends it.
    let home = stage.path("good");
    for (file, text, about) in [
        ("policies/00-site.toml.bak", "x", "policy"),
        ("tools.toml", "format = 1\n[tools.x]\nefect = \"read\"\n", "tools"),
        ("agentry.toml", "format = 1\nmodels = 3\n", "models"),
        ("agents.toml", "format = 1\n[agents.gone]\n", "agents"),
    ] {
        let before = fs::read(home.join(file)).ok();
        let path = stage.write(&format!("good/{file}"), text);
        std::os::unix::fs::PermissionsExt::set_mode(
            &mut fs::metadata(&path).expect("it is there").permissions(),
            0o600,
        );
        let wrong = look(&home).with(2);
        let finding = found(&wrong, about).into_iter().find(|finding| finding["state"] == "wrong");
        let finding = finding.unwrap_or_else(|| panic!("{file}: {}", wrong.stdout));
        assert!(finding["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{finding}");
        match before {
            Some(before) => fs::write(home.join(file), before).expect("it is ours"),
            None => fs::remove_file(home.join(file)).expect("it is ours"),
        }
    }
    end(agentry().args(["policy", "lock", "--because", "a leak", "--home"]).arg(&home)).with(0);
    let locked = look(&home).with(2);
    let unlock = format!("agentry policy unlock --home {}", home.display());
    assert!(found(&locked, "policy").iter().any(|finding| finding["mend"] == unlock.as_str()), "{}", locked.stdout);
}
