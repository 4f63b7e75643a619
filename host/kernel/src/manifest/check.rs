//! Whether a manifest is one: every name, text and list has its shape and its size. It repairs nothing and shows nothing
//! that could deceive.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

use semver::Version;

use super::licence::expression;
use super::secrets::one_host;
use super::{FORMAT, Manifest, ManifestMistake, Requirement, WIT, Wants};
use crate::budget::words;
use crate::limits::{LIST_MAX, MANIFEST_MAX_BYTES, REQUIRES_MAX, SCHEMA_MAX_BYTES};
use crate::nesting::too_deep;
use crate::rights::shapes;
use crate::text::{self, TextFlaw};

/// A semantic version that is longer than this says something else.
const VERSION_MAX_BYTES: usize = 64;

/// A decoder's message names what it expected, and a part of what it got.
const MESSAGE_MAX_CHARS: usize = 240;

const PLAIN: &str = "use plain characters on one line";

impl Manifest {
    /// Reads `agent.toml`, the form in which authors write a manifest, and checks it.
    ///
    /// # Errors
    /// The first mistake found, with its line.
    pub fn parse_toml(text: &str) -> Result<Self, ManifestMistake> {
        if text.len() > MANIFEST_MAX_BYTES {
            let hint = format!("at most {MANIFEST_MAX_BYTES} bytes");
            return Err(mistake(format!("the manifest has {} bytes", text.len()), hint));
        }
        if let Some(place) = too_deep(text) {
            let message = format!("line {}: nested too deep", line(text, place.start));
            return Err(mistake(message, "a manifest needs 4 levels"));
        }
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| format!("line {}: ", line(text, span.start))).unwrap_or_default();
            let message = text::show_up_to(MESSAGE_MAX_CHARS, error.message().lines().next().unwrap_or_default());
            mistake(format!("{place}{message}"), "a manifest knows only the keys of agent.toml, each with its type")
        })?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Checks what a decoder cannot: the shape of names, the size of texts and lists, and the versions.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn validate(&self) -> Result<(), ManifestMistake> {
        if self.format != FORMAT {
            let message = format!("the manifest has format {}", self.format);
            return Err(mistake(message, format!("this version reads format {FORMAT}")).at("format"));
        }
        fits("name", &self.name, shapes::package(&self.name), "for example `acme:reporter`")?;
        version("version", &self.version)?;
        if self.seq == 0 {
            return Err(mistake("`seq` is 0", "it begins with 1 and grows with every release").at("seq"));
        }
        self.table()?;
        fits("description", &self.description, text::sentence(&self.description), PLAIN)?;
        short("provides", self.provides.len())?;
        for (at, word) in self.provides.iter().enumerate() {
            fits(&format!("provides.{at}"), word, text::name(word), PLAIN)?;
        }
        self.beside()?;
        for (key, value) in [("source", &self.source), ("revision", &self.revision)] {
            let value = value.as_deref().unwrap_or_default();
            fits(key, value, text::prefix(value), PLAIN)?;
        }
        if let Some(licence) = &self.licence {
            fits("licence", licence, expression(licence), "for example `MIT OR Apache-2.0`")?;
        }
        schema("input_schema", self.input_schema.as_deref())?;
        schema("output_schema", self.output_schema.as_deref())?;
        short("budget", self.budget.len())?;
        for (key, amount) in &self.budget {
            words::limit(key, amount).map_err(|message| budget(key, &message))?;
        }
        wants(&self.wants)
    }

    /// What it requires: each thing once, and something else than itself.
    fn beside(&self) -> Result<(), ManifestMistake> {
        if self.requires.len() > REQUIRES_MAX {
            let message = format!("`requires` lists {} things", self.requires.len());
            return Err(mistake(message, format!("at most {REQUIRES_MAX}")).at("requires"));
        }
        let mut seen = BTreeSet::new();
        for (at, requires) in self.requires.iter().enumerate() {
            let key = format!("requires.{at}");
            let hint = "for example package = \"acme:calendar@^1.2\", or provides = \"calendar\"";
            let said = requires.requirement().map_err(|flaw| mistake(format!("`requires` {flaw}"), hint).at(&key))?;
            if matches!(&said, Requirement::Package { name, .. } if *name == self.name) {
                return Err(mistake(format!("`{}` requires itself", self.name), "take the line out").at(&key));
            }
            if !seen.insert(said.to_string()) {
                return Err(mistake(format!("`requires` has {said} twice"), "once is enough").at(&key));
            }
            reason(&key, &requires.why)?;
        }
        Ok(())
    }

    /// The syscall table that it was built against must be one that this host has.
    fn table(&self) -> Result<(), ManifestMistake> {
        let wanted = version("wit", &self.wit)?;
        let ours = version("wit", WIT)?;
        let same = (wanted.major, wanted.minor) == (ours.major, ours.minor);
        if same && wanted <= ours && wanted.pre.is_empty() {
            return Ok(());
        }
        let message = format!("it was built against version {wanted} of the syscall table");
        Err(mistake(message, format!("this host has version {WIT}: build the agent again, or use another host"))
            .at("wit"))
    }
}

