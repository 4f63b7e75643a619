//! What lies in a policy directory is read or named, what is written in it in other words is told in ours, and what it says beside what there
//! is in a home is checked before anybody relies on it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::stage::{Stage, agentry, end, guest};

const FORBID: &str =
    "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/no\"\nmemory = \"agent/**\"\nwhy = \"Nobody remembers.\"\n";

/// A home in which `steps` may remember.
fn stage() -> Stage {
    let stage = Stage::new();
    stage.grant("steps", "memory = { read = [\"agent/test/**\"], write = [\"agent/test/**\"] }\n");
    stage
}

fn remembers() -> Value {
    json!([["put", "agent/test/x", "key", "text"]])
}

fn check(text: &str) -> Value {
    let stage = Stage::new();
    let file = stage.write("home/policies/50-x.toml", text);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    end(stage.agentry("policy check").arg("--json")).json()
}

/// The first mistake and its hint.
fn mistake(text: &str) -> (String, String) {
    let checked = check(text);
    let mistake = &checked["mistakes"][0];
    let part = |key: &str| mistake[key].as_str().unwrap_or_default().to_owned();
    (part("message"), part("hint"))
}

fn warnings(stage: &Stage) -> Vec<(String, String)> {
    let checked = end(stage.agentry("policy check").arg("--json")).with(0).json();
    let part = |warning: &Value, key: &str| warning[key].as_str().unwrap_or_default().to_owned();
    let warnings = checked["warnings"].as_array().expect("a list").iter();
    warnings.map(|warning| (part(warning, "message"), part(warning, "hint"))).collect()
}

fn warns(stage: &Stage, message: &str, hint: &str) {
    let warnings = warnings(stage);
    let told = warnings.iter().any(|(told, remedy)| told.contains(message) && remedy.contains(hint));
    assert!(told, "no warning `{message}` with `{hint}`: {warnings:#?}");
}

#[test]
fn a_rule_in_a_file_that_is_not_read_is_an_error_that_names_it_and_nothing_runs() {
    let names = [
        "00-site.TOML",
        "00-site.toml.bak",
        "00-site",
        "00-site.toml~",
        ".00-site.toml",
        "00-site.txt",
        "site/00-site.toml",
    ];
    for name in names {
        let stage = stage();
        let file = stage.write(&format!("home/policies/{name}"), FORBID);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
        let named = name.split('/').next().unwrap_or(name);
        end(&mut stage.agentry("policy check")).with(2).complains(&format!("policies/{named}`"));
        let refused = end(&mut stage.run(&guest("steps"), &remembers())).with(2);
        refused.complains("is not read");
        stage.costs_nothing(&[]);
    }
    // The same rule, read, is one.
    let stage = stage();
    stage.write("home/policies/00-site.toml", FORBID);
    let output = end(&mut stage.run(&guest("steps"), &remembers())).with(0).json()["output"].to_string();
    assert!(output.contains("forbidden"), "{output}");
}

#[test]
fn what_an_open_editor_keeps_beside_a_policy_stops_nobody_and_an_orphan_of_it_does() {
    let stage = stage();
    stage.write("home/policies/.50-steps.toml.swp", "b0VIM");
    stage.write("home/policies/#50-steps.toml#", "agent = ");
    symlink("alice@here.77", stage.path("home/policies/.#50-steps.toml")).expect("a link");
    end(&mut stage.run(&guest("steps"), &remembers())).with(0);
    stage.write("home/policies/.00-site.toml.swp", "what was lost");
    end(&mut stage.agentry("policy check")).with(2).complains(".00-site.toml.swp` lies among the policies");
}

#[test]
fn a_single_file_that_the_directory_would_not_read_is_not_checked_as_if_it_were() {
    let stage = Stage::new();
    let file = stage.write("00-site.toml.new", FORBID);
    end(agentry().args(["policy", "check"]).arg(&file)).with(2).complains("does not end in `.toml`");
}

