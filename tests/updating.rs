//! The next version of what is installed, and the way back: what goes by itself, what waits for a person, and what is stopped.

use std::fs;

use serde_json::{Value, json};

use crate::installing::{Market, package, steps, text};
use crate::serve::serve;
use crate::stage::{agentry, begin, end};

#[test]
fn an_update_that_may_do_no_more_goes_by_itself_and_one_that_may_waits_and_shows_a_call() {
    let market = Market::new();
    let stage = &market.stage;
    let echo = |file: &str, version: &str, seq: u32, wants: Value| {
        market.publish(&package(stage, file, "echo", |manifest| {
            manifest["version"] = version.into();
            manifest["seq"] = seq.into();
            manifest["wants"] = wants;
        }));
    };
    let memory = |to: &str| json!({"memory": {"read": [to], "why": "It remembers.", "write": [to]}});
    echo("1.wasm", "1.0.0", 1, memory("agent/keeper/**"));
    end(&mut market.install("acme:keeper")).with(0);
    let run = |n: u32| end(stage.agentry("run").args(["keeper", "--json", "--input", &n.to_string()])).with(0).json();
    assert_eq!(run(1)["output"], 1);
    assert!(text(&end(stage.agentry("update").arg("keeper"))).contains("is the newest"));
    // Narrower, and it does what the recorded run did.
    echo("2.wasm", "1.1.0", 2, memory("agent/keeper/a/**"));
    let dry = end(stage.agentry("update").args(["--dry-run", "--json"])).with(0).json();
    let update = &dry[0]["update"];
    assert_eq!(
        (&update["rights"]["verdict"], &update["waits"], &update["from"]),
        (&json!("narrower"), &Value::Null, &json!("1.0.0"))
    );
    assert_eq!((&update["shadow"][0]["differs"], dry[0]["outcome"].as_str()), (&Value::Null, Some("found")));
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"), "whoever only looks changes nothing");
    // As long as it cools off, it waits.
    market.configure("cool_off = \"1d\"\n", "at = \"../index\"\n");
    end(stage.agentry("update").args(["keeper", "--yes"])).with(3).complains("it cools off for");
    market.configure("cool_off = \"0s\"\n", "at = \"../index\"\n");
    end(stage.agentry("update").arg("--yes")).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
    assert_eq!(run(2)["output"], 2);
    // Wider: the screen shows a call that would become possible.
    echo("3.wasm", "1.2.0", 3, memory("agent/**"));
    let waits = end(stage.agentry("update").args(["keeper", "--yes"])).with(3);
    waits.complains("it asks for more than the present version");
    assert!(waits.stdout.contains("newly allowed") && waits.stdout.contains("was deny, is allow"), "{}", waits.stdout);
    assert_eq!(end(stage.agentry("update").args(["--yes", "--json"])).with(3).json()[0]["outcome"], "waits");
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
    let code = market.code("acme:keeper");
    end(stage.agentry("update").args(["keeper", "--consent", &code])).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.2.0"));
    let grant = fs::read_to_string(stage.path("home/policies/50-keeper.toml")).expect("a grant");
    assert!(grant.contains("\"agent/**\""), "{grant}");
    // And back, with the grant of then.
    let back = end(stage.agentry("rollback").args(["keeper", "--json"])).with(0).json();
    assert_eq!(back["version"], "1.1.0");
    let grant = fs::read_to_string(stage.path("home/policies/50-keeper.toml")).expect("a grant");
    assert!(!grant.contains("\"agent/**\""), "{grant}");
    assert_eq!(run(3)["output"], 3);
    end(stage.agentry("rollback").arg("nobody")).with(2).complains("no agent `nobody`");
    end(&mut stage.agentry("update nobody")).with(2).complains("no agent `nobody`");
    end(&mut stage.agentry("verify nobody")).with(2).complains("no agent `nobody`");
    // What a run began with, it can be executed again with.
    stage.replays();
}

