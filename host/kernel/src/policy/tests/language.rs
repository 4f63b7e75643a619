//! Arguments, the outside, the site and tests in files: every word read, every mistake told with its place.

use super::*;
use crate::constraint::{Arguments, Test};
use crate::tool::{Effect, Tool};

const SITE: &str = r#"format = 1
layer = "site"
mode = "enforce"
why = "What holds for all."

[ceiling]
models = ["small-*"]
tools = ["mail.*", "pay.*"]
egress = ["https://*.example.org:443"]
budget = { usd_day = "40.00" }
why = "Nobody needs more."

[[forbid]]
id = "site/pay-cap"
agent = "reporter"
tool = "pay.send"
unless = { cents = { min = 1, max = 50_000 } }
why = "Above 500 USD goes through finance."

[[forbid]]
id = "site/trifecta"
effect = "egress"
when = { labels_all = ["untrusted", "secret"], labels_any = ["eu"] }
why = "No way out."

[[forbid]]
id = "site/archive"
root = "reports"
at = "/archive"
acts = ["delete", "write"]
why = "The archive is for ever."

[[forbid]]
id = "site/console"
host = "example.org"
methods = ["POST"]
paths = ["/admin"]
why = "The console is for people."

[[forbid]]
id = "site/large"
model = "large-*"
why = "Too dear."

[[require]]
id = "site/irreversible"
effect = "irreversible"
approval = { from = "group:ops", factor = "totp", quorum = 2, ttl = "10m" }
why = "Nobody sells the car alone."

[[label]]
id = "site/inbox"
memory = "inbox/**"
adds = ["untrusted"]
removes = ["clean"]
why = "Anybody may write to us."

[[test]]
expect = "deny:forbidden"
agent = "reporter"
labels = ["eu"]
call = { tool = "pay.send", args = { cents = 80_000 } }
why = "The cap holds."

[[test]]
expect = "ask"
agent = "reporter"
call = { tool = "pay.send", args = { cents = 5 } }

[[test]]
expect = "deny"
agent = "reporter"
call = { root = "reports", path = "archive/x", act = "delete" }
"#;

const WIDE: &str = r#"format = 1
layer = "grant"
agent = "reporter"
package = "acme:reporter@^1.2"
why = "Ops asked for a weekly report."
agents = { call = ["fetcher"], max_depth = 2, why = "To look things up." }
secrets = [{ handle = "crm-key", only_to = "https://api.example.org", why = "The CRM asks for it." }]

[llm]
models = ["small-*"]
why = "To write."

[memory]
read = ["inbox/**"]
labels = ["untrusted"]
why = "To read mail."

[[files]]
root = "reports"
access = "rw"
labels = ["internal"]
why = "Its output."

[[http]]
id = "reporter/crm"
to = "https://api.example.org"
methods = ["GET"]
paths = ["/v1/**"]
private = true
unless = { labels_any = ["secret"] }
rate = "20/h"
approval = { from = "anyone" }
labels = ["crm"]
why = "Reads customers."

[[allow]]
id = "reporter/mail"
tool = "mail.send"
args.to = { each_in = ["ops@example.org"], min_items = 1, max_items = 3 }
args.subject = { prefix = "report", max_bytes = 80 }
args.body = { max_bytes = 20_000, optional = true }
args.kind = { in = ["weekly", 7, true] }
args.site = { host = "*.example.org" }
args.file = { path = "/out" }
args.note = { any = true }
unless = { labels_all = ["secret", "eu"] }
rate = "5/m"
labels = ["sent"]
why = "Sends the weekly report."

[[allow]]
id = "reporter/pay"
tool = "pay.send"
args.cents = { min = 1, max = 100_000 }
why = "Pays for it."

[budget]
usd_day = "1.00"

[[test]]
expect = "allow"
call = { http = "https://api.example.org/v1/x", method = "GET", secret = "crm-key" }
labels = ["eu"]

