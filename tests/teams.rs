//! Packages that require each other: found, agreed to one by one, installed and changed together or not at all.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::installing::{Market, package, text};
use crate::stage::end;

/// A package of nothing but an echo, which provides these words and requires those.
fn one(market: &Market, (name, version, seq): (&str, &str, u32), provides: &[&str], requires: Value) -> PathBuf {
    let file = format!("{}-{version}.wasm", name.replace(':', "-"));
    package(&market.stage, &file, "echo", |manifest| {
        manifest["name"] = name.into();
        manifest["version"] = version.into();
        manifest["seq"] = seq.into();
        if !provides.is_empty() {
            manifest["provides"] = json!(provides);
        }
        if requires != json!([]) {
            manifest["requires"] = requires;
        }
    })
}

fn needs(what: &str) -> Value {
    let key = if what.contains(':') { "package" } else { "provides" };
    json!([{key: what, "why": "It cannot do without."}])
}

/// The codes of all packages that would be installed with this one.
pub fn codes(market: &Market, what: &[&str]) -> Vec<String> {
    let shown = end(market.stage.agentry("info").args(what).arg("--json")).with(0).json();
    let others = shown["with"].as_array().expect("a list").iter();
    let all = std::iter::once(&shown).chain(others);
    all.map(|one| one["consent"].as_str().expect("a code").to_owned()).collect()
}

fn versions(market: &Market) -> Vec<String> {
    let listed = end(market.stage.agentry("list").arg("--json")).with(0).json();
    let one =
        |one: &Value| format!("{}@{}", one["name"].as_str().expect("text"), one["version"].as_str().expect("text"));
    listed.as_array().expect("a list").iter().map(one).collect()
}

#[test]
fn a_team_is_installed_together_each_by_a_yes_of_its_own_or_not_at_all() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue", "green"]);
    let none = json!([]);
    market.publish(&one(
        &market,
        ("acme:helper", "1.0.0", 1),
        &[],
        json!([
            {"provides": "calendar@^1", "why": "Enters meetings."},
            {"package": "green:search", "why": "Looks things up."},
        ]),
    ));
    // What it requires is not to be had yet: whoever looks sees what it is, and what lacks.
    let lacking = end(stage.agentry("info").arg("acme:helper")).with(2);
    lacking.complains("`helper` requires calendar@^1: no index here lists that");
    assert!(lacking.stdout.contains("calendar@^1: nothing that is here"), "{}", lacking.stdout);
    end(stage.agentry("install").arg("acme:helper")).with(2).complains("`helper` requires calendar@^1");
    market.publish(&one(&market, ("blue:days", "1.2.0", 1), &["calendar"], none.clone()));
    market.publish(&one(&market, ("green:search", "0.3.0", 1), &[], needs("words")));
    market.publish(&one(&market, ("green:words", "0.1.0", 1), &["words"], none.clone()));
    let shown = end(stage.agentry("info").arg("acme:helper")).with(0).stdout;
    for part in [
        "calendar@^1: blue:days 1.2.0, to be installed with it",
        "it says: Enters meetings.",
        "green:search: green:search 0.3.0, to be installed with it",
        "required by acme:helper",
        "required by green:search",
        "these 4 packages with each other",
        "no way to the outside that none of them opens alone",
    ] {
        assert!(shown.contains(part), "no `{part}` in\n{shown}");
    }
    assert_eq!(shown.matches(" --consent ").count(), 4, "{shown}");
    let all = codes(&market, &["acme:helper"]);
    let install = |codes: &[String]| {
        let mut install = stage.agentry("install");
        install.arg("acme:helper");
        codes.iter().for_each(|code| {
            install.args(["--consent", code]);
        });
        end(&mut install)
    };
    // A yes to one is none to the others, and nothing is installed by half.
    install(&all[..1]).with(3).complains("the code is for something else than blue:days 1.2.0");
    install(&all[..3]).with(3).complains("something else than green:words 0.1.0");
    end(stage.agentry("install").args(["acme:helper", "--yes"])).with(3).complains("no grant in the policy directory");
    assert_eq!(versions(&market), Vec::<String>::new());
    let told = install(&all).with(0);
    assert!(told.stderr.contains("acme:helper 1.0.0 is installed: agentry run helper"), "{}", told.stderr);
    assert_eq!(versions(&market), ["blue:days@1.2.0", "acme:helper@1.0.0", "green:search@0.3.0", "green:words@0.1.0"]);
    end(&mut stage.agentry("verify")).with(0);
    for agent in ["helper", "days", "search", "words"] {
        end(stage.agentry("run").args([agent, "--input", "1"])).with(0);
    }
    // What others require stays; what requires it goes with it.
    end(stage.agentry("uninstall").arg("days")).with(3).complains("`days` is required by `helper`");
    end(stage.agentry("uninstall").args(["words", "search"])).with(3).complains("is required by `helper`");
    let gone = end(stage.agentry("uninstall").args(["days", "helper", "--json"])).with(0).json();
    assert_eq!((gone[0]["agent"].as_str(), gone[1]["agent"].as_str()), (Some("days"), Some("helper")));
    // What is here already is taken as it is.
    let shown = end(stage.agentry("info").args(["acme:helper", "--json"])).with(0).json();
    assert_eq!(shown["requires"][1]["installed"], true, "{shown}");
    assert_eq!(shown["with"].as_array().map(Vec::len), Some(1));
}