#[test]
fn a_rollback_brings_its_folders_back_and_goes_forward_by_a_person_alone() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "steps", steps));
    let documents = stage.directory("documents");
    fs::write(documents.join("a.txt"), "whale").expect("a file");
    end(market.install("acme:keeper").args(["--root", &format!("documents={}", documents.display())])).with(0);
    let input = json!([["read", "documents", "a.txt"]]).to_string();
    let reads =
        || end(stage.agentry("run").args(["keeper", "--json", "--input", &input])).with(0).json()["output"].clone();
    assert_eq!(reads(), json!(["whale"]));
    market.publish(&package(stage, "2.wasm", "echo", |manifest| {
        manifest["version"] = "1.1.0".into();
        manifest["seq"] = 2.into();
    }));
    end(stage.agentry("update").args(["keeper", "--consent", &market.code("acme:keeper")])).with(0);
    end(stage.agentry("rollback").arg("keeper")).with(0);
    assert_eq!(reads(), json!(["whale"]));
    // Back is back: not forward by a second one, and not by itself.
    let again = end(stage.agentry("rollback").arg("keeper")).with(2);
    again.complains("no version of `keeper` before 1.0.0 is here");
    assert!(again.stderr.contains("agentry update keeper"), "{}", again.stderr);
    let told = end(stage.agentry("update").args(["--yes", "--json"])).with(0).json();
    assert_eq!((&told[0]["outcome"], &told[0]["version"]), (&json!("rolled-back"), &json!("1.0.0")));
    assert!(end(stage.agentry("update").arg("--yes")).with(0).stderr.contains("is older than 1.1.0"));
    let waits = end(stage.agentry("update").args(["keeper", "--yes"])).with(3);
    waits.complains("it was here, and a rollback left it");
    // Another folder for what runs takes effect by a yes, and a folder that nobody asks for is refused.
    let other = stage.directory("other");
    fs::write(other.join("a.txt"), "shark").expect("a file");
    let root = format!("documents={}", other.display());
    end(stage.agentry("install").args(["acme:keeper@1.0.0", "--root", &root])).with(3).complains("could say yes");
    end(market.install("acme:keeper@1.0.0").args(["--root", "papers=."]))
        .with(2)
        .complains("asks for no folder `papers`");
    end(market.install("acme:keeper@1.0.0").args(["--root", &root])).with(0);
    assert_eq!(reads(), json!(["shark"]));
    let code = market.code("acme:keeper");
    end(stage.agentry("update").args(["keeper", "--consent", &code])).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
}

#[test]
fn an_update_that_takes_less_than_a_recorded_run_gave_it_waits() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    end(&mut market.install("acme:keeper")).with(0);
    end(stage.agentry("run").args(["keeper", "--input", "1"])).with(0);
    market.publish(&package(stage, "2.wasm", "echo", |manifest| {
        manifest["version"] = "1.1.0".into();
        manifest["seq"] = 2.into();
        manifest["input_schema"] = r#"{"type": "string"}"#.into();
    }));
    let waits = end(stage.agentry("update").args(["keeper", "--yes"])).with(3);
    waits.complains("it would not have done what run ");
    assert!(waits.stdout.contains("it would not take what that began with"), "{}", waits.stdout);
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
}

#[test]
fn an_update_that_would_do_something_else_with_the_same_rights_is_stopped() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "steps", steps));
    let documents = stage.directory("documents");
    let root = format!("documents={}", documents.display());
    end(market.install("acme:keeper").args(["--root", &root])).with(0);
    let input = json!([["put", "agent/keeper/x", "k", "v"]]).to_string();
    end(stage.agentry("run").args(["keeper", "--input", &input])).with(0);
    // The same name, key and wishes, and another program.
    market.publish(&package(stage, "2.wasm", "echo", |manifest| {
        steps(manifest);
        manifest["version"] = "1.0.1".into();
        manifest["seq"] = 2.into();
    }));
    let waits = end(stage.agentry("update").arg("--yes")).with(3);
    waits.complains("it would not have done what run ");
    assert!(waits.stdout.contains("does not do what run "), "{}", waits.stdout);
    // No way around it: to install executes nothing, and so never goes by itself over an earlier version.
    end(stage.agentry("install").args(["acme:keeper", "--yes"])).with(3).complains("an earlier version is installed");
    assert!(end(stage.agentry("info").arg("acme:keeper")).with(0).stdout.contains("nothing of it was executed"));
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
}

