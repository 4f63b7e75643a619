//! The web by allow-list: what is granted is fetched from where the name leads, and nothing else leaves the host.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lies::Turning;
use crate::package::Sections;
use crate::stage::{Ended, Stage, agentry, end, guest, skip};
use crate::web::{Site, say};

/// A home in which the guest is granted this, beside its budget.
fn stage(grants: &str) -> Stage {
    let stage = Stage::new();
    stage.policy(&format!("format = 1\nlayer = \"grant\"\nagent = \"http\"\n{grants}"));
    stage
}

/// A rule that lets the guest ask this site, on this machine, for what lies below `/open`.
fn open(site: &Site) -> String {
    rule(&site.url(""), "private = true, paths = [\"/open/**\"], methods = [\"GET\", \"POST\"]")
}

fn rule(to: &str, more: &str) -> String {
    format!("http = [{{ to = \"{to}\", {more} }}]\n")
}

fn run(stage: &Stage, requests: &[Value]) -> Ended {
    let ended = end(&mut stage.run(&guest("http"), &json!({"requests": requests})));
    // Whoever counts what the site was asked counts what was asked once.
    stage.replays();
    ended
}

/// What each request came back with.
fn fetch(stage: &Stage, requests: &[Value]) -> Vec<Value> {
    let report = run(stage, requests).with(0).json();
    report["output"].as_array().expect("the guest tells").clone()
}

fn get(stage: &Stage, url: &str) -> Value {
    fetch(stage, &[json!({"url": url})]).remove(0)
}

fn error(told: &Value) -> &str {
    told["error"].as_str().unwrap_or_else(|| panic!("it was answered: {told}"))
}

#[test]
fn what_is_granted_is_fetched_and_counted() {
    let site = Site::echo();
    let stage = stage(&open(&site));
    let post = json!({"method": "POST", "url": site.url("/open/a?b=c#d"), "headers": [["x-a", "b"]], "body": "hello"});
    let told = fetch(&stage, &[post]).remove(0);
    assert_eq!((&told["error"], &told["status"]), (&Value::Null, &json!(200)), "{told}");
    let asked = site.asked();
    assert_eq!((asked[0].line.as_str(), asked[0].body.as_str()), ("POST /open/a?b=c HTTP/1.1", "hello"));
    assert_eq!(asked[0].header("x-a"), Some("b"));
    assert!(asked[0].header("user-agent").is_none() && asked[0].header("cookie").is_none(), "{:?}", asked[0]);
    assert!(stage.last()["spent"]["egress"].as_u64().is_some_and(|bytes| bytes > 30), "{}", stage.last());
}

#[test]
fn without_a_grant_nothing_is_fetched() {
    let site = Site::echo();
    let stage = stage("");
    let told = fetch(&stage, &[json!({"url": site.url("/")}), json!({"url": "not an address"})]);
    assert!(error(&told[0]).starts_with("denied (no-grant"), "{}", told[0]);
    assert!(error(&told[1]).starts_with("invalid"), "{}", told[1]);
    stage.costs_nothing(&[&site]);
}

#[test]
fn another_method_path_port_or_spelling_is_denied_and_nothing_leaves() {
    let site = Site::echo();
    let other = Site::echo();
    let stage = stage(&open(&site));
    let port = site.port();
    let denied = [
        json!({"method": "DELETE", "url": site.url("/open/a")}),
        json!({"url": site.url("/closed")}),
        json!({"url": site.url("/open/../closed")}),
        json!({"url": site.url("/open/%2e%2e/closed")}),
        json!({"url": site.url("/openly")}),
        json!({"url": site.url("/OPEN/a")}),
        json!({"url": other.url("/open/a")}),
        json!({"url": format!("https://127.0.0.1:{port}/open/a")}),
        json!({"url": format!("http://localhost:{port}/open/a")}),
        json!({"url": format!("http://127.0.0.2:{port}/open/a")}),
        json!({"url": format!("http://127.0.0.1.example.org:{port}/open/a")}),
    ];
    for told in fetch(&stage, &denied) {
        assert!(error(&told).starts_with("denied ("), "{told}");
    }
    let invalid = [
        format!("http://127.0.0.1:{port}@evil.example/open/a"),
        site.url("/open/a%2f..%2f..%2fclosed"),
        site.url("/open/%252e%252e/closed"),
        format!("http://[::ffff:127.0.0.1]:{port}/open/a"),
    ];
    for told in fetch(&stage, &invalid.map(|url| json!({"url": url}))) {
        assert!(told["error"].is_string(), "{told}");
    }
    stage.costs_nothing(&[&site, &other]);
    // Another notation of the same number is the same host.
    for same in ["0x7f.1", "2130706433", "127.0.0.1."] {
        assert_eq!(get(&stage, &format!("http://{same}:{port}/open/a"))["status"], 200, "{same}");
    }
}

