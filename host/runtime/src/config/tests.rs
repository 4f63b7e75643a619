//! What `agentry.toml` may say, and how a mistake in it is told.

use agentry_config::secret::{Key, SECRET_KEYS};
use agentry_drivers::secrets::config::Audience;
use agentry_drivers::secrets::config::HANDLE_KEYS;
use agentry_kernel::journal::Status;
use agentry_kernel::model::Price;
use agentry_llm::config::adjust::REQUEST_KEYS;
use agentry_llm::config::{EMBEDDED, Kind, MODEL_KEYS, PRICE_KEYS, PROVIDER_KEYS, ProviderLine};

use super::retention::RETENTION_KEYS;
use super::*;

/// Every key that there is, one a line.
const EVERY: &str = r#"format = 1
default = "m"
audit.heads = "heads.log"

[providers.p]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
connect_timeout_ms = 20
idle_timeout_ms = 30
plain_http = false
extra_headers = { x-title = "theirs", x-both = "theirs" }
extra_body = { service_tier = "flex", logprobs = false }
drop = ["seed"]
map = { max_tokens = "max_new_tokens" }

[providers.p.key]
env = "A_KEY"

[providers.q]
kind = "anthropic"

[providers.q.key]
file = "a/key"

[providers.r]
kind = "azure"
base_url = "https://name.openai.azure.com"
api_version = "2024-10-21"

[models.m]
provider = "p"
model = "some-model"
base_model = "openai/gpt-4o"
extra_headers = { x-both = "ours" }
extra_body = { logprobs = true }
drop = ["top_p"]
map = { temperature = "heat" }
context_tokens = 1000
max_output_tokens = 100
slots = 3
local = true
media = true
tools = false
schema_output = false

[models.m.price]
input = 1000
output = 2000
cache_read = 3000
cache_write = 4000

[secrets.s]
header = "x-key"
prefix = "Key "
only_to = ["https://api.example.org", "tool:mail.send"]

[secrets.s.value]
env = "S_KEY"

[hosts]
"api.internal" = ["10.1.2.3", "fd00::7"]

[idle]
after_ms = 40
memory_mb = 50

[engine]
shape = "dense"
runs_max = 60
isolation = "process"

[retention]
ended = "90d"
keep = ["failed", "approved"]
"#;

const WHOLE: &str = r#"
format = 1
default = "tiny"

[providers.cloud]
kind = "openai"
key = { env = "CLOUD_KEY" }

[providers.here]
kind = "openai-compatible"
base_url = "http://127.0.0.1:8080/v1/"
idle_timeout_ms = 5000

[models.small]
provider = "cloud"
model = "gpt-4o-mini"

[models.tiny]
provider = "here"
model = "smollm2"
context_tokens = 8192
max_output_tokens = 512
slots = 2
local = true
tools = false

[models.odd]
provider = "cloud"
model = "nobody-knows-me"
price = { input = 5_000, output = 0x1000 }
"#;