#[test]
fn words_of_other_languages_and_headings_of_the_wrong_kind_are_told_in_ours() {
    let grant = "format = 1\nlayer = \"grant\"\nagent = \"x\"\n";
    let site = "format = 1\nlayer = \"site\"\n";
    for (head, text, remedy) in [
        (grant, "[[deny]]\nid = \"a\"\n", "[[forbid]] in a file with `layer = \"site\"`"),
        (site, "[[deny]]\nid = \"a\"\n", "write [[forbid]]"),
        (site, "[[block]]\nid = \"a\"\n", "write [[forbid]]"),
        (grant, "[allow]\nid = \"a\"\ntool = \"b\"\n", "write [[allow]]"),
        (site, "[forbid]\nid = \"a\"\ntool = \"b\"\n", "write [[forbid]]"),
        (grant, "[[budget]]\nusd_day = \"1.00\"\n", "write [budget]"),
        (grant, "[[permit]]\ntool = \"b\"\n", "write [[allow]]"),
        (grant, "[[forbid]]\nid = \"a\"\n", "layer = \"site\""),
        (site, "[[allow]]\nid = \"a\"\n", "layer = \"grant\""),
        (grant, "models = [\"small\"]\n", "llm = { models = "),
        (grant, "description = \"a\"\n", "why = "),
        (grant, "[[ALLOW]]\nid = \"a\"\n", "write `allow`"),
        (grant, "[budget]\ntokens = 5\n", "tokens_day = "),
        (grant, "[budget]\nusd_month = \"5.00\"\n", "usd_day = "),
        (grant, "usd_day = \"5.00\"\n", "[budget]"),
        (grant, "[[allow]]\nid = \"a\"\ntool = \"b\"\nargs.c = { regex = \"^x\" }\n", "prefix = "),
        (grant, "[[allow]]\nid = \"a\"\ntool = \"b\"\nllm = { models = [\"*\"] }\n", "above the first [heading]"),
        (grant, "[[allow]]\nid = \"a\"\ntool = \"b\"\nparameters = {}\n", "args.subject = "),
        (site, "[[forbid]]\nid = \"a\"\ntool = \"b\"\nlabels_any = [\"c\"]\n", "when = { labels_any"),
        (grant, "[[files]]\nroot = \"docs\"\npath = \"/x\"\n", "at = "),
    ] {
        let (message, hint) = mistake(&format!("{head}{text}"));
        assert!(hint.contains(remedy), "{text}: {message} | {hint}");
    }
}

#[test]
fn a_value_in_the_wrong_form_is_answered_with_a_line_to_paste_and_no_echo() {
    let grant = |line: &str| format!("format = 1\nlayer = \"grant\"\n{line}");
    for (text, line) in [
        (grant("agent = \"My Agent\"\n"), "agent = \"my-agent\""),
        (grant("agent = \"x\"\nmemory = { read = [\"/team/*\"] }\n"), "read = [\"team/**\"]"),
        (grant("agent = \"x\"\nfiles = [{ root = \"docs\", at = \"out\", access = \"r\" }]\n"), "at = \"/out\""),
        (grant("agent = \"x\"\nhttp = [{ to = \"api.example.org/v1\" }]\n"), "to = \"https://api.example.org\""),
        (
            grant("agent = \"x\"\nhttp = [{ to = \"https://a.example.org\", methods = [\"get\"] }]\n"),
            "methods = [\"GET\"]",
        ),
        (grant("agent = \"x\"\npackage = \"x\"\n"), "package = \"acme:reporter@^1.2\""),
    ] {
        let (message, hint) = mistake(&text);
        assert!(hint.contains(line) && !hint.starts_with("it is "), "{text}: {message} | {hint}");
        // What it says is read, put in the place of what was wrong.
        let pasted = hint.split('`').nth(1).expect("a line in quotes").to_owned();
        let key = pasted.split(' ').next().expect("a key");
        assert!(text.contains(key), "{pasted}");
    }
}

