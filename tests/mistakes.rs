//! What people write wrong, in files of a home and in commands: each is told with its place, the line and a caret under it, and what was meant.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::approvals::{CONFIRM, ask, deny, id, open};
use crate::first_hour::package;
use crate::provider::{Behaviour, Server};
use crate::stage::{Ended, Stage, agentry, end, guest};

/// Looking at servers is over by then, and so is the command around it on a busy machine.
const SOON: Duration = Duration::from_secs(20);

const PROVIDER: &str =
    "format = 1\n[providers.near]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";

/// Writes a file that nobody else may read.
fn write(stage: &Stage, name: &str, text: &str) {
    let file = stage.write(name, text);
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

/// It names this place, shows the line with a caret under the column, and says this besides.
fn points(ended: &Ended, place: &str, line: &str, remedy: &str) {
    let told = &ended.stderr;
    assert!(told.contains(place) && told.contains(remedy), "{place}, {remedy}:\n{told}");
    let lines: Vec<&str> = told.lines().collect();
    let shown = lines.iter().position(|shown| shown.ends_with(&format!(" | {line}")));
    let shown = shown.unwrap_or_else(|| panic!("`{line}` is not shown:\n{told}"));
    let column = place.trim_end_matches(':').rsplit(':').next().and_then(|column| column.parse::<usize>().ok());
    let caret = lines[shown + 1].chars().position(|letter| letter == '^').expect("a caret");
    let margin = lines[shown].chars().count() - line.chars().count();
    assert_eq!(Some(caret - margin + 1), column, "{told}");
}

#[test]
fn a_mistake_in_any_file_of_a_home_shows_the_line_a_caret_and_what_was_meant() {
    let agents = |line: &str| format!("format = 1\n[agents.clerk]\n{line}\n");
    let tool = "description = \"x\"\neffect = \"read\"\nschema = '{\"type\": \"object\"}'\n";
    for (verb, file, text, place, line, remedy) in [
        (
            "models",
            "agentry.toml",
            format!("{PROVIDER}idle_timeout_m = 3\n"),
            "5:1:",
            "idle_timeout_m = 3",
            "`idle_timeout_ms`?",
        ),
        (
            "models",
            "agentry.toml",
            format!("{PROVIDER}idle_timeout = 3\n"),
            "5:1:",
            "idle_timeout = 3",
            "`idle_timeout_ms`?",
        ),
        (
            "models",
            "agentry.toml",
            "format = 1\n[providers.near]\nkind = \"OpenAI\"\n".to_owned(),
            "3:8:",
            "kind = \"OpenAI\"",
            "`openai`?",
        ),
        (
            "models",
            "agentry.toml",
            format!("{PROVIDER}idle_timeout_ms = \"3\"\n"),
            "5:19:",
            "idle_timeout_ms = \"3\"",
            "a whole number",
        ),
        (
            "models",
            "agentry.toml",
            format!("{PROVIDER}plain_http = maybe\n"),
            "5:14:",
            "plain_http = maybe",
            "key = value",
        ),
        ("models", "agentry.toml", "format = 1\n[tools.x]\n".to_owned(), "2:2:", "[tools.x]", "tools.toml"),
        ("agents", "agents.toml", agents("componnet = \"x\""), "3:1:", "componnet = \"x\"", "`component`?"),
        ("agents", "agents.toml", agents("cron = \"0 7 * * *\""), "3:1:", "cron = \"0 7 * * *\"", "start = [{ cron = "),
        ("agents", "agents.toml", "format = 1\n[agents.clerk\n".to_owned(), "2:14:", "[agents.clerk", "[heading]"),
        (
            "tools",
            "tools.toml",
            format!("format = 1\n[tools.mail.send]\n{tool}"),
            "2:13:",
            "[tools.mail.send]",
            "[tools.\"mail.send\"]",
        ),
        (
            "tools",
            "tools.toml",
            format!("format = 1\n[tools.x]\n{tool}cmd = \"ls\"\n"),
            "6:1:",
            "cmd = \"ls\"",
            "command = { program",
        ),
    ] {
        let stage = Stage::new();
        write(&stage, &format!("home/{file}"), &text);
        let ended = end(&mut stage.agentry(verb)).with(2);
        ended.complains(&format!("{file}:{place}"));
        points(&ended, &format!("{file}:{place}"), line, remedy);
    }
}

#[test]
fn a_mistake_in_agent_toml_shows_the_line_a_caret_and_what_was_meant() {
    let stage = Stage::new();
    package(&stage, "");
    let bare = stage.path("plain-of-another-toolchain.wasm");
    let head = "name = \"local:plain\"\nversion = \"0.1.0\"\n";
    for (text, place, line, remedy) in [
        ("[wants.llm]\nmodel = [\"*\"]\n", "4:1:", "model = [\"*\"]", "did you mean `models`?"),
        ("[wants.llm]\nmodels = [\"*\"]\nwhy = 3\n", "5:7:", "why = 3", "why = \"…\""),
        ("[wants.lm]\n", "3:8:", "[wants.lm]", "did you mean `llm`?"),
        ("[wants.files]\nroot = \"x\"\n", "3:1:", "[wants.files]", "[[wants.files]]"),
        ("[budget]\ntoken_run = 5\n", "4:13:", "token_run = 5", "did you mean `tokens_run`?"),
        (
            "[[wants.files]]\nroot = \"a\"\naccess = \"r\"\nwhy = \"x\"\n[[wants.files]]\nroot = \"../b\"\naccess = \"r\"\nwhy = \"x\"\n",
            "8:8:",
            "root = \"../b\"",
            "for example `documents`",
        ),
        ("input_schema = '{\"type\": 3}'\n", "3:16:", "input_schema = '{\"type\": 3}'", "write JSON Schema"),
        ("descripton = \"x\"\n", "3:1:", "descripton = \"x\"", "did you mean `description`?"),
    ] {
        stage.write("agent.toml", &format!("{head}{text}"));
        let ended = end(agentry().arg("build").arg(&bare)).with(2);
        points(&ended, &format!("agent.toml:{place}"), line, remedy);
    }
}

#[test]
fn a_key_that_stands_in_a_file_itself_is_refused_and_no_command_shows_it() {
    for line in [
        "key = \"hunter2-key\"",
        "key = \"hunter2-key",
        "api_key = \"hunter2-key\"",
        "key = { env = \"sk-hunter2-key\" }",
    ] {
        let stage = Stage::granting(&guest("echo"));
        write(
            &stage,
            "home/agentry.toml",
            &format!("{PROVIDER}{line}\n[models.m]\nprovider = \"near\"\nmodel = \"m\"\n"),
        );
        for verb in ["models", "doctor", "policy check", "tools", "budget"] {
            let ended = end(&mut stage.agentry(verb));
            assert!(!ended.stdout.contains("hunter2") && !ended.stderr.contains("hunter2"), "{verb}: {}", ended.stderr);
        }
        let ended = end(&mut stage.run(&guest("echo"), &json!(1))).with(2);
        assert!(!ended.stderr.contains("hunter2") && ended.stderr.contains("agentry.toml:5:"), "{}", ended.stderr);
        assert!(ended.stderr.contains("env = \"NAME\"") || line.ends_with("key"), "{}", ended.stderr);
    }
}

#[test]
fn a_key_file_is_looked_for_beside_the_file_that_names_it() {
    let stage = Stage::new();
    let server = Server::that(Behaviour::Hangs);
    let provider = PROVIDER.replace("127.0.0.1:1/", &format!("127.0.0.1:{}/", server.port()));
    let text = format!("{provider}key = {{ file = \"keys/near\" }}\n[models.m]\nprovider = \"near\"\nmodel = \"m\"\n");
    write(&stage, "home/agentry.toml", &text);
    let trouble = || {
        let listed = end(stage.agentry("models").arg("--json").current_dir("/")).with(0).json();
        listed.as_array().and_then(|all| all.iter().find(|model| model["alias"] == "m")).expect("it is listed")["trouble"]
            .to_string()
    };
    assert!(trouble().contains("home/keys/near"), "{}", trouble());
    write(&stage, "home/keys/near", "a-key\n");
    assert!(!trouble().contains("keys/near"), "{}", trouble());
}

#[test]
fn a_server_that_is_down_or_says_nothing_is_told_with_what_mends_it() {
    let stage = Stage::new();
    let silent = Server::that(Behaviour::Hangs);
    let provider = |name: &str, port: u16| {
        format!(
            "[providers.{name}]\nkind = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{port}/v1\"\n\
             [models.{name}]\nprovider = \"{name}\"\nmodel = \"m\"\n"
        )
    };
    let text = format!("format = 1\ndefault = \"down\"\n{}{}", provider("down", 1), provider("silent", silent.port()));
    write(&stage, "home/agentry.toml", &text);
    let ended = end(stage.agentry("models").arg("--json")).with(0);
    assert!(ended.took < SOON, "{:?}", ended.took);
    let listed = ended.json();
    let trouble = |alias: &str| {
        let found = listed.as_array().and_then(|all| all.iter().find(|model| model["alias"] == alias));
        found.and_then(|model| model["trouble"].as_str()).unwrap_or_default().to_owned()
    };
    assert!(
        trouble("down").contains("refused\nhint: start the server, or correct `base_url` below [providers.down]"),
        "{listed}"
    );
    assert!(trouble("silent").contains("has said nothing for 1.8 s\nhint: "), "{listed}");
    let doctor = end(stage.agentry("doctor").arg("--json")).with(2).json();
    let state = |alias: &str| {
        let named = format!("`{alias}`");
        let all = doctor.as_array().expect("a list").iter();
        all.filter(|finding| finding["about"] == "models")
            .find(|finding| finding["found"].to_string().contains(&named))
            .cloned()
    };
    let (down, silent) = (state("down").expect("it is told"), state("silent").expect("it is told"));
    assert_eq!(
        (&down["state"], &silent["state"]),
        (&json!("wrong"), &json!("odd")),
        "the default is in the way: {doctor}"
    );
    assert!(down["mend"].to_string().contains("[providers.down] in agentry.toml"), "{down}");
}

#[test]
fn a_question_that_is_closed_is_told_as_such_where_no_host_serves() {
    let stage = crate::approvals::stage(CONFIRM);
    let run = ask(&stage, "hello");
    let question = id(&open(&stage, 1)[0]);
    deny(&stage, &question, "not today").with(0);
    run.end().with(3);
    for verb in [&["approve", &question][..], &["deny", &question, "--because", "x"]] {
        let ended = end(agentry().args(verb).arg("--home").arg(stage.home())).with(3);
        ended.complains("no open question is called ");
        assert!(
            ended.stderr.contains("said no already") && !ended.stderr.contains("agentry serve"),
            "{}",
            ended.stderr
        );
    }
    // One that nobody asked is not there, host or not.
    end(stage.agentry("approve").arg("zzzz")).with(2).complains("no open question is called `zzzz`");
}

#[test]
fn a_misspelt_field_of_an_input_is_no_text() {
    let stage = Stage::new();
    let schema = "input_schema = '{\"type\": \"object\", \"required\": [\"name\"], \"properties\": {\"name\": {\"type\": \"string\"}}}'\n";
    let component = package(&stage, schema);
    stage.grant("plain", "package = \"local:plain\"\nwhy = \"x\"\n");
    let run = |words: &[&str]| end(stage.agentry("run").arg(&component).arg("--json").args(words));
    let misspelt = run(&["nme=Bob"]).with(2);
    misspelt.complains("takes no `nme`");
    assert!(misspelt.stderr.contains("did you mean `--name`?"), "{}", misspelt.stderr);
    run(&["colour=red"]).with(2).complains("takes no `colour`");
    assert_eq!(run(&["name=Bob"]).with(0).json()["output"], json!({"name": "Bob"}));
    assert_eq!(run(&["Bob & x=y"]).with(0).json()["output"], json!({"name": "Bob & x=y"}));
}

/// No object in it has a hint in which nothing stands.
fn no_empty_hint(value: &Value) {
    match value {
        Value::Object(object) => {
            assert_ne!(object.get("hint"), Some(&json!("")), "{value}");
            object.values().for_each(no_empty_hint);
        }
        Value::Array(items) => items.iter().for_each(no_empty_hint),
        _ => {}
    }
}

#[test]
fn no_report_has_a_hint_in_which_nothing_stands() {
    for (agent, input) in [("fail", json!(1)), ("panic", json!(1)), ("steps", json!([["get", "team/none", "key"]]))] {
        let component = guest(agent);
        let stage = Stage::granting(&component);
        let ended = end(&mut stage.run(&component, &input));
        no_empty_hint(&ended.json());
        no_empty_hint(&end(stage.agentry("ps").arg("--json")).with(0).json());
        no_empty_hint(&end(stage.agentry("trace").args(["last", "--json"])).with(0).json());
    }
}

#[test]
fn a_home_that_was_named_and_is_not_there_is_no_empty_past() {
    let stage = Stage::new();
    let nowhere = stage.path("nowhere");
    for verb in [
        "ps",
        "trace last",
        "logs last",
        "wait last",
        "budget",
        "agents",
        "tools",
        "models",
        "mail",
        "approvals",
        "questions",
        "notices",
        "triggers",
        "audit verify",
        "clock",
        "policy check",
        "policy can x",
        "policy learn x",
        "approver list",
        "policy simulate --against last",
        "approve x",
        "kill x",
        "replay last",
        "export last --out x",
        "policy lock --because x",
    ] {
        let ended = end(agentry().args(verb.split(' ')).arg("--home").arg(&nowhere)).with(2);
        ended.complains("nowhere`, and --home names it");
        assert!(ended.stderr.contains("agentry setup --home "), "{verb}: {}", ended.stderr);
        let ended = end(agentry().args(verb.split(' ')).env("AGENTRY_HOME", &nowhere)).with(2);
        ended.complains("nowhere`, and AGENTRY_HOME names it");
    }
    assert!(!nowhere.exists(), "whoever looks makes nothing");
    let file = stage.write("file", "x");
    end(agentry().arg("ps").arg("--home").arg(file)).with(2).complains("is no directory");
    // The home that nobody named need not be there yet.
    let fresh = end(agentry().arg("ps").env("XDG_DATA_HOME", stage.path("data"))).with(0);
    assert!(fresh.stderr.contains("no runs yet"), "{}", fresh.stderr);
}

#[test]
fn questions_about_a_policy_say_which_name_or_which_form_was_meant() {
    let stage = Stage::new();
    stage.grant("clerk", "llm = { models = [\"small\"] }\n[budget]\nusd_day = \"1.00\"\ntokens_day = 5\n");
    stage.grant("scribe", "");
    let explain = |agent: &str| end(stage.agentry("policy explain").args(["--agent", agent, "memory=team/x"]));
    let misspelt = explain("clrk").with(2);
    misspelt.complains("no policy file grants anything to agent `clrk`");
    assert!(misspelt.stderr.contains("did you mean `clerk`?"), "{}", misspelt.stderr);
    assert!(explain("nobody-like-that").with(3).stdout.starts_with("deny"));
    let unnamed = end(stage.agentry("policy explain").arg("memory=team/x")).with(2);
    assert!(unnamed.stderr.contains("there is clerk, scribe"), "{}", unnamed.stderr);
    end(&mut stage.run(&guest("echo"), &json!(1))).with(3);
    let set = |set: &str| end(stage.agentry("policy simulate").args(["--against", "last", "--set", set]));
    // A shell takes the quotes away, and a text is a text without them.
    assert!([0, 1].contains(&set("clerk.usd_day=2.50").code));
    for (wrong, right) in [
        ("clerk.models=large", "--set 'clerk.models=[\"large\"]'"),
        ("clerk.tokens_day=many", "--set clerk.tokens_day=80000"),
        ("clerk.nothing=1", "in `clerk` that is budget.tokens_day, budget.usd_day, llm.models"),
    ] {
        let ended = set(wrong).with(2);
        assert!(ended.stderr.contains(right), "{}", ended.stderr);
    }
    let flaw = set("clerk.usd_day=two dollars").with(2);
    assert!(flaw.stderr.contains("with `--set clerk.usd_day=two dollars` this is no policy"), "{}", flaw.stderr);
}

#[test]
fn a_caret_stands_under_its_place_on_any_screen() {
    let stage = Stage::new();
    let models = (0..30).map(|at| format!("\"model-{at}\"")).collect::<Vec<_>>().join(", ");
    let line = format!(
        "llm = {{ models = [{models}], max_token = 5, why = \"It writes the weekly report for operations.\" }}"
    );
    stage.write("home/policies/50-x.toml", &format!("format = 1\nlayer = \"grant\"\nagent = \"x\"\n{line}\n"));
    write(&stage, "home/tools.toml", &format!("format = 1\n[tools.x]\n{}", line.replace("llm = ", "command = ")));
    for columns in ["60", "80", "120"] {
        for verb in ["policy check", "tools", "doctor"] {
            let ended = end(stage.agentry(verb).env("COLUMNS", columns)).with(2);
            let told = format!("{}\n{}", ended.stdout, ended.stderr);
            let lines: Vec<&str> = told.lines().collect();
            let carets = lines.windows(2).filter(|pair| pair[1].trim_start().trim_start_matches("| ").trim() == "^");
            for pair in carets {
                let at = pair[1].chars().position(|letter| letter == '^').expect("a caret");
                let under: String = pair[0].chars().skip(at).take(5).collect();
                assert!(
                    ["max_t", "model"].iter().any(|place| under.starts_with(place)) || under.starts_with('x'),
                    "{verb} {columns}:\n{told}"
                );
                assert!(pair.iter().all(|line| line.chars().count() <= columns.parse().unwrap_or(0)), "{told}");
            }
            assert!(told.contains('^'), "{verb} {columns}:\n{told}");
        }
    }
}

#[test]
fn a_narrow_table_says_what_it_does_not_show() {
    let stage = Stage::granting(&guest("echo"));
    fs::copy(guest("echo"), stage.directory("home/agents").join("echo.wasm")).expect("a copy");
    let tool = "description = \"x\"\neffect = \"irreversible\"\nschema = '{\"type\": \"object\"}'\nlabels = [\"untrusted\"]\n\
                command = { program = \"/usr/bin/true\" }\n";
    write(&stage, "home/tools.toml", &format!("format = 1\n[tools.\"calendar.entries.send\"]\n{tool}"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    for (verb, hidden) in [("ps", "began (UTC)"), ("tools", "where"), ("models", "answer")] {
        let wide = end(stage.agentry(verb).env("COLUMNS", "120")).with(0).stdout;
        assert!(wide.contains(hidden) && !wide.contains("not shown"), "{wide}");
        let narrow = end(stage.agentry(verb).env("COLUMNS", "50")).with(0).stdout;
        let note = narrow.replace('\n', " ");
        assert!(
            note.contains("not shown on 50 columns: ") && note.contains(hidden) && note.contains("--json"),
            "{narrow}"
        );
        assert!(!narrow.lines().next().unwrap_or_default().contains(hidden), "{narrow}");
    }
    // Help is broken by the screen alone: no line is a stub between two longer ones.
    for columns in ["60", "80"] {
        let help = end(agentry().args(["policy", "explain", "--help"]).env("COLUMNS", columns)).with(0).stdout;
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
    }
}

#[test]
fn words_that_pick_calls_are_known_and_what_fits_none_is_told() {
    let stage = Stage::granting(&guest("echo"));
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    for (verb, words, told) in [
        ("trace last", ["--decision", "alowed"], "did you mean `allowed`?"),
        ("trace last", ["--decision", "wibble"], "it is one of allowed, open, waits"),
        ("trace last", ["--syscall", "memry"], "did you mean `memory`?"),
        ("audit calls", ["--syscall", "nothing"], "it is one of agents"),
        ("audit calls", ["--decision", "forbiden"], "did you mean `forbidden`?"),
    ] {
        let ended = end(stage.agentry(verb).args(words)).with(2);
        assert!(ended.stderr.contains(told), "{verb} {words:?}: {}", ended.stderr);
    }
    for (verb, words) in [("trace last", ["--label", "nothing"]), ("audit calls", ["--decision", "forbidden"])] {
        let ended = end(stage.agentry(verb).args(words)).with(0);
        assert!(ended.stderr.contains("no such calls"), "{verb} {words:?}: {}", ended.stderr);
    }
    // What was pruned is told where its calls would stand.
    end(stage.agentry("prune").args(["--older-than", "0s"])).with(0);
    let pruned = end(stage.agentry("audit calls").args(["--refused", "--since", "1d"])).with(0);
    let told = &pruned.stderr;
    assert!(told.contains("no such calls") && told.contains("the journals of 1 run were pruned"), "{told}");
}

#[test]
fn verbs_of_other_programs_and_options_of_none_say_what_is_meant_here() {
    for (verb, meant) in [
        ("stop", "agentry kill"),
        ("start", "agentry run"),
        ("upgrade", "agentry update"),
        ("remove", "agentry uninstall"),
        ("version", "agentry --version"),
    ] {
        let ended = end(agentry().arg(verb)).with(2);
        assert!(ended.stderr.contains(meant), "{verb}: {}", ended.stderr);
    }
    let stage = Stage::granting(&guest("echo"));
    let run = |words: &[&str]| end(stage.agentry("run").arg(guest("echo")).args(words)).with(2).stderr;
    let told = run(&["--inputs", "x"]);
    assert!(told.contains("has no option `--inputs`") && told.contains("did you mean `--input`?"), "{told}");
    assert!(run(&["--budget", "1"]).contains("budgets stand in the agent's grant"));
    let told = end(stage.agentry("policy explain").arg("car.sell")).with(2).stderr;
    assert!(told.contains("for example `tool=car.sell`"), "{told}");
    let told = end(stage.agentry("policy diff").args(["nosuch", "nosuch"])).with(2);
    told.complains("`nosuch` is not there");
    let told = end(stage.agentry("approver add").args(["bob", "--group", "group:ops"])).with(2).stderr;
    assert!(told.contains("leave `group:` out here: --group ops"), "{told}");
    let told = end(stage.agentry("resolve").arg("last/1")).with(2).stderr;
    assert!(told.contains("--happened") && told.contains("--did-not"), "{told}");
    end(stage.agentry("run").arg(guest("echo")).args(["--model", "scripted:nosuch"]))
        .with(2)
        .complains("cannot read the script");
    // A home that is lost takes a backup in it along.
    end(&mut stage.run(&guest("echo"), &json!(1))).with(0);
    end(stage.agentry("backup").arg(stage.home().join("bak/deep"))).with(2).complains("lies in the home");
    assert!(!stage.home().join("bak").exists(), "nothing was made");
}

#[test]
fn an_input_that_an_agent_does_not_take_is_told_before_its_trigger_comes() {
    let stage = Stage::new();
    let schema = "input_schema = '{\"type\": \"object\", \"required\": [\"name\"]}'\n";
    let component = package(&stage, schema);
    let agents = |input: &str| {
        format!(
            "format = 1\n[agents.plain]\ncomponent = {component:?}\nstart = [\n{{ cron = \"0 7 * * *\", input = {input} }}]\n"
        )
    };
    stage.write("home/agents.toml", &agents("{ nme = 1 }"));
    for (verb, code) in [("agents", 0), ("triggers list", 0), ("doctor", 2)] {
        let ended = end(&mut stage.agentry(verb)).with(code);
        let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("agents.toml:5:23") && told.contains("does not take this input"), "{verb}: {told}");
    }
    stage.write("home/agents.toml", &agents("{ name = 1 }"));
    assert!(!end(&mut stage.agentry("agents")).with(0).stdout.contains("does not take"));
}
