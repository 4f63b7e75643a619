//! Words that other policy languages use, and places where ours are put by mistake, each with the line to write instead. It only
//! words hints: what it does not know is a mistake all the same.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

use super::document::quoted;
use crate::rights::shapes;
use crate::text;

/// Tables, words that are tried in them, and what to write.
type Near = (&'static [&'static str], &'static [&'static str], &'static str);

const GRANT: &[&str] = &["a grant"];
const SITE: &[&str] = &["a site file"];
const ALLOW: &[&str] = &["[[allow]]"];
const RULES: &[&str] = &["[[forbid]]", "[[require]]", "[[label]]"];
const BUDGET: &[&str] = &["[budget]", "`budget` of the ceiling"];
const CONSTRAINT: &[&str] = &["a constraint"];
const ANY: &[&str] = &[];

const NEAR: &[Near] = &[
    (GRANT, &["deny", "denied", "block", "reject", "ban", "never", "disallow", "prohibit"], DENY),
    (
        GRANT,
        &["permit", "permits", "grant", "grants", "allowed", "allows", "rule", "rules", "tool", "tools", "can"],
        RULE,
    ),
    (GRANT, &["model", "models"], "write `llm = { models = [\"small-*\"] }`"),
    (GRANT, &["limit", "limits", "quota", "quotas"], "write [budget], and below it for example `usd_day = \"2.00\"`"),
    (
        GRANT,
        &["fs", "filesystem", "root", "roots", "path", "paths"],
        "write `files = [{ root = \"documents\", access = \"r\" }]`",
    ),
    (GRANT, &["web", "net", "network", "fetch", "url", "urls", "host", "hosts", "egress"], HTTP),
    (GRANT, &["name", "id", "subject", "principal"], "write `agent = \"reporter\"`"),
    (GRANT, &["until", "expiry", "valid_until", "expires_at"], "write `expires = 2027-03-01`"),
    (GRANT, &["people", "person", "ask", "notify", "question"], "write `human = { ask = true, notify = true }`"),
    (
        GRANT,
        &["approval", "approve", "confirm"],
        "it stands in a rule: [[allow]] with `approval = { from = \"anyone\" }`",
    ),
    (GRANT, &["rate"], "it stands in a rule: [[allow]] with `rate = \"20/h\"`"),
    (GRANT, &["read", "write"], "write `memory = { read = [\"team/**\"], write = [\"agent/NAME/**\"] }`, or `files`"),
    (SITE, &["deny", "denied", "block", "reject", "ban", "never", "disallow", "prohibit", "rule", "rules"], FORBID),
    (
        SITE,
        &[
            "allow", "permit", "grant", "llm", "memory", "files", "http", "secrets", "agents", "human", "agent",
            "package",
        ],
        OF_GRANT,
    ),
    (SITE, &["budget", "limit", "limits", "models", "tools", "egress"], CEILING),
    (SITE, &["ask", "approval", "approve", "confirm", "approvals"], REQUIRE),
    (
        SITE,
        &["labels", "mark", "marks", "taint"],
        "write [[label]] with `id`, what it is about, and `adds = [\"untrusted\"]`",
    ),
    (ALLOW, &["tools", "name", "function"], "write `tool = \"mail.send\"`"),
    (
        ALLOW,
        &["arguments", "argument", "parameters", "params", "arg", "input"],
        "write `args.subject = { prefix = \"report\" }`",
    ),
    (ALLOW, &["limit", "limits", "quota", "times", "max_calls", "per_hour", "per_minute"], "write `rate = \"20/h\"`"),
    (ALLOW, &["ask", "confirm", "approve", "require", "from", "approver", "factor", "quorum", "ttl"], APPROVAL),
    (ALLOW, &["deny", "except"], "what is not allowed is denied: narrow `args`, or write [[forbid]] in a site file"),
    (RULES, &["name"], "write `id = \"site/pay-cap\"`"),
    (RULES, &["tools", "function"], "write `tool = \"pay.*\"`"),
    (RULES, &["models"], "write `model = \"large-*\"`"),
    (RULES, &["agents"], "one rule is for one agent, or for all if it names none: write `agent = \"reporter\"`"),
    (RULES, &["namespace", "namespaces"], "write `memory = \"team/secret/**\"`"),
    (RULES, &["file", "files", "path", "dir", "directory"], "write `root = \"documents\"` and `at = \"/archive\"`"),
    (RULES, &["url", "to", "domain", "egress", "http", "hosts", "origin"], "write `host = \"evil.example\"`"),
    (
        RULES,
        &["args", "arguments", "if", "condition", "where"],
        "write `when = { cents = { min = 50_001, max = 1_000_000 } }`",
    ),
    (RULES, &["labels_any", "labels_all", "labels"], "write `when = { labels_any = [\"untrusted\"] }`"),
    (RULES, &["except", "but", "except_when"], "write `unless = { cents = { min = 1, max = 50_000 } }`"),
    (RULES, &["from", "factor", "quorum", "ttl", "approve", "ask", "confirm"], APPROVAL),
    (RULES, &["add", "gains", "remove"], "write `adds = [\"untrusted\"]` or `removes = [\"untrusted\"]`"),
    (
        BUDGET,
        &["usd", "money", "dollars", "cost", "price", "spend", "usd_total"],
        "write `usd_day = \"2.00\"`, or `usd_run`, `usd_minute`",
    ),
    (
        BUDGET,
        &["usd_hour", "usd_week", "usd_month", "tokens_hour", "tokens_month", "tokens_week"],
        "a limit is for a run, a minute or a day: write `usd_day = \"2.00\"`",
    ),
    (BUDGET, &["tokens", "max_tokens", "token"], "write `tokens_day = 400_000`, or `tokens_run`, `tokens_minute`"),
    (BUDGET, &["calls", "tool_calls", "tools"], "write `tool_calls_run = 60`, or `tool_calls_day`"),
    (BUDGET, &["llm_calls", "requests", "model_calls"], "write `llm_calls_run = 30`, or `llm_calls_day`"),
    (BUDGET, &["time", "timeout", "wall", "seconds", "duration", "wall_time"], "write `wall_run = \"120s\"`"),
    (BUDGET, &["memory", "ram", "memory_mib", "mem"], "write `memory_mb = 64`"),
    (BUDGET, &["storage", "disk", "disk_mb"], "write `storage_mb = 16`"),
    (BUDGET, &["egress", "bandwidth", "network"], "write `egress_day = \"10MiB\"`"),
    (
        BUDGET,
        &["written", "writes", "written_mb", "written_minute"],
        "write `written_day = \"10GiB\"`, or `written_run`",
    ),
    (BUDGET, &["fuel", "cpu", "cpu_run"], "write `fuel_run = 5_000_000_000`"),
    (CONSTRAINT, &["regex", "regexp", "matches", "match", "pattern", "glob", "like", "contains"], NO_PATTERN),
    (
        CONSTRAINT,
        &["equals", "eq", "is", "value", "const", "enum", "values", "one_of", "oneof"],
        "write `in = [\"a\", \"b\"]`",
    ),
    (CONSTRAINT, &["starts_with", "startswith", "begins_with"], "write `prefix = \"report\"`"),
    (CONSTRAINT, &["max_length", "maxlen", "max_len", "length", "size", "maxlength"], "write `max_bytes = 20_000`"),
    (
        CONSTRAINT,
        &["minimum", "maximum", "gt", "lt", "gte", "lte", "ge", "le", "range", "between"],
        "write `min = 1, max = 50_000`",
    ),
    (CONSTRAINT, &["domain", "url", "origin", "hosts"], "write `host = \"*.example.org\"`"),
    (CONSTRAINT, &["dir", "directory", "under", "subtree", "paths"], "write `path = \"/reports\"`"),
    (
        CONSTRAINT,
        &["all", "each", "every", "items", "all_in", "any_of"],
        "write `each_in = [\"ops@example.org\"], min_items = 1`",
    ),
    (CONSTRAINT, &["required", "mandatory"], "what is listed must be there, unless you add `optional = true`"),
    (&["`llm`"], &["max_output", "max_output_tokens", "tokens", "max"], "write `max_tokens = 4096`"),
    (&["`llm`"], &["priority"], "write `class = \"batch\"`"),
    (
        &["`memory`"],
        &["namespace", "namespaces", "path"],
        "write `read = [\"team/**\"]`, `write = [\"agent/NAME/**\"]`",
    ),
    (&["`files`"], &["name", "dir", "directory", "folder"], "write `root = \"documents\"`"),
    (&["`files`"], &["path", "paths", "under", "subtree"], "write `at = \"/out\"`"),
    (
        &["`files`"],
        &["mode", "rights", "permission", "permissions", "write", "read"],
        "write `access = \"rw\"`, or \"r\"",
    ),
    (
        &["`http`"],
        &["url", "urls", "host", "hosts", "origin", "domain", "egress"],
        "write `to = \"https://api.example.org\"`",
    ),
    (&["`secrets`"], &["name", "key", "secret"], "write `handle = \"crm-key\"`"),
    (&["`secrets`"], &["to", "host", "url", "audience"], "write `only_to = \"https://api.example.org\"`"),
    (
        &["`approval`"],
        &["by", "who", "approver", "approvers", "group", "groups", "people"],
        "write `from = \"group:ops\"`, or \"anyone\"",
    ),
    (&["`approval`"], &["timeout", "within", "expires", "time"], "write `ttl = \"10m\"`"),
    (&["`approval`"], &["count", "votes", "needed", "how_many"], "write `quorum = 2`"),
    (&["`approval`"], &["method", "how", "code", "mfa", "second_factor"], "write `factor = \"totp\"`, or \"confirm\""),
    (
        ANY,
        &["description", "reason", "because", "comment", "note", "explanation", "purpose"],
        "write `why = \"Sends the weekly report.\"`",
    ),
    (ANY, &["version", "schema"], "write `format = 1`"),
    (ANY, &["type", "kind"], "write `layer = \"grant\"` or `layer = \"site\"`"),
];