#[test]
fn a_name_that_leads_inside_is_not_dialled_unless_the_rule_says_so() {
    let site = Site::echo();
    let url = format!("http://api.example.org:{}", site.port());
    let hosts = "format = 1\n[hosts]\n\"api.example.org\" = [\"127.0.0.1\"]\n";
    let barred = stage(&rule(&url, "paths = [\"/**\"]"));
    barred.write("home/agentry.toml", hosts);
    assert!(error(&get(&barred, &format!("{url}/"))).starts_with("denied (forbidden, argument `url`)"));
    barred.costs_nothing(&[&site]);
    // It is a no like any other: counted, listed and explained, with the line that opens it.
    assert_eq!(barred.last()["refused"], 1);
    let listed = end(barred.agentry("audit calls --refused").arg("--json")).with(0).json();
    let refusal = &listed[0]["call"]["refusal"];
    assert_eq!((&refusal["code"], listed.as_array().map(Vec::len)), (&json!("forbidden"), Some(1)), "{listed}");
    let hint = refusal["hint"].as_str().expect("a next step");
    assert!(hint.contains("`private = true`") && hint.contains(".toml:"), "{hint}");
    let explained = end(barred.agentry("policy explain last/1").arg("--json")).with(3).json();
    assert_eq!(explained["answer"], "deny", "{explained}");
    assert!(end(&mut barred.agentry("trace last")).with(0).stdout.contains("private = true"));
    end(&mut barred.agentry("policy simulate --against last")).with(0);
    let inside = stage(&rule(&url, "private = true"));
    inside.write("home/agentry.toml", hosts);
    assert_eq!(get(&inside, &format!("{url}/"))["status"], 200);
    // The name of a metadata service is never inside.
    let metadata = hosts.replace("127.0.0.1", "169.254.169.254");
    inside.write("home/agentry.toml", &metadata);
    assert!(error(&get(&inside, &format!("{url}/"))).starts_with("denied (forbidden"));
    inside.nothing_moved(&[(&site, 1)]);
}

#[test]
fn a_name_that_resolves_differently_the_second_time_is_not_dialled_where_it_may_not() {
    let site = Site::echo();
    let url = format!("http://turning.example.org:{}", site.port());
    let stage = stage(&rule(&url, "private = true"));
    let Some(turning) = Turning::to(&stage, &["127.0.0.1", "169.254.169.254", "127.0.0.1"]) else {
        return skip("a_name_that_resolves_differently_the_second_time_is_not_dialled_where_it_may_not", "no `cc`");
    };
    let requests = [json!({"url": format!("{url}/a")}), json!({"url": format!("{url}/b")})];
    let told = end(turning.told_to(&mut stage.run(&guest("http"), &json!({"requests": requests})))).with(0).json();
    assert_eq!(told["output"][0]["status"], 200, "{told}");
    assert!(error(&told["output"][1]).starts_with("denied (forbidden, argument `url`)"), "{told}");
    assert_eq!(turning.asked(), 2, "what was looked at is what was dialled: nobody asks twice for one request");
    stage.nothing_moved(&[(&site, 1)]);
}

