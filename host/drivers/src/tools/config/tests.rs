//! What `tools.toml` may say, and how a mistake in it is told.

use std::any::Any;
use std::os::unix::fs::{PermissionsExt, symlink};

use agentry_kernel::json;

use super::clock::CLOCK_KEYS;
use super::command::{COMMAND_KEYS, CommandLine};
use super::endpoint::{ENDPOINT_KEYS, EndpointLine};
use super::*;

/// Every key that there is, one a line.
const EVERY: &str = r#"format = 1

[tools."mail.send"]
description = "Sends a mail."
effect = "irreversible"
labels = ["untrusted", "secret"]
schema = '{"type": "object", "properties": {"to": {"type": "string"}, "cc": {"type": "string"}}, "required": ["to"]}'
timeout_ms = 500
output_max_bytes = 1000
price_microusd = 7

[tools."mail.send".command]
program = "/usr/bin/mail"
args = ["-s", "report", ["--cc", "{cc}"], "--", "{to}"]
stdin = true
memory_mb = 256

[tools."mail.send".command.env]
MAILRC = "/dev/null"

[tools."mail.send".command.secrets]
TOKEN = "mail-key"

[tools.find]
description = "Finds."
effect = "read"
schema = '{"type": "object"}'

[tools.find.http]
method = "GET"
url = "https://crm.example.org/find"
secret = "crm"
addresses = ["10.1.0.0/16", "fd00::7"]

[tools.now]
description = "Tells the time."
effect = "read"
schema = '{"type": "object"}'

[tools.now.clock]
offset = "+05:30"
format = "unix_ms"
"#;

/// What was read of the way to a tool.
fn way<T: Reach>(registered: &Registered) -> &T {
    (&*registered.reach as &dyn Any).downcast_ref().expect("it is of this kind")
}

fn parse(text: &str) -> Result<ToolsConfig, String> {
    ToolsConfig::parse("tools.toml", text).map_err(|error| error.to_string())
}