#[test]
fn an_update_that_wants_one_more_folder_waits_and_the_line_that_it_prints_installs_it() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    end(&mut market.install("acme:keeper")).with(0);
    market.publish(&package(stage, "2.wasm", "steps", |manifest| {
        steps(manifest);
        manifest["version"] = "1.1.0".into();
        manifest["seq"] = 2.into();
    }));
    // It waits for a person, as whatever asks for more does, and so it says to programs.
    let waits = end(stage.agentry("update").arg("--yes")).with(3);
    waits.complains("it asks for more than the present version");
    assert_eq!(end(stage.agentry("update").args(["--yes", "--json"])).with(3).json()[0]["outcome"], "waits");
    let line = waits.stderr.rsplit("then: agentry ").next().expect("a line").trim().to_owned();
    assert!(line.contains(" --root documents=DIR --consent "), "{line}");
    let looked = end(stage.agentry("info").arg("acme:keeper")).with(0).stdout;
    let exactly = looked.rsplit("exactly this: agentry ").next().expect("a line").trim();
    assert!(exactly.contains(" --root documents=DIR --consent ") && exactly.contains(" --home "), "{exactly}");
    // A yes without its folder is half a command.
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    end(agentry().args(words(&line.replace("--root documents=DIR ", ""))))
        .with(2)
        .complains("nobody says which folder");
    let folder = stage.directory("documents").display().to_string();
    let line = line.replace("DIR", &folder);
    end(stage.agentry("update").args(["keeper", "--root", &format!("papers={folder}")]))
        .with(2)
        .complains("it asks for no folder `papers`");
    end(stage.agentry("update").args(["--root", &format!("documents={folder}")])).with(2);
    // What was said of it once is said in the line as well.
    let given =
        end(stage.agentry("update").args(["keeper", "--yes", "--root", &format!("documents={folder}")])).with(3);
    assert!(given.stderr.contains(&line), "{}", given.stderr);
    let done = end(agentry().args(words(&line))).with(0);
    assert!(text(&done).contains("is installed: agentry run keeper --home "), "{}", text(&done));
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
}

#[test]
fn a_run_that_waits_finishes_on_the_version_that_it_began_with() {
    let market = Market::new();
    let stage = &market.stage;
    stage.write("home/agentry.toml", "format = 1\n[idle]\nafter_ms = 0\n");
    market.publish(&package(stage, "1.wasm", "steps", steps));
    let root = format!("documents={}", stage.directory("documents").display());
    end(market.install("acme:keeper").args(["--root", &root])).with(0);
    let server = serve(&mut stage.agentry("serve"));
    let input =
        json!([["put", "agent/keeper/x", "k", "v"], ["sleep", "3000"], ["get", "agent/keeper/x", "k"]]).to_string();
    let run =
        end(stage.agentry("run").args(["keeper", "--detach", "--input", &input])).with(0).stdout.trim().to_owned();
    // The next version is another program altogether, and a person wants it so.
    market.publish(&package(stage, "2.wasm", "echo", |manifest| {
        steps(manifest);
        manifest["version"] = "1.1.0".into();
        manifest["seq"] = 2.into();
    }));
    end(stage.agentry("update").args(["keeper", "--consent", &market.code("acme:keeper")])).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0"));
    let waited = end(stage.agentry("wait").args([&run, "--json"])).json();
    assert_eq!(waited["output"][2], "\"v\" []", "{waited}");
    // The host begins others with the new one.
    let newer = end(stage.agentry("run").args(["keeper", "--json", "--input", "[]"])).with(0).json();
    assert_eq!(newer["output"], json!([]));
    assert_eq!(stage.last()["package"], "acme:keeper@1.1.0", "{}", stage.last());
    drop(server);
    stage.replays();
}

