//! Packages, signatures, indexes and locks that are not what they say: each is refused in one line, and nothing of it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::installing::{Market, package, text as text_of};
use crate::stage::{Stage, agentry, begin, end};
use crate::web::{Asked, Site, say};

/// A market, and a signed package beside it that nobody lists.
fn signed() -> (Market, PathBuf) {
    let market = Market::new();
    let file = package(&market.stage, "keeper.wasm", "echo", |_| {});
    end(market.author("publish").arg(&file).arg("--json")).with(0);
    (market, file)
}

/// The signature beside a file.
fn beside(file: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sig", file.display()))
}

#[track_caller]
fn is_refused(stage: &Stage, file: &Path, of: &str) {
    for verb in ["info", "install"] {
        let refused = end(stage.agentry(verb).arg(file));
        assert!(matches!(refused.code, 2 | 3), "{}{}", refused.stdout, refused.stderr);
        refused.complains(of);
    }
    assert!(!stage.home().join("agents.lock").exists() && !stage.home().join("policies/50-keeper.toml").exists());
}

#[test]
fn a_file_and_its_signature_are_believed_together_or_not_at_all() {
    let (market, file) = signed();
    let (stage, bytes, signature) =
        (&market.stage, fs::read(&file).expect("a file"), fs::read(beside(&file)).expect("a file"));
    is_refused(stage, &file, "nobody here knows the publisher `acme`");
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    end(stage.agentry("info").arg(&file)).with(0);
    for at in [8, bytes.len() / 2, bytes.len() - 1] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&file, other).expect("a file");
        is_refused(stage, &file, "the signature is for another file");
    }
    fs::write(&file, &bytes).expect("a file");
    for at in [0, signature.len() / 2, signature.len() - 20] {
        let mut other = signature.clone();
        other[at] ^= 1;
        fs::write(beside(&file), other).expect("a file");
        is_refused(stage, &file, "signature");
    }
    fs::write(beside(&file), vec![b' '; 100_000]).expect("a file");
    is_refused(stage, &file, "more than");
    // A good signature, for another package of the same publisher.
    let other = package(stage, "other.wasm", "echo", |manifest| manifest["name"] = "acme:other".into());
    end(market.author("publish").arg(&other)).with(0);
    fs::copy(beside(&other), beside(&file)).expect("a file");
    is_refused(stage, &file, "the signature is for another file");
    fs::remove_file(beside(&file)).expect("a file");
    is_refused(stage, &file, "is not signed");
    end(market.author("publish").args(["--key", "nobody"]).arg(&file)).with(2).complains("no key `nobody`");
}

#[test]
fn an_unsigned_file_is_taken_by_its_digest_alone() {
    let market = Market::new();
    let stage = &market.stage;
    let file = package(stage, "keeper.wasm", "echo", |_| {});
    let name = file.display().to_string();
    let digest = end(agentry().arg("inspect").arg(&file).arg("--json")).with(0).json()["digest"].clone();
    let digest = format!("sha256:{}", digest.as_str().expect("a digest"));
    let other = format!("sha256:{}", "0".repeat(64));
    end(stage.agentry("install").args([&name, "--digest", &other])).with(3).complains("is not the file that was named");
    end(stage.agentry("install").args([&name, "--digest", "12"])).with(2).complains("is no digest");
    let shown = end(stage.agentry("info").args([&name, "--digest", &digest, "--json"])).with(0).json();
    assert_eq!(shown["key"], Value::Null);
    let nobody = end(stage.agentry("install").args([&name, "--digest", &digest])).with(3);
    assert!(nobody.stdout.contains("not signed: that it is of acme is its own word"), "{}", nobody.stdout);
    let code = shown["consent"].as_str().expect("a code");
    end(stage.agentry("install").args([&name, "--digest", &digest, "--yes"])).with(3).complains("nobody signed it");
    end(stage.agentry("install").args([&name, "--digest", &digest, "--consent", code])).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
}

