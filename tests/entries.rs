//! An agent that is installed as a program: its command, its entry in the menu of a desktop, and what shells complete of it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{Ended, agentry, end, skip};

const SCHEMA: &str = r#"{"type": "object", "required": ["say"], "additionalProperties": false, "properties": {
    "say": {"type": "string"}, "style": {"enum": ["short", "long", "$(touch broken)"]}, "a b; touch broken": {"type": "string"}}}"#;

/// A market with an agent that says what it is told.
fn market(change: impl FnOnce(&mut Value)) -> Market {
    let market = Market::new();
    market.publish(&package(&market.stage, "parrot.wasm", "echo", |manifest| {
        manifest["name"] = "acme:parrot".into();
        manifest["description"] = "Exec=touch broken".into();
        manifest["input_schema"] = SCHEMA.into();
        change(manifest);
    }));
    market
}

/// A command of a person with a directory of their own, whose shell looks in `~/.local/bin`.
fn of_a_person(market: &Market, mut command: Command) -> Command {
    let own = market.stage.path("own");
    let path = std::env::var("PATH").expect("a path");
    command.env("HOME", &own).env("PATH", format!("{}/.local/bin:{path}", own.display())).env_remove("XDG_DATA_HOME");
    command
}

fn install(market: &Market) -> Ended {
    let mut command = market.install("acme:parrot");
    command.arg("--bin");
    end(&mut of_a_person(market, command))
}

/// Where they are put.
fn places(market: &Market) -> [std::path::PathBuf; 2] {
    let own = market.stage.path("own/.local");
    [own.join("bin/parrot"), own.join("share/applications/agentry-parrot.desktop")]
}

/// The command that a desktop starts, as the Desktop Entry Specification has it read: `\\` is `\` in the file, and `\x` is `x` between quotes.
fn started(entry: &str) -> Vec<String> {
    let exec = entry.lines().find_map(|line| line.strip_prefix("Exec=")).expect("a command").replace(r"\\", "\\");
    let (program, rest) = exec.strip_prefix('"').expect("quoted").split_once("\" ").expect("an argument");
    let mut program = program.replace("%%", "%");
    for char in ["\"", "`", "$", "\\"] {
        program = program.replace(&format!("\\{char}"), char);
    }
    vec![program, rest.to_owned()]
}

/// What is shown and what is said in the window that a desktop opens, in which somebody types this.
fn window(market: &Market, entry: &str, typed: &str) -> (String, String) {
    let started = started(entry);
    let mut window = Command::new(&started[0]);
    window.args(&started[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut window = of_a_person(market, window).spawn().expect("it starts");
    window.stdin.take().expect("a keyboard").write_all(typed.as_bytes()).expect("typed");
    let window = window.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&window.stderr), text(&window.stdout))
}

