//! What the site says bounds every grant; each no costs nothing, which `refusal` looks at.

use expect_test::expect;

use super::*;
use crate::labels::Labels;

mod outside;

const SITE: &str = r#"format = 1
layer = "site"

[ceiling]
models = ["small*"]
tools = ["mail.*", "pay.*"]
egress = ["https://*.example.org:443"]

[[forbid]]
id = "site/pay-cap"
tool = "pay.send"
unless = { cents = { min = 1, max = 50_000 } }
why = "Above 500 USD goes through finance."

[[require]]
id = "site/irreversible"
effect = "irreversible"
approval = { from = "group:ops", factor = "totp", quorum = 1, ttl = "10m" }
why = "Nobody sells the car without a second factor."

[[forbid]]
id = "site/trifecta"
effect = "egress"
when = { labels_all = ["untrusted", "secret"] }
why = "A run that read a stranger's words and our secrets may not talk to the outside."

[[forbid]]
id = "site/no-delete"
root = "docs"
at = "/archive"
acts = ["delete"]
why = "The archive is for ever."

[[forbid]]
id = "site/board"
memory = "team/board/**"
acts = ["write"]
why = "Only people write there."

[[forbid]]
id = "site/force"
tool = "git.*"
when = { branch = { in = ["main"] } }
why = "Nobody pushes to main."

[[forbid]]
id = "site/admin"
host = "example.org"
paths = ["/admin"]
why = "The console is for people."

[[label]]
id = "site/inbox"
tool = "mail.read"
adds = ["untrusted"]
why = "Anybody may write to us."
"#;

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "scribe"

llm = { models = ["small", "dear"] }
memory = { read = ["team/**"], write = ["team/**"], labels = ["secret"] }
files = [{ root = "docs", access = "rw" }]
http = [
  { id = "scribe/api", to = "https://*.example.org", methods = ["GET", "POST"] },
  { id = "scribe/other", to = "https://example.net" },
]
allow = [
  { id = "scribe/mail", tool = "mail.*", args = "any" },
  { id = "scribe/pay", tool = "pay.send", args.cents = { min = 1, max = 100_000 } },
  { id = "scribe/git", tool = "git.push", args = "any" },
  { id = "scribe/fax", tool = "fax.send", args = "any" },
]

[budget]
tokens_run = 2000
"#;

const MANIFEST: &str = r#"
format = 1
name = "acme:scribe"
version = "1.2.3"
wit = "0.1.0"
[wants]
llm = { models = ["*"], why = "To write." }
memory = { read = ["**"], write = ["**"], why = "To remember." }
files = [{ root = "docs", access = "rw", why = "To read." }]
tools = [{ tool = "*", why = "To act." }]
http = { why = "To look things up." }
"#;

fn kernel_with(site: &str, grant: &str) -> Kernel {
    let sources =
        [Source { file: "policies/00-site.toml", text: site }, Source { file: "policies/50-scribe.toml", text: grant }];
    let policy = Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let tool = |name: &str, effect| Tool { name: name.into(), effect, ..Tool::default() };
    let tools = vec![
        tool("mail.send", Effect::Egress),
        tool("mail.read", Effect::Read),
        tool("pay.send", Effect::Irreversible),
        tool("git.push", Effect::Reversible),
        tool("fax.send", Effect::Reversible),
    ];
    let mut kernel = Kernel::new(Arc::new(policy), models(), tools);
    let manifest = Arc::new(Manifest::parse_toml(MANIFEST).expect("the manifest is whole"));
    kernel.start(RUN, &Start { agent: "scribe".into(), manifest, signer: None }, NOW).expect("the grant covers it");
    kernel
}

fn site() -> Kernel {
    kernel_with(&SITE.replace("\"pay.*\"]", "\"pay.*\", \"git.*\"]"), GRANT)
}

fn says(call: &Call, expected: &Expect) {
    expected.assert_eq(&refusal(&mut site(), call).to_string());
}

fn delete(path: &str) -> Call {
    Call::FilesDelete(Place { root: "docs".into(), path: path.into() })
}

fn put(namespace: &str) -> Call {
    Call::MemoryPut { namespace: namespace.into(), key: "k".into(), content: Digest::default(), bytes: 1, grows: 1 }
}