#[test]
fn a_redirect_is_decided_anew_and_none_leads_to_a_metadata_service() {
    let elsewhere = Site::echo();
    let closed = elsewhere.url("/open/a");
    let site = Site::that(move |asked, stream| match asked.path() {
        "/open/metadata" => say(stream, 302, &[("location", "http://169.254.169.254/latest/meta-data/")], ""),
        "/open/closed" => say(stream, 302, &[("location", "/closed")], ""),
        "/open/elsewhere" => say(stream, 307, &[("location", &closed)], ""),
        "/open/file" => say(stream, 302, &[("location", "file:///etc/passwd")], ""),
        "/open/round" => say(stream, 302, &[("location", "/open/round")], ""),
        "/open/good" => say(stream, 303, &[("location", "end")], ""),
        _ => say(stream, 200, &[], &asked.line),
    });
    let stage = stage(&open(&site));
    let requests: Vec<Value> = ["metadata", "closed", "elsewhere", "file", "round", "good"]
        .iter()
        .map(|path| json!({"method": "POST", "url": site.url(&format!("/open/{path}")), "body": "x"}))
        .collect();
    let told = fetch(&stage, &requests);
    for denied in &told[..3] {
        assert!(error(denied).starts_with("denied ("), "{denied}");
    }
    assert!(error(&told[3]).starts_with("invalid"), "{}", told[3]);
    assert!(error(&told[4]).contains("redirects"), "{}", told[4]);
    assert_eq!(told[5]["body"], "GET /open/end HTTP/1.1");
    stage.nothing_moved(&[(&elsewhere, 0)]);
    assert!(site.asked().iter().all(|asked| asked.path() != "/closed"), "{:?}", site.asked());
    // Each hop stands in the journal as the call that it is.
    assert!(stage.calls().iter().filter(|call| call["name"] == "http.fetch").count() >= 12);
}

const SECRET: &str = "sk-test-9f/Zq+41=very%secret";

fn with_secret(stage: &Stage, only_to: &str) {
    let file = stage.write("key", SECRET);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let value = file.display();
    stage.write(
        "home/agentry.toml",
        &format!("format = 1\n[secrets.crm]\nvalue = {{ file = \"{value}\" }}\nonly_to = [\"{only_to}\"]\n"),
    );
}