fn wants(wants: &Wants) -> Result<(), ManifestMistake> {
    if let Some(llm) = &wants.llm {
        short("wants.llm.models", llm.models.len())?;
        if llm.models.is_empty() {
            let hint = "say which models, usually `[\"*\"]`";
            return Err(mistake("`wants.llm.models` is empty", hint).at("wants.llm.models"));
        }
        for (at, model) in llm.models.iter().enumerate() {
            let key = format!("wants.llm.models.{at}");
            fits(&key, model, shapes::name(model), "an alias, or its beginning and `*`")?;
        }
        if llm.max_tokens == Some(0) {
            let hint = "say how long an answer may be, or take it out for whatever the grant gives";
            return Err(mistake("`wants.llm.max_tokens` is 0: no answer is as short", hint).at("wants.llm.max_tokens"));
        }
        if llm.window == Some(0) {
            let hint = "say how many tokens prompt and answer need together, or take it out";
            return Err(mistake("`wants.llm.window` is 0: no model is as small", hint).at("wants.llm.window"));
        }
        reason("wants.llm", &llm.why)?;
    }
    if let Some(memory) = &wants.memory {
        for (key, list) in [("wants.memory.read", &memory.read), ("wants.memory.write", &memory.write)] {
            short(key, list.len())?;
            for (at, namespace) in list.iter().enumerate() {
                fits(&format!("{key}.{at}"), namespace, shapes::namespace(namespace), "for example `agent/me/**`")?;
            }
        }
        if memory.read.is_empty() && memory.write.is_empty() {
            let hint = "say `read = [\"agent/NAME/**\"]` or `write = [\"agent/NAME/**\"]`, or take it out";
            return Err(mistake("`wants.memory` asks for nothing", hint).at("wants.memory"));
        }
        reason("wants.memory", &memory.why)?;
    }
    short("wants.files", wants.files.len())?;
    for (at, files) in wants.files.iter().enumerate() {
        fits(&format!("wants.files.{at}.root"), &files.root, text::label(&files.root), "for example `documents`")?;
        reason(&format!("wants.files.{at}"), &files.why)?;
    }
    short("wants.tools", wants.tools.len())?;
    for (at, tool) in wants.tools.iter().enumerate() {
        let key = format!("wants.tools.{at}.tool");
        fits(&key, &tool.tool, shapes::name(&tool.tool), "a tool, or its beginning and `*`")?;
        reason(&format!("wants.tools.{at}"), &tool.why)?;
    }
    if let Some(http) = &wants.http {
        short("wants.http.hosts", http.hosts.len())?;
        for (at, host) in http.hosts.iter().enumerate() {
            let origin = shapes::origin(host).map(|_| ());
            fits(&format!("wants.http.hosts.{at}"), host, origin, "for example `https://api.example.org`")?;
        }
        short("wants.http.methods", http.methods.len())?;
        for (at, method) in http.methods.iter().enumerate() {
            fits(&format!("wants.http.methods.{at}"), method, shapes::method(method), "in capital letters: `POST`")?;
        }
        if http.hosts.is_empty() && !http.methods.is_empty() {
            let message = "`wants.http` names methods and no hosts";
            return Err(mistake(message, "name the `hosts` where it does that").at("wants.http.methods"));
        }
        reason("wants.http", &http.why)?;
    }
    secrets(wants)?;
    if let Some(agents) = &wants.agents {
        let lists = [("call", &agents.call), ("send", &agents.send), ("receive", &agents.receive)];
        for (key, list) in lists.map(|(key, list)| (format!("wants.agents.{key}"), list)) {
            short(&key, list.len())?;
            for (at, agent) in list.iter().enumerate() {
                let key = format!("{key}.{at}");
                fits(&key, agent, shapes::agent(agent), "an agent, or the beginning of its name and `*`")?;
            }
        }
        reason("wants.agents", &agents.why)?;
    }
    for (name, other) in wants.others() {
        reason(&format!("wants.{name}"), &other.why)?;
    }
    Ok(())
}

