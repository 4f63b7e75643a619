//! Tools that change while a host serves: one that is there is called, one that is gone is refused, what people were asked about one that
//! differs is void, and a registry of which anything makes no sense changes nothing.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::approvals::{approvals, approve, id, open};
use crate::serve::serve;
use crate::stage::{Ended, Stage, begin, end, guest};
use crate::tools::{ANY, call, error, registry, text};

const GRANT: &str = "format = 1\nlayer = \"grant\"\nagent = \"tools\"\n\
                     [[allow]]\nid = \"tools/test\"\ntool = \"test.*\"\nargs = \"any\"\n\
                     [budget]\nwall_run = \"100s\"\ntool_calls_run = 20\n";

/// People say yes to each call of `test.mark`.
const ASKING: &str = "format = 1\nlayer = \"site\"\n[[require]]\nid = \"site/ask\"\ntool = \"test.mark\"\n\
                      approval = { from = \"anyone\", factor = \"confirm\", ttl = \"100s\" }\nwhy = \"A person looks first.\"\n";

fn stage(tools: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(GRANT);
    registry(&stage, tools);
    stage
}

/// A tool that is a line of shell.
fn shell(name: &str, description: &str, line: &str) -> String {
    format!(
        "[tools.\"{name}\"]\ndescription = \"{description}\"\neffect = \"irreversible\"\nschema = {ANY}\n\
         command = {{ program = \"/bin/sh\", args = [\"-c\", '''{line}'''] }}\n"
    )
}

