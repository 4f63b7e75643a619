//! What `agentry.toml` may say, and how a mistake in it is told.

use agentry_kernel::model::Price;

use super::*;

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
price = { input = 5, output = 0x10 }
"#;

fn mistake(text: &str) -> String {
    Config::parse("agentry.toml", text).unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_understood() {
    let config = Config::parse("agentry.toml", WHOLE).unwrap();
    assert_eq!(config.default, "tiny");
    let aliases: Vec<&str> = config.models.iter().map(|model| &*model.alias).collect();
    assert_eq!(aliases, ["small", "tiny", "odd"], "in the order of the file");
    let [small, tiny, odd] = &config.models[..] else { unreachable!() };
    assert_eq!(small.price.map(|price| price.output), Some(600_000), "from the shipped list");
    assert_eq!(small.provider.key, Some(Key::Env("CLOUD_KEY".to_owned())));
    assert_eq!(tiny.price, Some(Price::default()), "what is local costs nothing");
    assert_eq!(tiny.provider.base_url, "http://127.0.0.1:8080/v1");
    assert_eq!(tiny.provider.idle.as_millis(), 5000);
    assert_eq!((tiny.slots, tiny.output_tokens_max, tiny.tools), (2, 512, false));
    assert_eq!(odd.price, Some(Price { input: 5, output: 16, cache_read: 5, cache_write: 5 }));
}

#[test]
fn without_a_file_there_is_the_embedded_model() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(Config::load(home.path()).unwrap().default, EMBEDDED);
}

#[test]
fn without_a_default_the_first_model_is_it() {
    let text = WHOLE.replace("default = \"tiny\"", "");
    assert_eq!(Config::parse("agentry.toml", &text).unwrap().default, "small");
    assert_eq!(Config::parse("agentry.toml", "format = 1").unwrap().default, EMBEDDED);
}

#[test]
fn a_model_whose_price_nobody_said_has_none() {
    let text = WHOLE.replace("local = true", "");
    assert_eq!(Config::parse("agentry.toml", &text).unwrap().models[1].price, None);
    let proxied = WHOLE.replace("kind = \"openai\"\n", "kind = \"openai\"\nbase_url = \"https://proxy.example/v1\"\n");
    assert_eq!(
        Config::parse("agentry.toml", &proxied).unwrap().models[0].price,
        None,
        "list prices hold at home alone"
    );
}

#[test]
fn mistakes_name_the_line_and_what_was_meant() {
    let cases = [
        (
            "slots = 2",
            "slotz = 2",
            "agentry.toml:23: unknown key `slotz` in [models.tiny]\nhint: did you mean `slots`?",
        ),
        (
            "kind = \"openai\"\n",
            "kind = \"opena\"\n",
            "agentry.toml:6: unknown kind `opena`\nhint: did you mean `openai`?",
        ),
        (
            "provider = \"here\"",
            "provider = \"heer\"",
            "agentry.toml:19: there is no provider `heer`\nhint: did you mean `here`?",
        ),
        (
            "default = \"tiny\"",
            "default = \"tinny\"",
            "agentry.toml:3: there is no model `tinny`\nhint: did you mean `tiny`?",
        ),
        (
            "slots = 2",
            "slots = 0",
            "agentry.toml:23: `slots` is out of range or no whole number\nhint: write a whole number from 1 to 10000",
        ),
        (
            "input = 5",
            "input = 0.5",
            "agentry.toml:30: `input` is out of range or no whole number\nhint: write a whole number from 0 to 1000000000",
        ),
    ];
    for (from, to, told) in cases {
        assert_eq!(mistake(&WHOLE.replace(from, to)), told);
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let changed = |from: &str, to: &str| mistake(&WHOLE.replace(from, to));
    assert!(changed("format = 1", "format = 2").contains("write format = 1"));
    assert!(changed("format = 1", "format = ").contains("agentry.toml:2: not TOML"));
    assert!(changed("[models.odd]", "[models.default]").contains("cannot be an alias"));
    assert!(changed("http://127.0.0.1:8080/v1/", "http://me:pw@host/").contains("no address of a server"));
    assert!(
        changed("127.0.0.1", "10.0.0.7").contains("`here` is not on this machine"),
        "local means that no word leaves"
    );
    assert!(changed("max_output_tokens = 512", "max_output_tokens = 9000").contains("would not fit"));
    assert!(changed("{ env = \"CLOUD_KEY\" }", "\"sk-in-the-file\"").contains("`key` is not a table"));
    assert!(!changed("{ env = \"CLOUD_KEY\" }", "\"sk-in-the-file\"").contains("sk-in-the-file"));
    assert!(changed("{ env = \"CLOUD_KEY\" }", "{ env = \"A\", file = \"b\" }").contains("a key is in one place"));
}
