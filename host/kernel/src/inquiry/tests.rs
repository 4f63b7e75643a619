//! Questions answered for small policies, and the answers held against the kernel by brute force.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{
    DiffVerdict, Location, Past, Question, Replay, Scenario, Verdict, capabilities, diff, explain, explain_past, learn,
    read_call, replay, routes, show_call, telling_nothing,
};
use crate::budget::{Amounts, Resource};
use crate::call::{Call, CallId, RunId};
use crate::digest::Digest;
use crate::journal::{BasisId, Entry, Outcome, Started};
use crate::json;
use crate::labels::Labels;
use crate::model::Model;
use crate::policy::{Policy, Source};
use crate::refusal::{Bar, Code, PUBLIC, PUBLIC_OR_PRIVATE, Refusal, Rule};
use crate::time::Millis;
use crate::tool::{Effect, Tool};

mod brute;
mod learnt;
mod limits;

const NOW: Millis = Millis(1_800_000_000_000);

const SITE: &str = r#"format = 1
layer = "site"

[ceiling]
models = ["small-*"]

[[forbid]]
id = "site/pay-cap"
tool = "pay.send"
unless = { cents = { min = 1, max = 50_000 } }
why = "Above 500 USD goes through finance."

[[require]]
id = "site/irreversible"
effect = "irreversible"
approval = { from = "group:ops", factor = "totp" }
why = "Nobody sells the car without a second factor."

[[forbid]]
id = "site/trifecta"
effect = "egress"
when = { labels_all = ["untrusted", "secret"] }
why = "Who read both may not talk to the outside."
"#;

const CLERK: &str = r#"format = 1
layer = "grant"
agent = "clerk"
why = "Pays bills."
llm = { models = ["small-*", "large-1"], max_tokens = 100, why = "x" }
memory = { read = ["team/**"], write = ["agent/clerk/**"], why = "x" }
http = [{ id = "clerk/api", to = "https://api.example.org", methods = ["GET"], paths = ["/v1/**"], why = "x" }]

[[allow]]
id = "clerk/pay"
tool = "pay.send"
args.cents = { min = 1, max = 1_000_000 }
why = "x"

[[allow]]
id = "clerk/mail"
tool = "mail.send"
args.to = { each_in = ["ops@example.org"], min_items = 1 }
args.subject = { prefix = "report" }
why = "x"

[budget]
usd_day = "1.00"
"#;

pub(super) fn policy(texts: &[&str]) -> Arc<Policy> {
    let names: Vec<String> = (0..texts.len()).map(|place| alloc::format!("policies/{place}.toml")).collect();
    let sources: Vec<_> = names.iter().zip(texts).map(|(file, text)| Source { file, text }).collect();
    let parsed = Policy::parse(&sources, Digest::default());
    Arc::new(
        parsed.unwrap_or_else(|mistakes| panic!("{}", mistakes.iter().map(ToString::to_string).collect::<String>())),
    )
}

pub(super) fn scenario(texts: &[&str]) -> Scenario {
    let tool = |name: &str, effect| Tool { name: name.into(), effect, ..Tool::default() };
    let model = |alias: &str| Model {
        alias: alias.into(),
        price: None,
        context_tokens: 8000,
        output_tokens_max: 4000,
        slots: 1,
        local: true,
    };
    Scenario {
        policy: policy(texts),
        models: vec![model("small-1"), model("large-1")],
        tools: vec![
            tool("pay.send", Effect::Reversible),
            tool("mail.send", Effect::Egress),
            tool("car.sell", Effect::Irreversible),
        ],
        at: NOW,
    }
}

pub(super) fn call(text: &str) -> Call {
    read_call(&json::parse(text).expect("it is JSON")).expect("it is a call")
}

fn question(agent: &str, text: &str, labels: &[&str]) -> Question {
    Question { agent: agent.into(), package: None, labels: Labels::of(labels.iter().copied()), call: call(text) }
}

