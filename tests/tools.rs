//! Tools behind real adapters: real programs and real servers, with arguments that a stranger wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lies::Turning;
use crate::stage::{Ended, Stage, begin, end, guest, skip};
use crate::web::{Site, say};

pub const ANY: &str = r#"'{"type": "object"}'"#;

const GRANT: &str = r#"format = 1
layer = "grant"
agent = "tools"
[[allow]]
id = "tools/test"
tool = "test.*"
args = "any"
[budget]
tool_calls_run = 20
"#;

/// A home with this registry, in which the guest may call every tool that begins with `test.`.
pub fn stage(tools: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(GRANT);
    registry(&stage, tools);
    stage
}

pub fn registry(stage: &Stage, tools: &str) {
    let file = stage.write("home/tools.toml", &format!("format = 1\n{tools}"));
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).expect("it is ours");
}

/// A tool that is a program: `more` are its other keys.
fn command(name: &str, effect: &str, schema: &str, command: &str, more: &str) -> String {
    format!(
        "[tools.\"{name}\"]\ndescription = \"For a test.\"\neffect = \"{effect}\"\nschema = {schema}\n{more}\n\
         command = {{ {command} }}\n"
    )
}

/// A tool that is a line of shell, which its registry alone wrote.
fn shell(name: &str, line: &str, more: &str) -> String {
    command(name, "irreversible", ANY, &format!("program = \"/bin/sh\", args = [\"-c\", '''{line}''']"), more)
}

pub fn call(tool: &str, arguments: &Value) -> Value {
    json!({"tool": tool, "arguments": arguments.to_string()})
}

pub fn run(stage: &Stage, calls: &[Value]) -> Ended {
    let ended = end(&mut stage.run(&guest("tools"), &json!({"calls": calls})));
    // Whoever counts what was done counts what was done once.
    stage.replays();
    ended
}

/// What each call answered.
pub fn answers(stage: &Stage, calls: &[Value]) -> Vec<Value> {
    let report = run(stage, calls).with(0).json();
    report["output"]["answers"].as_array().expect("the guest tells").clone()
}

pub fn answer(stage: &Stage, tool: &str, arguments: &Value) -> Value {
    answers(stage, &[call(tool, arguments)]).remove(0)
}

pub fn text(answer: &Value) -> &str {
    assert_eq!(answer["error"], Value::Null, "{answer}");
    answer["text"].as_str().expect("an answer has a text")
}

pub fn error(answer: &Value) -> &str {
    answer["error"].as_str().unwrap_or_else(|| panic!("it was answered: {answer}"))
}