#[test]
fn a_key_that_changed_an_older_version_and_a_name_that_looks_like_another_stop() {
    let (market, file) = signed();
    let stage = &market.stage;
    market.configure("first_use = true\n", "at = \"../index\"\n");
    let name = file.display().to_string();
    end(&mut market.install(&name)).with(0);
    let keys = end(stage.agentry("key list").arg("--json")).with(0).json();
    assert_eq!(keys["publishers"]["acme"]["how"], "first-use");
    // The same name by another key.
    stage.directory("thief");
    let thief = |verb: &str| {
        let mut command = agentry();
        command.args(verb.split(' ')).arg("--home").arg(stage.path("thief"));
        command
    };
    let stolen = end(thief("key new").arg("acme")).with(0).stdout.trim().to_owned();
    end(thief("key new").arg("acme")).with(2).complains("is there already");
    let newer = package(stage, "newer.wasm", "echo", |manifest| {
        manifest["version"] = "2.0.0".into();
        manifest["seq"] = 5.into();
    });
    end(thief("publish").arg(&newer)).with(0);
    end(stage.agentry("install").arg(&newer)).with(3).complains("another key than before");
    end(stage.agentry("key trust").args(["acme", &stolen])).with(3).complains("has the key");
    end(stage.agentry("key trust").args(["acme", "ed25519:1"])).with(2).complains("is no key");
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
    // Trusted on purpose, it is another key all the same: a person says yes to that, and nobody else.
    end(stage.agentry("key trust").args(["acme", &stolen, "--replace"])).with(0);
    end(stage.agentry("install").arg(&newer).arg("--yes"))
        .with(3)
        .complains("not signed by the key that signed the present");
    end(&mut market.install(&newer.display().to_string())).with(0);
    // An older one, or another one with the same number.
    for (file, seq, part) in
        [("older.wasm", 4, "is older than what was here"), ("same.wasm", 5, "another file of acme:keeper")]
    {
        let older = package(stage, file, "echo", |manifest| {
            manifest["version"] = "3.0.0".into();
            manifest["seq"] = seq.into();
        });
        end(thief("publish").arg(&older)).with(0);
        end(stage.agentry("install").arg(&older)).with(3).complains(part);
    }
    // Names that are not what they seem.
    for (name, part) in [("аcme:keeper", "U+0430"), ("acme:kee\u{200b}per", "U+200B"), ("acme:\u{202e}x", "U+202E")] {
        let refused = end(stage.agentry("install").arg(name)).with(2);
        refused.complains(part);
        assert!(!refused.stderr.contains(['\u{200b}', '\u{202e}']));
    }
    end(thief("key new").arg("acrne")).with(0);
    let alike = package(stage, "alike.wasm", "echo", |manifest| manifest["name"] = "acrne:other".into());
    end(thief("publish").arg(&alike)).with(0);
    assert!(end(stage.agentry("info").arg(&alike)).with(0).stdout.contains("its name looks like the publisher `acme`"));
    end(stage.agentry("install").arg(&alike).arg("--yes"))
        .with(3)
        .complains("its name looks like the publisher `acme`");
    // The name of an agent that is somebody else's.
    let taken = package(stage, "taken.wasm", "echo", |manifest| manifest["name"] = "acrne:keeper".into());
    end(thief("publish").arg(&taken)).with(0);
    end(stage.agentry("install").arg(&taken)).with(3).complains("there is an agent `keeper` here already");
}