const DENY: &str =
    "what a grant does not allow is denied; a rule against every grant is [[forbid]] in a file with `layer = \"site\"`";
const RULE: &str = "write [[allow]], and below it `id = \"NAME/mail\"` and `tool = \"mail.send\"`";
const HTTP: &str = "write `http = [{ to = \"https://api.example.org\", methods = [\"GET\"] }]`";
const FORBID: &str = "write [[forbid]], and below it `id = \"site/no-pay\"` and `tool = \"pay.*\"`";
const REQUIRE: &str = "write [[require]] with `id`, `tool = \"pay.*\"` and `approval = { from = \"anyone\" }`";
const OF_GRANT: &str =
    "it gives a right: put it into a file of its own with `layer = \"grant\"` and `agent = \"NAME\"`";
const CEILING: &str =
    "write [ceiling], and below it for example `models = [\"small-*\"]` or `budget = { usd_day = \"40.00\" }`";
const APPROVAL: &str = "write `approval = { from = \"group:ops\", factor = \"totp\", ttl = \"10m\" }`";
const NO_PATTERN: &str = "there are no patterns, so that policies can be compared: write `prefix = \"report\"`, `in = [\"a\"]`, `host` or `path`";

/// What a grant says of itself, and a line of TOML below a heading says of that heading instead.
const OF_FILE: [&str; 16] = [
    "format", "layer", "agent", "package", "mode", "expires", "llm", "memory", "files", "http", "secrets", "agents",
    "human", "allow", "forbid", "require",
];