fn mistake(text: &str) -> String {
    Config::parse("agentry.toml", text).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_understood() {
    let config = Config::parse("agentry.toml", WHOLE).unwrap();
    assert_eq!(config.models.default, "tiny");
    let aliases: Vec<&str> = config.models.models.iter().map(|model| &*model.alias).collect();
    assert_eq!(aliases, ["small", "tiny", "odd"], "in the order of the file");
    let [small, tiny, odd] = &config.models.models[..] else { unreachable!() };
    assert_eq!(small.price.map(|price| price.output), Some(600_000), "from the shipped list");
    assert_eq!(small.provider.key, Some(Key::Env("CLOUD_KEY".to_owned())));
    assert_eq!(tiny.price, Some(Price::default()), "what is local costs nothing");
    assert_eq!(tiny.provider.base_url, "http://127.0.0.1:8080/v1");
    assert_eq!(tiny.provider.idle.as_millis(), 5000);
    assert_eq!((tiny.slots, tiny.output_tokens_max, tiny.tools), (2, 512, false));
    assert_eq!(odd.price, Some(Price { input: 5_000, output: 4_096, cache_read: 5_000, cache_write: 5_000 }));
}

#[test]
fn every_key_is_read() {
    let all = [
        &FILE_KEYS[..],
        &PROVIDER_KEYS,
        &REQUEST_KEYS,
        &SECRET_KEYS,
        &MODEL_KEYS,
        &PRICE_KEYS,
        &HANDLE_KEYS,
        &IDLE_KEYS,
        &ENGINE_KEYS,
        &RETENTION_KEYS,
    ]
    .concat();
    for key in all {
        let is_said = EVERY.lines().any(|line| line.starts_with(key) || line.contains(&format!("{key}]")))
            || EVERY.contains(&format!("[{key}."));
        assert!(is_said, "no line says `{key}`");
    }
    let config = Config::parse("agentry.toml", EVERY).unwrap();
    let [model] = &config.models.models[..] else { unreachable!() };
    let ProviderLine { kind, base_url, key, connect, idle, .. } = &model.provider;
    assert_eq!((*kind, &**base_url), (Kind::OpenAi, "http://127.0.0.1:1/v1"));
    assert_eq!(*key, Some(Key::Env("A_KEY".to_owned())));
    assert_eq!((connect.as_millis(), idle.as_millis()), (20, 30));
    assert_eq!((&*config.models.default, &*model.alias, &*model.model), ("m", "m", "some-model"));
    assert_eq!((model.context_tokens, model.output_tokens_max, model.slots), (1000, 100, 3));
    assert_eq!((model.local, model.tools, model.schema_output), (true, false, false));
    assert_eq!(model.media, ["image", "pdf"], "as its base has them");
    let adjust = &model.adjust;
    assert_eq!((&*adjust.headers["x-title"], &*adjust.headers["x-both"]), ("theirs", "ours"));
    assert_eq!(serde_json::to_string(&adjust.body).unwrap(), r#"{"logprobs":true,"service_tier":"flex"}"#);
    assert_eq!((&adjust.drop[..], adjust.map.len()), (&["seed".to_owned(), "top_p".to_owned()][..], 2));
    assert_eq!(model.price, Some(Price { input: 1000, output: 2000, cache_read: 3000, cache_write: 4000 }));
    let [secret] = &config.secrets[..] else { unreachable!() };
    assert_eq!((&*secret.handle, secret.header.as_str(), &*secret.prefix), ("s", "x-key", "Key "));
    assert_eq!(secret.value, Key::Env("S_KEY".to_owned()));
    let only_to = [Audience::Origin("https://api.example.org".to_owned()), Audience::Tool("mail.send".to_owned())];
    assert_eq!(secret.only_to, only_to);
    let inner = ["10.1.2.3".parse().unwrap(), "fd00::7".parse().unwrap()];
    assert_eq!(config.hosts.get("api.internal").map(Vec::as_slice), Some(&inner[..]));
    assert_eq!((config.idle.after_ms, config.idle.memory_bytes), (40, 50 << 20));
    assert_eq!(config.engine, (agentry_engine::settings::Shape::Dense, 60));
    assert_eq!(config.isolation, Some(Isolation::Process));
    let retention = config.retention.unwrap();
    assert_eq!(retention.ended_ms, 90 * 24 * 60 * 60 * 1000);
    assert!(retention.keep.keeps(Status::Failed, || false) && !retention.keep.keeps(Status::Done, || false));
    let other = EVERY.replace("provider = \"p\"", "provider = \"q\"").replace("local = true", "local = false");
    let config = Config::parse("agentry.toml", &other).unwrap();
    assert_eq!(config.models.models[0].provider.key, Some(Key::File("a/key".into())));
    let other = EVERY.replace("provider = \"p\"", "provider = \"r\"").replace("local = true", "local = false");
    let config = Config::parse("agentry.toml", &other).unwrap();
    assert_eq!(config.models.models[0].provider.api_version.as_deref(), Some("2024-10-21"));
}

#[test]
fn every_key_refuses_a_value_of_another_type_and_names_the_line() {
    for (index, line) in EVERY.lines().enumerate().filter(|(_, line)| line.contains(" = ")) {
        let key = line.split(" = ").next().unwrap();
        let lines = EVERY.lines().enumerate();
        let changed = lines.map(|(at, line)| if at == index { format!("{key} = []\n") } else { format!("{line}\n") });
        let told = mistake(&changed.collect::<String>());
        assert!(told.starts_with(&format!("agentry.toml:{}:", index + 1)), "{key}: {told}");
        assert!(told.contains("\nhint: "), "{key}: {told}");
    }
    for table in ["providers", "models", "secrets", "hosts", "idle", "engine", "retention"] {
        let told = mistake(&format!("format = 1\n{table} = 1\n"));
        assert!(told.starts_with(&format!("agentry.toml:2:{}: `{table}` is not a table", table.len() + 4)), "{told}");
    }
    let one = "format = 1\n[providers.p]\nkind = \"openai\"\n";
    assert!(mistake(&format!("{one}key = 1\n")).starts_with("agentry.toml:4:7: `key` is not a table"));
    let model = format!("{one}[models.m]\nprovider = \"p\"\nmodel = \"m\"\n");
    assert!(mistake(&format!("{model}price = 1\n")).starts_with("agentry.toml:7:9: `price` is not a table"));
    let dollars = mistake(&format!("{model}price = {{ input = 3, output = 15 }}\n"));
    assert!(dollars.contains("`input` = 3 is $0.000003") && dollars.contains("3_000_000"), "{dollars}");
}

#[test]
fn prices_that_were_read_into_the_home_go_before_the_shipped_ones() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("list.json");
    std::fs::write(&file, r#"{"openai":{"models":{"gpt-5.4":{"cost":{"input":1,"output":2}}}}}"#).unwrap();
    agentry_llm::prices::import(home.path(), &file).unwrap();
    let text = "format = 1\n[providers.p]\nkind = \"openai\"\n[models.m]\nprovider = \"p\"\nmodel = \"gpt-5.4\"\n";
    std::fs::write(home.path().join(CONFIG_FILE), text).unwrap();
    let model = Config::load(home.path()).unwrap().models.models[0].clone();
    assert_eq!(model.price.map(|price| (price.input, price.output)), Some((1_000_000, 2_000_000)));
    assert_eq!(model.media, ["image", "pdf"], "what the list does not say is known still");
    std::fs::write(home.path().join(agentry_llm::prices::PRICES_FILE), "[").unwrap();
    let told = Config::load(home.path()).unwrap_err().to_string();
    assert!(told.contains("prices.json") && told.contains("\nhint: "), "{told}");
}

#[test]
fn without_a_file_there_is_the_embedded_model() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Config::load(home.path()).unwrap().models.default, EMBEDDED);
}

