//! What the policy language says of files, right and wrong ones.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use expect_test::expect;

use super::*;
use crate::budget::{Resource, Window};
use crate::rights::Access;

mod language;
mod whole;

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "reporter"
package = "acme:reporter@^1.2"
mode = "enforce"
expires = 2027-03-01
why = "Ops asked for a weekly report."

llm = { models = ["small-*"], max_tokens = 4096, class = "batch", why = "To write." }
memory = { read = ["team/reports/**"], write = ["agent/reporter/**"], why = "To remember." }
files = [{ root = "reports", at = "/out", access = "rw", why = "Its output." }]

[budget]
usd_day = "2.00"
tokens_day = 400_000
tool_calls_run = 60
fuel_run = 5_000_000_000
wall_run = "120s"
memory_mb = 64

[[allow]]
id = "reporter/mail"
tool = "mail.send"
why = "Sends the weekly report to operations."
"#;

fn parse(text: &str) -> Result<Policy, Vec<Mistake>> {
    Policy::parse(&[Source { file: "p.toml", text }], Digest::default())
}

/// The first mistake of the grant with a line changed, on one line.
fn mistake(from: &str, to: &str) -> String {
    let text = GRANT.replacen(from, to, 1);
    assert_ne!(text, GRANT, "`{from}` stands in the grant");
    let mistakes = parse(&text).expect_err(to);
    assert!(mistakes.len() <= MISTAKES_MAX);
    let Mistake { line, column, message, hint, .. } = &mistakes[0];
    format!("{line}:{column} {message} | {hint}")
}

#[test]
fn the_grant_and_the_site_of_the_handbook_are_ones_and_their_tests_hold() {
    let handbook = include_str!("../../../../docs/policy.md");
    let blocks = handbook.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).take(2);
    let sources: Vec<_> = blocks.map(|text| Source { file: "p.toml", text }).collect();
    let policy = Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    assert_eq!(policy.warnings(), []);
    assert_eq!((policy.grants.len(), policy.rules.len(), policy.trials.len()), (1, 4, 2));
    assert_eq!(policy.failed_tests(Vec::new()), []);
}

#[test]
fn every_word_of_a_grant_is_read() {
    let policy = parse(GRANT).expect("it is whole");
    assert_eq!(policy.warnings(), []);
    let grant = &policy.grants[0];
    assert_eq!(grant.expires, Some(Millis(1_803_859_200_000)));
    assert_eq!(grant.budget.day.get(Resource::Usd), Some(2_000_000));
    assert_eq!(grant.budget.run.get(Resource::WallTime), Some(120_000));
    assert_eq!(grant.budget.run.get(Resource::Memory), Some(64 * 1024 * 1024));
    assert_eq!(grant.rights.files[0].access, Access::ReadWrite);
    assert_eq!(grant.rights.tools[0].line, 21);
    let (word, rule) = grant.budget.word(Resource::Tokens, Window::Day);
    assert_eq!((word, rule.id.as_str(), rule.line), (Some("tokens_day"), "reporter/budget", 15));
}

