//! The words of `agent.toml`, key by key: what nobody knows, what lacks and what has another type is told with its place, before a decoder
//! would say it in its own words. What a value may be is the kernel's to say.

use agentry_config::ConfigError;
use agentry_config::reader::{Document, Table, near_or_all};
use agentry_kernel::manifest::Wants;
use toml::de::DeValue;

const FILE: [&str; 15] = [
    "format",
    "name",
    "version",
    "seq",
    "wit",
    "description",
    "provides",
    "requires",
    "wants",
    "budget",
    "input_schema",
    "output_schema",
    "source",
    "revision",
    "licence",
];

/// What other programs call these.
const OTHERS: [(&[&str], &str); 9] = [
    (&["models", "model", "llm", "max_tokens"], "[wants.llm], and below it models = [\"*\"] and why = \"…\""),
    (&["tools", "tool"], "[[wants.tools]], and below it tool = \"mail.send\" and why = \"…\""),
    (&["files", "root", "roots"], "[[wants.files]], and below it root = \"documents\", access = \"r\" and why = \"…\""),
    (&["permissions", "capabilities", "imports", "http", "memory", "agents"], "[wants.NAME], for example [wants.http]"),
    (
        &["dependencies", "depends", "needs", "require"],
        "[[requires]], and below it package = \"acme:calendar@^1\" and why = \"…\"",
    ),
    (
        &["secrets", "secret", "handle", "api_key", "token"],
        "[[wants.secrets]], and below it handle = \"crm\", only_to = \"https://api.example.org\" and why = \"…\"",
    ),
    (&["limits", "usd_run", "usd_day", "tokens_run", "tokens_day", "wall_run"], "it below [budget]"),
    (&["licences", "terms", "spdx"], "licence = \"MIT OR Apache-2.0\""),
    (&["schema", "input", "inputs", "parameters"], "input_schema = '''{\"type\": \"object\"}'''"),
];

/// Of a want, besides `why` and `optional`, which each has.
struct Words {
    want: &'static str,
    texts: &'static [&'static str],
    lists: &'static [&'static str],
    numbers: &'static [&'static str],
    flags: &'static [&'static str],
    needs: &'static [&'static str],
    /// It may be asked for several times: `[[wants.files]]`.
    several: bool,
}

const ONE: Words = Words { want: "", texts: &[], lists: &[], numbers: &[], flags: &[], needs: &[], several: false };

/// One of each interface, in their order, and what goes with one of them.
const WANTS: [Words; Wants::INTERFACES.len() + 1] = [
    Words {
        want: "llm",
        texts: &["class"],
        lists: &["models"],
        numbers: &["max_tokens", "window"],
        flags: &["tools", "schema"],
        needs: &["models"],
        ..ONE
    },
    Words { want: "context", ..ONE },
    Words { want: "memory", lists: &["read", "write"], ..ONE },
    Words { want: "tools", texts: &["tool"], needs: &["tool"], several: true, ..ONE },
    Words { want: "files", texts: &["root", "access"], needs: &["root", "access"], several: true, ..ONE },
    Words { want: "http", lists: &["hosts", "methods"], ..ONE },
    Words { want: "agents", lists: &["call", "send", "receive"], ..ONE },
    Words { want: "human", ..ONE },
    Words { want: "secrets", texts: &["handle", "only_to"], needs: &["handle", "only_to"], several: true, ..ONE },
];

/// Reads all of it.
pub(super) fn check(document: Document<'_>, has_version: bool) -> Result<(), ConfigError> {
    document.read(|root| {
        root.only_in_our_words(&FILE, &OTHERS)?;
        needs(root, "name", "name = \"local:greeter\", the publisher and the agent")?;
        if !has_version {
            needs(root, "version", "version = \"0.1.0\": no Cargo.toml beside it says one")?;
        }
        for key in ["version", "wit", "description", "source", "revision", "licence", "input_schema", "output_schema"] {
            text(root, key)?;
        }
        root.texts("provides")?;
        requires(root)?;
        root.number("format", 0..u64::from(u32::MAX))?;
        root.number("seq", 1..u64::from(u32::MAX))?;
        wants(root)?;
        budget(root)
    })
}

/// A text that must be there, with one to begin with.
fn needs(root: &Table<'_>, key: &str, line: &str) -> Result<(), ConfigError> {
    match root.text(key)? {
        Some(_) => Ok(()),
        None => Err(root.mistake(format!("{} has no `{key}`", root.name), format!("add {line}"))),
    }
}