/// What bounds every grant, and so can stand in none.
const OF_SITE: [&str; 4] = ["ceiling", "forbid", "require", "label"];

/// Whether a grant says what only the site can.
pub(super) fn is_of_site(table: &str, word: &str) -> bool {
    GRANT.contains(&table) && OF_SITE.contains(&word)
}

/// What to write instead of a word that a table does not know; none if nobody has an idea.
pub(super) fn hint(table: &str, word: &str) -> Option<Cow<'static, str>> {
    let lower = word.to_ascii_lowercase();
    let of_table = |tables: &[&str]| tables.is_empty() || tables.contains(&table);
    let found = NEAR.iter().find(|(tables, words, _)| of_table(tables) && words.contains(&lower.as_str()));
    if let Some((_, _, hint)) = found {
        return Some((*hint).into());
    }
    if let Some(limit) = limit(&lower).filter(|_| BUDGET.contains(&table)) {
        return Some(format!("did you mean `{limit}`?").into());
    }
    if is_of_site(table, word) {
        let hint = format!(
            "move it into a file of the site, which begins with `format = 1` and `layer = \"site\"`: [[{word}]]"
        );
        return Some(if word == "ceiling" { hint.replace("[[ceiling]]", "[ceiling]") } else { hint }.into());
    }
    if !GRANT.contains(&table) && !SITE.contains(&table) && OF_FILE.contains(&lower.as_str()) {
        let hint = format!(
            "it belongs to the file: below a heading TOML counts it to that; move `{lower}` above the first [heading]"
        );
        return Some(hint.into());
    }
    let limit = ["_run", "_minute", "_day"].iter().any(|end| lower.ends_with(end))
        || ["memory_mb", "storage_mb"].contains(&&*lower);
    (limit && !BUDGET.contains(&table)).then(|| "limits stand under [budget]".into())
}

