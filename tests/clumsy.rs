//! What clumsy hands type: numbers that are none, names that are nearly right, files that lie beside, words in a wrong place. Each is told with
//! what was meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::first_hour::package;
use crate::stage::{Stage, agentry, begin, end, guest};

const SCHEMA: &str = "input_schema = \'\'\'{\"type\": \"object\", \"required\": [\"name\"], \"additionalProperties\": false,\n\
                      \"properties\": {\"name\": {\"type\": \"string\"}}}\'\'\'\n";

#[test]
fn numbers_and_names_of_lists_that_are_none_are_told() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    // A list of none says nothing, and less than none is nothing.
    for verb in ["ps", "trace last", "audit calls", "notices"] {
        let words = [("0", "1 or more"), ("many", "1 or more"), ("1.5", "1 or more"), ("-1", "less than zero")];
        for (limit, told) in words {
            let ended = end(stage.agentry(verb).args(["--limit", limit])).with(2);
            assert!(ended.stderr.contains(told), "{verb} --limit {limit}: {}", ended.stderr);
        }
    }
    for verb in ["ps", "audit calls"] {
        let ended = end(stage.agentry(verb).args(["--agent", "ehco"])).with(0);
        assert!(ended.stderr.contains("hint: did you mean `echo`?"), "{verb}: {}", ended.stderr);
    }
    for call in ["last/x", "last/", "last/-1", "last/99999999999"] {
        let ended = end(stage.agentry("trace").arg(call)).with(2);
        ended.complains("is no number of a syscall");
        assert!(!ended.stderr.contains("digit"), "{call}: {}", ended.stderr);
    }
    let ended = end(stage.agentry("ps").args(["--status", "Done"])).with(2);
    assert!(ended.stderr.contains("did you mean `done`?"), "{}", ended.stderr);
    let ended = end(stage.agentry("prune").args(["--older-than", "-1d"])).with(2);
    assert!(ended.stderr.contains("no option takes less than zero"), "{}", ended.stderr);
    for (name, meant) in [("lsat", "did you mean `last`?"), ("ehco", "did you mean agent `echo`? its last run is ")] {
        let ended = end(stage.agentry("logs").arg(name)).with(2);
        ended.complains("there is no run");
        assert!(ended.stderr.contains(meant), "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_verb_without_what_it_needs_shows_an_example_of_it() {
    for (words, told) in [
        (&["approve"][..], "for example: agentry approve 0gx3k8"),
        (&["trace"], "for example: agentry trace last"),
        (&["policy", "diff", "a"], "for example: agentry policy diff"),
        (&["key", "new"], "for example: agentry key new acme"),
        (&["intsall", "x"], "a similar subcommand exists: 'install'"),
    ] {
        let ended = end(agentry().args(words)).with(2);
        assert!(ended.stderr.contains(told), "{words:?}: {}", ended.stderr);
    }
}

#[test]
fn a_file_that_lies_beside_and_the_directory_of_one_are_meant() {
    let stage = Stage::granting(&guest("echo"));
    let crate_of = stage.directory("echo");
    fs::copy(guest("echo"), crate_of.join("echo.wasm")).expect("a copy");
    for verb in ["run", "inspect"] {
        let ended = end(stage.agentry(verb).arg(crate_of.join("ehco.wasm"))).with(2);
        ended.complains("there is no such file");
        assert!(ended.stderr.contains("echo/echo.wasm?"), "{}", ended.stderr);
        let ended = end(stage.agentry(verb).arg(&crate_of)).with(2);
        ended.complains("is a directory");
        assert!(ended.stderr.contains("echo/echo.wasm?"), "{}", ended.stderr);
        end(stage.agentry(verb).arg("Cargo.toml").current_dir(stage.path("")))
            .with(2)
            .complains("is no agent's name, and no component");
    }
}

#[test]
fn an_option_that_a_verb_does_not_have_is_not_explained_as_a_word() {
    for words in [["restore", "x", "--yes"], ["ps", "--json", "--all-of-it"], ["info", "x", "--grant-it"]] {
        let option = words[2];
        let told = end(agentry().args(words)).with(2).stderr;
        assert!(told.contains(&format!("'{option}'")) && !told.contains("as a value"), "{told}");
    }
}

#[test]
fn an_input_that_is_the_name_of_a_file_and_a_word_too_many_are_told() {
    let stage = Stage::new();
    let plain = package(&stage, SCHEMA);
    stage.grant("plain", "");
    let ended = end(stage.agentry("run").arg(&plain).args(["--input", "question.json"])).with(2);
    ended.complains("is the name of a file");
    assert!(ended.stderr.contains("--input @question.json"), "{}", ended.stderr);
    let ended = end(stage.agentry("run").arg(&plain).args(["hello", "--name", "Ada"])).with(2);
    assert!(ended.stderr.contains("each field is given already"), "{}", ended.stderr);
    for (model, told) in [
        ("scripted", "scripted:FILE"),
        ("./answers.jsonl", "did you mean the script? scripted:./answers.jsonl"),
        ("embeded", "did you mean `embedded`?"),
    ] {
        let ended = end(stage.agentry("run").arg(&plain).args(["Ada", "--model", model])).with(2);
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

#[test]
fn amounts_rules_and_people_that_are_nearly_right_get_a_line_to_paste() {
    let stage = Stage::new();
    let file = |name: &str, text: &str| {
        let file = stage.write(name, text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    };
    let told = |told: &str| {
        let checked = end(&mut stage.agentry("policy check"));
        assert!(checked.stdout.contains(told), "no `{told}`:\n{}", checked.stdout);
    };
    for (line, meant) in [
        ("budget = { usd_day = \"$1\" }", "write `usd_day = \"1.00\"`"),
        ("budget = { wall_run = 60 }", "write `wall_run = \"60s\"`"),
        ("budget = { egress_day = \"10 MB\" }", "write `egress_day = \"10MiB\"`"),
        ("budget = { memory_mb = \"64MiB\" }", "write `memory_mb = 64`"),
        ("budget = { wall_run = \"soon\" }", "for example `wall_run = \"120s\"`"),
        ("[[allow]]\ntool = \"mail.send\"", "add `id = \"clerk/mail.send\"`"),
        ("llm = { models = [\u{201c}small\u{201d}] }", "texts stand in straight quotes"),
    ] {
        stage.grant("clerk", &format!("{line}\n"));
        told(meant);
    }
    stage.grant("clerk", "");
    file(
        "home/policies/00-site.toml",
        "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/x\"\nagent = \"clrek\"\ntool = \"a\"\nwhy = \"x\"\n\
         [[require]]\nid = \"site/y\"\ntool = \"b\"\nwhy = \"x\"\napproval = { from = \"ops\", factor = \"totp\" }\n",
    );
    end(stage.agentry("approver add").args(["alice", "--group", "ops"])).with(0);
    told("did you mean `clerk`?");
    told("did you mean `group:ops`?");
    end(stage.agentry("policy explain").args(["--agent", "clerk", "tol=x"])).with(2).complains("a call names one of");
    file(
        "home/tools.toml",
        "format = 1\n[tools.post]\ndescription = \"x\"\neffect = \"read\"\nschema = '{\"type\": \"object\"}'\ncommand = { program = \"sh\" }\n",
    );
    let tools = end(&mut stage.agentry("tools")).with(2).stderr;
    assert!(tools.contains("/bin/sh\"`"), "{tools}");
}

#[test]
fn a_host_says_which_of_its_triggers_could_only_fail() {
    let stage = Stage::new();
    let plain = package(&stage, SCHEMA);
    stage.grant("plain", "");
    fs::copy(&plain, stage.directory("home/agents").join("plain.wasm")).expect("a copy");
    let list = "format = 1\n[agents.plain]\nstart = [{ cron = \"0 7 * * *\", input = { nmae = \"Ada\" } }]\n";
    fs::set_permissions(stage.write("home/agents.toml", list), fs::Permissions::from_mode(0o644)).expect("it is ours");
    let host = begin(&mut stage.agentry("serve"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    host.interrupt();
    let told = host.end().with(0).stderr;
    assert!(told.contains("agent `plain` does not take this input"), "{told}");
}