#[test]
fn a_file_under_the_name_of_a_package_does_not_get_the_packages_grant() {
    let market = Market::new();
    let stage = &market.stage;
    let right = package(stage, "right.wasm", "echo", |_| {});
    market.publish(&right);
    end(&mut market.install("acme:keeper")).with(0);
    let grant = stage.path("home/policies/50-keeper.toml");
    let text = fs::read_to_string(&grant).expect("a grant");
    assert!(text.contains(&format!("publisher = \"{}\"\n", market.key)), "{text}");
    // The same name and version, and as much as it likes of what that one asks for.
    let other = package(stage, "other.wasm", "echo", |manifest| manifest["description"] = "Another one.".into());
    let run = |file: &Path| end(stage.agentry("run").arg(file).args(["--json", "--input", "[]"]));
    let refused = run(&other).with(3).json();
    assert_eq!(refused["refusals"][0]["rule"]["id"], "keeper/publisher", "{refused}");
    assert!(
        refused["failure"].as_str().is_some_and(|why| why.contains("this file is not installed here")),
        "{refused}"
    );
    // Signed by the same publisher, and never installed: nobody has said yes to it.
    end(market.author("publish").arg(&other)).with(0);
    run(&other).with(3);
    // The very file that is installed is it, wherever it lies.
    run(&right).with(0);
    end(stage.agentry("run").args(["keeper", "--input", "[]"])).with(0);
    // Questions about policy know the same.
    let asked = |file: &Path| {
        let mut asked = stage.agentry("policy explain");
        end(asked
            .args(["--agent", "keeper", "--json", "--package"])
            .arg(file)
            .args(["memory=agent/keeper/x", "act=read"]))
    };
    assert!(text_of(&asked(&other)).contains("keeper/publisher"), "{}", text_of(&asked(&other)));
    assert!(!text_of(&asked(&right)).contains("keeper/publisher"), "{}", text_of(&asked(&right)));
    // A grant of another key holds for nothing that is here; one of none holds for whatever says that it is this package.
    let key = end(stage.agentry("key new").arg("mine")).with(0).stdout.trim().to_owned();
    fs::write(&grant, text.replace(&market.key, &key)).expect("a file");
    let refused = end(stage.agentry("run").args(["keeper", "--json", "--input", "[]"])).with(3).json();
    assert!(refused["failure"].as_str().is_some_and(|why| why.contains("that another publisher signed")), "{refused}");
    fs::write(&grant, text.replace(&format!("publisher = \"{}\"\n", market.key), "")).expect("a file");
    run(&other).with(0);
    fs::write(&grant, text.replace(&market.key, "acme")).expect("a file");
    let checked = end(stage.agentry("policy check").arg("--policies").arg(&grant)).with(2);
    assert!(text_of(&checked).contains("`publisher` is no key"), "{}", text_of(&checked));
}

#[test]
fn what_is_installed_and_was_changed_does_not_run() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    end(&mut market.install("acme:keeper")).with(0);
    let lies = stage.home().join("packages");
    let component = fs::read_dir(&lies).expect("a directory").flatten().map(|entry| entry.path());
    let component =
        component.into_iter().find(|path| path.extension().is_some_and(|end| end == "wasm")).expect("it lies there");
    let whole = fs::read(&component).expect("a file");
    let mut other = whole.clone();
    other[100] ^= 1;
    fs::write(&component, &other).expect("a file");
    end(stage.agentry("run").args(["keeper", "--input", "1"])).with(5).complains("is not the file that was installed");
    end(stage.agentry("run").arg(&component).args(["--input", "1"]))
        .with(2)
        .complains("is not the file that was installed");
    assert!(end(&mut stage.agentry("verify")).with(1).stdout.contains("is not the file that was installed"));
    fs::write(&component, &whole).expect("a file");
    // A home that was put back has it as it was.
    end(stage.agentry("backup").arg(stage.path("kept"))).with(0);
    end(agentry().arg("restore").arg(stage.path("kept")).arg("--to").arg(stage.path("again"))).with(0);
    let again = |verb: &str| {
        let mut command = agentry();
        command.args(verb.split(' ')).arg("--home").arg(stage.path("again"));
        end(&mut command).with(0)
    };
    assert_eq!(again("run keeper --json --input 1").json()["output"], 1);
    again("verify");
    let signature = component.with_extension("sig");
    let envelope = fs::read_to_string(&signature).expect("a file");
    fs::write(&signature, envelope.replacen("\"sig\":\"", "\"sig\":\"AAAA", 1)).expect("a file");
    assert_eq!(end(&mut stage.agentry("verify")).with(1).stderr, "");
    fs::write(&signature, envelope).expect("a file");
    end(&mut stage.agentry("verify")).with(0);
    let lock = stage.home().join("agents.lock");
    let text = fs::read_to_string(&lock).expect("a file");
    fs::write(&lock, text.replacen("1.0.0", "1.0.1", 1)).expect("a file");
    for verb in ["verify", "list", "run keeper --input 1", "uninstall keeper"] {
        let refused = end(&mut stage.agentry(verb));
        assert_eq!(refused.code, 5, "{verb}: {}", refused.stderr);
        refused.complains("is not as it was written");
    }
    fs::write(&lock, text).expect("a file");
    assert_eq!(end(stage.agentry("run").args(["keeper", "--json", "--input", "1"])).with(0).json()["output"], 1);
}