/// The limit that has the same parts in whatever order and by whatever name: `daily_usd` and `max_usd_per_day` are `usd_day`.
fn limit(word: &str) -> Option<&'static str> {
    let meant = parts(word);
    super::budget::KEYS.iter().copied().find(|key| parts(key) == meant)
}

/// What the name of a limit is made of, each part by our word for it.
fn parts(word: &str) -> BTreeSet<&str> {
    const EMPTY: [&str; 7] = ["per", "max", "limit", "a", "each", "total", "budget"];
    let parts = word.split(['_', '-', '.']).filter(|part| !EMPTY.contains(part));
    parts.map(our_word).collect()
}

fn our_word(part: &str) -> &str {
    match part {
        "daily" | "days" => "day",
        "minutely" | "min" | "minutes" => "minute",
        "runs" | "once" => "run",
        "dollars" | "dollar" | "money" | "cost" | "spend" => "usd",
        "token" => "tokens",
        "call" => "calls",
        "time" | "timeout" => "wall",
        part => part,
    }
}

/// A line in the right form: what was probably meant if that is plain, else an example.
pub(super) fn line(key: &str, value: &str) -> String {
    if let ("host", Some(host)) = (key, without_scheme(value)) {
        return format!("leave the scheme out: write `host = {}`", quoted(host));
    }
    let (example, listed) = match key {
        "agent" => ("reporter", false),
        "root" => ("documents", false),
        "handle" => ("crm-key", false),
        "package" => ("acme:reporter@^1.2", false),
        "id" => ("reporter/mail", false),
        "tool" => ("mail.send", false),
        "tools" => ("mail.*", true),
        "model" => ("small-*", false),
        "models" => ("small-*", true),
        "memory" => ("team/secret/**", false),
        "read" | "write" => ("team/reports/**", true),
        "at" | "path" => ("/out", false),
        "host" => ("*.example.org", false),
        "to" | "only_to" => ("https://api.example.org", false),
        "egress" => ("https://*.example.org", true),
        "methods" => ("GET", true),
        "paths" => ("/v1/**", true),
        "call" | "send" | "receive" => ("fetcher", true),
        "labels" | "labels_any" | "labels_all" | "adds" | "removes" => ("untrusted", true),
        "http" => ("https://api.example.org/v1", false),
        "why" => ("Sends the weekly report.", false),
        _ => return String::from("letters and digits, `-`, `_` or `.`"),
    };
    let shown = quoted(&meant(key, value).unwrap_or_else(|| example.to_string()));
    if listed { format!("write `{key} = [{shown}]`") } else { format!("write `{key} = {shown}`") }
}

/// The host of an address that has a scheme in front of it.
fn without_scheme(value: &str) -> Option<&str> {
    let host = value.trim().split_once("://")?.1.split(['/', '?', '#', ':']).next()?;
    shapes::host(host).is_ok().then_some(host)
}