/// A text, which may be empty.
fn text(table: &Table<'_>, key: &str) -> Result<(), ConfigError> {
    match table.value(key) {
        None | Some(DeValue::String(_)) => Ok(()),
        Some(DeValue::Table(_)) if key.ends_with("_schema") => {
            let hint = format!("write the schema as JSON in a text: {key} = '''{{\"type\": \"object\"}}'''");
            Err(table.mistake_in(key, format!("`{key}` is a table; it must be a text"), hint))
        }
        Some(_) => Err(table.mistake_in(key, format!("`{key}` is not a text"), format!("write {key} = \"…\""))),
    }
}

/// What each may be is the kernel's to say.
fn requires(root: &Table<'_>) -> Result<(), ConfigError> {
    for table in root.list_of_tables("requires")? {
        table.only(&["package", "provides", "why"])?;
        table.text("package")?;
        table.text("provides")?;
        needs_why(&table, "say what it needs that for")?;
    }
    Ok(())
}

fn needs_why(table: &Table<'_>, hint: &str) -> Result<(), ConfigError> {
    if table.value("why").is_none() {
        return Err(table.mistake(format!("{} has no `why`", table.name), format!("add why = \"…\": {hint}")));
    }
    text(table, "why")
}

fn wants(root: &Table<'_>) -> Result<(), ConfigError> {
    let Some(asked) = root.get_table("wants")? else { return Ok(()) };
    asked.only(&WANTS.map(|words| words.want))?;
    for words in &WANTS {
        let key = words.want;
        match asked.value(key) {
            None => {}
            Some(DeValue::Table(_)) if words.several => {
                let message = format!("`{key}` is a table; it must be a list of tables");
                let hint = format!("write [[wants.{key}]], with two brackets: there may be several");
                return Err(asked.mistake_in(key, message, hint));
            }
            Some(DeValue::Array(_)) if !words.several => {
                let message = format!("`{key}` is a list; it must be a table");
                let hint = format!("write [wants.{key}], with one bracket: there is one of it");
                return Err(asked.mistake_in(key, message, hint));
            }
            Some(_) if words.several => {
                for table in asked.list_of_tables(key)? {
                    want(&table, words)?;
                }
            }
            Some(_) => {
                if let Some(table) = asked.get_table(key)? {
                    want(&table, words)?;
                }
            }
        }
    }
    Ok(())
}

fn want(table: &Table<'_>, words: &Words) -> Result<(), ConfigError> {
    let known = [words.texts, words.lists, words.numbers, words.flags, &["why", "optional"]].concat();
    table.only(&known)?;
    for key in words.needs {
        if table.value(key).is_none() {
            let list = words.lists.contains(key);
            let line = if list { format!("{key} = [\"*\"]") } else { format!("{key} = \"…\"") };
            return Err(table.mistake(format!("{} has no `{key}`", table.name), format!("add {line}")));
        }
    }
    for key in words.texts {
        table.text(key)?;
    }
    for key in words.lists {
        table.texts(key)?;
    }
    for key in words.numbers {
        table.number(key, 0..1 << 53)?;
    }
    for key in words.flags {
        table.flag(key)?;
    }
    table.flag("optional")?;
    if table.text("access")?.is_some_and(|word| ["w", "write", "wr"].contains(&word)) {
        let message = "`access` is \"r\" or \"rw\": whoever writes reads, too";
        return Err(table.mistake_in("access", message, "write access = \"rw\""));
    }
    choice(table, "access", &["r", "rw"])?;
    choice(table, "class", &["interactive", "normal", "batch"])?;
    needs_why(table, "it is what an admin reads before they grant it")
}

fn choice(table: &Table<'_>, key: &str, known: &[&str]) -> Result<(), ConfigError> {
    match table.text(key)? {
        Some(word) if !known.contains(&word) => {
            Err(table.mistake_in(key, format!("no `{key}` is called `{word}`"), near_or_all(word, known)))
        }
        _ => Ok(()),
    }
}