#[test]
fn a_secret_goes_to_its_audience_and_never_to_the_guest() {
    let elsewhere = Site::echo();
    let to = elsewhere.url("/open/b");
    let site = Site::that(move |asked, stream| {
        let key = asked.header("authorization").unwrap_or("none").to_owned();
        match asked.path() {
            "/open/away" => say(stream, 302, &[("location", &to)], ""),
            _ => {
                let escaped: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
                let json = serde_json::to_string(&key).expect("a text").replace('/', "\\/");
                say(stream, 200, &[("x-key", &key)], &format!("{key} {escaped} {json}"))
            }
        }
    });
    let mine = site.url("");
    let grants = format!(
        "http = [{{ to = \"{mine}\", private = true }}, {{ to = \"{}\", private = true }}]\n\
         secrets = [{{ handle = \"crm\", only_to = \"{mine}\" }}]\n",
        elsewhere.url("")
    );
    let stage = stage(&grants);
    with_secret(&stage, &mine);
    let ask = |url: String, handle: &str| json!({"url": url, "secret": handle});
    let requests = [
        ask(site.url("/open/a"), "crm"),
        ask(site.url("/open/away"), "crm"),
        ask(elsewhere.url("/open/a"), "crm"),
        ask(site.url("/open/a"), "other"),
    ];
    let ended = run(&stage, &requests).with(0);
    let told = ended.json()["output"].clone();
    let body = told[0]["body"].as_str().expect("an answer");
    assert_eq!(body.matches("[secret]").count(), 3, "{body}");
    assert_eq!(site.asked()[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(told[1]["status"], 200, "{}", told[1]);
    assert!(elsewhere.asked().iter().all(|asked| asked.header("authorization").is_none()), "the secret was sent on");
    // With a secret that is not for it, nothing is asked.
    stage.nothing_moved(&[(&elsewhere, 1)]);
    assert!(error(&told[2]).starts_with("denied (") && error(&told[3]).starts_with("denied ("), "{told}");
    let trace = end(stage.agentry("trace").args(["last", "--json"])).with(0).stdout;
    for shown in [&ended.stdout, &ended.stderr, &trace] {
        assert!(!shown.contains("sk-test-9f") && !shown.contains("very%secret"), "{shown}");
    }
}

#[test]
fn what_the_admin_bound_a_secret_to_holds_against_a_wider_grant() {
    let site = Site::echo();
    let mine = site.url("");
    let grants = format!(
        "http = [{{ to = \"{mine}\", private = true }}]\nsecrets = [{{ handle = \"crm\", only_to = \"{mine}\" }}]\n"
    );
    let stage = stage(&grants);
    with_secret(&stage, "https://api.example.org");
    let told = fetch(&stage, &[json!({"url": site.url("/"), "secret": "crm"})]).remove(0);
    assert!(error(&told).starts_with("denied (forbidden, argument `secret`)"), "{told}");
    stage.costs_nothing(&[&site]);
}

#[test]
fn a_server_that_never_ends_is_given_up() {
    let site = Site::that(|asked, stream| {
        match asked.path() {
            "/open/body" => {
                write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                loop {
                    write!(stream, "1000\r\n{}\r\n", "x".repeat(0x1000))?;
                }
            }
            "/open/drip" => {
                write!(stream, "HTTP/1.1 200 OK\r\n")?;
                loop {
                    write!(stream, "x-drip: 1\r\n")?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            _ => std::thread::sleep(Duration::from_secs(30)),
        }
        Ok(())
    });
    let stage = stage(&open(&site));
    let begun = Instant::now();
    let requests =
        ["body", "drip", "silent"].map(|path| json!({"url": site.url(&format!("/open/{path}")), "timeout_ms": 3000}));
    let told = fetch(&stage, &requests);
    assert!(error(&told[0]).contains("more than") || error(&told[0]) == "timed out", "{}", told[0]);
    assert_eq!((error(&told[1]), error(&told[2])), ("timed out", "timed out"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    stage.nothing_moved(&[(&site, 3)]);
}

#[test]
fn one_byte_of_egress_too_few_is_exhausted_and_nothing_leaves() {
    let site = Site::echo();
    let grants = |bytes: u64| format!("{}[budget]\negress_run = \"{bytes}B\"\n", open(&site));
    let enough = stage(&grants(10_000));
    assert_eq!(get(&enough, &site.url("/open/a"))["status"], 200);
    let bytes = enough.last()["spent"]["egress"].as_u64().expect("it was counted");
    let short = stage(&grants(bytes - 1));
    assert!(error(&get(&short, &site.url("/open/a"))).contains("budget of egress"));
    short.costs_nothing(&[]);
    enough.nothing_moved(&[(&site, 1)]);
    assert_eq!(get(&stage(&grants(bytes)), &site.url("/open/a"))["status"], 200);
}

#[test]
fn a_package_that_names_its_hosts_reaches_no_others_whatever_is_granted() {
    let site = Site::echo();
    let stage = stage(&open(&site));
    let whole = fs::read(guest("http")).expect("it is built");
    let file = stage.path("http.wasm");
    // The author of this one says where it goes.
    let name = |host: &str| {
        let sections = Sections::of(&whole);
        let mut manifest: Value = serde_json::from_str(&sections.manifest()).expect("a manifest is JSON");
        manifest["wants"]["http"]["hosts"] = json!([host]);
        fs::write(&file, sections.bare().and(&manifest.to_string()).component()).expect("a file");
        end(agentry().arg("inspect").arg(&file))
    };
    let run = |stage: &Stage| end(&mut stage.run(&file, &json!({"requests": [{"url": site.url("/open/a")}]})));
    assert!(name("https://api.example.org").with(0).stdout.contains("https://api.example.org"));
    let told = run(&stage).with(0).json();
    assert!(error(&told["output"][0]).contains("not-declared"), "{told}");
    assert_eq!(told["refusals"][0]["argument"]["allowed"], "https://api.example.org", "{told}");
    stage.costs_nothing(&[&site]);
    // One that says nothing of hosts means what it always meant: all that it is granted.
    name(site.url("").trim_end_matches('/')).with(0);
    assert_eq!(run(&stage).with(0).json()["output"][0]["status"], 200);
    fetch(&stage, &[json!({"url": site.url("/open/a")})]).iter().for_each(|told| assert_eq!(told["status"], 200));
    for bad in ["api.example.org", "https://api.example.org/path", "ftp://example.org"] {
        name(bad).with(2).complains("wants.http.hosts");
    }
}