/// A value in the right form that differs from what was written in nothing but form.
fn meant(key: &str, value: &str) -> Option<String> {
    let value = value.trim();
    let fits = |meant: String, check: fn(&str) -> Result<(), text::TextFlaw>| check(&meant).is_ok().then_some(meant);
    match key {
        "agent" | "root" | "handle" => {
            // A package is `publisher:name@version`; the agent is its name.
            let name = value.rsplit(':').next().unwrap_or(value);
            let value = if key == "agent" { name.split('@').next().unwrap_or(name) } else { value };
            let dash = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_lowercase() } else { '-' };
            let plain: String = value.chars().map(dash).collect();
            fits(plain.trim_matches('-').into(), text::label).filter(|_| !value.contains(['/', '.']))
        }
        "methods" => fits(value.to_ascii_uppercase(), shapes::method),
        "at" | "path" => {
            let top = value.trim_end_matches('*').trim_matches('/');
            fits(format!("/{top}"), shapes::subtree)
        }
        "read" | "write" | "memory" => {
            let (top, all) = (value.trim_end_matches('*').trim_matches('/'), value.ends_with('*'));
            fits(if all { format!("{top}/**") } else { top.into() }, shapes::namespace)
        }
        "paths" => {
            let (top, all) = (value.trim_end_matches('*').trim_matches('/'), value.ends_with('*'));
            fits(if all { format!("/{top}/**") } else { format!("/{top}") }, shapes::url_path)
        }
        "to" | "only_to" | "egress" => {
            let (scheme, rest) = value.split_once("://").unwrap_or(("https", value));
            let host = rest.split(['/', '?', '#']).next()?;
            fits(format!("{scheme}://{host}"), |text| shapes::origin(text).map(|_| ()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_the_wrong_form_is_told_in_the_right_one() {
        for (key, value, line_of) in [
            ("agent", "My Reporter", "write `agent = \"my-reporter\"`"),
            ("agent", "../reporter", "write `agent = \"reporter\"`"),
            ("agent", "acme:clerk@^1.2", "write `agent = \"clerk\"`"),
            ("root", "Docs_2", "write `root = \"docs-2\"`"),
            ("at", "out/*", "write `at = \"/out\"`"),
            ("read", "/team/reports/*", "write `read = [\"team/reports/**\"]`"),
            ("to", "api.example.org/v1", "write `to = \"https://api.example.org\"`"),
            ("host", "https://example.org/v1", "leave the scheme out: write `host = \"example.org\"`"),
            ("methods", "post", "write `methods = [\"POST\"]`"),
            ("paths", "v1/*", "write `paths = [\"/v1/**\"]`"),
            ("models", "sm*ll", "write `models = [\"small-*\"]`"),
        ] {
            assert_eq!(line(key, value), line_of);
        }
    }

    #[test]
    fn a_limit_is_found_by_its_parts_whatever_their_order() {
        for (word, meant) in [
            ("usd_per_day", Some("usd_day")),
            ("daily_usd", Some("usd_day")),
            ("max_tokens_per_run", Some("tokens_run")),
            ("cost_per_run", Some("usd_run")),
            ("calls_tool_day", Some("tool_calls_day")),
            ("tokens_in_per_minute", Some("tokens_in_minute")),
            ("usd_per_week", None),
            ("per", None),
            ("whales_day", None),
        ] {
            assert_eq!(limit(word), meant, "{word}");
        }
        assert_eq!(hint("[budget]", "usd_per_day").as_deref(), Some("did you mean `usd_day`?"));
        assert_eq!(hint("`llm`", "daily_usd"), None, "it is a limit of budgets alone");
    }

    #[test]
    fn every_hint_is_for_a_table_that_there_is_and_no_word_of_ours_is_taken() {
        let known: alloc::vec::Vec<&str> = super::super::budget::KEYS.to_vec();
        for (tables, words, _) in NEAR {
            assert!(!tables.contains(&BUDGET[0]) || words.iter().all(|word| !known.contains(word)), "{words:?}");
        }
    }
}