#[test]
fn a_home_that_says_nothing_has_its_agents_in_processes_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Config::load(home.path()).unwrap().isolation(), Isolation::Process);
    let parsed = |text: &str| Config::parse("agentry.toml", text).unwrap();
    let (unsaid, said) = (parsed("format = 1\n"), parsed("format = 1\n[engine]\nisolation = \"process\"\n"));
    assert_eq!(unsaid.until_the_end(&said), Vec::<&str>::new(), "saying what holds anyway changes nothing");
    let weaker = parsed("format = 1\n[engine]\nisolation = \"none\"\n");
    assert_eq!((weaker.isolation(), unsaid.until_the_end(&weaker)), (Isolation::None, vec!["engine"]));
}

#[test]
fn without_a_default_the_first_model_is_it() {
    let text = WHOLE.replace("default = \"tiny\"", "");
    assert_eq!(Config::parse("agentry.toml", &text).unwrap().models.default, "small");
    assert_eq!(Config::parse("agentry.toml", "format = 1").unwrap().models.default, EMBEDDED);
}

#[test]
fn a_model_whose_price_nobody_said_has_none() {
    let text = WHOLE.replace("local = true", "");
    assert_eq!(Config::parse("agentry.toml", &text).unwrap().models.models[1].price, None);
    let proxied = WHOLE.replace("kind = \"openai\"\n", "kind = \"openai\"\nbase_url = \"https://proxy.example/v1\"\n");
    assert_eq!(
        Config::parse("agentry.toml", &proxied).unwrap().models.models[0].price,
        None,
        "list prices hold at home alone"
    );
}

#[test]
fn mistakes_name_the_place_show_the_line_and_say_what_was_meant() {
    let cases = [
        ("slots = 2", "slotz = 2", "23:1: unknown key `slotz` in [models.tiny]", "did you mean `slots`?"),
        ("kind = \"openai\"\n", "kind = \"opena\"\n", "6:8: unknown kind `opena`", "did you mean `openai`?"),
        ("provider = \"here\"", "provider = \"heer\"", "19:12: there is no provider `heer`", "did you mean `here`?"),
        ("default = \"tiny\"", "default = \"tinny\"", "3:11: there is no model `tinny`", "did you mean `tiny`?"),
        (
            "slots = 2",
            "slots = 0",
            "23:9: `slots` is out of range or no whole number",
            "write a whole number from 1 to 10000",
        ),
        (
            "input = 5",
            "input = 0.5",
            "30:19: `input` is out of range or no whole number",
            "write micro-USD for a million tokens",
        ),
        ("base_url = ", "url = ", "11:1: unknown key `url` in [providers.here]", "write base_url = \"http://"),
        ("context_tokens = ", "num_ctx = ", "21:1: unknown key `num_ctx` in [models.tiny]", "write context_tokens = "),
        ("[models.odd]", "[models.gpt-4.1]", "27:15: unknown key `1` in [models.gpt-4]", "[models.\"gpt-4.1\"]"),
    ];
    for (from, to, place, hint) in cases {
        let told = mistake(&WHOLE.replacen(from, to, 1));
        assert!(told.starts_with(&format!("agentry.toml:{place}\n")), "{told}");
        assert!(told.contains(&format!("\nhint: {hint}")) || told.ends_with(hint), "{told}");
        let lines: Vec<&str> = told.lines().collect();
        let written = to.lines().next().unwrap_or_default();
        assert!(lines[1].contains(written) && lines[2].trim_end().ends_with('^'), "{told}");
    }
}