/// Secrets: each for one host that it may ask, and once.
fn secrets(wants: &Wants) -> Result<(), ManifestMistake> {
    short("wants.secrets", wants.secrets.len())?;
    for (at, secret) in wants.secrets.iter().enumerate() {
        let want = format!("wants.secrets.{at}");
        fits(&format!("{want}.handle"), &secret.handle, text::label(&secret.handle), "for example `crm`")?;
        let (key, only_to) = (format!("{want}.only_to"), &secret.only_to);
        let origin = one_host(only_to).map(|_| ());
        fits(&key, only_to, origin, "a secret is for one host: for example `https://api.example.org`")?;
        let Some(http) = &wants.http else {
            let hint = "a secret goes into its requests: ask for [wants.http] as well";
            return Err(mistake("`wants.secrets` is for nothing, for it asks for no `http`", hint).at(&want));
        };
        if !secret.goes_to_one_of(http) {
            let message = format!("`wants.secrets.only_to` is none of its hosts: `{}`", text::show(only_to));
            return Err(mistake(message, "name one that `hosts` of [wants.http] has, or add it there").at(&key));
        }
        let (before, origin) = (&wants.secrets[..at], secret.origin());
        if before.iter().any(|other| other.handle == secret.handle && other.origin() == origin) {
            let message = format!("`wants.secrets` has `{}` twice for the same host", secret.handle);
            return Err(mistake(message, "once is enough").at(&want));
        }
        reason(&want, &secret.why)?;
    }
    Ok(())
}

fn reason(want: &str, why: &str) -> Result<(), ManifestMistake> {
    let key = format!("{want}.why");
    if why.trim().is_empty() {
        let message = format!("`{}` has an empty `why`", shown(want));
        return Err(mistake(message, "tell the admin what it is for").at(&key));
    }
    fits(&key, why, text::sentence(why), PLAIN)
}

fn version(key: &str, value: &str) -> Result<Version, ManifestMistake> {
    let wrong = || {
        let message = format!("`{key}` is not a semantic version: `{}`", text::show(value));
        mistake(message, "for example `1.2.0`").at(key)
    };
    if value.len() > VERSION_MAX_BYTES {
        return Err(wrong());
    }
    Version::parse(value).map_err(|_| wrong())
}

fn schema(key: &str, schema: Option<&str>) -> Result<(), ManifestMistake> {
    let schema = schema.unwrap_or_default();
    if schema.len() > SCHEMA_MAX_BYTES {
        let message = format!("`{key}` has {} bytes", schema.len());
        return Err(mistake(message, format!("at most {SCHEMA_MAX_BYTES}")).at(key));
    }
    if schema.chars().any(|char| text::deceives(char) && !matches!(char, '\n' | '\r' | '\t')) {
        let message = format!("`{key}` has a character that cannot be seen");
        return Err(mistake(message, "write it as a \\u escape").at(key));
    }
    Ok(())
}