#[test]
fn check_warns_of_what_a_policy_names_and_nobody_has() {
    let stage = Stage::new();
    stage.write("home/tools.toml", "format = 1\n[tools.\"mail.send\"]\ndescription = \"x\"\neffect = \"irreversible\"\nschema = '{\"type\": \"object\"}'\ncommand = { program = \"/bin/true\" }\n");
    stage.write(
        "home/agentry.toml",
        "format = 1\n[providers.p]\nkind = \"openai-compatible\"\nbase_url = \"http://192.0.2.1/v1\"\n[models.small]\nprovider = \"p\"\nmodel = \"m\"\n",
    );
    fs::create_dir_all(stage.path("home/agents")).expect("a directory");
    fs::copy(guest("steps"), stage.path("home/agents/steps.wasm")).expect("a copy");
    end(stage.agentry("approver add").args(["alice", "--group", "ops"])).with(0);
    for file in ["home/tools.toml", "home/agentry.toml"] {
        fs::set_permissions(stage.path(file), fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let grant = |lines: &str| {
        stage.grant("steps", &format!("package = \"test:steps\"\nwhy = \"x\"\n{lines}"));
    };
    let allow = |more: &str| {
        format!("[[allow]]\nid = \"steps/a\"\ntool = \"mail.send\"\nwhy = \"x\"\n{more}\n[budget]\ntokens_day = 5\n")
    };
    grant(&allow("args = \"any\""));
    assert_eq!(warnings(&stage), []);
    grant(&format!("expires = 2020-01-01\n{}", allow("")));
    warns(&stage, "the grant of `steps` is over", "later date");
    grant(&allow("approval = { from = \"group:opps\", factor = \"totp\" }"));
    warns(&stage, "nobody is in `group:opps`", "did you mean `group:ops`?");
    grant(&allow("approval = { from = \"bob\", factor = \"totp\" }"));
    warns(&stage, "no approver is called `bob`", "agentry approver add bob");
    grant(&allow("args.to = { each_in = [\"a\"] }"));
    warns(&stage, "an empty list passes", "min_items = 1");
    grant("[[allow]]\nid = \"steps/a\"\ntool = \"mail.sned\"\nwhy = \"x\"\n");
    warns(&stage, "no tool is called `mail.sned`", "did you mean `mail.send`?");
    grant("llm = { models = [\"smal\"], why = \"x\" }\n[budget]\ntokens_day = 5\n");
    warns(&stage, "no model is called `smal`", "did you mean `small`?");
    grant("llm = { models = [\"small\"], why = \"x\" }\n[budget]\nusd_day = \"1.00\"\n");
    warns(&stage, "model `small` has no price", "price = { input = ");
    grant("secrets = [{ handle = \"crm\", only_to = \"https://a.example.org\" }]\n");
    warns(&stage, "no secret is called `crm`", "[secrets.crm]");
    grant("agents = { call = [\"fetcher\"], why = \"x\" }\n");
    warns(&stage, "no agent is called `fetcher`", "[agents.fetcher]");
    grant("");
    stage.grant("stpes", "why = \"x\"\n");
    warns(&stage, "no agent is called `stpes`", "did you mean");
    stage.write(
        "home/policies/00-site.toml",
        "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/a\"\ntool = \"mail.sendd\"\nwhy = \"x\"\n",
    );
    warns(&stage, "no tool is called `mail.sendd`", "did you mean `mail.send`?");
}

#[test]
fn check_warns_of_a_rule_of_the_site_that_changes_nothing_because_a_name_is_misspelt() {
    let stage = Stage::new();
    let grant = "files = [{ root = \"reports\", at = \"/\", access = \"r\", labels = [\"secret\"], why = \"x\" }]\n\
                 http = [{ id = \"steps/api\", to = \"https://example.org\", why = \"x\" }]\n";
    stage.grant("steps", grant);
    let rule = |what: &str| {
        let file = stage.write(
            "home/policies/00-site.toml",
            &format!("format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/no\"\n{what}\nwhy = \"x\"\n"),
        );
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    };
    rule("effect = \"egress\"\nwhen = { labels_all = [\"untrustd\", \"secret\"] }");
    warns(&stage, "nothing gives the label `untrustd`", "did you mean `untrusted`?");
    rule("effect = \"egress\"\nwhen = { labels_any = [\"pii\"] }");
    warns(&stage, "nothing gives the label `pii`", "[[label]]");
    rule("root = \"reprots\"");
    warns(&stage, "no grant names the root `reprots`", "did you mean `reports`?");
    rule("host = \"exmaple.org\"");
    warns(&stage, "no grant names the host `exmaple.org`", "did you mean `example.org`?");
    // A rule may be there for grants to come.
    for good in [
        "effect = \"egress\"\nwhen = { labels_all = [\"untrusted\", \"secret\"] }",
        "root = \"vault\"",
        "host = \"evil.org\"",
    ] {
        rule(good);
        let odd = warnings(&stage)
            .into_iter()
            .find(|(told, _)| told.contains("nothing gives") || told.contains("no grant names"));
        assert_eq!(odd, None, "{good}");
    }
}

#[test]
fn the_policy_to_check_is_named_as_everywhere_else() {
    let stage = stage();
    let elsewhere = stage.path("elsewhere");
    fs::rename(stage.path("home/policies"), &elsewhere).expect("it is ours");
    let checked = end(stage.agentry("policy check").arg("--json").arg("--policies").arg(&elsewhere)).with(0).json();
    assert_eq!(checked["grants"][0]["agent"], "steps");
    end(stage.agentry("policy check").arg("--policies").arg(stage.path("nowhere"))).with(2).complains("is not there");
}

#[test]
fn a_test_of_an_argument_that_no_tool_has_and_labels_under_another_word_are_told() {
    let stage = Stage::new();
    let tools = stage.write(
        "home/tools.toml",
        "format = 1\n[tools.\"car.sell\"]\ndescription = \"x\"\neffect = \"irreversible\"\n\
         schema = '{\"type\": \"object\", \"properties\": {\"price\": {\"type\": \"integer\"}}}'\n\
         command = { program = \"/bin/true\" }\n",
    );
    fs::set_permissions(tools, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let rule = |what: &str| {
        let text = format!("format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/no\"\n{what}\nwhy = \"x\"\n");
        let file = stage.write("home/policies/00-site.toml", &text);
        fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    };
    for test in ["when = { pric = { min = 1, max = 50 } }", "unless = { pric = { min = 1, max = 50 } }"] {
        rule(&format!("tool = \"car.sell\"\n{test}"));
        warns(&stage, "`car.sell` has no argument `pric`", "did you mean `price`?");
        rule(&format!("tool = \"car.*\"\n{}", test.replace("pric", "price")));
        assert!(!warnings(&stage).iter().any(|(told, _)| told.contains("has no argument")), "{test}");
    }
    stage.grant(
        "steps",
        "[[allow]]\nid = \"steps/a\"\ntool = \"car.sell\"\nargs.prce = { min = 1, max = 5 }\nwhy = \"x\"\n",
    );
    warns(&stage, "`car.sell` has no argument `prce`", "did you mean `price`?");
    stage.grant(
        "steps",
        "[[allow]]\nid = \"steps/a\"\ntool = \"car.sell\"\nargs.price = { prefix = \"a\" }\nwhy = \"x\"\n\
         [[http]]\nto = \"https://a.example.org\"\nmethods = [\"GET\", \"PSOT\"]\nwhy = \"x\"\n",
    );
    warns(&stage, "argument `price` of `car.sell` is of the kind `integer`", "{ min = 1, max = 100 }");
    warns(&stage, "no common method is called `PSOT`", "did you mean `POST`?");
    for (wrong, told, hint) in [
        ("agents = { call = [\"Researcher\"] }", "lowercase letters", "write `call = "),
        ("budget = { usd_day = \"99999999999999999999\" }", "`usd_day` must be smaller", "for example `usd_day = "),
    ] {
        stage.grant("steps", &format!("{wrong}\n"));
        let refused = end(&mut stage.agentry("policy check")).with(2).stdout;
        assert!(refused.contains(told) && refused.contains(hint), "{refused}");
    }
    stage.grant("steps", "");
    for word in ["labels", "label_all", "label"] {
        rule(&format!("effect = \"egress\"\nwhen = {{ {word} = [\"untrusted\", \"secret\"] }}"));
        let refused = end(&mut stage.agentry("policy check")).with(2);
        assert!(refused.stdout.contains(&format!("`{word}` is no test of labels")), "{}", refused.stdout);
        assert!(refused.stdout.contains("write `labels_all`"), "{}", refused.stdout);
    }
}