/// The file does not come to be, not even later.
fn stays_absent(file: &Path, later: Duration) {
    let until = Instant::now() + later;
    while Instant::now() < until {
        assert!(!file.exists(), "{} was written", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_command_gets_its_arguments_in_their_places_and_as_json() {
    let schema = r#"'{"type": "object", "properties": {"name": {"type": "string"}, "tags": {"type": "array"}}}'"#;
    let words = r#"program = "/usr/bin/printf", args = ["[%s]", "name={name}", ["-t", "{tags}"]]"#;
    let tools = command("test.words", "read", schema, words, "labels = [\"untrusted\"]\nprice_microusd = 3")
        + &command("test.stdin", "read", ANY, r#"program = "/bin/cat", stdin = true"#, "");
    let stage = stage(&tools);
    let told = answers(
        &stage,
        &[
            call("test.words", &json!({"name": "a b; $(touch x) `y` \"'", "tags": ["p", "q"]})),
            json!({"tool": "test.stdin", "arguments": " { \"b\" : 1.0, \"a\" : \"\\u0061\" } "}),
        ],
    );
    assert_eq!(text(&told[0]), "[name=a b; $(touch x) `y` \"'][-t][p][-t][q]");
    assert_eq!((&told[0]["labels"], &told[0]["microusd"]), (&json!(["untrusted"]), &json!(3)));
    assert_eq!(text(&told[1]), r#"{"a":"a","b":1}"#, "the tool gets the value that was decided on");
    assert_eq!(stage.last()["spent"]["tool-calls"], 2, "{}", stage.last());
}

#[test]
fn an_agent_sees_the_tools_that_it_may_call_and_no_others() {
    let tools = shell("test.one", "true", "") + &shell("test.two", "true", "") + &shell("other.three", "true", "");
    let stage = stage(&tools);
    let report = run(&stage, &[]).with(0).json();
    assert_eq!(report["output"]["listed"], json!(["test.one", "test.two"]));
}

#[test]
fn a_host_without_tools_shows_none_and_calls_none() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let report = run(&stage, &[call("test.one", &json!({}))]).with(0).json();
    assert_eq!(report["output"]["listed"], json!([]));
    assert!(error(&report["output"]["answers"][0]).starts_with("not found"), "{report}");
    stage.costs_nothing(&[]);
    let told = end(&mut stage.agentry("tools")).with(0);
    assert!(told.stdout.is_empty() && told.stderr.contains("agentry tools --help"), "{}", told.stderr);
}

#[test]
fn a_tool_that_is_not_granted_does_not_begin_and_costs_nothing() {
    let stage = stage(&shell("other.mark", "touch MARK", "price_microusd = 5"));
    let mark = stage.path("mark");
    registry(&stage, &shell("other.mark", &format!("touch {}", mark.display()), ""));
    let told = answer(&stage, "other.mark", &json!({}));
    assert!(error(&told).starts_with("denied (no-grant, argument `name`)"), "{told}");
    let unknown = answer(&stage, "test.nowhere", &json!({}));
    assert!(error(&unknown).starts_with("not found"), "{unknown}");
    stays_absent(&mark, Duration::from_millis(300));
    stage.costs_nothing(&[&mark]);
}

#[test]
fn arguments_that_are_not_what_the_schema_says_begin_nothing_and_cost_nothing() {
    let schema = r#"'{"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}, "additionalProperties": false}'"#;
    let stage = Stage::new();
    stage.policy(GRANT);
    let mark = stage.path("mark");
    let program = format!("program = \"/usr/bin/touch\", args = [\"{}\", \"--\", \"{{n}}\"]", mark.display());
    registry(&stage, &command("test.n", "irreversible", schema, &program, ""));
    let bad = [
        "{\"n\": 6}",
        "{\"n\": \"x\"}",
        "{\"m\": 1}",
        "[1]",
        "1",
        "",
        "{\"n\": 1, \"n\": 2}",
        "{\"n\": 1}}",
        "{\"n\": 1e999}",
    ];
    let calls: Vec<Value> = bad.iter().map(|bad| json!({"tool": "test.n", "arguments": bad})).collect();
    for (told, bad) in answers(&stage, &calls).iter().zip(bad) {
        assert!(error(told).starts_with("invalid: "), "{bad}: {told}");
    }
    stays_absent(&mark, Duration::from_millis(300));
    stage.costs_nothing(&[&mark]);
}

#[test]
fn an_argument_that_begins_with_a_dash_is_no_option() {
    let schema = r#"'{"type": "object", "properties": {"x": {"type": "string"}}}'"#;
    let tools = command("test.bare", "read", schema, r#"program = "/bin/echo", args = ["{x}"]"#, "")
        + &command("test.dashes", "read", schema, r#"program = "/usr/bin/printf", args = ["%s", "--", "{x}"]"#, "");
    let stage = stage(&tools);
    let x = json!({"x": "--help"});
    let told =
        answers(&stage, &[call("test.bare", &x), call("test.dashes", &x), call("test.bare", &json!({"x": "-"}))]);
    assert_eq!(error(&told[0]), "invalid: argument `x` begins with `-`, and here that would be an option");
    assert_eq!(text(&told[1]), "----help", "behind the dashes of the registry it is a word");
    assert!(told[2]["error"].is_string(), "{}", told[2]);
}

#[test]
fn a_command_has_nothing_in_its_environment_and_a_new_directory() {
    let env = r#"program = "/usr/bin/env", env = { GIVEN = "yes" }"#;
    let tools =
        command("test.env", "read", ANY, env, "") + &shell("test.here", "ls -A; pwd; touch left-behind; umask", "");
    let stage = stage(&tools);
    let calls = [call("test.env", &json!({})), call("test.here", &json!({})), call("test.here", &json!({}))];
    let mut command = stage.run(&guest("tools"), &json!({"calls": calls}));
    let told = end(command.env("TOP_SECRET", "of the host")).with(0).json()["output"]["answers"].clone();
    let mut variables: Vec<&str> = text(&told[0]).lines().filter_map(|line| line.split('=').next()).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["GIVEN", "HOME", "LANG", "PATH", "TMPDIR"]);
    let (first, second) = (text(&told[1]), text(&told[2]));
    assert_ne!(first, second, "each call has its own");
    assert!(first.lines().count() == 2 && first.ends_with("0077\n"), "it was not empty: {first}");
    let left = Path::new(first.lines().next().expect("a directory"));
    assert!(left.starts_with(stage.home()) && !left.exists(), "{} is still there", left.display());
}

#[test]
fn a_command_that_slips_away_is_ended_with_all_that_it_began() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let mark = stage.path("mark");
    // Two sessions away, its parents gone, its output closed.
    let line = format!(
        "(setsid sh -c '(setsid sh -c \"sleep 2; touch {m}\" >/dev/null 2>&1 </dev/null &)' &) ; (sleep 2; touch {m}) & echo begun",
        m = mark.display()
    );
    registry(&stage, &shell("test.fork", &line, ""));
    let begun = Instant::now();
    assert_eq!(text(&answer(&stage, "test.fork", &json!({}))), "begun\n");
    assert!(begun.elapsed() < Duration::from_secs(30), "it waited for those who slipped away");
    stays_absent(&mark, Duration::from_secs(4));
}

#[test]
fn a_command_that_never_ends_is_ended() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let mark = stage.path("mark");
    let line = format!("trap '' TERM INT HUP; sleep 3; touch {}; sleep 600", mark.display());
    registry(&stage, &shell("test.hang", &line, "timeout_ms = 500"));
    assert_eq!(error(&answer(&stage, "test.hang", &json!({}))), "timed out");
    stays_absent(&mark, Duration::from_secs(4));
}

#[test]
fn a_command_that_floods_or_multiplies_is_ended() {
    let tools = command("test.flood", "read", ANY, r#"program = "/usr/bin/yes""#, "output_max_bytes = 10_000")
        + &shell("test.errors", "yes >&2", "")
        + &shell("test.many", "i=0; while [ $i -lt 400 ]; do sleep 60 & i=$((i+1)); done; wait", "timeout_ms = 20_000");
    let stage = stage(&tools);
    let told = answers(
        &stage,
        &[call("test.flood", &json!({})), call("test.errors", &json!({})), call("test.many", &json!({}))],
    );
    assert!(told[0]["failed"] == true && text(&told[0]).contains("more than 10000 bytes"), "{}", told[0]);
    assert!(told[1]["failed"] == true && text(&told[1]).contains("more than"), "{}", told[1]);
    assert_eq!(told[2]["failed"], true, "{}", told[2]);
    assert!(!text(&told[2]).contains("code 0"), "{}", told[2]);
}

#[test]
fn a_command_has_so_much_memory_and_such_files_and_no_more() {
    let python = r#"program = "/usr/bin/python3", args = ["-c", "print(len(bytearray(900 << 20)))"], memory_mb = 400"#;
    let tools = command("test.memory", "read", ANY, python, "timeout_ms = 20_000")
        + &shell("test.file", "head -c 100000000 /dev/zero > big && echo written", "");
    let stage = stage(&tools);
    let told = answers(&stage, &[call("test.memory", &json!({})), call("test.file", &json!({}))]);
    assert!(told[0]["failed"] == true && !text(&told[0]).contains("943718400"), "{}", told[0]);
    assert!(told[1]["failed"] == true && !text(&told[1]).contains("written"), "{}", told[1]);
}

#[test]
fn a_call_that_is_dropped_ends_its_command() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let (began, mark) = (stage.path("began"), stage.path("mark"));
    let line = format!("touch {}; sleep 3; touch {}", began.display(), mark.display());
    registry(&stage, &shell("test.slow", &line, ""));
    let dropped = json!({"tool": "test.slow", "arguments": "{}", "drop_after_ms": 1000});
    let told = answers(&stage, &[dropped]);
    assert_eq!(error(&told[0]), "dropped");
    assert!(began.exists(), "it did not begin");
    stays_absent(&mark, Duration::from_secs(4));
}

#[test]
fn a_host_that_is_killed_leaves_no_command_behind() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let (began, mark) = (stage.path("began"), stage.path("mark"));
    let line = format!("touch {}; sleep 4; touch {}", began.display(), mark.display());
    registry(&stage, &shell("test.slow", &line, ""));
    let running = begin(&mut stage.run(&guest("tools"), &json!({"calls": [call("test.slow", &json!({}))]})));
    let patience = Instant::now() + Duration::from_secs(60);
    while !began.exists() {
        assert!(Instant::now() < patience, "it does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill();
    stays_absent(&mark, Duration::from_secs(6));
    // The next host knows that nobody knows.
    answers(&stage, &[]);
    let calls = end(stage.agentry("trace").args(["last", "--json"])).with(0);
    assert!(!stage.home().join("tools").exists(), "what it left lies there still: {}", calls.stdout);
}

#[test]
fn a_retry_with_the_same_arguments_is_a_call_of_its_own() {
    let stage = Stage::new();
    stage.policy(GRANT);
    let mark = stage.path("mark");
    registry(&stage, &shell("test.mark", &format!("echo once >> {}", mark.display()), "price_microusd = 5"));
    let same = call("test.mark", &json!({"a": 1}));
    answers(&stage, &[same.clone(), same]);
    assert_eq!(fs::read_to_string(mark).expect("it ran"), "once\nonce\n");
    assert_eq!(stage.last()["spent"]["usd"], 10, "{}", stage.last());
}

#[test]
fn one_tool_call_too_few_is_exhausted_and_nothing_begins() {
    let stage = Stage::new();
    stage.policy(&GRANT.replace("tool_calls_run = 20", "tool_calls_run = 1"));
    let mark = stage.path("mark");
    registry(&stage, &shell("test.mark", &format!("echo once >> {}", mark.display()), ""));
    let same = call("test.mark", &json!({}));
    let told = answers(&stage, &[same.clone(), same]);
    assert_eq!(told[0]["error"], Value::Null);
    assert!(error(&told[1]).contains("budget of tool calls"), "{}", told[1]);
    stage.nothing_moved(&[(&mark, 1)]);
}

const SECRET: &str = "sk-test-9f/Zq+41=very%secret";

/// A secret of this audience, in the file of a home.
fn with_secret(stage: &Stage, only_to: &str) {
    let file = stage.write("key", SECRET);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let config =
        format!("format = 1\n[secrets.crm]\nvalue = {{ file = \"{}\" }}\nonly_to = [\"{only_to}\"]\n", file.display());
    stage.write("home/agentry.toml", &config);
}

/// Nothing that a run told or wrote down for people holds the secret.
fn is_nowhere(stage: &Stage, ended: &Ended) {
    let trace = end(stage.agentry("trace").args(["last", "--json"])).with(0);
    for told in [&ended.stdout, &ended.stderr, &trace.stdout] {
        assert!(!told.contains(SECRET) && !told.contains("c2stdGVzdC05Zi9acS"), "{told}");
    }
}

#[test]
fn a_command_gets_its_secret_and_cannot_tell_it() {
    let line = r#"printf '%s\n' "$TOKEN"; printf %s "$TOKEN" | base64; printf %s "user:$TOKEN" | base64 -w0; printf %s "$TOKEN" | od -An -tx1 | tr -d ' \n'; test -n "$TOKEN" && echo; echo got $(printf %s "$TOKEN" | wc -c)"#;
    let secret = format!("program = \"/bin/sh\", args = [\"-c\", '''{line}'''], secrets = {{ TOKEN = \"crm\" }}");
    let failing =
        "program = \"/bin/sh\", args = [\"-c\", 'echo \"it is $TOKEN\" >&2; exit 3'], secrets = { TOKEN = \"crm\" }";
    let stage =
        stage(&(command("test.tell", "read", ANY, &secret, "") + &command("test.fail", "read", ANY, failing, "")));
    with_secret(&stage, "tool:test.tell");
    let ended = run(&stage, &[call("test.tell", &json!({})), call("test.fail", &json!({}))]).with(0);
    let told = ended.json()["output"]["answers"].clone();
    let said = text(&told[0]);
    assert!(said.contains(&format!("got {}", SECRET.len())) && said.matches("[secret]").count() >= 4, "{said}");
    assert_eq!(error(&told[1]), "unavailable: the tool is not set up rightly on this host", "it is not for this one");
    is_nowhere(&stage, &ended);
    with_secret(&stage, "tool:test.fail");
    let ended = run(&stage, &[call("test.fail", &json!({}))]).with(0);
    assert_eq!(ended.json()["output"]["answers"][0]["text"], "it ended with code 3: it is [secret]");
    is_nowhere(&stage, &ended);
}

fn endpoint(name: &str, http: &str) -> String {
    format!(
        "[tools.\"{name}\"]\ndescription = \"For a test.\"\neffect = \"egress\"\nschema = {ANY}\ntimeout_ms = 5_000\n\
         output_max_bytes = 10_000\nhttp = {{ {http} }}\n"
    )
}

#[test]
fn an_endpoint_gets_arguments_a_key_and_a_secret_that_no_agent_sees() {
    let site = Site::echo();
    let (find, send) = (site.url("/find?v=1"), site.url("/send"));
    let tools = endpoint("test.find", &format!("method = \"GET\", url = \"{find}\""))
        + &endpoint("test.send", &format!("url = \"{send}\", secret = \"crm\""));
    let stage = stage(&tools);
    with_secret(&stage, &format!("http://127.0.0.1:{}", site.port()));
    let sent = json!({"tool": "test.send", "arguments": "{\"b\": 1, \"a\": [true]}"});
    let ended = run(&stage, &[call("test.find", &json!({"q": "a&b"})), sent.clone(), sent]).with(0);
    let told = ended.json()["output"]["answers"].clone();
    let asked = site.asked();
    assert_eq!(asked[0].line, "GET /find?v=1&q=a%26b HTTP/1.1");
    assert_eq!((asked[1].path(), asked[1].body.as_str()), ("/send", r#"{"a":[true],"b":1}"#));
    assert_eq!(asked[1].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(asked[0].header("authorization"), None);
    let keys: Vec<_> = asked.iter().map(|asked| asked.header("idempotency-key").expect("a key")).collect();
    assert!(keys[1] != keys[2] && keys[1].len() > 13, "each call has its own: {keys:?}");
    assert!(text(&told[1]).contains("authorization: Bearer [secret]"), "{}", told[1]);
    assert!(stage.last()["spent"]["egress"].as_u64().is_some_and(|bytes| bytes > 50), "{}", stage.last());
    is_nowhere(&stage, &ended);
}

#[test]
fn an_endpoint_that_fails_redirects_or_says_too_much_is_told_as_such() {
    let elsewhere = Site::echo();
    let to = elsewhere.url("/");
    let site = Site::that(move |asked, stream| match asked.path() {
        "/redirect" => say(stream, 302, &[("location", &to)], ""),
        "/long" => say(stream, 200, &[], &"x".repeat(20_000)),
        _ => say(stream, 500, &[], "it broke"),
    });
    let tools: String = ["redirect", "long", "fail"]
        .iter()
        .map(|path| endpoint(&format!("test.{path}"), &format!("url = \"{}\"", site.url(&format!("/{path}")))))
        .collect();
    let stage = stage(&tools);
    let told = answers(&stage, &["test.redirect", "test.long", "test.fail"].map(|tool| call(tool, &json!({}))));
    assert!(told[0]["failed"] == true && text(&told[0]).contains("status 302"), "{}", told[0]);
    assert_eq!(error(&told[1]), "unavailable: the tool does not answer");
    assert_eq!(text(&told[2]), "it answered with status 500\nit broke");
    assert_eq!(elsewhere.asked().len(), 0, "it followed");
}

#[test]
fn an_endpoint_whose_name_leads_inside_is_not_dialled_unless_its_entry_says_so() {
    let site = Site::echo();
    let url = format!("http://crm.example.org:{}/", site.port());
    let tools = endpoint("test.out", &format!("url = \"{url}\""))
        + &endpoint("test.in", &format!("url = \"{url}\", addresses = [\"127.0.0.1\"]"));
    let stage = stage(&tools);
    stage.write("home/agentry.toml", "format = 1\n[hosts]\n\"crm.example.org\" = [\"127.0.0.1\"]\n");
    let told = answer(&stage, "test.out", &json!({}));
    assert_eq!(error(&told), "unavailable: the tool does not answer");
    stage.nothing_moved(&[(&site, 0)]);
    assert_eq!(stage.last()["spent"]["egress"], Value::Null, "{}", stage.last());
    text(&answer(&stage, "test.in", &json!({})));
    stage.nothing_moved(&[(&site, 1)]);
}

#[test]
fn an_endpoint_whose_name_turns_to_another_private_address_is_not_dialled_there() {
    let site = Site::echo();
    let inside = Site::at(&format!("127.0.0.2:{}", site.port()), |_, stream| say(stream, 200, &[], "inside"));
    let url = format!("http://turning.example.org:{}/", site.port());
    let stage = stage(&endpoint("test.out", &format!("url = \"{url}\", addresses = [\"127.0.0.1\"]")));
    let Some(turning) = Turning::to(&stage, &["127.0.0.1", "127.0.0.2", "127.0.0.1"]) else {
        return skip("an_endpoint_whose_name_turns_to_another_private_address_is_not_dialled_there", "no `cc`");
    };
    let calls = [call("test.out", &json!({"n": 1})), call("test.out", &json!({"n": 2}))];
    let told = end(turning.told_to(&mut stage.run(&guest("tools"), &json!({"calls": calls})))).with(0).json();
    text(&told["output"]["answers"][0]);
    assert_eq!(error(&told["output"]["answers"][1]), "unavailable: the tool does not answer");
    assert_eq!(turning.asked(), 2, "what was looked at is what was dialled: nobody asks twice for one call");
    stage.nothing_moved(&[(&site, 1), (&inside, 0)]);
}

#[test]
fn tools_are_listed_with_what_they_do_and_what_is_wrong_with_them() {
    let tools = shell("test.one", "true", "labels = [\"secret\"]\nprice_microusd = 1500")
        + &command("test.gone", "read", ANY, "program = \"/no/such/program\"", "")
        + &endpoint("test.web", "url = \"https://crm.example.org/\", secret = \"nobody\"");
    let stage = stage(&tools);
    let listed = end(stage.agentry("tools").arg("--json")).with(0).json();
    let names: Vec<&str> = listed.as_array().expect("a list").iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(names, ["test.gone", "test.one", "test.web"]);
    assert_eq!((&listed[1]["effect"], &listed[1]["labels"]), (&json!("irreversible"), &json!(["secret"])));
    assert_eq!(listed[1]["trouble"], Value::Null);
    assert!(listed[0]["trouble"].as_str().is_some_and(|why| why.contains("/no/such/program")), "{listed}");
    assert!(
        listed[2]["trouble"].as_str().is_some_and(|why| why.contains("no secret `nobody`\nhint: add [secrets.nobody]")),
        "{listed}"
    );
    let page = end(&mut stage.agentry("tools")).with(0).stdout;
    assert!(page.contains("test.one") && page.contains("irreversible") && page.contains("✗"), "{page}");
    let told = answer(&stage, "test.gone", &json!({}));
    assert!(told["failed"] == true && text(&told).contains("cannot be started"), "{told}");
}

#[test]
fn a_registry_with_a_mistake_or_open_to_others_stops_the_host() {
    let stage = stage(&shell("test.one", "true", "").replace("irreversible", "ireversible"));
    end(&mut stage.agentry("tools")).with(2).complains("tools.toml:4:10: unknown effect `ireversible`");
    run(&stage, &[]).with(2).complains("unknown effect");
    registry(&stage, &shell("test.one", "true", ""));
    fs::set_permissions(stage.home().join("tools.toml"), fs::Permissions::from_mode(0o666)).expect("it is ours");
    end(stage.agentry("tools").arg("--json")).with(2).complains("everybody may write");
    run(&stage, &[]).with(2).complains("everybody may write");
    stage.costs_nothing(&[]);
}

#[test]
fn how_often_a_tool_was_called_outlives_the_host() {
    let stage = stage(&shell("test.once", "echo '\"done\"'", ""));
    stage.policy(&GRANT.replace("args = \"any\"", "args = \"any\"\nrate = \"2/h\""));
    let refused = |calls: usize| {
        let calls: Vec<_> = (0..calls).map(|_| call("test.once", &json!({}))).collect();
        end(&mut stage.run(&guest("tools"), &json!({"calls": calls})));
        let made = stage.calls();
        let made = made.iter().filter(|call| call["name"] == "tools.call").cloned();
        made.map(|call| call["decision"] == "rate").collect::<Vec<_>>()
    };
    assert_eq!(refused(1), [false]);
    assert_eq!(refused(2), [false, true], "the first host's call counts");
    assert_eq!(refused(1), [true], "and so do both");
    stage.nothing_moved(&[]);
}