#[test]
fn a_version_that_is_taken_back_is_installed_no_more_and_a_publisher_that_is_taken_out_lists_nothing() {
    let market = Market::new();
    let stage = &market.stage;
    let index = stage.path("index");
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    let yank = |package: &str| {
        let mut command = market.author("yank");
        command.arg(package).arg("--index").arg(&index).args(["--because", "it loses cents", "--key", "acme"]);
        command
    };
    end(&mut yank("acme:keeper")).with(2).complains("none is named");
    end(&mut yank("acme:keeper@9.9.9")).with(2).complains("does not list acme:keeper@9.9.9");
    let listed = end(stage.agentry("search").arg("--json")).with(0).json();
    let digest = format!("sha256:{}", listed[0]["digest"].as_str().expect("a digest"));
    end(&mut yank("acme:keeper@1.0.0")).with(0);
    end(market.author("index sign").arg(&index).args(["--days", "7", "--key", "index"])).with(0);
    end(stage.agentry("install").arg("acme:keeper"))
        .with(3)
        .complains("was taken back by its publisher: it loses cents");
    end(stage.agentry("install").arg(&digest))
        .with(3)
        .complains("acme:keeper@1.0.0 was taken back by its publisher: it loses cents");
    assert_eq!(end(stage.agentry("search").arg("--json")).with(0).json(), json!([]));
    end(market.author("index remove").arg(&index).args(["nobody", "--key", "index"]))
        .with(3)
        .complains("does not list the publisher");
    end(market.author("index remove").arg(&index).arg("acme")).with(0);
    end(market.author("index sign").arg(&index)).with(0);
    end(stage.agentry("install").args(["acme:keeper", "--index", "main"])).with(2).complains("no index here lists");
    end(market.author("publish").arg(stage.path("1.wasm")).arg("--index").arg(&index))
        .with(3)
        .complains("does not list the publisher");
    // New keys of the index: whoever pinned the old one follows.
    let same = end(market.author("index rotate").arg(&index).args(["--to", "index"])).with(2);
    same.complains("index is the key that the index has");
    assert!(same.stdout.is_empty(), "it prints no key: {}", same.stdout);
    end(market.author("index rotate").arg(&index).args(["--to", "index-2", "--key", "index"])).with(0);
    assert_eq!(end(stage.agentry("search").arg("--json")).with(0).json(), json!([]));
    end(market.author("index rotate").arg(&index).args(["--to", "index-3"])).with(3).complains("may not sign");
    end(market.author("index init").arg(&index).args(["--days", "3", "--key", "other"]))
        .with(2)
        .complains("an index in");
    end(market.author("index add").arg(&index).args(["root", &market.key, "--key", "index-2"]))
        .with(2)
        .complains("name of the index");
}

#[test]
fn what_was_taken_back_is_told_with_its_reason_and_a_person_may_go_back_from_it() {
    let market = Market::new();
    let stage = &market.stage;
    let index = stage.path("index");
    for (file, version, seq) in [("1.wasm", "1.0.0+a", 1), ("2.wasm", "1.0.0+b", 2), ("3.wasm", "1.1.0", 3)] {
        market.publish(&package(stage, file, "echo", |manifest| {
            manifest["version"] = version.into();
            manifest["seq"] = seq.into();
        }));
    }
    let info = |what: &str| end(stage.agentry("info").args([what, "--json"])).with(0).json();
    for (named, version) in [("1.0.0+a", "1.0.0+a"), ("1.0.0+b", "1.0.0+b"), ("1.0.0", "1.0.0+b")] {
        assert_eq!(info(&format!("acme:keeper@{named}"))["version"], version);
    }
    end(&mut market.install("acme:keeper")).with(0);
    let old = end(stage.agentry("install").arg("acme:keeper@1.0.0")).with(3);
    old.complains("is older than what was here");
    assert!(old.stderr.contains("`agentry install acme:keeper"), "{}", old.stderr);
    let yank = |because: &[&str]| {
        end(market.author("yank").arg("acme:keeper@1.1.0").arg("--index").arg(&index).args(because)).with(0);
        end(market.author("index sign").arg(&index)).with(0);
    };
    yank(&[]);
    let told = end(stage.agentry("info").arg("acme:keeper@1.1.0")).with(3);
    assert!(told.stderr.starts_with("error: acme:keeper@1.1.0 was taken back by its publisher\n"), "{}", told.stderr);
    yank(&["--because", "it loses cents"]);
    end(stage.agentry("info").arg("acme:keeper@1.1.0")).with(3).complains("by its publisher: it loses cents");
    let told = end(stage.agentry("update").arg("--json")).with(0).json();
    assert_eq!((&told[0]["outcome"], &told[0]["because"]), (&json!("taken-back"), &json!("it loses cents")));
    assert!(end(&mut stage.agentry("update")).with(0).stderr.contains("taken back by its publisher: it loses cents"));
    // Nobody is handed the older one; whoever names it is shown that it is older, and a yes to something else is none to that.
    let plain = end(stage.agentry("install").arg("acme:keeper")).with(3);
    plain.complains("acme:keeper 1.0.0+b is older than what was here");
    assert!(plain.stderr.contains("agentry install acme:keeper@1.0.0+b"), "{}", plain.stderr);
    let shown = info("acme:keeper@1.0.0+b");
    assert!(shown["older"].as_str().is_some_and(|why| why.contains("acme:keeper 1.1.0 was taken back")));
    end(stage.agentry("install").args(["acme:keeper@1.0.0+b", "--yes"]))
        .with(3)
        .complains("it is older than what was here");
    end(&mut market.install("acme:keeper@1.0.0+b")).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0+b"));
    end(&mut stage.agentry("verify")).with(0);
    assert_eq!(end(stage.agentry("update").arg("--json")).with(0).json()[0]["outcome"], "rolled-back");
}