[[test]]
expect = "allow"
call = { model = "small-1" }

[[test]]
expect = "allow"
call = { memory = "inbox/today" }
"#;

fn both(site: &str, grant: &str) -> Result<Policy, Vec<Mistake>> {
    let sources = [Source { file: "site.toml", text: site }, Source { file: "grant.toml", text: grant }];
    Policy::parse(&sources, Digest::default())
}

/// The first mistake with a line changed, on one line.
fn wrong(whole: &str, from: &str, to: &str) -> String {
    assert!(whole.contains(from), "`{from}` stands in the file");
    let text = whole.replacen(from, to, 1);
    let mistakes = parse(&text).map(|_| ()).expect_err(to);
    let Mistake { line, column, message, hint, .. } = &mistakes[0];
    assert!(!hint.is_empty(), "{to}");
    format!("{line}:{column} {message} | {hint}")
}

#[test]
fn every_word_of_the_language_is_read() {
    let policy = both(SITE, WIDE).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    assert_eq!(policy.warnings(), []);
    assert_eq!((policy.rules.len(), policy.ceilings.len(), policy.trials.len()), (7, 1, 6));
    assert_eq!(policy.budget.day.get(Resource::Usd), Some(40_000_000));
    let rights = &policy.grants[0].rights;
    assert_eq!(rights.http[0].to.to_string(), "https://api.example.org");
    assert!(rights.http[0].private && rights.http[0].extra.approval.is_some());
    assert_eq!(rights.http[0].extra.rate.map(|rate| rate.to_string()).as_deref(), Some("20/h"));
    assert_eq!(rights.agents.as_ref().map(|agents| agents.max_depth), Some(2));
    assert_eq!(rights.secrets[0].handle, "crm-key");
    let Arguments::Listed(listed) = &rights.tools[0].args else { panic!("they are listed") };
    assert_eq!(listed.len(), 7);
    assert!(listed.iter().any(|(name, constraint)| name == "body" && constraint.tests == [Test::BytesMax(20_000)]));
    assert_eq!(policy.rules[0].agent.as_deref(), Some("reporter"));
    assert_eq!(policy.rules[0].rule.line, 13);
}