#[test]
fn a_key_in_the_file_itself_is_refused_and_never_shown() {
    let secret = |line: &str| {
        EVERY.replace("[secrets.s.value]\nenv = \"S_KEY\"\n", "").replace("header = ", &format!("{line}\nheader = "))
    };
    let keyed = |line: &str| WHOLE.replace("key = { env = \"CLOUD_KEY\" }", line);
    for text in [
        keyed("key = \"hunter2-in-the-file\""),
        keyed("key = \"hunter2-in-the-file"),
        keyed("key = hunter2-in-the-file"),
        keyed("api_key = \"hunter2-in-the-file\""),
        keyed("token = \"hunter2-in-the-file\""),
        keyed("key = { env = \"sk-hunter2-in-the-file\" }"),
        keyed("key = { value = \"hunter2-in-the-file\" }"),
        keyed("base_url = \"https://me:hunter2-in-the-file@host\""),
        secret("value = \"hunter2-in-the-file\""),
    ] {
        let told = mistake(&text);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(
            text.contains("base_url = \"https://me") || told.contains("env") || told.contains("not TOML"),
            "{told}"
        );
    }
    let told = mistake(&keyed("key = \"hunter2-in-the-file\""));
    assert!(told.contains("key = { env = \"NAME\" } or key = { file = \"PATH\" }"), "{told}");
}

#[test]
fn what_cannot_be_is_refused() {
    let changed = |from: &str, to: &str| mistake(&WHOLE.replace(from, to));
    assert!(changed("format = 1", "format = 2").contains("write format = 1"));
    assert!(changed("format = 1", "format = ").contains("agentry.toml:2:10: not TOML"));
    assert!(changed("[models.odd]", "[models.default]").contains("cannot be an alias"));
    assert!(changed("http://127.0.0.1:8080/v1/", "http://me:pw@host/").contains("no address of a server"));
    assert!(
        changed("127.0.0.1", "10.0.0.7").contains("`here` is not on this machine"),
        "local means that no word leaves"
    );
    assert!(changed("max_output_tokens = 512", "max_output_tokens = 9000").contains("would not fit"));
    assert!(changed("8080/v1/", "8080/v1/chat/completions").contains("leave `/chat/completions` out"));
    let keyed = |url: &str| WHOLE.replace("kind = \"openai\"\n", &format!("kind = \"openai\"\nbase_url = \"{url}\"\n"));
    assert!(mistake(&keyed("http://models.example/v1")).contains("the key would cross the network for all to read"));
    let said = keyed("http://models.example/v1").replace("[providers.here]", "plain_http = true\n[providers.here]");
    assert!(Config::parse("agentry.toml", &said).is_ok());
    assert!(Config::parse("agentry.toml", &keyed("http://[::1]:1/v1")).is_ok());
    let adjusted = |line: &str| changed("[models.tiny]", &format!("[models.tiny]\n{line}"));
    for line in [
        "drop = [\"messages\"]",
        "extra_body = { n = 2 }",
        "extra_body = { max_tokens = 9 }",
        "map = { tools = \"functions\" }",
        "map = { seed = \"stream\" }",
    ] {
        assert!(adjusted(line).contains("is what a budget is held for"), "{line}");
    }
    for line in [
        "extra_headers = { authorization = \"x\" }",
        "extra_headers = { \"a b\" = \"x\" }",
        "extra_headers = { x = \"a\\nb\" }",
    ] {
        assert!(adjusted(line).contains("cannot be an extra header"), "{line}");
    }
    assert!(changed("idle_timeout_ms = 5000", "api_version = \"1\"").contains("has no versions"));
    assert!(changed("{ env = \"CLOUD_KEY\" }", "{ env = \"A\", file = \"b\" }").contains("a key is in one place"));
}

#[test]
fn a_secret_without_an_audience_of_its_own_is_refused() {
    for wrong in [
        "https://api.example.org/",
        "https://api.example.org/v1",
        "https://api.example.org:443",
        "https://API.example.org",
        "https://user@api.example.org",
        "https://*.example.org",
        "api.example.org",
        "file:///x",
        "tool:",
        "*",
    ] {
        let told = mistake(&EVERY.replacen("\"https://api.example.org\"", &format!("{wrong:?}"), 1));
        assert!(told.contains("nobody that a secret could be for"), "{wrong}: {told}");
    }
    for (from, to) in
        [("[secrets.s]", "[secrets.S]"), ("x-key", "x key"), ("Key ", "Key\\n"), ("api.internal", "10.0.0.1")]
    {
        assert!(EVERY.contains(from), "{from}");
        let told = mistake(&EVERY.replace(from, to));
        assert!(told.contains("\nhint: "), "{to}: {told}");
    }
    for host in ["Api.internal", "api.internal.", ".api", "10.0.0.1", "a b"] {
        let told = mistake(&EVERY.replace("api.internal", host));
        assert!(told.contains("is no name of a host"), "{host}: {told}");
    }
}