#[test]
fn a_command_that_is_killed_leaves_the_old_set_or_the_new_one_and_two_at_once_have_their_turns() {
    let market = Market::new();
    let stage = &market.stage;
    for (version, seq) in [("1.0.0", 1), ("1.1.0", 2)] {
        market.publish(&package(stage, &format!("{seq}.wasm"), "echo", |manifest| {
            manifest["version"] = version.into();
            manifest["seq"] = seq.into();
        }));
    }
    end(&mut market.install("acme:keeper@1.0.0")).with(0);
    let code = market.code("acme:keeper");
    let install = || {
        let mut command = stage.agentry("install");
        command.args(["acme:keeper", "--consent", &code]);
        command
    };
    for step in 0..12 {
        let running = begin(&mut install());
        std::thread::sleep(Duration::from_millis(20 * step));
        running.kill();
        let version = market.version("keeper");
        assert!(matches!(version.as_deref(), Some("1.0.0" | "1.1.0")), "{version:?}");
        end(&mut stage.agentry("verify")).with(0);
        if version.as_deref() == Some("1.1.0") {
            end(stage.agentry("rollback").arg("keeper")).with(0);
        }
    }
    end(&mut install());
    for name in ["one", "two"] {
        market.publish(&package(stage, &format!("{name}.wasm"), "echo", |manifest| {
            manifest["name"] = format!("acme:{name}").into()
        }));
    }
    let [one, two] = ["acme:one", "acme:two"].map(|name| begin(&mut market.install(name)));
    one.end().with(0);
    two.end().with(0);
    assert_eq!(end(stage.agentry("list").arg("--json")).with(0).json().as_array().map(Vec::len), Some(3));
    end(&mut stage.agentry("verify")).with(0);
    end(&mut stage.agentry("policy check")).with(0);
}

/// Answers with these bytes.
fn give(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes))
}

/// A static server of the index, but for what a test does with some of it.
pub fn server(
    index: PathBuf,
    other: impl Fn(&Asked, &mut TcpStream) -> Option<std::io::Result<()>> + Send + Sync + 'static,
) -> Site {
    Site::that(move |asked, stream| {
        if let Some(done) = other(asked, stream) {
            return done;
        }
        match fs::read(index.join(asked.path().trim_start_matches('/'))) {
            Err(_) => say(stream, 404, &[], "none"),
            Ok(bytes) => give(stream, &bytes),
        }
    })
}