/// Which limits there are is the kernel's to say.
fn budget(root: &Table<'_>) -> Result<(), ConfigError> {
    let Some(budget) = root.get_table("budget")? else { return Ok(()) };
    for key in budget.keys() {
        if !matches!(budget.value(key), Some(DeValue::String(_) | DeValue::Integer(_))) {
            let hint = format!("money and time are texts, the rest whole numbers: {key} = \"0.10\", \"120s\" or 4_000");
            return Err(budget.mistake_in(key, format!("`{key}` is no amount"), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        check(Document { file: "agent.toml", text }, true).expect_err(text).to_string()
    }

    #[test]
    fn every_interface_has_its_words() {
        let (interfaces, beside) = WANTS.split_at(Wants::INTERFACES.len());
        assert!(interfaces.iter().map(|words| words.want).eq(Wants::INTERFACES));
        assert!(beside.iter().map(|words| words.want).eq(["secrets"]));
    }

    #[test]
    fn a_version_that_nobody_says_is_asked_for_with_one_to_begin_with() {
        let text = "name = \"a:b\"\n";
        assert!(check(Document { file: "agent.toml", text }, true).is_ok());
        let told = check(Document { file: "agent.toml", text }, false).expect_err("it lacks one").to_string();
        assert!(told.contains("has no `version`") && told.contains("add version = \"0.1.0\""), "{told}");
    }

    #[test]
    fn what_is_wrong_is_told_in_our_words_with_its_place() {
        let head = "name = \"a:b\"\n";
        for (text, what, hint) in [
            ("", "1:1: the file has no `name`", "add name = \"local:greeter\""),
            ("sudo = true\n", "2:1: unknown key `sudo` in the file", "known here: format, name"),
            ("descripton = \"x\"\n", "2:1: unknown key `descripton`", "did you mean `description`?"),
            ("models = [\"*\"]\n", "2:1: unknown key `models`", "write [wants.llm]"),
            ("description = 3\n", "2:15: `description` is not a text", "description = \"…\""),
            ("[input_schema]\ntype = \"object\"\n", "`input_schema` is a table", "as JSON in a text"),
            ("[wants.lm]\nwhy = \"x\"\n", "2:8: unknown key `lm` in `wants`", "did you mean `llm`?"),
            ("[[wants.llm]]\nmodels = [\"*\"]\n", "`llm` is a list", "[wants.llm], with one bracket"),
            ("[wants.files]\nroot = \"docs\"\n", "`files` is a table", "[[wants.files]], with two brackets"),
            ("[wants.llm]\nmodels = \"*\"\nwhy = \"x\"\n", "3:10: `models` is not a list of texts", "models = [\"…\"]"),
            ("license = \"MIT\"\n", "2:1: unknown key `license`", "did you mean `licence`?"),
            ("dependencies = []\n", "2:1: unknown key `dependencies`", "write [[requires]]"),
            ("[[requires]]\npackage = \"a:c\"\n", "`requires` has no `why`", "say what it needs that for"),
            ("[[requires]]\npackge = \"a:c\"\n", "3:1: unknown key `packge`", "did you mean `package`?"),
            ("requires = [\"a:c\"]\n", "`requires` is not a list of tables", "write requires = [{ … }]"),
            ("[wants.llm]\nwhy = \"x\"\n", "`llm` has no `models`", "add models = [\"*\"]"),
            ("[wants.llm]\nmodels = [\"*\"]\n", "`llm` has no `why`", "an admin reads"),
            (
                "[wants.llm]\nmodels = [\"*\"]\nwhy = \"x\"\nmax_token = 3\n",
                "5:1: unknown key `max_token`",
                "`max_tokens`?",
            ),
            ("[wants.llm]\nmodels = [\"*\"]\nwhy = \"x\"\ntools = \"yes\"\n", "5:9: `tools`", "tools = true"),
            (
                "[[wants.files]]\nroot = \"docs\"\naccess = \"read\"\nwhy = \"x\"\n",
                "4:10: no `access` is called `read`",
                "there is: r, rw",
            ),
            ("[wants.secrets]\nhandle = \"crm\"\n", "`secrets` is a table", "[[wants.secrets]], with two brackets"),
            ("[[wants.secrets]]\nhandle = \"crm\"\n", "`secrets` has no `only_to`", "add only_to = \"…\""),
            ("secrets = [\"crm\"]\n", "2:1: unknown key `secrets`", "write [[wants.secrets]]"),
            ("[budget]\nusd_run = 0.1\n", "3:11: `usd_run` is no amount", "money and time are texts"),
            ("version = \n", "not TOML", "key = value"),
        ] {
            let text = if what.contains("no `name`") { text.to_owned() } else { format!("{head}{text}") };
            let told = told(&text);
            assert!(told.starts_with("agent.toml:") && told.contains(what) && told.contains(hint), "{told}");
        }
    }
}