#[test]
fn every_key_of_a_tool_is_read() {
    for key in [&TOOLS_FILE_KEYS[..], &TOOL_KEYS, &COMMAND_KEYS, &ENDPOINT_KEYS, &CLOCK_KEYS].concat() {
        let is_said = EVERY.lines().any(|line| line.starts_with(&format!("{key} =")))
            || EVERY.contains(&format!("[{key}."))
            || EVERY.contains(&format!(".{key}]"));
        assert!(is_said, "no line says `{key}`");
    }
    let config = parse(EVERY).expect("it is well formed");
    let [found, mailed, now] = &config.tools[..] else { panic!("there are three") };
    let (find, mail) = (&found.tool, &mailed.tool);
    assert_eq!((&*mail.name, &*mail.description, mail.effect), ("mail.send", "Sends a mail.", Effect::Irreversible));
    assert_eq!(mail.labels, Labels::of(["secret", "untrusted"]));
    assert_eq!((mail.timeout.as_millis(), mail.output_max_bytes, mail.price_microusd), (500, 1000, 7));
    let command: &CommandLine = way(mailed);
    let words = command.args.fill(&json::parse(r#"{"to": "x@example.org"}"#).expect("JSON"));
    assert_eq!(words.expect("they fit").join(" "), "-s report -- x@example.org");
    assert_eq!((command.stdin, command.memory_bytes), (true, 256 << 20));
    assert_eq!(command.env.get("MAILRC").map(String::as_str), Some("/dev/null"));
    assert_eq!(command.secrets.get("TOKEN").map(String::as_str), Some("mail-key"));
    let endpoint: &EndpointLine = way(found);
    assert_eq!((endpoint.method.as_str(), endpoint.url.as_str()), ("GET", "https://crm.example.org/find"));
    assert_eq!((endpoint.secret.as_deref(), endpoint.addresses.len()), (Some("crm"), 2));
    assert_eq!((find.timeout.as_millis() as u64, find.price_microusd), (TOOL_TIMEOUT_DEFAULT_MS, 0));
    assert_eq!(format!("{:?}", now.reach), "ClockLine { offset_min: 330, format: UnixMs }");
}

#[test]
fn every_key_of_a_tool_refuses_what_makes_no_sense_and_names_the_line() {
    for (index, line) in EVERY.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let key = line.split(" = ").next().expect("a key");
        // A list of nothing is nothing for those that are lists.
        let wrong = if ["labels", "args", "addresses"].contains(&key) { "[1]" } else { "[]" };
        let lines = EVERY.lines().enumerate();
        let changed =
            lines.map(|(at, line)| if at == index { format!("{key} = {wrong}\n") } else { format!("{line}\n") });
        let told = parse(&changed.collect::<String>()).expect_err(key);
        assert!(told.starts_with(&format!("tools.toml:{}:", index + 1)), "{key}: {told}");
        assert!(told.contains("\nhint: "), "{key}: {told}");
    }
}

#[test]
fn a_tool_that_makes_no_sense_is_a_mistake_with_a_hint() {
    for (from, to, message) in [
        ("format = 1", "format = 2", "another format"),
        ("description = \"Sends", "descripton = \"Sends", "unknown key `descripton`"),
        ("\"irreversible\"", "\"ireversible\"", "unknown effect `ireversible`"),
        ("\"mail.send\"]\n", "\"mail send\"]\n", "cannot be a tool's name"),
        ("\"untrusted\"", "\"Untrusted\"", "the label `Untrusted`"),
        ("{\"type\": \"object\"}", "{\"type\": \"string\"}", "not of an object"),
        ("{\"type\": \"object\"}", "{\"type\": \"object\", \"type\": \"object\"}", "is not JSON"),
        ("{\"type\": \"object\"}", "{\"type\": \"object\", \"properties\": 1}", "no JSON Schema"),
        ("\"/usr/bin/mail\"", "\"mail\"", "no absolute path"),
        ("{cc}", "{bcc}", "no property `bcc`"),
        ("{cc}", "{cc", "brace"),
        ("\"GET\"", "\"TRACE\"", "unknown method `TRACE`"),
        ("https://crm", "ftp://crm", "no address of a server"),
        ("https://crm", "https://user:word@crm", "no address of a server"),
        ("10.1.0.0/16", "10.1.0.0/33", "no network"),
        ("timeout_ms = 500", "timeout_ms = 0", "out of range"),
        ("output_max_bytes = 1000", "output_max_bytes = 99_999_999_999", "out of range"),
        ("MAILRC", "\"MAIL RC\"", "cannot be a variable"),
        ("+05:30", "+25:30", "no offset from UTC"),
        ("unix_ms", "unix", "unknown format `unix`"),
        ("[tools.now.clock]\noffset", "[tools.now.clock]\nzone", "unknown key `zone`"),
        ("[tools.find.http]", "[tools.find.https]", "unknown key `https`"),
    ] {
        assert!(EVERY.contains(from), "{from}");
        let told = parse(&EVERY.replacen(from, to, 1)).expect_err(to);
        assert!(told.contains(message) && told.contains("\nhint: "), "{to}: {told}");
    }
    let both = format!("{EVERY}[tools.find.command]\nprogram = \"/bin/true\"\n");
    let moved = EVERY.replace("time.\"\neffect = \"read\"", "time.\"\neffect = \"reversible\"");
    assert!(parse(&moved).expect_err("it is read").contains("`effect` says reversible"));
    assert!(parse(&both).expect_err("two ways").contains("is reached in more than one way"));
}

#[test]
fn a_registry_that_others_may_write_is_refused() {
    let home = tempfile::tempdir().expect("a directory");
    assert!(ToolsConfig::load(home.path()).expect("there is none").tools.is_empty());
    let file = home.path().join(TOOLS_FILE);
    std::fs::write(&file, EVERY).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    assert_eq!(ToolsConfig::load(home.path()).expect("it is ours").tools.len(), 3);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).expect("it is ours");
    assert!(matches!(ToolsConfig::load(home.path()), Err(ToolsError::Place(_))));
    std::fs::rename(&file, home.path().join("real.toml")).expect("renamed");
    symlink(home.path().join("real.toml"), &file).expect("a link");
    assert!(matches!(ToolsConfig::load(home.path()), Err(ToolsError::Place(_))));
}