fn budget(key: &str, message: &str) -> ManifestMistake {
    let hint = match text::nearest(key, words::WORDS.iter().map(|word| word.key)) {
        Some(near) if near != key => format!("did you mean `{near}`?"),
        _ => "a budget has the words of a grant's [budget]".into(),
    };
    mistake(text::show(message), hint).at(&format!("budget.{key}"))
}

fn short(key: &str, len: usize) -> Result<(), ManifestMistake> {
    if len > LIST_MAX {
        return Err(mistake(format!("`{key}` lists {len} things"), format!("at most {LIST_MAX}")).at(key));
    }
    Ok(())
}

fn fits(key: &str, value: &str, checked: Result<(), TextFlaw>, hint: &str) -> Result<(), ManifestMistake> {
    checked.map_err(|flaw| {
        // Whatever the form, what is too long is not mended by other letters.
        let hint = if flaw.starts_with("is longer") { "shorten it" } else { hint };
        mistake(format!("`{}` {flaw}: `{}`", shown(key), text::show(value)), hint).at(key)
    })
}

/// A key without the numbers of what stands in lists.
fn shown(key: &str) -> String {
    let mut shown = String::with_capacity(key.len());
    for part in key.split('.').filter(|part| part.parse::<usize>().is_err()) {
        if !shown.is_empty() {
            shown.push('.');
        }
        shown.push_str(part);
    }
    shown
}

fn mistake(message: impl Into<String>, hint: impl ToString) -> ManifestMistake {
    ManifestMistake { key: String::new(), message: message.into(), hint: hint.to_string() }
}

impl ManifestMistake {
    fn at(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use expect_test::expect;

    use super::*;

    const GOOD: &str = r#"
        format = 1
        name = "acme:reporter"
        version = "1.2.0"
        wit = "0.1.0"
        description = "Writes the weekly report."
        budget = { usd_run = "0.10", tokens_run = 5000 }

        [wants.llm]
        models = ["*"]
        max_tokens = 1024
        why = "To write."

        [[wants.files]]
        root = "reports"
        access = "rw"
        why = "To read what happened."
    "#;

    fn refused(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "`{from}` stands in the manifest");
        Manifest::parse_toml(&text).expect_err(to).to_string()
    }

    #[test]
    fn a_whole_manifest_is_read() {
        let manifest = Manifest::parse_toml(GOOD).expect("it is whole");
        assert_eq!(manifest.agent(), "reporter");
        assert_eq!(manifest.seq, 1);
        let rights = manifest.rights();
        assert!(rights.llm.expect("it asks").allows("anything"));
        assert!(rights.files[0].allows("reports", "a/b", true));
    }