#[test]
fn what_is_installed_already_is_told_whole_and_a_grant_that_is_gone_is_seen() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    let done = end(market.install("acme:keeper").arg("--json")).with(0).json();
    assert_eq!((&done["outcome"], &done["agent"]), (&json!("installed"), &json!("keeper")));
    let same = end(stage.agentry("install").args(["acme:keeper", "--json"])).with(0).json();
    assert_eq!((&same["outcome"], &same["by"]), (&json!("installed already"), &json!("person")));
    assert_eq!((&same["digest"], &same["agent"]), (&done["digest"], &json!("keeper")));
    fs::remove_file(stage.path("home/policies/50-keeper.toml")).expect("it is there");
    let verified = end(&mut stage.agentry("verify")).with(1).stdout;
    assert!(verified.contains("no grant in the policy directory is for it"), "{verified}");
    end(stage.agentry("install").arg("acme:keeper")).with(3).complains("nobody is here who could say yes");
    end(&mut market.install("acme:keeper")).with(0);
    end(&mut stage.agentry("verify")).with(0);
    end(stage.agentry("run").args(["keeper", "--input", "1"])).with(0);
    // No index has it any more.
    end(market.author("index remove").arg(stage.path("index")).arg("acme")).with(0);
    end(market.author("index sign").arg(stage.path("index"))).with(0);
    assert_eq!(end(stage.agentry("update").arg("--json")).with(0).json()[0]["outcome"], "unlisted");
    // Another key stands for the one that signed it, which may be a thief's: nobody is told to take that again.
    let other = end(market.author("key new").arg("next")).with(0).stdout.trim().to_owned();
    end(stage.agentry("key trust").args(["acme", &other, "--replace"])).with(0);
    let verified = end(&mut stage.agentry("verify")).with(1).stdout;
    assert!(verified.contains("agentry update keeper") && !verified.contains("key trust"), "{verified}");
}

#[test]
fn a_list_of_an_index_that_cannot_be_read_is_told_with_its_file_and_the_others_are_signed() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue"]);
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    market.publish(&package(stage, "2.wasm", "echo", |manifest| manifest["name"] = "blue:tool".into()));
    let names = || {
        let found = end(stage.agentry("search").arg("--json")).with(0).json();
        found.as_array().expect("a list").iter().map(|one| one["name"].to_string()).collect::<Vec<_>>()
    };
    let sign = || end(market.author("index sign").arg(stage.path("index"))).with(0).stderr;
    let next = stage.write("index/metadata/2.blue.json", "{\"half");
    let told = sign();
    assert!(told.contains("2.blue.json is passed over, the list before it stands"), "{told}");
    assert_eq!(names(), ["\"acme:keeper\"", "\"blue:tool\""]);
    std::fs::remove_file(next).expect("it is ours");
    std::fs::remove_file(stage.path("index/metadata/1.blue.json")).expect("it is ours");
    let told = sign();
    assert!(told.contains("1.blue.json is passed over, nobody sees what blue lists"), "{told}");
    // Whoever read it before has it; to anybody else it is told as left out.
    assert_eq!(names(), ["\"acme:keeper\"", "\"blue:tool\""]);
    std::fs::remove_dir_all(stage.path("home/indexes")).expect("it is ours");
    let told = end(stage.agentry("search").arg("--json")).with(0).stderr;
    assert!(told.contains("what a publisher lists is left out: the index has no `1.blue.json`"), "{told}");
    assert_eq!(names(), ["\"acme:keeper\""]);
    end(stage.agentry("info").arg("blue:tool")).with(5).complains("has no `1.blue.json`");
}