/// Says that it has begun, and waits until it may end.
fn waiting(stage: &Stage) -> String {
    let (begun, go) = (stage.path("begun"), stage.path("go"));
    let line = format!("touch {}; while [ ! -e {} ]; do sleep 0.05; done; echo waited", begun.display(), go.display());
    shell("test.wait", "Waits.", &line)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_there(file: &Path) {
    until(&file.display().to_string(), || file.exists());
}

fn run(stage: &Stage, calls: &[Value]) -> Ended {
    end(&mut stage.run(&guest("tools"), &json!({"calls": calls})))
}

/// The tools that the agent sees on the host now.
fn listed(stage: &Stage) -> Value {
    run(stage, &[]).with(0).json()["output"]["listed"].clone()
}

#[test]
fn tools_change_while_a_run_waits_and_a_call_in_flight_ends_with_what_it_began_with() {
    let stage = stage("");
    let old = shell("test.old", "Goes.", "echo old");
    registry(&stage, &(waiting(&stage) + &old));
    let server = serve(&mut stage.agentry("serve"));
    let calls = ["test.wait", "test.new", "test.old"].map(|tool| call(tool, &json!({})));
    let running = begin(&mut stage.run(&guest("tools"), &json!({"calls": calls})));
    is_there(&stage.path("begun"));
    // The one that is called now says something else from here on, too.
    let other = shell("test.wait", "Waits no more.", "echo another");
    registry(&stage, &(other + &shell("test.new", "Comes.", "echo new")));
    until("the new tools", || listed(&stage) == json!(["test.new", "test.wait"]));
    stage.write("go", "");
    let ended = running.end().with(0);
    let told = "other tools are there: added test.new; changed test.wait; gone test.old";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    let report = ended.json();
    let answers = report["output"]["answers"].as_array().expect("the guest tells");
    assert_eq!(text(&answers[0]).trim(), "waited");
    assert_eq!(text(&answers[1]).trim(), "new");
    assert!(error(&answers[2]).starts_with("not found"), "{report}");
    let refusal = &report["refusals"][0];
    assert_eq!(refusal["because"], "no tool is registered as `test.old`", "{report}");
    assert_eq!(
        text(&run(&stage, &[call("test.wait", &json!({}))]).with(0).json()["output"]["answers"][0]).trim(),
        "another"
    );
    server.stop();
    stage.nothing_moved(&[]);
    stage.replays();
    end(stage.agentry("audit verify").arg("--json")).with(0);
}

#[test]
fn what_people_are_asked_about_a_tool_is_void_once_the_tool_differs() {
    let stage = stage("");
    stage.write("home/policies/00-site.toml", ASKING);
    let mark = stage.path("mark");
    let tool = |description: &str| shell("test.mark", description, &format!("touch {}", mark.display()));
    registry(&stage, &tool("Makes a mark."));
    let server = serve(&mut stage.agentry("serve"));
    let running = begin(&mut stage.run(&guest("tools"), &json!({"calls": [call("test.mark", &json!({}))]})));
    let question = open(&stage, 1).remove(0);
    // Another tool leaves it open.
    registry(&stage, &(tool("Makes a mark.") + &shell("test.other", "Does nothing.", "true")));
    until("another tool", || listed(&stage) == json!(["test.mark", "test.other"]));
    assert_eq!(open(&stage, 1).remove(0)["id"], question["id"]);
    registry(&stage, &tool("Makes another mark."));
    let ended = running.end();
    let report = ended.json();
    assert_eq!(report["refusals"][0]["code"], "not-approved", "{report}");
    let because = report["refusals"][0]["because"].as_str().expect("a reason");
    assert!(because.contains("the tool changed while people were asked"), "{because}");
    let late = approve(&stage, &id(&question), &[]).with(3);
    late.complains("the policy or the tool changed");
    let all = approvals(&stage);
    assert_eq!(all["questions"][0]["state"], "void", "{all}");
    server.stop();
    stage.costs_nothing(&[&mark]);
    stage.replays();
}

#[test]
fn a_registry_that_makes_no_sense_keeps_the_tools_that_were_there_and_says_so() {
    let good = shell("test.one", "One.", "echo one");
    let stage = stage(&good);
    let server = serve(&mut stage.agentry("serve"));
    assert_eq!(listed(&stage), json!(["test.one"]));
    let more = shell("test.two", "Two.", "echo two");
    for spoil in ["misspelt", "writable", "untested"] {
        let alarm = match spoil {
            "misspelt" => {
                registry(&stage, &format!("{good}{}", more.replace("effect", "efect")));
                "tools.toml:"
            }
            "writable" => {
                use std::os::unix::fs::PermissionsExt;
                let file = stage.path("home/tools.toml");
                fs::set_permissions(file, fs::Permissions::from_mode(0o666)).expect("it is ours");
                "everybody may write"
            }
            _ => {
                // Well formed, but the policy says by a test of its own what it decides about a tool that does no harm.
                let test = "[[forbid]]\nid = \"site/harm\"\neffect = \"irreversible\"\nwhy = \"It does harm.\"\n\
                            [[test]]\nagent = \"tools\"\nexpect = \"allow\"\ncall = { tool = \"test.one\", args = {} }\n";
                registry(&stage, &good.replace("irreversible", "read"));
                until("it does no harm", || {
                    let told = run(&stage, &[]).with(0).stderr;
                    !told.contains("cannot be used as they stand there")
                });
                stage.write("home/policies/00-site.toml", &format!("format = 1\nlayer = \"site\"\n{test}"));
                until("the policy", || end(&mut stage.agentry("policy test")).code == 0);
                thread::sleep(Duration::from_millis(500));
                registry(&stage, &good);
                "a test of the policy would fail with these tools"
            }
        };
        until(alarm, || {
            let told = run(&stage, &[]).with(0).stderr;
            told.contains("the tools cannot be used as they stand there") && told.contains(alarm)
        });
        assert_eq!(listed(&stage), json!(["test.one"]), "{spoil}");
        let answered = run(&stage, &[call("test.one", &json!({}))]).with(0).json();
        assert_eq!(text(&answered["output"]["answers"][0]).trim(), "one", "{spoil}");
    }
    fs::remove_file(stage.path("home/policies/00-site.toml")).expect("it is ours");
    registry(&stage, &(good + &more));
    until("both", || listed(&stage) == json!(["test.one", "test.two"]));
    server.stop();
    end(stage.agentry("audit verify").arg("--json")).with(0);
}