    #[test]
    fn a_secret_is_asked_for_by_its_name_for_one_host_that_it_may_ask() {
        const WANTS: &str = r#"
            [wants.http]
            hosts = ["https://*.example.org", "http://127.0.0.1:8080"]
            why = "To ask."

            [[wants.secrets]]
            handle = "crm"
            only_to = "https://api.example.org"
            why = "It knows the customers."

            [[wants.secrets]]
            handle = "crm"
            only_to = "http://127.0.0.1:8080"
            why = "For trying it out."
            optional = true
        "#;
        let read = |wants: &str| Manifest::parse_toml(&alloc::format!("{GOOD}{wants}"));
        let manifest = read(WANTS).expect("it is whole");
        let rights = manifest.rights().secrets;
        let to: Vec<_> = rights.iter().map(|right| (right.handle.as_str(), right.only_to.to_string())).collect();
        assert_eq!(to, [("crm", "https://api.example.org".into()), ("crm", "http://127.0.0.1:8080".into())]);
        let [first, second] = manifest.wants.secrets.as_slice() else { panic!("two are asked for") };
        assert!(first.is_given_by(&rights[0]) && !first.is_given_by(&rights[1]) && !second.is_given_by(&rights[0]));
        assert!(read(&WANTS.replace("\"https://*.example.org\", \"http://127.0.0.1:8080\"", "")).is_ok());
        let refused = |from: &str, to: &str| {
            let wants = WANTS.replacen(from, to, 1);
            assert_ne!(wants, WANTS, "`{from}` stands there");
            read(&wants).expect_err(to).to_string().replace("\nhint: ", " | ")
        };
        let all = [
            refused("\"crm\"", "\"CRM key\""),
            refused("\"crm\"", "\"\""),
            refused("only_to = \"https://api.example.org\"", "only_to = \"https://*.example.org\""),
            refused("only_to = \"https://api.example.org\"", "only_to = \"https://api.example.org/v1\""),
            refused("only_to = \"https://api.example.org\"", "only_to = \"https://api.example.com\""),
            refused("only_to = \"https://api.example.org\"", "only_to = \"https://api.example.org:8443\""),
            refused("only_to = \"https://api.example.org\"", "only_to = \"http://127.0.0.1:8080\""),
            refused("\"It knows the customers.\"", "\" \""),
            refused("why = \"It knows the customers.\"", "why = \"x\"\nheader = \"x-key\""),
        ];
        expect![[r#"
            `wants.secrets.handle` may have lowercase letters, digits and `-` only: `CRM key` | for example `crm`
            `wants.secrets.handle` is empty: `` | for example `crm`
            `wants.secrets.only_to` is not one host: `https://*.example.org` | a secret is for one host: for example `https://api.example.org`
            `wants.secrets.only_to` ends with the host or the port; paths stand in `paths`: `https://api.example.org/v1` | a secret is for one host: for example `https://api.example.org`
            `wants.secrets.only_to` is none of its hosts: `https://api.example.com` | name one that `hosts` of [wants.http] has, or add it there
            `wants.secrets.only_to` is none of its hosts: `https://api.example.org:8443` | name one that `hosts` of [wants.http] has, or add it there
            `wants.secrets` has `crm` twice for the same host | once is enough
            `wants.secrets` has an empty `why` | tell the admin what it is for
            line 27: unknown field `header`, expected one of `handle`, `only_to`, `why`, `optional` | a manifest knows only the keys of agent.toml, each with its type"#]]
        .assert_eq(&all.join("\n"));
        let alone = "[[wants.secrets]]\nhandle = \"crm\"\nonly_to = \"https://api.example.org\"\nwhy = \"x\"\n";
        let told = read(alone).expect_err("it reaches nobody").to_string();
        assert!(told.contains("is for nothing") && told.contains("[wants.http]"), "{told}");
    }

    #[test]
    fn methods_are_named_with_the_hosts_where_they_are_used() {
        let with = |http: &str| {
            let text = alloc::format!("{GOOD}\n[wants.http]\n{http}\nwhy = \"To ask.\"\n");
            Manifest::parse_toml(&text).map_err(|mistake| mistake.to_string())
        };
        assert!(with("hosts = [\"https://a.example\"]\nmethods = [\"POST\"]").is_ok());
        assert!(with("methods = [\"POST\"]").is_err_and(|told| told.contains("names methods and no hosts")));
        let small = with("hosts = [\"https://a.example\"]\nmethods = [\"post\"]");
        assert!(small.is_err_and(|told| told.contains("in capital letters")));
    }

    #[test]
    fn a_mistake_names_its_place_and_a_remedy() {
        let cases = [
            refused("format = 1", "format = 2"),
            refused("acme:reporter", "acme:Reporter"),
            refused("acme:reporter", "reporter"),
            refused("acme:reporter", "acme:rep\u{200b}orter"),
            refused("\"1.2.0\"", "\"1.2\""),
            refused("\"0.1.0\"", "\"0.2.0\""),
            refused("weekly", "\\u001b[2J"),
            refused("description", "licence = \"MIT/Apache-2.0\"\ndescription"),
            refused("\"To write.\"", "\" \""),
            refused("max_tokens = 1024", "max_tokens = -1"),
            refused("max_tokens = 1024", "max_tokens = 0"),
            refused("max_tokens = 1024", "window = 0"),
            refused("max_tokens = 1024", "max_tokns = 1"),
            refused("tokens_run = 5000", "tokens_run = 1.5"),
            refused("tokens_run = 5000", "tokens_run = -5"),
            refused("tokens_run = 5000", "coins = 5"),
            refused("\"0.10\"", "0.10"),
            refused("access = \"rw\"", "access = \"w\""),
            refused("root = \"reports\"", "root = \"../etc\""),
            refused("[wants.llm]", "[wants.llm]\nwhy = \"twice\""),
            refused("[wants.llm]", &alloc::format!("x = {}1", "[".repeat(1000))),
            refused("description", "# caf\u{e9}\ndescription = '''\n'''\nx"),
        ];
        let all: Vec<_> = cases.iter().map(|case| case.replace("\nhint: ", " | ")).collect();
        expect![[r#"
            the manifest has format 2 | this version reads format 1
            `name` may have lowercase letters, digits and `-` only: `acme:Reporter` | for example `acme:reporter`
            `name` is written `publisher:name`: `reporter` | for example `acme:reporter`
            `name` may have lowercase letters, digits and `-` only: `acme:rep\u{200b}orter` | for example `acme:reporter`
            `version` is not a semantic version: `1.2` | for example `1.2.0`
            it was built against version 0.2.0 of the syscall table | this host has version 0.1.0: build the agent again, or use another host
            `description` has a line break, a control character or one that cannot be seen: `Writes the \u{1b}[2J report.` | use plain characters on one line
            `licence` is no expression of SPDX: `MIT/Apache-2.0` | for example `MIT OR Apache-2.0`
            `wants.llm` has an empty `why` | tell the admin what it is for
            line 11: invalid value: integer `-1`, expected u64 | a manifest knows only the keys of agent.toml, each with its type
            `wants.llm.max_tokens` is 0: no answer is as short | say how long an answer may be, or take it out for whatever the grant gives
            `wants.llm.window` is 0: no model is as small | say how many tokens prompt and answer need together, or take it out
            line 11: unknown field `max_tokns`, expected one of `models`, `max_tokens`, `class`, `window`, `tools`, `schema`, `why`, `optional` | a manifest knows only the keys of agent.toml, each with its type
            line 7: invalid type: floating point `1.5`, expected a whole number, or a text such as "2.00" or "120s" | a manifest knows only the keys of agent.toml, each with its type
            line 7: an amount is never negative | a manifest knows only the keys of agent.toml, each with its type
            unknown key `coins` in a budget | a budget has the words of a grant's [budget]
            line 7: invalid type: floating point `0.1`, expected a whole number, or a text such as "2.00" or "120s" | a manifest knows only the keys of agent.toml, each with its type
            line 16: unknown variant `w`, expected `r` or `rw` | a manifest knows only the keys of agent.toml, each with its type
            `wants.files.root` may have lowercase letters, digits and `-` only: `../etc` | for example `documents`
            line 13: duplicate key | a manifest knows only the keys of agent.toml, each with its type
            line 9: nested too deep | a manifest needs 4 levels
            line 9: unknown field `x`, expected one of `format`, `name`, `version`, `seq`, `wit`, `description`, `provides`, `requires`, `wants`, `budget`, `input_schema`, `output_schema`, `source`, `revision`, `licence` | a manifest knows only the keys of agent.toml, each with its type"#]].assert_eq(&all.join("\n"));
    }
}