#[test]
fn a_key_that_cannot_be_used_is_told_with_what_to_do() {
    use std::os::unix::fs::PermissionsExt as _;
    let market = Market::new();
    let file = market.stage.path("author/keys/acme.key");
    let list = || end(market.author("key list").arg("--json")).with(0);
    let own = |listed: &Value| listed["own"].as_array().map(Vec::len);
    assert_eq!((own(&list().json()), list().stderr.as_str()), (Some(3), ""));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let told = list();
    assert_eq!(own(&told.json()), Some(2));
    assert!(told.stderr.contains("acme is left out") && told.stderr.contains("chmod 600"), "{}", told.stderr);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("it is ours");
    std::fs::write(&file, "x").expect("it is ours");
    let told = end(&mut market.author("key list")).with(0);
    assert!(told.stderr.contains("is no key") && told.stderr.contains("put back"), "{}", told.stderr);
    // A name that is none stands on one line.
    std::fs::write(market.stage.path("author/keys/b\nhint: c\u{1b}[31m.key"), "x").expect("it is ours");
    let told = end(&mut market.author("key list")).with(0);
    assert!(
        told.stderr.lines().all(|line| !line.starts_with("hint: c")) && !told.stderr.contains('\u{1b}'),
        "{}",
        told.stderr
    );
    end(market.author("key trust").args(["blue", &format!("ed25519:01{}", "0".repeat(62))]))
        .with(2)
        .complains("is a key for which anybody can sign");
}

#[test]
fn what_a_revoked_key_signed_is_stopped_at_its_next_call() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "steps", steps));
    let root = format!("documents={}", stage.directory("documents").display());
    end(market.install("acme:keeper").args(["--root", &root])).with(0);
    let server = serve(&mut stage.agentry("serve"));
    let mut input = vec![json!(["put", "agent/keeper/x", "k", "first"])];
    for _ in 0..60 {
        input.extend([json!(["sleep", "100"]), json!(["put", "agent/keeper/x", "k", "then"])]);
    }
    let running = begin(stage.agentry("run").args(["keeper", "--json", "--input", &Value::from(input).to_string()]));
    while stage.last()["status"] != "running" {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    end(stage.agentry("key revoke").args(["acme", "--because", "their machine was broken into"])).with(0);
    let ran = running.end().json();
    let told: Vec<String> = ran["output"].as_array().expect("a list").iter().map(ToString::to_string).collect();
    assert!(told.last().is_some_and(|last| last.contains("no-grant")), "{told:?}");
    assert!(stage.path("home/withdrawn/50-keeper.toml").exists());
    drop(server);
    end(stage.agentry("run").args(["keeper", "--input", "[]"]))
        .with(3)
        .complains("is revoked: their machine was broken into");
    let listed = end(stage.agentry("list").arg("--json")).with(0).json();
    assert_eq!(listed[0]["revoked"], true);
    assert!(end(stage.agentry("verify").arg("keeper")).with(1).stdout.contains("is revoked"));
    let keys = end(stage.agentry("key list").arg("--json")).with(0).json();
    assert_eq!(keys["revoked"][0]["key"], json!(market.key));
    end(stage.agentry("key revoke").arg("nobody")).with(2).complains("no publisher that this home knows");
    market.publish(&package(stage, "2.wasm", "steps", |manifest| {
        steps(manifest);
        manifest["version"] = "9.9.9".into();
        manifest["seq"] = 99.into();
    }));
    end(stage.agentry("install").arg("acme:keeper@9")).with(3).complains("is revoked");
    end(stage.agentry("update").args(["keeper", "--yes"])).with(3).complains("is revoked");
}

#[test]
fn a_publisher_whose_list_is_not_believed_hides_nobody_elses_from_a_search_and_from_pages() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue"]);
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    market.publish(&package(stage, "2.wasm", "echo", |manifest| manifest["name"] = "blue:clock".into()));
    let metadata = stage.path("index/metadata");
    let lists = fs::read_dir(&metadata).expect("the index").flatten().map(|entry| entry.path());
    for list in lists.filter(|path| path.to_string_lossy().ends_with(".blue.json")) {
        let text = fs::read_to_string(&list).expect("a list");
        fs::write(&list, text.replacen("1.0.0", "1.0.1", 1)).expect("a file");
    }
    let found = end(stage.agentry("search").arg("--json")).with(0);
    let told =
        "warning: what a publisher lists is left out: `blue.json` of the index is not the file that it speaks of\n";
    assert!(found.stderr.starts_with(told), "{}", found.stderr);
    let names: Vec<_> = found.json().as_array().expect("a list").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(names, ["acme:keeper"]);
    end(stage.agentry("info").arg("blue:clock")).with(3).complains("`blue.json` of the index is not");
    end(stage.agentry("info").arg("acme:keeper")).with(0);
    let pages = end(market.author("index build").arg(stage.path("index")).arg("--out").arg(stage.path("site"))).with(0);
    assert!(pages.stderr.contains(told), "{}", pages.stderr);
}