#[test]
fn of_several_that_provide_the_same_a_person_names_one_and_a_circle_is_refused_by_its_names() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue", "green"]);
    let none = json!([]);
    market.publish(&one(&market, ("acme:helper", "1.0.0", 1), &[], needs("calendar")));
    market.publish(&one(&market, ("blue:days", "1.0.0", 1), &["calendar"], none.clone()));
    market.publish(&one(&market, ("green:dates", "1.0.0", 1), &["calendar"], none.clone()));
    let unsure = end(stage.agentry("install").arg("acme:helper")).with(3);
    unsure.complains("`helper` requires calendar: 2 packages are listed that provide it: blue:days, green:dates");
    assert!(unsure.stderr.contains("--with blue:days"), "{}", unsure.stderr);
    let shown = end(stage.agentry("info").args(["acme:helper", "--with", "green:dates"])).with(0).stdout;
    assert!(shown.contains("install acme:helper --with green:dates --consent "), "{shown}");
    end(stage.agentry("install").args(["acme:helper", "--with", "acme:helper"])).with(3).complains("2 packages");
    end(stage.agentry("info").args(["blue:days", "--with", "green:dates"]))
        .with(2)
        .complains("nothing here requires green:dates");
    // A file that has no index is named as well, with its signature beside it.
    let own = one(&market, ("acme:own", "1.0.0", 1), &["calendar"], none.clone());
    end(market.author("publish").arg(&own)).with(0);
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let own = own.display().to_string();
    let mut install = stage.agentry("install");
    install.args(["acme:helper", "--with", &own]);
    codes(&market, &["acme:helper", "--with", &own]).iter().for_each(|code| {
        install.args(["--consent", code]);
    });
    end(&mut install).with(0);
    assert_eq!(versions(&market), ["acme:helper@1.0.0", "acme:own@1.0.0"]);
    // Nobody meets their own requirement.
    market.publish(&one(&market, ("acme:alone", "1.0.0", 1), &["alone-words"], needs("alone-words")));
    end(stage.agentry("install").arg("acme:alone")).with(2).complains("`alone` requires alone-words: no other package");
    // None of these can be there before the others.
    for (name, next) in [("acme:one", "blue:two"), ("blue:two", "green:three"), ("green:three", "acme:one")] {
        market.publish(&one(&market, (name, "1.0.0", 1), &[], needs(next)));
    }
    end(stage.agentry("install").arg("acme:one"))
        .with(3)
        .complains("these require each other in a circle: one → two → three → one");
}

#[test]
fn an_update_that_would_leave_others_without_what_they_require_waits_until_both_go() {
    let market = Market::new();
    let stage = &market.stage;
    market.list(&["blue"]);
    let none = json!([]);
    market.publish(&one(&market, ("acme:helper", "1.0.0", 1), &[], needs("blue:days@~1.0")));
    market.publish(&one(&market, ("blue:days", "1.0.0", 1), &["calendar"], none.clone()));
    let mut install = stage.agentry("install");
    install.arg("acme:helper");
    codes(&market, &["acme:helper"]).iter().for_each(|code| {
        install.args(["--consent", code]);
    });
    end(&mut install).with(0);
    market.publish(&one(&market, ("blue:days", "1.1.0", 2), &["calendar"], none.clone()));
    let waits = end(stage.agentry("update").args(["days", "--yes"])).with(3);
    waits.complains("`helper` requires blue:days@~1.0, and nothing that would be here meets that");
    let told = end(stage.agentry("update").args(["--yes", "--json"])).with(3).json();
    let outcome = |told: &Value, agent: &str| {
        told.as_array().expect("a list").iter().find(|one| one["agent"] == agent).expect("it is told")["outcome"]
            .clone()
    };
    assert_eq!((outcome(&told, "helper"), outcome(&told, "days")), (json!("newest"), json!("waits")));
    end(&mut market.with_all("acme:helper", &["blue:days"])).with(2).complains("nothing here requires blue:days 1.1.0");
    // Once it is ready for the new one, both go at once, and one takes the other along.
    market.publish(&one(&market, ("acme:helper", "1.1.0", 2), &[], needs("blue:days@^1.1")));
    let told = end(stage.agentry("update").args(["--yes", "--json"])).with(0).json();
    assert_eq!((outcome(&told, "helper"), outcome(&told, "days")), (json!("updated"), json!("newest")));
    assert_eq!(versions(&market), ["blue:days@1.1.0", "acme:helper@1.1.0"]);
    // And back: neither alone.
    end(stage.agentry("rollback").arg("days")).with(3).complains("`helper` requires blue:days@^1.1");
    end(stage.agentry("rollback").arg("helper")).with(3).complains("`helper` requires blue:days@~1.0");
    let back = end(stage.agentry("rollback").args(["helper", "days"])).with(0);
    assert!(text(&back).contains("helper 1.0.0 is back") && text(&back).contains("days 1.0.0 is back"));
    assert_eq!(versions(&market), ["blue:days@1.0.0", "acme:helper@1.0.0"]);
    // A version that requires something new waits for a yes to that.
    market.publish(&one(&market, ("blue:more", "1.0.0", 1), &[], none.clone()));
    market.publish(&one(
        &market,
        ("acme:helper", "1.2.0", 3),
        &[],
        json!([
            {"package": "blue:days@>=1", "why": "It enters."},
            {"package": "blue:more", "why": "It wants more."},
        ]),
    ));
    let waits = end(stage.agentry("update").args(["helper", "--yes"])).with(3);
    waits.complains("blue:more 1.0.0 waits for a person: no grant in the policy directory allows it yet");
    let dry = end(stage.agentry("update").args(["helper", "--dry-run"])).with(0);
    assert!(
        dry.stderr.contains("it waits for a person: blue:more 1.0.0: no grant in the policy directory allows it yet"),
        "{}",
        dry.stderr
    );
    assert_eq!(versions(&market), ["blue:days@1.0.0", "acme:helper@1.0.0"]);
}