#[test]
fn an_index_on_a_server_is_read_as_a_directory_is_and_leads_nowhere() {
    let market = Market::new();
    let stage = &market.stage;
    market.publish(&package(stage, "1.wasm", "echo", |_| {}));
    let index = stage.path("index");
    let at = |site: &Site| format!("at = \"{}\"\nseconds = 2\n", site.url(""));
    let named = "networks = [\"127.0.0.1\"]\n";
    let info = || end(stage.agentry("info").arg("acme:keeper"));
    let site = server(index.clone(), |_, _| None);
    market.configure("", &at(&site));
    info().with(3).complains("which is loopback");
    assert!(site.asked().is_empty(), "nobody asked inside");
    market.configure("", &format!("{}{named}", at(&site)));
    info().with(0);
    // Led to where clouds keep a machine's keys, to another server, and round and round.
    for to in ["http://169.254.169.254/latest/meta-data/", "https://example.org/x", "file:///etc/passwd"] {
        let site = server(index.clone(), move |asked, stream| {
            asked.path().ends_with("timestamp.json").then(|| say(stream, 302, &[("location", to)], ""))
        });
        market.configure("", &format!("{}{named}", at(&site)));
        info().with(3).complains("leads to another server");
    }
    let site = server(index.clone(), |_, stream| Some(say(stream, 302, &[("location", "/again")], "")));
    market.configure("", &format!("{}{named}", at(&site)));
    info().with(3).complains("leads on more than");
    // On the same server, it may be led.
    let site = server(index.clone(), |asked, stream| {
        let moved = asked.path() == "/metadata/timestamp.json";
        moved.then(|| say(stream, 302, &[("location", "/metadata/./timestamp.json?moved")], ""))
    });
    market.configure("", &format!("{}{named}", at(&site)));
    info().with(5).complains("has no `timestamp.json`");
    // Without an end, and drop by drop.
    let site = server(index.clone(), |asked, stream| {
        asked.path().ends_with("timestamp.json").then(|| {
            stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n")?;
            (0..1000).try_for_each(|_| stream.write_all(&[b' '; 1000]))
        })
    });
    market.configure("", &format!("{}{named}", at(&site)));
    info().with(3).complains("more than 16384 bytes");
    let site = server(index, |asked, stream| {
        asked.path().ends_with("snapshot.json").then(|| {
            stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 400\r\n\r\n")?;
            (0..100).try_for_each(|_| {
                std::thread::sleep(Duration::from_millis(200));
                stream.write_all(b" ")
            })
        })
    });
    market.configure("", &format!("{}{named}", at(&site)));
    let slow = info().with(5);
    slow.complains("no whole answer in 2s");
    assert_eq!(market.version("keeper"), None);
    assert_eq!(json!([]), end(stage.agentry("list").arg("--json")).with(0).json());
}

#[test]
fn a_file_of_a_server_is_believed_as_one_of_this_machine_is() {
    let (market, file) = signed();
    let stage = &market.stage;
    let directory = file.parent().expect("it lies somewhere").to_owned();
    let site = server(directory, |asked, stream| match asked.path() {
        "/moved.wasm" => Some(say(stream, 302, &[("location", "http://169.254.169.254/keeper.wasm")], "")),
        _ => None,
    });
    let at = site.url("/keeper.wasm");
    let info = |what: &str| end(stage.agentry("info").arg(what));
    info(&at).with(2).complains("would be asked without TLS");
    assert!(site.asked().is_empty(), "nobody asked inside");
    let line = format!("[registries.\"127.0.0.1:{}\"]\nplain = true\nnetworks = [\"127.0.0.1\"]\n", site.port());
    stage.write("home/packages.toml", &format!("format = 1\n{line}"));
    let allow = |site: &Site| {
        let line = format!(
            "[registries.\"127.0.0.1:{}\"]\nplain = true\nnetworks = [\"127.0.0.1\"]\nseconds = 2\n",
            site.port()
        );
        stage.write("home/packages.toml", &format!("format = 1\n{line}"));
    };
    info(&at).with(3).complains("nobody here knows the publisher `acme`");
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    info(&site.url("/moved.wasm")).with(3).complains("leads to another server");
    info(&site.url("/none.wasm")).with(5).complains("is not there");
    info(&format!("{at}?token=1")).with(2).complains("more than a host and a path");
    assert!(info(&at).with(0).stdout.contains(&format!("from {at}")));
    // What a file may be called on a server, it may be called here.
    let served = [("", &file), (".sig", &beside(&file))].map(|(end, path)| (end, fs::read(path).expect("a file")));
    for name in ["book_keeper.wasm", "k%41@1,0~(x).wasm", "keeper..wasm"] {
        let copies = served.iter().map(|file| (format!("/{name}{}", file.0), file.1.clone()));
        let copies: BTreeMap<String, Vec<u8>> = copies.collect();
        let site = Site::that(move |asked, stream| match copies.get(asked.path()) {
            None => say(stream, 404, &[], &"no such page ".repeat(10_000)),
            Some(bytes) => give(stream, bytes),
        });
        allow(&site);
        let url = site.url(&format!("/{name}"));
        assert!(info(&url).with(0).stdout.contains(&format!("from {url}")), "{name}");
    }
    // A name and a password are nobody's, wherever a server leads.
    let led = Site::that(|asked, stream| {
        let host = asked.header("host").unwrap_or_default().to_owned();
        say(stream, 302, &[("location", &format!("http://me:secret@{host}/keeper.wasm"))], "")
    });
    allow(&led);
    info(&led.url("/moved.wasm")).with(3).complains("leads to an address with a name or a password");
    // Whoever names its digest needs no signature: whatever the server says of one, and however long that is.
    let sum = end(Command::new("sha256sum").arg(&file)).with(0).stdout;
    let digest = format!("sha256:{}", sum.split(' ').next().expect("a sum"));
    for (status, is_slow) in [(404, false), (500, false), (200, false), (302, false), (200, true)] {
        let bytes = served[0].1.clone();
        let site = Site::that(move |asked, stream| match asked.path() {
            "/keeper.wasm" => give(stream, &bytes),
            _ if is_slow => {
                std::thread::sleep(Duration::from_secs(20));
                Ok(())
            }
            _ => say(stream, status, &[], &"no such page ".repeat(10_000)),
        });
        allow(&site);
        end(stage.agentry("info").args([&site.url("/keeper.wasm"), "--digest", &digest])).with(0);
        let told = info(&site.url("/keeper.wasm"));
        assert_eq!(told.code, if status == 500 || is_slow { 5 } else { 3 }, "{status}: {}", told.stderr);
        assert!(!told.stderr.contains("the index"), "{}", told.stderr);
    }
    stage.write("home/packages.toml", &format!("format = 1\n{line}"));
    end(&mut market.install(&at)).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
}