#[test]
fn what_cannot_be_enforced_yet_is_refused() {
    let cases = [
        mistake("mode =", "labels = []\nmode ="),
        mistake("why = \"Ops", "context = {}\nwhy = \"Ops"),
        mistake("[[allow]]", "[[forbid]]\nid = \"x\"\n[[allow]]"),
        mistake("tool = \"mail.send\"", "tool = \"mail.send\"\neffect = \"read\""),
        mistake("class =", "rate = \"1/s\", class ="),
    ];
    expect![[r#"
        5:1 this version cannot enforce `labels` in a grant yet | take it out: what cannot be enforced is refused, never ignored
        7:1 this version cannot enforce `context` in a grant yet | take it out: what cannot be enforced is refused, never ignored
        21:3 a grant cannot enforce `forbid`: it is the site that bounds grants | move it into a file of the site, which begins with `format = 1` and `layer = "site"`: [[forbid]]
        24:1 this version cannot enforce `effect` in [[allow]] yet | take it out: what cannot be enforced is refused, never ignored
        9:50 this version cannot enforce `rate` in `llm` yet | take it out: what cannot be enforced is refused, never ignored"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn a_publisher_is_a_key_and_a_draft_for_one_holds_for_what_it_signed_alone() {
    let key = |digit: &str| format!("ed25519:{}", digit.repeat(64));
    let grant = GRANT.replace("mode =", &format!("publisher = \"{}\"\nmode =", key("a")));
    let policy = parse(&grant).expect("it is whole");
    assert_eq!(policy.grants[0].publisher.map(|key| key.to_string()), Some(key("a")));
    for bad in ["acme", "ed25519:5f0c", &key("A"), ""] {
        let told = mistake("mode =", &format!("publisher = \"{bad}\"\nmode ="));
        assert!(told.contains("`publisher` is no key") && told.contains("agentry key ls"), "{told}");
    }
    let manifest = "format = 1\nname = \"acme:reporter\"\nversion = \"1.2.0\"\nwit = \"0.1.0\"\n";
    let manifest = Manifest::parse_toml(manifest).expect("the manifest is whole");
    let [ours, other] = ["a", "b"].map(|digit| key(digit).parse().ok());
    let draft = parse(&Grant::draft(&manifest, ours)).expect("it is whole");
    let holds = |signer| draft.grant("reporter", &manifest, signer).is_some();
    assert_eq!([holds(ours), holds(other), holds(None)], [true, false, false]);
}

#[test]
fn each_word_to_people_is_granted_by_its_name() {
    let told = |human: &str| mistake("why = \"Ops", &format!("{human}\nwhy = \"Ops"));
    assert!(told("human = {}").contains("`human` grants nothing"), "{}", told("human = {}"));
    assert!(told("human = { ask = 1 }").contains("`ask`"), "{}", told("human = { ask = 1 }"));
    assert!(told("human = { tell = true }").contains("`tell`"), "{}", told("human = { tell = true }"));
}

#[test]
fn a_mistake_names_its_place_and_a_remedy() {
    let cases = [
        mistake("format = 1\n", ""),
        mistake("format = 1", "format = 2"),
        mistake("agent = \"reporter\"\n", ""),
        mistake("\"reporter\"", "\"Reporter\""),
        mistake("max_tokens", "max_token"),
        mistake("wall_run", "wal_run"),
        mistake("4096", "-1"),
        mistake("4096", "4096.0"),
        mistake("400_000", "18446744073709551616"),
        mistake("\"2.00\"", "2.00"),
        mistake("\"2.00\"", "\"2.0000001\""),
        mistake("\"120s\"", "120"),
        mistake("= 64", "= 100_000"),
        mistake("[\"small-*\"]", "7"),
        mistake("\"small-*\"", "\"*-small\""),
        mistake("team/reports/**", "team/../**"),
        mistake("team/reports/**", "team*"),
        mistake("\"/out\"", "\"/out/../etc\""),
        mistake("\"rw\"", "\"w\""),
        mistake("\"batch\"", "\"system\""),
        mistake("@^1.2", "@latest"),
        mistake("2027-03-01", "2027-03-01T10:00:00"),
        mistake("2027-03-01", "\"soon\""),
        mistake("mode =", "agent = \"x\"\nmode ="),
        mistake("To write.", "To \\u001b[2J."),
        mistake("[[allow]]", "[[allow]]\nid = \"reporter/mail\"\ntool = \"x\"\n[[allow]]"),
        mistake("tool = \"mail.send\"", ""),
        mistake("\"To write.\"", "\" \""),
        mistake("\"Its output.\"", "\"Its output."),
        mistake("[budget]", &format!("x = {}", "[".repeat(100_000))),
        mistake("[budget]", &format!("{}x = 1", "a.".repeat(100_000))),
        mistake("[budget]", &format!("#{}", "x".repeat(2_000_000))),
    ];
    expect![[r#"
        1:1 `format` is missing | begin the file with `format = 1`
        1:10 format 2 is not known | this version reads `format = 1`
        1:1 `agent` is missing | add `agent = "reporter"`
        3:9 `agent` may have lowercase letters, digits and `-` only: "Reporter" | write `agent = "reporter"`
        9:31 unknown key `max_token` in `llm` | did you mean `max_tokens`?
        18:1 unknown key `wal_run` in [budget] | did you mean `wall_run`?
        9:44 `max_tokens` must be a number from 0 to 18446744073709551615 | for example `max_tokens = 4096`
        9:44 `max_tokens` is a number with a fraction; it must be a whole number | for example `max_tokens = 4096`
        15:14 `tokens_day` must be a number from 0 to 18446744073709551615 | for example `tokens_day = 400_000`
        14:11 `usd_day` is a number with a fraction; it must be an amount | for example `usd_day = "2.00"`
        14:11 `usd_day` must be dollars with up to 6 decimals, for example "2.00" | for example `usd_day = "2.00"`
        18:12 `wall_run` must be a time in quotes, with its unit, for example "120s" | write `wall_run = "120s"`
        19:13 `memory_mb` must be from 1 to 256, for example 64 | for example `memory_mb = 64`
        9:18 `models` is a whole number; it must be a list of texts | for example `models = ["small-*"]`
        9:19 `models` may have one `*`, at its end: "*-small" | write `models = ["small-*"]`
        10:20 `read` has `.` or `..`: "team/../**" | write `read = ["team/reports/**"]`
        10:20 `read` may have a star as `/**` at its end only: "team*" | write `read = ["team/**"]`
        11:35 `at` has `.` or `..`: "/out/../etc" | write `at = "/out"`
        11:52 unknown access "w" | write "rw": whoever writes reads, too
        9:58 no class "system" can be granted | "interactive", "normal" or "batch"
        4:11 the version of `package` is not one: unexpected character 'l' while parsing major version number | for example `package = "acme:reporter@^1.2"`
        6:11 `expires` names no moment | a date such as 2027-03-01, whose beginning in UTC is meant, or a time such as 2027-03-01T12:00:00Z
        6:11 `expires` is a text; it must be a date | for example `expires = 2027-03-01`
        5:1 duplicate key | each key stands once in its table
        9:73 `why` has a line break, a control character or one that cannot be seen: "To \u{1b}[2J." | write `why = "Sends the weekly report."`
        25:6 rule "reporter/mail" stands already in line 21 | give each rule an id of its own: refusals name it
        21:1 `tool` is missing | add `tool = "mail.send"`
        9:73 `why` is empty | say who needs it and what for, or leave it out
        11:79 invalid basic string, expected `"` | write it as TOML: `key = value`, texts in "quotes"
        13:21 nested deeper than 16 | the language itself needs 4
        13:34 nested deeper than 16 | the language itself needs 4
        1:1 the file has 2000631 bytes, more than 1048576 | nobody could review it: split it, one agent a file"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn a_mistake_is_shown_with_its_line_and_a_caret() {
    let mistakes = parse(&GRANT.replace("max_tokens", "max_tokes")).expect_err("there is a mistake");
    expect![[r#"
        p.toml:9:31: unknown key `max_tokes` in `llm`
          9 | llm = { models = ["small-*"], max_tokes = 4096, class = "batch", why = "To write." }
            |                               ^
          hint: did you mean `max_tokens`?"#]]
    .assert_eq(&mistakes[0].to_string());
}

#[test]
fn an_agent_has_one_grant() {
    let sources = [Source { file: "a.toml", text: GRANT }, Source { file: "b.toml", text: GRANT }];
    let mistakes = Policy::parse(&sources, Digest::default()).expect_err("which should hold?");
    expect![[r#"
        b.toml:3:9: agent `reporter` has a grant already, in a.toml:3
          3 | agent = "reporter"
            |         ^
          hint: one agent has one grant: put both together, or remove one"#]]
    .assert_eq(&mistakes[0].to_string());
}

#[test]
fn thousands_of_mistakes_are_not_all_told() {
    let text: String = (0..10_000).map(|n| format!("key-{n} = 1\n")).collect();
    let mistakes = parse(&format!("{text}{GRANT}")).expect_err("they are unknown");
    assert_eq!(mistakes.len(), MISTAKES_MAX);
}

#[test]
fn no_text_makes_it_panic() {
    for end in (0..GRANT.len()).filter(|end| GRANT.is_char_boundary(*end)) {
        let _ = parse(&GRANT[..end]);
        let _ = parse(&GRANT[end..]);
        let _ = parse(&format!("{}\"é\u{202e}{}", &GRANT[..end], &GRANT[end..]));
    }
}

#[test]
fn what_is_probably_not_meant_is_told() {
    let text = "format = 1\nlayer = \"grant\"\nagent = \"a\"\npackage = \"acme:b\"\n\
                llm = { models = [\"*\", \"small\"] }\nmemory = { read = [\"a/**\", \"a/b\"], write = [\"**\"], why = \"x\" }\n\
                files = [{ root = \"r\", access = \"r\" }, { root = \"r\", at = \"/x\", access = \"r\" }]\n\
                [budget]\ntool_calls_run = 5\ntool_calls_day = 3\n";
    let policy = parse(text).expect("it is well formed");
    let told: Vec<_> = policy.warnings().iter().map(|w| format!("{}:{} {}", w.line, w.column, w.message)).collect();
    expect![[r#"
        4:1 never matches: package `acme:b` is not agent `a`
        5:1 `llm` has no `why`
        7:10 `files` has no `why`
        7:40 `files` has no `why`
        5:1 grants every model, the dearest too
        6:1 may write every agent's memory
        5:1 `small` changes nothing beside `*`
        6:1 `a/b` changes nothing beside `a/**`
        7:40 `r/x` changes nothing beside `r/`
        5:1 models without a limit in money or tokens
        8:2 a run never gets its tool calls: a day has less"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn a_draft_is_a_grant_and_gives_what_the_package_asks_for() {
    let manifest = Manifest::parse_toml(
        r#"
        format = 1
        name = "acme:scribe"
        version = "1.2.0"
        wit = "0.1.0"
        description = "Writes \"reports\" \\ lists."
        budget = { usd_run = "0.05", llm_calls_run = 20 }
        [wants]
        llm = { models = ["*"], max_tokens = 800, why = "To write." }
        memory = { read = ["team/**"], write = ["agent/scribe/**"], why = "To remember.", optional = true }
        files = [{ root = "docs", access = "r", why = "To read." }]
        tools = [{ tool = "mail.*", why = "To send." }]
        http = { why = "To look\\nformat = 2" }
        secrets = [{ handle = "crm", only_to = "https://api.example.org:443", why = "To ask.", optional = true }]
        "#,
    )
    .expect("the manifest is whole");
    let draft = Grant::draft(&manifest, None);
    let policy = parse(&draft).unwrap_or_else(|mistakes| panic!("{}\n{draft}", mistakes[0]));
    let (given, asked) = (&policy.grants[0].rights, manifest.rights());
    assert_eq!(policy.grants[0].agent, "scribe");
    assert!(policy.grant("scribe", &manifest, None).is_some());
    assert!(given.llm.as_ref().is_some_and(|llm| llm.models == ["*"] && llm.max_tokens == Some(800)));
    assert!(given.memory.as_ref().is_some_and(|memory| memory.allows("team/a", false)));
    assert!(manifest.wants.secrets[0].is_given_by(&given.secrets[0]));
    assert_eq!((given.files.len(), given.tools[0].tool.as_str()), (asked.files.len(), "mail.*"));
    expect![[r##"
        # What agent `scribe` may do. Made from what its package asks for: review every line before you save it.
        # A `why` below is the author's word. What you take out is denied.
        format = 1
        layer = "grant"
        agent = "scribe"
        package = "acme:scribe@^1.2.0"
        mode = "enforce"
        why = "Writes \"reports\" \\ lists."

        [llm]
        models = ["*"]
        max_tokens = 800
        why = "To write."

        [memory]
        read = ["team/**"]
        write = ["agent/scribe/**"]
        why = "To remember."    # it says that it works without

        [[files]]
        root = "docs"
        at = "/"
        access = "r"
        why = "To read."

        [[allow]]
        id = "scribe/tool-1"
        tool = "mail.*"
        args = "any"    # narrow it: `args.NAME = { … }` for each argument that it needs
        why = "To send."

        # It also asks for `http`: "To look\\nformat = 2". Name the hosts:
        # [[http]]
        # to = "https://api.example.org"
        # methods = ["GET"]
        # paths = ["/v1/**"]
        # why = "To look\\nformat = 2"

        [[secrets]]
        handle = "crm"
        only_to = "https://api.example.org"
        why = "To ask."    # it says that it works without

        [budget]
        tool_calls_run = 60    # Agentry's default, not asked for
        egress_day = "10MiB"    # Agentry's default, not asked for
        llm_calls_run = 20
        usd_run = "0.05"
    "##]]
    .assert_eq(&draft);
    // Its commented lines hold where they stand, once they are uncommented.
    let uncommented: String = draft
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(line) if line.starts_with('[') || line.split(' ').nth(1) == Some("=") => format!("{line}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let policy = parse(&uncommented).unwrap_or_else(|mistakes| panic!("{}\n{uncommented}", mistakes[0]));
    assert_eq!(policy.grants[0].rights.http[0].to.host, "api.example.org");
}