/// Lets the run read something that carries these labels.
fn taint(kernel: &mut Kernel, labels: &[&str]) {
    let mut permit = permit(kernel, &Call::TimersNow);
    permit.bring(&Labels::of(labels.iter().copied()));
    kernel.settle(permit, Amounts::ZERO, NOW);
}

#[test]
fn what_is_above_the_ceiling_is_refused_whatever_the_grant_says() {
    says(
        &Call::LlmComplete(ask("dear", 1, 1)),
        &expect![[r#"
        denied  scribe → llm.complete: a grant gives it, but the ceiling of the site does not
          rule  site/ceiling   policies/00-site.toml:4
          arg   model = dear, allowed small*
          hint  raise [ceiling] in policies/00-site.toml, or take it out of the grant
          ref   0000000000001/7"#]],
    );
    says(
        &tool_call("fax.send", "{}"),
        &expect![[r#"
        denied  scribe → tools.call: a grant gives it, but the ceiling of the site does not
          rule  site/ceiling   policies/00-site.toml:4
          arg   name = fax.send, allowed mail.*, pay.*, git.*
          hint  raise [ceiling] in policies/00-site.toml, or take it out of the grant
          ref   0000000000001/7"#]],
    );
    says(
        &fetch("GET", "https://example.net/"),
        &expect![[r#"
        denied  scribe → http.fetch: a grant gives it, but the ceiling of the site does not
          rule  site/ceiling   policies/00-site.toml:4
          arg   url = example.net, allowed https://*.example.org
          hint  raise [ceiling] in policies/00-site.toml, or take it out of the grant
          ref   0000000000001/7"#]],
    );
    let _within = permit(&mut site(), &Call::LlmComplete(ask("small", 1, 1)));
}

#[test]
fn an_argument_beyond_what_a_site_rule_lets_through_is_forbidden() {
    says(
        &tool_call("pay.send", r#"{"cents":80000}"#),
        &expect![[r#"
        denied  scribe → tools.call: a site rule forbids it, and no grant can override that: Above 500 USD goes through finance.
          rule  site/pay-cap   policies/00-site.toml:9
          arg   cents = 80000, allowed 1..50000
          hint  if it must be possible, change site/pay-cap in policies/00-site.toml
          ref   0000000000001/7"#]],
    );
    for tricky in [r#"{"cents":50001}"#, r#"{"cents":0}"#] {
        refusal(&mut site(), &tool_call("pay.send", tricky));
    }
}

#[test]
fn an_argument_that_the_grant_does_not_list_is_refused() {
    says(
        &tool_call("pay.send", r#"{"cents":1,"to":"evil"}"#),
        &expect![[r#"
        denied  scribe → tools.call: argument `to` of `pay.send` is not listed
          rule  scribe/pay   policies/50-scribe.toml:14
          arg   to = "evil", allowed to be left out
          hint  list it under `args` of scribe/pay in policies/50-scribe.toml, or `args = "any"`
          ref   0000000000001/7"#]],
    );
    says(
        &tool_call("pay.send", r#"{"cents":"1"}"#),
        &expect![[r#"
        denied  scribe → tools.call: argument `cents` of `pay.send` is not what the rule allows
          rule  scribe/pay   policies/50-scribe.toml:14
          arg   cents = "1", allowed 1..100000
          hint  widen `args.cents` of scribe/pay in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    says(
        &tool_call("pay.send", "{}"),
        &expect![[r#"
        denied  scribe → tools.call: argument `cents` of `pay.send` is missing
          rule  scribe/pay   policies/50-scribe.toml:14
          arg   cents = nothing, allowed 1..100000
          hint  the agent passes it, or the rule says `optional = true` in policies/50-scribe.toml
          ref   0000000000001/7"#]],
    );
    says(
        &tool_call("pay.send", "[1]"),
        &expect![[r#"
        denied  scribe → tools.call: the arguments of `pay.send` are no object
          rule  scribe/pay   policies/50-scribe.toml:14
          arg   arguments = [1], allowed an object
          hint  the agent passes a JSON object
          ref   0000000000001/7"#]],
    );
}

#[test]
fn what_cannot_be_undone_needs_a_person() {
    says(
        &tool_call("pay.send", r#"{"cents":5}"#),
        &expect![[r#"
            denied  scribe → tools.call: this needs a yes from group:ops, and nobody can be asked here
              rule  site/irreversible   policies/00-site.toml:15
              hint  run it at a terminal, or with `--wait` and answer by `agentry approve`
              ref   0000000000001/7"#]],
    );
}

#[test]
fn whoever_has_read_a_strangers_mail_and_our_secrets_may_not_talk_to_the_outside() {
    let outside = [tool_call("mail.send", "{}"), fetch("GET", "https://api.example.org/")];
    for call in &outside {
        let mut kernel = site();
        taint(&mut kernel, &["untrusted"]);
        let _one_label_is_not_both = permit(&mut kernel, call);
        taint(&mut kernel, &["secret"]);
        assert_eq!(refusal(&mut kernel, call).code, Code::Label);
        let _inside = permit(&mut kernel, &tool_call("mail.read", "{}"));
    }
    let mut kernel = site();
    let read = permit(&mut kernel, &tool_call("mail.read", "{}"));
    assert_eq!(read.brings(), &Labels::of(["untrusted"]), "a site rule marks what is read");
    kernel.settle(read, Amounts::ZERO, NOW);
    let get = Call::MemoryGet { namespace: "team/keys".into(), key: "k".into() };
    let read = permit(&mut kernel, &get);
    assert_eq!(read.brings(), &Labels::of(["secret"]), "and so does a grant");
    kernel.settle(read, Amounts::ZERO, NOW);
    expect![[r#"
        denied  scribe → tools.call: a site rule forbids it to a run that has read so much: A run that read a stranger's words and our secrets may not talk to the outside.
          rule  site/trifecta   policies/00-site.toml:21
          arg   labels = secret, untrusted, allowed not with secret, untrusted
          hint  let another run do it that has not read both, or let a person take a label off
          ref   0000000000001/7"#]].assert_eq(&refusal(&mut kernel, &outside[0]).to_string());
}

#[test]
fn no_agent_deletes_in_this_directory_however_it_spells_it() {
    says(
        &delete("archive/2024.md"),
        &expect![[r#"
        denied  scribe → files.delete: a site rule forbids it, and no grant can override that: The archive is for ever.
          rule  site/no-delete   policies/00-site.toml:27
          hint  if it must be possible, change site/no-delete in policies/00-site.toml
          ref   0000000000001/7"#]],
    );
    let slips = [
        "archive",
        "Archive/a",
        "ARCHIVE/a",
        "archive./a",
        "archive /a",
        "arch\u{200b}ive/a",
        "ａrchive/a",
        "%61rchive/a",
        "archive%2fa",
        "x%2f..%2farchive/a",
        "archive/%2e%2e/a",
        "archive/%252e%252e/a",
        "%2561rchive/a",
        "archive\u{ad}/a",
    ];
    for slip in slips {
        refusal(&mut site(), &delete(slip));
    }
    for other in ["archives/a", "notes/archive", "arch/ive", "a"] {
        let _allowed = permit(&mut site(), &delete(other));
    }
    let _reading_is_not_deleting = permit(&mut site(), &read("docs", "archive/2024.md"));
}

#[test]
fn a_forbidden_namespace_is_forbidden_with_all_below_it() {
    says(
        &put("team/board/today"),
        &expect![[r#"
        denied  scribe → memory.put: a site rule forbids it, and no grant can override that: Only people write there.
          rule  site/board   policies/00-site.toml:34
          hint  if it must be possible, change site/board in policies/00-site.toml
          ref   0000000000001/7"#]],
    );
    for slip in ["team/board", "Team/Board", "team/b%6fard/x", "team/boa\u{301}rd".replace('\u{301}', "").as_str()] {
        refusal(&mut site(), &put(slip));
    }
    let _beside = permit(&mut site(), &put("team/boards"));
}

#[test]
fn a_condition_on_an_argument_is_not_slipped_by_another_spelling() {
    says(
        &tool_call("git.push", r#"{"branch":"main"}"#),
        &expect![[r#"
        denied  scribe → tools.call: a site rule forbids it, and no grant can override that: Nobody pushes to main.
          rule  site/force   policies/00-site.toml:40
          hint  if it must be possible, change site/force in policies/00-site.toml
          ref   0000000000001/7"#]],
    );
    for slip in [r#""Main""#, r#"" main""#, r#""m\u0061in""#, r#"["main"]"#, "{}", "7"] {
        refusal(&mut site(), &tool_call("git.push", &alloc::format!("{{\"branch\":{slip}}}")));
    }
    let _other = permit(&mut site(), &tool_call("git.push", r#"{"branch":"dev"}"#));
}

#[test]
fn a_rule_that_asks_a_person_asks_and_one_that_does_not_comes_first() {
    let asks =
        "args.cents = { min = 1, max = 100_000 }, approval = { from = \"group:ops\", factor = \"totp\", quorum = 2 } }";
    let grant = GRANT.replace("args.cents = { min = 1, max = 100_000 } }", asks);
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", &grant);
    let refused = refusal(&mut kernel, &tool_call("pay.send", r#"{"cents":5}"#));
    assert_eq!(refused.rule.map(|rule| rule.id).as_deref(), Some("scribe/pay"));
    let small = ",\n  { id = \"scribe/coins\", tool = \"pay.*\", args.cents = { min = 1, max = 9 } },";
    let grant = grant.replace("quorum = 2 } },", &alloc::format!("quorum = 2 }} }}{small}"));
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", &grant);
    let _small = permit(&mut kernel, &tool_call("pay.send", r#"{"cents":9}"#));
    assert_eq!(refusal(&mut kernel, &tool_call("pay.send", r#"{"cents":10}"#)).code, Code::NotApproved);
}

#[test]
fn demands_of_two_rules_are_met_together() {
    let two = "[[require]]\nid = \"site/also\"\ntool = \"pay.*\"\napproval = { from = \"anyone\", ttl = \"1m\" }\n";
    let mut kernel = kernel_with(&alloc::format!("{SITE}{two}"), GRANT);
    let refused = refusal(&mut kernel, &tool_call("pay.send", r#"{"cents":5}"#));
    assert_eq!(refused.rule.map(|rule| rule.id).as_deref(), Some("site/irreversible"));
    let others = two.replace("anyone\"", "group:board\", factor = \"totp\"");
    let mut kernel = kernel_with(&alloc::format!("{SITE}{others}"), GRANT);
    expect![[r#"
        denied  scribe → tools.call: two rules want a yes, one from group:board and one from group:ops
          rule  site/irreversible   policies/00-site.toml:15
          hint  let site/also and site/irreversible ask the same people
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &tool_call("pay.send", r#"{"cents":5}"#)).to_string());
}

/// What files that only observe would have said since this was last asked.
fn would_have_said(kernel: &mut Kernel) -> Option<Refusal> {
    kernel.entries().into_iter().find_map(|entry| match entry {
        crate::journal::Entry::ShadowDenied { refusal, .. } => Some(refusal),
        _ => None,
    })
}

#[test]
fn what_only_observes_denies_nothing_and_tells() {
    let observed = SITE.replace("layer = \"site\"\n", "layer = \"site\"\nmode = \"observe\"\n");
    let mut kernel = kernel_with(&observed, GRANT);
    let _would_be_denied = permit(&mut kernel, &delete("archive/a"));
    let told = would_have_said(&mut kernel).expect("it is told");
    assert_eq!((told.code, told.agent.as_str(), told.wanted.as_str()), (Code::Forbidden, "scribe", "files.delete"));
    let _fine = permit(&mut kernel, &delete("notes/a"));
    assert_eq!(would_have_said(&mut kernel), None, "it is told once");
    let tighter = "format = 1\nlayer = \"grant\"\nagent = \"scribe\"\nmode = \"observe\"\n";
    let sources = [Source { file: "a.toml", text: GRANT }, Source { file: "b.toml", text: tighter }];
    let policy = Policy::parse(&sources, Digest::default()).expect("one is in force, one observes");
    let mut kernel = site();
    kernel.reload(Arc::new(policy));
    let _would_be_denied = permit(&mut kernel, &delete("notes/a"));
    assert_eq!(would_have_said(&mut kernel).map(|no| no.code), Some(Code::NoGrant));
}

#[test]
fn a_grant_that_only_observes_gives_nothing() {
    let sources = [Source { file: "a.toml", text: &GRANT.replace("agent =", "mode = \"observe\"\nagent =") }];
    let policy = Policy::parse(&sources, Digest::default()).expect("it is well formed");
    let mut kernel = site();
    kernel.reload(Arc::new(policy));
    assert_eq!(refusal(&mut kernel, &delete("notes/a")).code, Code::NoGrant);
}

#[test]
fn a_grant_gives_nothing_to_a_run_that_has_read_too_much() {
    let grant = GRANT
        .replace("tool = \"mail.*\", ", "tool = \"mail.*\", unless = { labels_any = [\"secret\"] }, ")
        .replace("id = \"scribe/api\", ", "id = \"scribe/api\", unless = { labels_all = [\"secret\", \"eu\"] }, ");
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", &grant);
    let (send, get) = (tool_call("mail.send", "{}"), fetch("GET", "https://api.example.org/"));
    let _before = [permit(&mut kernel, &send), permit(&mut kernel, &get)];
    taint(&mut kernel, &["secret"]);
    let _one_of_two = permit(&mut kernel, &get);
    expect![[r#"
        denied  scribe → tools.call: tool `mail.send` is not for a run that has read what this one has
          rule  scribe/mail   policies/50-scribe.toml:13
          arg   labels = secret, allowed fewer of them, see `unless` of the rule
          hint  let another run do it that has not read so much
          ref   0000000000001/7"#]]
    .assert_eq(&refusal(&mut kernel, &send).to_string());
    taint(&mut kernel, &["eu"]);
    assert_eq!(refusal(&mut kernel, &get).code, Code::Label);
}

#[test]
fn a_policy_that_changes_bites_at_the_next_call() {
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", GRANT);
    let _before = permit(&mut kernel, &delete("archive/a"));
    let policy = site().policy().clone();
    kernel.reload(policy);
    assert_eq!(refusal(&mut kernel, &delete("archive/a")).code, Code::Forbidden);
}

#[test]
fn a_package_that_names_its_hosts_asks_no_others_whatever_is_granted() {
    let manifest = MANIFEST.replace("http = {", "http = { hosts = [\"https://*.example.org\"],");
    assert_ne!(manifest, MANIFEST);
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", GRANT);
    let start = Start {
        agent: "scribe".into(),
        manifest: Arc::new(Manifest::parse_toml(&manifest).expect("whole")),
        signer: None,
    };
    let run = RunId(77);
    kernel.start(run, &start, NOW).expect("the grant covers it");
    let asked_for = kernel.admit(run, CallId(1), &fetch("GET", "https://api.example.org/"), NOW);
    assert!(matches!(asked_for, Answer::Permit(_)));
    let no = refused(&mut kernel, (run, 2), &fetch("GET", "https://example.net/"), NOW);
    assert_eq!(no.code, Code::NotDeclared);
}

#[test]
fn a_package_that_names_its_methods_asks_by_no_others_whatever_is_granted() {
    let named = "http = { hosts = [\"https://*.example.org\"], methods = [\"POST\"],";
    let manifest = Manifest::parse_toml(&MANIFEST.replace("http = {", named)).expect("whole");
    let mut kernel = kernel_with("format = 1\nlayer = \"site\"\n", GRANT);
    let run = RunId(77);
    let start = Start { agent: "scribe".into(), manifest: Arc::new(manifest), signer: None };
    kernel.start(run, &start, NOW).expect("the grant covers it");
    let asked_for = kernel.admit(run, CallId(1), &fetch("POST", "https://api.example.org/"), NOW);
    assert!(matches!(asked_for, Answer::Permit(_)));
    let no = refused(&mut kernel, (run, 2), &fetch("GET", "https://api.example.org/"), NOW);
    assert_eq!(no.code, Code::NotDeclared);
    assert!(no.to_string().contains("http.methods"), "{no}");
}