#[test]
fn a_mistake_in_an_argument_names_its_place_and_a_remedy() {
    let cases = [
        wrong(WIDE, "each_in =", "each_im ="),
        wrong(WIDE, "min = 1, max = 100_000", "min = 1"),
        wrong(WIDE, "min = 1, max = 100_000", "max = 9"),
        wrong(WIDE, "min = 1, max = 100_000", "min = 9, max = 1"),
        wrong(WIDE, "min = 1, max = 100_000", "min = 1.5, max = 9"),
        wrong(WIDE, "min = 1, max = 100_000", "min = 1, max = 9223372036854775808"),
        wrong(WIDE, "min = 1, max = 100_000", ""),
        wrong(WIDE, "{ min = 1, max = 100_000 }", "7"),
        wrong(WIDE, "min_items = 1, max_items = 3", "min_items = 4, max_items = 3"),
        wrong(WIDE, "max_bytes = 80", "max_bytes = -1"),
        wrong(WIDE, "prefix = \"report\"", "prefix = \"\""),
        wrong(WIDE, "[\"weekly\", 7, true]", "[]"),
        wrong(WIDE, "[\"weekly\", 7, true]", "[1.5]"),
        wrong(WIDE, "[\"weekly\", 7, true]", "\"weekly\""),
        wrong(WIDE, "host = \"*.example.org\"", "host = \"*.org\""),
        wrong(WIDE, "host = \"*.example.org\"", "host = \"*example.org\""),
        wrong(WIDE, "host = \"*.example.org\"", "host = \"EXAMPLE.org\""),
        wrong(WIDE, "path = \"/out\"", "path = \"/out/../etc\""),
        wrong(WIDE, "path = \"/out\"", "path = \"/out/**\""),
        wrong(WIDE, "any = true", "any = true, max_bytes = 1"),
        wrong(WIDE, "optional = true", "optional = false"),
        wrong(WIDE, "args.note", "args.subject.note"),
        wrong(WIDE, "args.note", "args.\"no\\u0000te\""),
        wrong(WIDE, "args.cents = { min = 1, max = 100_000 }", "args = \"all\""),
        wrong(WIDE, "args.cents", "args.cents = { any = true }\nargs.cents"),
    ];
    expect![[r#"
        39:13 unknown key `each_im` in a constraint | did you mean `each_in`?
        54:16 `min` has no `max` | a number needs both bounds
        54:16 `max` has no `min` | a number needs both bounds
        54:16 no number is from 9 to 1 | `min` is at most `max`
        54:22 `min` is a number with a fraction; it must be a whole number | for example `min = 1`
        54:31 `max` must be a number from -9223372036854775808 to 9223372036854775807 | for example `max = 50_000`
        54:6 `cents` has a constraint that constrains nothing | say what it must be, or `any = true` if it does not matter
        54:14 `cents` is a whole number; it must be a constraint | for example `cents = { in = ["a", "b"] }`
        39:6 no list fits `to` | `min_items` is at most `max_items`
        40:49 `max_bytes` must be a number from 0 to 18446744073709551615 | for example `max_bytes = 20`
        40:27 `prefix` is empty, so everything begins with it | write `any = true` for anything
        42:20 `in` lists 0 values | from 1 to 256
        42:21 `in` is a number with a fraction; it must be a list of texts, whole numbers, true or false | for example `in = ["ops@example.org"]`
        42:20 `in` is a text; it must be a list | for example `in = ["ops@example.org"]`
        43:22 `host` would take in a whole top-level domain: "*.org" | write `host = "*.example.org"`
        43:22 `host` may have one `*`, as `*.` before a name: "*example.org" | write `host = "*.example.org"`
        43:22 `host` has a host with capital letters: "EXAMPLE.org" | write `host = "*.example.org"`
        44:22 `path` has `.` or `..`: "/out/../etc" | write `path = "/out"`
        44:22 `path` has a star; a subtree is named by its top: "/out/**" | write `path = "/out"`
        45:6 `note` is anything and yet something | take `any` out
        41:46 `optional = false` says nothing | leave it out
        45:6 cannot extend value of type inline table with a dotted key | write it as TOML: `key = value`, texts in "quotes"
        45:6 `an argument's name` has a control character or one that cannot be seen: "no\u{0}te" | letters and digits, `-`, `_` or `.`
        54:8 `args` is a text; it must be a table of constraints, or "any" | for example `args = { subject = { prefix = "report" } }`
        55:6 duplicate key | each key stands once in its table"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn a_mistake_about_the_outside_names_its_place_and_a_remedy() {
    let to = "to = \"https://api.example.org\"\n";
    let cases = [
        wrong(WIDE, to, ""),
        wrong(WIDE, to, "to = \"api.example.org\"\n"),
        wrong(WIDE, to, "to = \"ftp://api.example.org\"\n"),
        wrong(WIDE, to, "to = \"https://api.example.org/v1\"\n"),
        wrong(WIDE, to, "to = \"https://me@api.example.org\"\n"),
        wrong(WIDE, to, "to = \"https://api.example.org.\"\n"),
        wrong(WIDE, to, "to = \"https://api.example.org:0\"\n"),
        wrong(WIDE, to, "to = \"https://2130706433\"\n"),
        wrong(WIDE, to, "to = \"https://[::ffff:1.2.3.4]\"\n"),
        wrong(WIDE, to, "to = \"https://*.0.0.1\"\n"),
        wrong(WIDE, to, "to = \"https://bücher.example\"\n"),
        wrong(WIDE, "[\"GET\"]", "[\"get\"]"),
        wrong(WIDE, "/v1/**", "/v1/*/x"),
        wrong(WIDE, "/v1/**", "/v1/../x"),
        wrong(WIDE, "/v1/**", "/v1/%2e%2e"),
        wrong(WIDE, "private = true", "private = \"yes\""),
        wrong(WIDE, "20/h", "0/h"),
        wrong(WIDE, "20/h", "20/w"),
        wrong(WIDE, "20/h", "1001/h"),
        wrong(WIDE, "labels_any = [\"secret\"]", "labels_some = [\"secret\"]"),
        wrong(WIDE, "labels = [\"crm\"]", "labels = [\"Crm\"]"),
        wrong(WIDE, "from = \"anyone\"", "from = \"anyone\", quorum = 2"),
        wrong(WIDE, "from = \"anyone\"", "factor = \"totp\""),
        wrong(WIDE, "from = \"anyone\"", "from = \"anyone\", factor = \"top\""),
        wrong(WIDE, "handle = \"crm-key\"", "handle = \"CRM key\""),
        wrong(WIDE, "only_to = \"https://api.example.org\"", "only_to = \"https://*\""),
        wrong(WIDE, "call = [\"fetcher\"], ", ""),
        wrong(WIDE, "max_depth = 2", "max_depth = 0"),
        wrong(WIDE, "read = [\"inbox/**\"]", "read = [\"inbox/../**\"]"),
    ];
    expect![[r#"
        24:1 `to` is missing | add `to = "https://api.example.org"`
        26:6 `to` begins neither with `https://` nor with `http://`: "api.example.org" | write `to = "https://api.example.org"`
        26:6 `to` begins neither with `https://` nor with `http://`: "ftp://api.example.org" | write `to = "https://api.example.org"`
        26:6 `to` ends with the host or the port; paths stand in `paths`: "https://api.example.org/v1" | write `to = "https://api.example.org"`
        26:6 `to` has a user name: "https://me@api.example.org" | write `to = "https://api.example.org"`
        26:6 `to` has a host with a dot at its end: "https://api.example.org." | write `to = "https://api.example.org"`
        26:6 `to` has a port that is not a number from 1 to 65535: "https://api.example.org:0" | write `to = "https://api.example.org"`
        26:6 `to` is a number that is not four decimal bytes: "https://2130706433" | write `to = "https://api.example.org"`
        26:6 `to` hides an IPv4 address in an IPv6 one: "https://[::ffff:1.2.3.4]" | write `to = "https://api.example.org"`
        26:6 `to` is a number that is not four decimal bytes: "https://*.0.0.1" | write `to = "https://api.example.org"`
        26:6 `to` has a host with letters that are not ASCII; it is written in punycode: "https://bücher.example" | write `to = "https://api.example.org"`
        27:12 `methods` is a method in capital letters: "get" | write `methods = ["GET"]`
        28:10 `paths` may have a star as `/**` at its end only: "/v1/*/x" | write `paths = ["/v1/**"]`
        28:10 `paths` has `.` or `..` in its path: "/v1/../x" | write `paths = ["/v1/**"]`
        28:10 `paths` has an escaped dot in its path: "/v1/%2e%2e" | write `paths = ["/v1/**"]`
        29:11 `private` is a text; it must be true, or left out | for example `private = true`
        31:8 `rate` is not a number of calls in a time | for example `rate = "20/h"`: from 1 to 1000 a second, minute, hour or day (s, m, h, d)
        31:8 `rate` is not a number of calls in a time | for example `rate = "20/h"`: from 1 to 1000 a second, minute, hour or day (s, m, h, d)
        31:8 `rate` is not a number of calls in a time | for example `rate = "20/h"`: from 1 to 1000 a second, minute, hour or day (s, m, h, d)
        30:12 unknown key `labels_some` in `unless` of a grant | `unless` of a grant knows labels_any, labels_all
        33:11 `labels` may have lowercase letters, digits and `-` only: "Crm" | write `labels = ["untrusted"]`
        32:1 who may answer is known by a code only: a `from` or a `quorum` above 1 needs `factor = "totp"` | for example `approval = { from = "group:ops", factor = "totp" }`
        32:1 `from` is missing | for example `from = "group:ops"`, or "anyone"
        32:40 unknown factor "top" | did you mean "totp"?
        7:23 `handle` may have lowercase letters, digits and `-` only: "CRM key" | write `handle = "crm-key"`
        7:44 a secret for everybody is none | name the host that may see it
        6:1 `agents` grants no agent | for example `call = ["fetcher"]`
        6:44 `max_depth` must be from 1 to 8 | for example `max_depth = 2`
        14:9 `read` has `.` or `..`: "inbox/../**" | write `read = ["team/reports/**"]`"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn a_mistake_in_a_site_file_names_its_place_and_a_remedy() {
    let cases = [
        wrong(SITE, "mode = \"enforce\"", "mode = \"obsreve\""),
        wrong(SITE, "[ceiling]", "[celing]"),
        wrong(SITE, "egress = [\"https://*.example.org:443\"]", "egress = [\"*.example.org\"]"),
        wrong(SITE, "models = [\"small-*\"]", "models = []"),
        wrong(SITE, "tools = [\"mail.*\", \"pay.*\"]", "tols = [\"mail.*\"]"),
        wrong(SITE, "usd_day = \"40.00\"", "usd_day = 40"),
        wrong(SITE, "mode = \"enforce\"", "mode = \"observe\""),
        wrong(SITE, "id = \"site/pay-cap\"\n", ""),
        wrong(SITE, "site/trifecta", "site/pay-cap"),
        wrong(SITE, "tool = \"pay.send\"\n", ""),
        wrong(SITE, "tool = \"pay.send\"\n", "tool = \"pay.send\"\nmodel = \"x\"\n"),
        wrong(SITE, "tool = \"pay.send\"\n", "tool = \"pay.send\"\nacts = [\"read\"]\n"),
        wrong(SITE, "agent = \"reporter\"", "agent = \"Reporter\""),
        wrong(SITE, "effect = \"egress\"", "effect = \"egres\""),
        wrong(SITE, "unless = { cents = { min = 1, max = 50_000 } }", "unless = { labels_any = [\"x\"] }"),
        wrong(SITE, "unless = { cents = { min = 1, max = 50_000 } }", "unless = {}"),
        wrong(SITE, "labels_all = [\"untrusted\", \"secret\"]", "labels_all = [\"un trusted\"]"),
        wrong(SITE, "\"eu\"] }", "\"eu\"], cents = 7 }"),
        wrong(SITE, "acts = [\"delete\", \"write\"]", "acts = [\"remove\"]"),
        wrong(SITE, "acts = [\"delete\", \"write\"]", "acts = []"),
        wrong(SITE, "at = \"/archive\"", "at = \"/x/../archive\""),
        wrong(SITE, "root = \"reports\"\n", "root = \"reports\"\nwhen = { cents = { any = true } }\n"),
        wrong(SITE, "host = \"example.org\"", "host = \"https://example.org\""),
        wrong(SITE, "methods = [\"POST\"]", "methods = [\"post\"]"),
        wrong(SITE, "paths = [\"/admin\"]", "paths = [\"admin\"]"),
        wrong(SITE, "model = \"large-*\"", "model = \"la*ge\""),
        wrong(SITE, "memory = \"inbox/**\"", "memory = \"inbox*\""),
        wrong(SITE, "approval = {", "aproval = {"),
        wrong(SITE, "from = \"group:ops\"", "from = \"group:\""),
        wrong(SITE, "quorum = 2", "quorum = 17"),
        wrong(SITE, "ttl = \"10m\"", "ttl = \"10\""),
        wrong(SITE, "adds = [\"untrusted\"]\nremoves = [\"clean\"]\n", ""),
        wrong(SITE, "why = \"Too dear.\"", "why = \"Too\\u202edear.\""),
        wrong(SITE, "deny:forbidden", "deny:forbiden"),
        wrong(SITE, "expect = \"ask\"", "expect = \"maybe\""),
        wrong(SITE, "expect = \"ask\"\nagent = \"reporter\"", "expect = \"ask\""),
        wrong(SITE, "act = \"delete\"", "act = \"delet\""),
        wrong(SITE, "call = { tool = \"pay.send\", args = { cents = 5 } }", "call = { arg = 5 }"),
        wrong(SITE, "call = { tool = \"pay.send\", args = { cents = 5 } }", ""),
    ];
    expect![[r#"
        3:8 unknown mode "obsreve" | did you mean "observe"?
        6:2 unknown key `celing` in a site file | did you mean `ceiling`?
        9:11 `egress` begins neither with `https://` nor with `http://`: "*.example.org" | write `egress = ["https://*.example.org"]`
        7:10 `models` is empty | for example `models = ["small-*"]`
        8:1 unknown key `tols` in [ceiling] | did you mean `tools`?
        10:22 `usd_day` must be dollars in quotes, for example "2.00" | write `usd_day = "40.00"`
        10:1 a budget cannot be observed | a budget is held or it is not: put it into a file that is in force
        13:1 `id` is missing | add `id = "site/pay-cap"`
        21:6 rule "site/pay-cap" stands already in p.toml:13 | give each rule an id of its own: refusals name it
        13:1 the rule must be about exactly one thing | it names one of `tool`, `effect`, `model`, `memory`, `root` or `host`
        13:1 the rule must be about exactly one thing | it names one of `tool`, `effect`, `model`, `memory`, `root` or `host`
        17:1 `acts` makes no sense beside `tool` | take it out, or name what it belongs to
        15:9 `agent` may have lowercase letters, digits and `-` only: "Reporter" | write `agent = "reporter"`
        22:10 unknown effect "egres" | did you mean "egress"?
        17:12 a label lifts no rule | whoever reads more would be allowed more: test labels in `when`
        17:1 `unless` is empty | leave it out if nothing lifts the rule
        23:24 `labels_all` may have lowercase letters, digits and `-` only: "un trusted" | write `labels_all = ["untrusted"]`
        23:77 `cents` is a whole number; it must be a constraint | for example `cents = { in = ["a", "b"] }`
        30:9 unknown act "remove" | one of read, write, delete
        30:1 `acts` is empty | leave it out for every act
        29:6 `at` has `.` or `..`: "/x/../archive" | write `at = "/out"`
        26:1 only tools have arguments | test labels here, or name a `tool`
        35:8 `host` has a host with an empty or impossible label: "https://example.org" | leave the scheme out: write `host = "example.org"`
        36:12 `methods` is a method in capital letters: "post" | write `methods = ["POST"]`
        37:10 `paths` has no path; the shortest is `/`: "admin" | write `paths = ["/admin"]`
        42:9 `model` may have one `*`, at its end: "la*ge" | write `model = "small-*"`
        53:10 `memory` may have a star as `/**` at its end only: "inbox*" | write `memory = "inbox/**"`
        48:1 unknown key `aproval` in [[require]] | did you mean `approval`?
        48:21 `from` is `anyone`, `group:NAME` or the name of an approver | see `agentry approver`
        48:1 a quorum is 1 to 16 people | for example `approval = { from = "group:ops", factor = "totp" }`
        48:69 `ttl` must be a time in s, m, h or d | for example `ttl = "10m"`
        51:1 it adds and removes nothing | for example `adds = ["untrusted"]`
        43:7 `why` has a line break, a control character or one that cannot be seen: "Too\u{202e}dear." | write `why = "Sends the weekly report."`
        59:10 unknown code "forbiden" | did you mean "forbidden"?
        66:10 unknown expectation "maybe" | one of allow, ask, deny, deny:CODE
        65:1 `agent` is missing | a test of the site names the agent that asks
        73:54 unknown act "delet" | did you mean "delete"?
        68:10 unknown key `arg` in `call` | did you mean `args`?
        65:1 `call` is missing | for example `call = { tool = "mail.send" }`"#]].assert_eq(&cases.join("\n"));
}

#[test]
fn a_file_whose_tests_hold_is_used_and_one_whose_tests_fail_is_not() {
    let tool = |name: &str, effect| Tool { name: name.into(), effect, ..Tool::default() };
    let tools = || alloc::vec![tool("pay.send", Effect::Irreversible), tool("mail.send", Effect::Egress)];
    let grant = WIDE.replace("approval = { from = \"anyone\" }\n", "");
    let policy = both(SITE, &grant).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    assert_eq!(policy.failed_tests(tools()), []);
    let changed = SITE.replace("max = 50_000", "max = 90_000");
    let policy = both(&changed, &grant).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let failed: Vec<_> = policy.failed_tests(tools()).iter().map(ToString::to_string).collect();
    expect![[r#"
        site.toml:58:1: this test expects "deny:forbidden" and gets "ask", says site/irreversible
          58 | [[test]]
             | ^
          hint: a file whose tests fail is not loaded: change the test or the rules"#]]
    .assert_eq(&failed.join("\n\n"));
}

#[test]
fn no_site_file_makes_it_panic() {
    for text in [SITE, WIDE] {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = parse(&text[..end]);
            let _ = parse(&format!("{}\"é\u{202e}{}", &text[..end], &text[end..]));
        }
    }
}

#[test]
fn one_word_that_is_misspelt_is_one_mistake() {
    let grant = |rest: &str| format!("format = 1\nlayer = \"grant\"\nagent = \"x\"\n{rest}\n");
    let site = |rest: &str| format!("format = 1\nlayer = \"site\"\n{rest}\n");
    for text in [
        "format = 1\nlayer = \"grant\"\nagnt = \"x\"\n".to_string(),
        grant("llm = [\"a\"]"),
        grant("[allow]\ntool = \"a\""),
        grant("llm = { modls = [\"a\"] }"),
        grant("[[allow]]\nidd = \"x/a\"\ntool = \"a\""),
        grant("[[allow]]\nid = \"x/a\"\ntol = \"a\""),
        grant("[[files]]\nrot = \"docs\"\naccess = \"r\""),
        grant("[[files]]\nroot = \"docs\"\nacces = \"r\""),
        grant("agents = { cal = [\"b\"] }"),
        grant("human = { ak = true }"),
        grant("human = { ask = \"yes\" }"),
        grant("[[http]]\nurl = \"https://a.example.org\""),
        grant("[[allow]]\nid = \"x/a\"\ntool = \"a\"\napproval = { fro = \"anyone\" }"),
        grant("[[test]]\nexpct = \"allow\"\ncall = { tool = \"a\" }"),
        site("[[forbid]]\nid = \"site/a\"\ntol = \"a\""),
        site("[[forbid]]\nid = \"site/a\"\ndomain = \"a.example.org\""),
        site("[[require]]\nid = \"site/a\"\ntool = \"a\"\naproval = { from = \"anyone\" }"),
        site("[[label]]\nid = \"site/a\"\ntool = \"a\"\nads = [\"untrusted\"]"),
    ] {
        let mistakes = parse(&text).expect_err(&text);
        let told: Vec<_> = mistakes.iter().map(|mistake| format!("{} | {}", mistake.message, mistake.hint)).collect();
        assert_eq!(told.len(), 1, "{text}{told:#?}");
    }
    // Two are two.
    let both = parse(&grant("[[files]]\nroot = \"docs\"\nsize = 3")).expect_err("two");
    assert_eq!(both.len(), 2, "{both:#?}");
}