#[test]
fn an_agent_is_a_command_and_an_entry_in_the_menu_on_request_and_goes_whole() {
    let market = market(|_| {});
    let [command, menu] = places(&market);
    end(&mut market.install("acme:parrot")).with(0);
    assert!(!command.exists() && !menu.exists(), "nobody asked for them");
    let told = install(&market).with(0);
    assert!(told.stderr.contains(".local/bin/parrot") && !told.stderr.contains("export PATH"), "{}", told.stderr);
    // By its name, as words, as flags, with exit codes as they are.
    let parrot = |words: &[&str]| {
        let mut parrot = Command::new("sh");
        parrot.args(["-c", r#"parrot "$@""#, "sh"]).args(words).stdin(Stdio::null());
        of_a_person(&market, parrot)
    };
    let said = |ended: Ended| ended.with(0).stdout;
    assert!(said(end(&mut parrot(&["it's", "a \"$HOME\""]))).contains(r#"it's a \"$HOME\""#));
    let report = end(&mut parrot(&["--say", "x", "--style=long", "--json"])).with(0).json();
    assert_eq!(report["output"], json!({"say": "x", "style": "long"}));
    end(&mut parrot(&[])).with(2).complains("does not take this input");
    // In the order in which it was said, whatever looks like a flag; a value as it is.
    let whole = |words: &[&str]| end(&mut parrot(&[words, &["--json"]].concat())).with(0).json()["output"].clone();
    assert_eq!(whole(&["one", "--style", "long", "two", "three"]), json!({"say": "one two three", "style": "long"}));
    assert_eq!(whole(&["first", "--a b", "- two", "-5"]), json!({"say": "first --a b - two -5"}));
    assert_eq!(whole(&["--say", "--hello there"]), json!({"say": "--hello there"}));
    // Out of a menu: it asks, takes what is typed as it is, and stays until that is read.
    let entry = fs::read_to_string(&menu).expect("an entry");
    assert!(entry.contains("\nName=parrot\n") && entry.contains("\nTerminal=true\n"), "{entry}");
    assert!(!entry.contains("broken"), "{entry}");
    let (shown, said) = window(&market, &entry, "--style=loud, - or \\ x=3?\n\n");
    assert!(shown.starts_with("parrot: ") && shown.ends_with("[Enter closes this window] "), "{shown}");
    assert!(said.contains(r#""say": "--style=loud, - or \\ x=3?""#), "{said}");
    let (shown, _) = window(&market, &entry, "");
    assert!(shown.contains("does not take this input") && shown.ends_with("[Enter closes this window] "), "{shown}");
    end(parrot(&["--window"]).args(["--input", "{}"])).with(2);
    // A second time nothing is other, and an update leaves them.
    let json = end(&mut of_a_person(&market, {
        let mut again = market.install("acme:parrot");
        again.args(["--bin", "--json"]);
        again
    }));
    let told = json.with(0).json();
    assert_eq!(told["outcome"], "installed already");
    assert_eq!(told["entry"], json!({"command": command, "menu": menu}));
    end(&mut of_a_person(&market, market.stage.agentry("uninstall parrot"))).with(0);
    assert!(!command.exists() && !menu.exists());
}

#[test]
fn an_entry_point_takes_the_place_of_nothing_and_leaves_what_is_not_its_own() {
    let market = market(|_| {});
    let [command, menu] = places(&market);
    // A command of this name that the shell finds.
    let other = market.stage.path("own/.local/bin/other-bin");
    fs::create_dir_all(&other).expect("a directory");
    symlink("/bin/true", other.join("parrot")).expect("a command");
    let found = |mut command: Command| {
        let path = std::env::var("PATH").expect("a path");
        command.env("HOME", market.stage.path("own")).env("PATH", format!("{path}:{}", other.display()));
        command
    };
    let mut asked = market.install("acme:parrot");
    asked.arg("--bin");
    let refused = end(&mut found(asked)).with(2);
    refused.complains("there is a command `parrot` already");
    assert_eq!(market.version("parrot"), None, "nothing is installed either");
    // A file, and a link to one, that are somebody's.
    for place in [&command, &menu] {
        fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
        fs::write(place, "mine").expect("a file");
        install(&market).with(2).complains("is there already and is something else");
        fs::remove_file(place).expect("it goes");
        symlink("/dev/zero", place).expect("a link");
        install(&market).with(2).complains("is there already and is something else");
        fs::remove_file(place).expect("it goes");
    }
    install(&market).with(0);
    // What a person makes their own stays when the agent goes; what else was left of it, another time takes away.
    let script = fs::read_to_string(&command).expect("a script");
    fs::write(&command, format!("{script}# mine\n")).expect("a script");
    let uninstall = || of_a_person(&market, market.stage.agentry("uninstall parrot"));
    end(&mut uninstall()).with(0);
    assert!(command.exists() && !menu.exists());
    fs::write(&command, script).expect("a script");
    let told = end(uninstall().arg("--json")).with(0).json();
    assert_eq!(told["outcome"], "the command that was left of it is taken away");
    assert!(!command.exists());
    end(&mut uninstall()).with(2).complains("no agent");
    // A place that cannot be written is told before anything is installed.
    fs::remove_dir_all(market.stage.path("own/.local/bin")).expect("it goes");
    fs::write(market.stage.path("own/.local/bin"), "a file").expect("a file");
    install(&market).with(2).complains("is no directory");
    assert_eq!(market.version("parrot"), None);
}

#[test]
fn an_agent_that_is_called_like_a_word_of_a_shell_is_no_command_and_breaks_no_completion() {
    for name in ["cd", "agentry", "help", "arguments"] {
        let market = market(|manifest| manifest["name"] = format!("acme:{name}").into());
        let wanted = format!("acme:{name}");
        if name != "arguments" {
            let mut asked = market.install(&wanted);
            asked.arg("--bin");
            end(&mut of_a_person(&market, asked)).with(2).complains("means something else to a shell");
        }
        end(&mut market.install(&wanted)).with(0);
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            end(&mut market.stage.agentry(&format!("completions {shell}"))).with(0);
        }
        if name == "arguments" {
            end(market.stage.agentry("completions zsh").args(["--agent", name])).with(2).complains("are called like");
        }
    }
}

#[test]
fn what_a_line_of_text_cannot_tell_is_said_in_its_window() {
    let market = market(|manifest| {
        manifest["input_schema"] = r#"{"type": "object", "required": ["from", "to"], "properties": {"from": {"type": "string"}, "to": {"type": "string"}}}"#.into();
    });
    let [_, menu] = places(&market);
    install(&market).with(0);
    let (shown, said) = window(&market, &fs::read_to_string(&menu).expect("an entry"), "\n");
    assert!(shown.contains("does not take this input") && shown.ends_with("[Enter closes this window] "), "{shown}");
    assert_eq!(said, "");
}

/// What bash offers for the last of these words, by this script.
fn completed(market: &Market, script: &Path, words: &[&str]) -> Vec<String> {
    let asks = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        name=$(complete -p "$1" | sed 's/.*-F \([^ ]*\).*/\1/'); "$name" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", asks, "bash"]).arg(script).args(words).current_dir(market.stage.path("own"));
    let mut offered: Vec<String> = end(&mut bash).with(0).stdout.lines().map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn shells_complete_the_agents_of_a_home_and_their_flags() {
    if Command::new("bash").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("shells_complete_the_agents_of_a_home_and_their_flags", "there is no bash");
    }
    let market = market(|_| {});
    install(&market).with(0);
    let script = |words: &[&str], file: &str| {
        let script = end(market.stage.agentry("completions bash").args(words)).with(0).stdout;
        market.stage.write(file, &script)
    };
    let of_all = script(&[], "all.bash");
    assert_eq!(completed(&market, &of_all, &["agentry", "run", "parr"]), ["parrot"]);
    let flags = completed(&market, &of_all, &["agentry", "run", "parrot", "--s"]);
    assert_eq!(flags, ["--say", "--style"]);
    assert_eq!(completed(&market, &of_all, &["agentry", "run", "parrot", "--style", ""]), ["long", "short"]);
    let of_one = script(&["--agent", "parrot"], "one.bash");
    assert_eq!(completed(&market, &of_one, &["parrot", "--sa"]), ["--say"]);
    assert!(!fs::read_to_string(&of_all).expect("a script").contains("touch broken"));
    end(market.stage.agentry("completions bash").args(["--agent", "nobody"])).with(2).complains("there is no agent");
    let mut nowhere = agentry();
    nowhere.args(["completions", "bash", "--home"]).arg(market.stage.path("nowhere"));
    end(&mut nowhere).with(2).complains("there is no directory");
}