#[test]
fn a_call_is_written_as_it_is_read() {
    for text in [
        r#"{"args":{"a":[1,true]},"tool":"mail.send"}"#,
        r#"{"model":"small"}"#,
        r#"{"act":"write","memory":"team/a"}"#,
        r#"{"act":"delete","path":"a/b","root":"docs"}"#,
        r#"{"http":"https://a.example.org/","method":"POST","secret":"key"}"#,
    ] {
        assert_eq!(show_call(&call(text)).to_string(), text);
    }
}

#[test]
fn a_call_that_makes_no_sense_is_told_by_its_word() {
    for (text, told) in [
        ("[]", "a call is an object, not a list"),
        ("{}", "a call names one of"),
        (r#"{"tool":"a","model":"b"}"#, "a call names one of"),
        (r#"{"tool":"a","arg":{}}"#, "did you mean `args`?"),
        (r#"{"model":"a","path":"b"}"#, "`path` makes no sense beside `model`"),
        (r#"{"tool":1}"#, "`tool` is a whole number; it must be a text"),
        (r#"{"memory":"a","act":"eat"}"#, "`act` is"),
    ] {
        let error = read_call(&json::parse(text).expect("it is JSON")).expect_err(text);
        assert!(error.contains(told), "{text}: {error}");
    }
}

#[test]
fn what_forbids_a_call_is_named_with_what_would_change_it() {
    let scenario = scenario(&[SITE, CLERK]);
    let explained = explain(&scenario, &question("clerk", r#"{"tool":"pay.send","args":{"cents":80000}}"#, &[]));
    let refusal = explained.verdict.refusal().expect("it is above the cap");
    assert_eq!(refusal.rule.as_ref().map(|rule| rule.id.as_str()), Some("site/pay-cap"));
    let told: Vec<_> = explained.otherwise.iter().map(|other| (other.what.as_str(), other.verdict.word())).collect();
    assert!(told.iter().any(|(what, word)| what.starts_with("with cents = ") && *word == "allow"), "{told:?}");
    assert!(told.contains(&("without rule site/pay-cap", "allow")), "{told:?}");
}

#[test]
fn what_allows_a_call_is_named_with_what_would_bar_it() {
    let scenario = scenario(&[SITE, CLERK]);
    let mail = r#"{"tool":"mail.send","args":{"to":["ops@example.org"],"subject":"report 1"}}"#;
    let explained = explain(&scenario, &question("clerk", mail, &[]));
    assert!(matches!(explained.verdict, Verdict::Allowed { .. }), "{explained:?}");
    assert_eq!(explained.given_by.map(|rule| rule.id), Some("clerk/mail".into()));
    let told: Vec<_> = explained.otherwise.iter().map(|other| (other.what.as_str(), other.verdict.word())).collect();
    assert_eq!(told, [("if the run had read secret, untrusted", "deny")]);
}

#[test]
fn labels_that_bar_a_call_are_told() {
    let scenario = scenario(&[SITE, CLERK]);
    let fetch = r#"{"http":"https://api.example.org/v1/x"}"#;
    let explained = explain(&scenario, &question("clerk", fetch, &["secret", "untrusted"]));
    assert!(
        matches!(&explained.verdict, Verdict::Refused(refusal) if refusal.code == Code::Forbidden || refusal.code == Code::Label)
    );
    assert!(explained.otherwise.iter().any(|other| other.what.starts_with("if the run had not read")), "{explained:?}");
}

#[test]
fn the_same_policy_is_the_same() {
    let scenario = scenario(&[SITE, CLERK]);
    assert_eq!(diff(&scenario, &scenario).verdict(), DiffVerdict::Same);
}

fn changed(from: &str, to: &str) -> super::Diff {
    let (site, clerk) = (SITE.replace(from, to), CLERK.replace(from, to));
    assert!(site != SITE || clerk != CLERK, "`{from}` is not there");
    diff(&scenario(&[SITE, CLERK]), &scenario(&[&site, &clerk]))
}

#[test]
fn what_is_newly_allowed_is_shown_by_a_call() {
    for (from, to, shows) in [
        ("max = 50_000", "max = 60_000", r#""cents":60000"#),
        ("prefix = \"report\"", "prefix = \"repo\"", r#""subject":"repo"#),
        ("each_in = [\"ops@example.org\"]", "each_in = [\"ops@example.org\", \"x@evil.org\"]", "x@evil.org"),
        ("min_items = 1", "min_items = 0", r#""to":[]"#),
        ("read = [\"team/**\"]", "read = [\"team/**\", \"boss/**\"]", r#""memory":"boss/x""#),
        ("paths = [\"/v1/**\"]", "paths = [\"/**\"]", r#""http":"https://api.example.org/"#),
        ("methods = [\"GET\"]", "methods = [\"GET\", \"POST\"]", r#""method":"POST""#),
        ("models = [\"small-*\"]\n", "models = [\"*\"]\n", r#""model":"large-1""#),
        (
            "args.subject = { prefix = \"report\" }",
            "args.subject = { prefix = \"report\", optional = true }",
            r#"{"to":["#,
        ),
        ("labels_all = [\"untrusted\", \"secret\"]", "labels_all = [\"untrusted\", \"secret\", \"x\"]", "mail.send"),
        ("effect = \"irreversible\"", "effect = \"reversible\"", ""),
    ] {
        let diff = changed(from, to);
        if shows.is_empty() {
            continue;
        }
        assert_eq!(diff.verdict(), DiffVerdict::Wider, "{from} → {to}");
        let example = diff.opened.iter().find_map(|change| change.example.as_ref());
        let shown = show_call(&example.unwrap_or_else(|| panic!("{from} → {to}: {:?}", diff.opened)).call).to_string();
        assert!(shown.contains(shows), "{to}: {shown}");
        // And the other way round it is narrower.
        let (site, clerk) = (SITE.replace(from, to), CLERK.replace(from, to));
        let back = super::diff(&scenario(&[&site, &clerk]), &scenario(&[SITE, CLERK]));
        assert_eq!(back.verdict(), DiffVerdict::Narrower, "{to} → {from}: {:?}", back.opened);
    }
}

#[test]
fn a_change_that_nobody_is_granted_changes_nothing() {
    // The clerk has no right to any irreversible tool.
    assert_eq!(changed("effect = \"irreversible\"", "effect = \"idempotent\"").verdict(), DiffVerdict::Same);
    // One list or two rules say the same.
    let whole = "id = \"clerk/pay\"\ntool = \"pay.send\"\nargs.cents = { min = 1, max = 1_000_000 }\nwhy = \"x\"";
    let halves = "id = \"clerk/pay\"\ntool = \"pay.send\"\nargs.cents = { min = 1, max = 500 }\nwhy = \"x\"\n\n[[allow]]\n\
                  id = \"clerk/pay2\"\ntool = \"pay.send\"\nargs.cents = { min = 501, max = 1_000_000 }\nwhy = \"x\"";
    assert_eq!(changed(whole, halves).verdict(), DiffVerdict::Same);
}

#[test]
fn a_higher_budget_and_a_new_agent_are_wider() {
    assert_eq!(changed("usd_day = \"1.00\"", "usd_day = \"1.01\"").verdict(), DiffVerdict::Wider);
    assert_eq!(changed("usd_day = \"1.00\"", "usd_day = \"0.99\"").verdict(), DiffVerdict::Narrower);
    let other = CLERK.replace("clerk", "other");
    assert_eq!(diff(&scenario(&[SITE, CLERK]), &scenario(&[SITE, CLERK, &other])).verdict(), DiffVerdict::Wider);
    assert_eq!(diff(&scenario(&[SITE, CLERK, &other]), &scenario(&[SITE, CLERK])).verdict(), DiffVerdict::Narrower);
}

#[test]
fn all_that_an_agent_can_do_is_listed_with_its_conditions() {
    let scenario = scenario(&[SITE, CLERK]);
    let capabilities = capabilities(&scenario, "clerk").expect("it has a grant");
    let find = |what: &str| {
        capabilities
            .iter()
            .find(|capability| capability.what == what)
            .unwrap_or_else(|| panic!("{what}: {capabilities:?}"))
    };
    let pay = find("call tool pay.send");
    assert!(pay.with.iter().any(|with| with.contains("1..1000000")), "{pay:?}");
    assert!(pay.with.iter().any(|with| with.contains("unless cents is 1..50000 (site/pay-cap)")), "{pay:?}");
    assert!(find("reach https://api.example.org").with.iter().any(|with| with.contains("site/trifecta")));
    assert!(!capabilities.iter().any(|capability| capability.what.contains("large-1")), "it is above the ceiling");
    assert!(super::capabilities(&scenario, "nobody").is_none());
}

#[test]
fn what_an_agent_does_towards_people_is_listed_and_asked_about() {
    let asks = "format = 1\nlayer = \"grant\"\nagent = \"asker\"\nhuman = { ask = true, why = \"x\" }\n";
    let scenario = scenario(&[asks]);
    let can: Vec<_> =
        capabilities(&scenario, "asker").expect("it has a grant").into_iter().map(|can| can.what).collect();
    assert_eq!(can, ["ask people questions of its own"]);
    for (text, word) in [(r#"{"human":"ask"}"#, "allow"), (r#"{"human":"notify"}"#, "deny")] {
        assert_eq!(show_call(&call(text)).to_string(), text);
        assert_eq!(scenario.ask(&question("asker", text, &[])).word(), word, "{text}");
    }
    // A test of a policy says the same.
    let held = "[[test]]\nexpect = \"allow\"\ncall = { human = \"ask\" }\n[[test]]\nexpect = \"deny\"\ncall = { human = \"notify\" }\n";
    assert!(policy(&[&format!("{asks}{held}")]).failed_tests(Vec::new()).is_empty());
    let shouts = format!("{asks}[[test]]\nexpect = \"deny\"\ncall = {{ human = \"shout\" }}\n");
    assert!(Policy::parse(&[Source { file: "a", text: &shouts }], Digest::default()).is_err());
    let flaw = read_call(&json::parse(r#"{"human":"shout"}"#).expect("JSON")).expect_err("nobody shouts");
    assert_eq!(flaw, "`human` is \"ask\" or \"notify\", not \"shout\"");
}

#[test]
fn of_a_pattern_each_tool_is_told_with_its_own_answer() {
    let all = "format = 1\nlayer = \"grant\"\nagent = \"all\"\n[[allow]]\nid = \"all/tools\"\ntool = \"*\"\nargs = \"any\"\nwhy = \"x\"\n";
    let scenario = scenario(&[SITE, all]);
    let can = capabilities(&scenario, "all").expect("it has a grant");
    let with = &can.iter().find(|can| can.what == "call tool *").expect("it may call all").with;
    let of = |tool: &str| {
        with.iter().find_map(|line| line.strip_prefix(tool)?.strip_prefix(": ")).unwrap_or_else(|| panic!("{with:?}"))
    };
    assert_eq!(of("pay.send"), "forbidden unless cents is 1..50000 (site/pay-cap)");
    for tool in &scenario.tools {
        let asks = of(&tool.name).contains("site/irreversible");
        assert_eq!(asks, tool.effect == Effect::Irreversible, "{with:?}");
    }
    assert!(!with.iter().any(|line| line.starts_with("after a yes")), "{with:?}");
}

#[test]
fn a_new_rule_of_the_site_is_told_as_one_that_asks_and_not_as_one_that_no_longer_does() {
    let pay = "\n[[require]]\nid = \"site/pay\"\ntool = \"pay.send\"\napproval = { from = \"group:ops\", factor = \"totp\" }\n";
    let (without, with) = (scenario(&[SITE, CLERK]), scenario(&[&format!("{SITE}{pay}"), CLERK]));
    let what = |changes: &[super::Change]| changes.iter().map(|change| change.what.clone()).collect::<Vec<_>>();
    let narrower = diff(&without, &with);
    assert_eq!(narrower.verdict(), DiffVerdict::Narrower);
    assert_eq!(what(&narrower.closed), ["rule `site/pay` now asks people for what it did not"]);
    let wider = diff(&with, &without);
    assert_eq!(what(&wider.opened), ["rule `site/pay` no longer asks people for all that it did"]);
    let tighter = changed("usd_day = \"1.00\"", "usd_day = \"0.99\"");
    assert_eq!(what(&tighter.closed).len(), 1);
}

#[test]
fn a_call_that_people_said_yes_to_and_would_not_be_asked_about_is_answered_otherwise() {
    let pay = "\n[[require]]\nid = \"site/pay\"\ntool = \"pay.send\"\napproval = { from = \"group:ops\", factor = \"totp\" }\n";
    let (free, asks) = (scenario(&[SITE, CLERK]), scenario(&[&format!("{SITE}{pay}"), CLERK]));
    let mut asked = past(&DONE[..1]);
    asked.calls[0].asked = Some(Rule { id: "site/pay".into(), file: "s".into(), line: 1 });
    assert!(replay(&asks, &[asked.clone()]).is_empty());
    let told = replay(&free, &[asked]);
    assert_eq!((told.len(), told[0].was_word(), told[0].is.word()), (1, "ask", "allow"));
    // And the other way round: nobody was asked, and somebody would be.
    let told = replay(&asks, &[past(&DONE[..1])]);
    assert_eq!((told.len(), told[0].was_word(), told[0].is.word()), (1, "allow", "ask"));
}

#[test]
fn what_people_added_to_a_budget_they_are_asked_for_again() {
    let grant =
        |more: &str| CLERK.replace("usd_day = \"1.00\"", &format!("usd_day = \"1.00\"\ntool_calls_run = 1\n{more}"));
    let (asks, denies) = (grant("on_exhausted = \"ask\""), grant(""));
    let mut thrice = past(&[DONE[0], DONE[1], DONE[0]]);
    for call in &mut thrice.calls {
        call.spent = Amounts::of(Resource::ToolCalls, 1);
    }
    for place in [1, 2] {
        thrice.calls[place].asked = Some(Rule { id: "clerk/budget".into(), file: "s".into(), line: 1 });
    }
    let told = replay(&scenario(&[SITE, &asks]), &[thrice.clone()]);
    assert!(told.is_empty(), "{told:?}");
    let told = replay(&scenario(&[SITE, &denies]), &[thrice.clone()]);
    let words: Vec<_> = told.iter().map(|change| (change.was_word(), change.is.word())).collect();
    assert_eq!(words, [("ask", "deny"), ("ask", "deny")]);
    // What they did not add is asked for as well.
    thrice.calls[2].refusal = Some(Refusal::new(Code::NotApproved, "x"));
    assert!(replay(&scenario(&[SITE, &asks]), &[thrice]).is_empty());
}

#[test]
fn what_the_guard_of_the_host_refused_no_policy_takes_back_but_by_opening_its_networks() {
    let bar = |allowed: &str| {
        let (value, because, hint) = ("https://api.example.org/v1/items".into(), "x".into(), "y".into());
        let bar = Bar { name: "url", value, allowed: allowed.into(), because, hint };
        Refusal::barred("clerk", "http.fetch", (RunId(7), CallId(1)), bar)
    };
    let private = CLERK.replace("paths = [\"/v1/**\"]", "paths = [\"/v1/**\"], private = true");
    let (closed, open) = (scenario(&[SITE, CLERK]), scenario(&[SITE, &private]));
    let mut fetched = past(&[DONE[5]]);
    let question = |past: &Past| Question {
        agent: "clerk".into(),
        package: None,
        labels: Labels::NONE,
        call: past.calls[0].what.clone(),
    };
    for (allowed, opened) in [(PUBLIC_OR_PRIVATE, true), (PUBLIC, false)] {
        fetched.calls[0].refusal = Some(bar(allowed));
        assert!(replay(&closed, &[fetched.clone()]).is_empty());
        assert_eq!(replay(&open, &[fetched.clone()]).len(), usize::from(opened));
        let explained = |scenario| explain_past(scenario, &question(&fetched), fetched.calls[0].refusal.as_ref());
        assert_eq!(explained(&closed).verdict.word(), "deny");
        assert_eq!(explained(&open).verdict.word(), if opened { "allow" } else { "deny" });
    }
}

const CHAIN: [&str; 2] = [
    "format = 1\nlayer = \"grant\"\nagent = \"a\"\nmemory = { read = [\"team/**\"], write = [\"drop/**\"], labels = \"secret\" }\n",
    "format = 1\nlayer = \"grant\"\nagent = \"b\"\nmemory = { read = [\"drop/a\"] }\n\
     http = [{ to = \"https://x.example.org\" }]\n",
];

fn place(text: &str) -> Location {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_way_over_shared_memory_is_found_and_a_rule_cuts_it() {
    let open = routes(&scenario(&CHAIN), &place("memory:team/**"), &place("egress:*"));
    let agents: Vec<_> = open[0].stops.iter().map(|stop| stop.agent.as_str()).collect();
    assert_eq!(agents, ["a", "b"]);
    assert!(open[0].cut.is_none() && open[0].labels.has("secret"), "{open:?}");
    let guard = "format = 1\nlayer = \"site\"\n[[forbid]]\nid = \"site/leak\"\neffect = \"egress\"\nwhen = { labels_all = \"secret\" }\n";
    let cut = routes(&scenario(&[guard, CHAIN[0], CHAIN[1]]), &place("memory:team/**"), &place("egress:*"));
    assert!(cut.iter().all(|route| route.cut.is_some()), "{cut:?}");
    assert!(routes(&scenario(&CHAIN), &place("memory:other/**"), &place("egress:*")).is_empty());
    assert!("moon:x".parse::<Location>().is_err() && "memory:a/../b".parse::<Location>().is_err());
}

fn past(calls: &[(&str, Option<Code>)]) -> Past {
    let replay = |(place, (text, code)): (u32, &(&str, Option<Code>))| Replay {
        call: CallId(place),
        at: NOW,
        what: call(text),
        known: true,
        asked: None,
        refusal: code.map(|code| Refusal::new(code, "x")),
        held: Amounts::of(Resource::TokensOut, 100),
        spent: Amounts::ZERO,
        failed: None,
        gained: Labels::NONE,
        lost: Labels::NONE,
    };
    Past {
        run: RunId(7),
        agent: "clerk".into(),
        package: None,
        began: NOW,
        used: Amounts::ZERO,
        peak: Amounts::ZERO,
        labels: Labels::NONE,
        calls: (1..).zip(calls).map(replay).collect(),
    }
}

const DONE: [(&str, Option<Code>); 7] = [
    (r#"{"tool":"pay.send","args":{"cents":300}}"#, None),
    (r#"{"tool":"pay.send","args":{"cents":700}}"#, None),
    (r#"{"tool":"pay.send","args":{"cents":80000}}"#, Some(Code::Forbidden)),
    (r#"{"tool":"mail.send","args":{"to":["ops@example.org"],"subject":"report 1"}}"#, None),
    (r#"{"memory":"team/board","act":"read"}"#, None),
    (r#"{"http":"https://api.example.org/v1/items"}"#, None),
    (r#"{"model":"small-1"}"#, None),
];

#[test]
fn what_a_changed_policy_would_have_said_is_told_call_by_call() {
    let past = [past(&DONE)];
    assert!(replay(&scenario(&[SITE, CLERK]), &past).is_empty());
    let (site, clerk) = (SITE.replace("50_000", "90_000"), CLERK.replace("\"report\"", "\"Report\""));
    let told = replay(&scenario(&[&site, &clerk]), &past);
    let told: Vec<_> = told.iter().map(|changed| (changed.call.map(|call| call.0), changed.is.word())).collect();
    assert_eq!(told, [(Some(3), "allow"), (Some(4), "deny")]);
    let told = replay(&scenario(&[SITE]), &past);
    assert!(told.len() == 1 && told[0].call.is_none() && told[0].is.word() == "deny", "{told:?}");
}

#[test]
fn what_is_learnt_is_a_policy_under_which_the_same_calls_are_allowed() {
    let mut runs = [past(&DONE)];
    let said = [
        Call::HumanAsk { question: Digest::default(), expires_ms: None },
        Call::HumanNotify { text: Digest::default() },
    ];
    let like = runs[0].calls[0].clone();
    for (place, what) in (100..).zip(said) {
        runs[0].calls.push(Replay { call: CallId(place), what, held: Amounts::ZERO, ..like.clone() });
    }
    let text = learn(&super::Suggestion { agent: "clerk", package: Some("acme:clerk"), runs: &runs, policy: None });
    let learnt = scenario(&[SITE, &text]);
    assert!(replay(&learnt, &runs).is_empty(), "{text}\n{:?}", replay(&learnt, &runs));
    assert!(text.contains("min = 300, max = 700") && text.contains("/v1/items"), "{text}");
    // It is the tightest: nothing beside what was done.
    for (other, code) in [
        (r#"{"tool":"pay.send","args":{"cents":701}}"#, Code::Argument),
        (r#"{"tool":"mail.send","args":{"to":[],"subject":"report 1"}}"#, Code::Argument),
        (r#"{"memory":"team/boss"}"#, Code::NoGrant),
        (r#"{"http":"https://api.example.org/v1/other"}"#, Code::NoGrant),
    ] {
        let verdict = learnt.ask(&question("clerk", other, &[]));
        assert!(matches!(&verdict, Verdict::Refused(_)), "{other}: {verdict:?} {code:?}");
    }
    assert_eq!(
        diff(&scenario(&[SITE, CLERK]), &learnt).opened.iter().filter(|change| change.example.is_some()).count(),
        0
    );
}

#[test]
fn a_grant_that_only_observes_and_denies_nothing_is_told() {
    let scenario = |observed: &str| {
        let grant = "format = 1\nlayer = \"grant\"\nagent = \"x\"\nllm = { models = [\"a\", \"b\"] }\nmemory = { read = [\"team/**\"] }\n";
        let tried = format!("format = 1\nlayer = \"grant\"\nagent = \"x\"\nmode = \"observe\"\n{observed}");
        let sources = [Source { file: "a.toml", text: grant }, Source { file: "b.toml", text: &tried }];
        let policy = Policy::parse(&sources, Digest::default()).expect("it is a policy");
        Scenario { policy: Arc::new(policy), models: Vec::new(), tools: Vec::new(), at: Millis(0) }
    };
    let tells = |observed: &str| telling_nothing(&scenario(observed)).is_empty();
    assert!(tells("llm = { models = [\"a\"] }\nmemory = { read = [\"team/**\"] }\n"), "it denies a model");
    assert!(tells("llm = { models = [\"a\", \"b\"] }\n"), "it denies memory");
    assert!(!tells("llm = { models = [\"a\", \"b\"] }\nmemory = { read = [\"team/**\"] }\n"));
    assert!(!tells("llm = { models = [\"*\"] }\nmemory = { read = [\"**\"] }\n"));
}