#[test]
fn what_an_admin_wrote_of_packages_is_read_whole_or_refused_with_its_line() {
    let market = Market::new();
    let stage = &market.stage;
    for (text, part) in [
        ("", "another format"),
        ("format = 1\nfirstuse = true\n", "unknown key `firstuse`"),
        ("format = 1\ncool_off = \"soon\"\n", "no length of time"),
        ("format = 1\nfirst_use = 1\n", "first_use"),
        ("format = 1\n[indexes.main]\nat = \"x\"\n", "root"),
        ("format = 1\n[indexes.main]\nat = \"ftp://a.example\"\nroot = \"ed25519:00\"\n", "no key"),
        ("format = 1\n[indexes.main]\nnetworks = 1\nat = \"x\"\nroot = \"x\"\n", ""),
        ("format = 1\n[indexes.main]\nseconds = 0\nat = \"x\"\nroot = \"x\"\n", ""),
    ] {
        stage.write("home/packages.toml", text);
        end(&mut stage.agentry("list")).with(2).complains(part);
    }
    fs::remove_file(stage.path("home/packages.toml")).expect("it is ours");
    end(stage.agentry("search").arg("x")).with(2).complains("this home knows no index");
    end(&mut stage.agentry("list")).with(0);
    end(stage.agentry("info").arg("https://a.example/x")).with(2).complains("does not end in `.wasm`");
    for (lines, part) in [
        ("[registries.\"a b\"]\n", "is no host of a registry"),
        ("[registries.\"a.example\"]\nplain = true\n", "is for a registry inside"),
        ("[registries.\"a.example\"]\nleads_to = [\"ftp://b.example\"]\n", "is no origin"),
        ("[registries.\"a.example\"]\nuser = \"x\"\n", "unknown key `user`"),
    ] {
        stage.write("home/packages.toml", &format!("format = 1\n{lines}"));
        end(&mut stage.agentry("list")).with(2).complains(part);
    }
    end(stage.agentry("info").arg("oci://a.example")).with(2).complains("it has no repository");
}
