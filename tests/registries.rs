//! Packages in registries of containers: put into a real one and read out of it by others, and registries that are not what they should be.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::installing::{Market, package};
use crate::stage::{end, skip};
use crate::web::{Asked, Site, say};

/// Debian's `docker-registry` with an empty store.
struct Registry {
    child: Child,
    port: u16,
    tools: PathBuf,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// None where `cargo xtask test` found none.
    fn start(market: &Market) -> Option<Self> {
        let tools = PathBuf::from(std::env::var_os("AGENTRY_REGISTRY_TOOLS")?);
        let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        let store = market.stage.directory("registry");
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            store.display()
        );
        let config = market.stage.write("registry.yml", &config);
        let mut server = Command::new(tools.join("usr/bin/docker-registry"));
        let child = server.arg("serve").arg(config).spawn().expect("the registry starts");
        let registry = Self { child, port, tools };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(registry);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the registry does not answer");
    }

    fn skopeo(&self, words: &[&str]) -> Command {
        let mut skopeo = Command::new(self.tools.join("usr/bin/skopeo"));
        let libraries =
            ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu"];
        let libraries: Vec<String> = libraries.iter().map(|path| self.tools.join(path).display().to_string()).collect();
        skopeo.env("LD_LIBRARY_PATH", libraries.join(":")).arg("--insecure-policy").args(words);
        skopeo
    }
}

/// What an admin says of the registry at this port, in both homes.
fn allow(market: &Market, port: u16, lines: &str) {
    let line =
        format!("[registries.\"127.0.0.1:{port}\"]\nplain = true\nnetworks = [\"127.0.0.1\"]\nseconds = 2\n{lines}");
    for home in ["home", "author"] {
        market.stage.write(&format!("{home}/packages.toml"), &format!("format = 1\ncool_off = \"0s\"\n{line}"));
    }
}

/// The SHA-256 of these bytes, as another program has it.
fn sha256(market: &Market, bytes: &[u8]) -> String {
    let file = market.stage.path("summed");
    fs::write(&file, bytes).expect("a file");
    let sum = end(Command::new("sha256sum").arg(file)).with(0).stdout;
    format!("sha256:{}", sum.split(' ').next().expect("a sum"))
}

#[test]
fn a_package_goes_through_a_real_registry_and_another_program_reads_it_there() {
    let market = Market::new();
    let stage = &market.stage;
    let Some(registry) = Registry::start(&market) else {
        let why = "AGENTRY_REGISTRY_TOOLS names no directory with usr/bin/docker-registry and usr/bin/skopeo";
        return skip("a_package_goes_through_a_real_registry_and_another_program_reads_it_there", why);
    };
    let at = format!("oci://127.0.0.1:{}/acme/keeper", registry.port);
    let file = package(stage, "keeper.wasm", "echo", |_| {});
    let publish = |file: &Path| {
        let mut publish = market.author("publish");
        publish.arg(file).args(["--to", &at, "--json"]);
        end(&mut publish)
    };
    publish(&file).with(3).complains("which is loopback");
    allow(&market, registry.port, "");
    let pushed = publish(&file).with(0).json()["pushed"].as_str().expect("it says where").to_owned();
    assert!(pushed.starts_with(&format!("{at}@sha256:")), "{pushed}");
    publish(&file).with(0);
    end(market.author("publish").arg(&file).args(["--to", &pushed])).with(2).complains("is one image already");
    end(market.author("publish").arg(&file).args(["--to", "https://x/y"]))
        .with(2)
        .complains("does not begin with oci://");
    // Whose it is, the registry does not say.
    let tagged = format!("{at}:1.0.0");
    end(stage.agentry("info").arg(&tagged)).with(3).complains("nobody here knows the publisher `acme`");
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let shown = end(stage.agentry("info").args([&tagged, "--json"])).with(0).json();
    assert_eq!((&shown["from"], &shown["key"]), (&json!(pushed), &json!(market.key)));
    assert!(end(stage.agentry("info").arg(&pushed)).with(0).stdout.contains(&format!("from {pushed}")));
    end(&mut market.install(&pushed)).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.0.0"));
    end(stage.agentry("run").args(["keeper", "--input", "1"])).with(0);
    end(&mut stage.agentry("verify")).with(0);
    end(stage.agentry("info").arg(format!("{at}:2.0.0"))).with(2).complains("there is no oci://");
    end(stage.agentry("info").arg(format!("{at}@sha256:{}", "0".repeat(64)))).with(2).complains("there is no oci://");
    // Another program finds both parts there, each under its digest.
    let docker = tagged.replacen("oci://", "docker://", 1);
    let raw = end(&mut registry.skopeo(&["inspect", "--raw", "--tls-verify=false", &docker])).with(0).json();
    let bytes = fs::read(&file).expect("a file");
    assert_eq!(raw["layers"][0]["digest"], json!(sha256(&market, &bytes)));
    let copy = stage.path("copied");
    let into = format!("dir:{}", copy.display());
    end(&mut registry.skopeo(&["copy", "--src-tls-verify=false", &docker, &into])).with(0);
    let layer = |at: usize| {
        let digest = raw["layers"][at]["digest"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
        fs::read(copy.join(digest)).expect("it was copied")
    };
    assert_eq!(layer(0), bytes);
    assert_eq!(layer(1), fs::read(stage.path("keeper.wasm.sig")).expect("a file"));
    // The next one, by a person's yes; and nobody is handed the older one again.
    publish(&package(stage, "next.wasm", "echo", |manifest| {
        manifest["version"] = "1.1.0+build".into();
        manifest["seq"] = 2.into();
    }))
    .with(0);
    end(&mut market.install(&format!("{at}:1.1.0_build"))).with(0);
    assert_eq!(market.version("keeper").as_deref(), Some("1.1.0+build"));
    end(stage.agentry("install").arg(&pushed)).with(3).complains("is older than what was here");
    assert!(end(stage.agentry("update").arg("--yes")).with(0).stderr.contains("came from an index"));
}

/// What a registry of a test holds: by path.
type Shelf = BTreeMap<String, Vec<u8>>;

/// A signed package as an image, its layers in any order that `change` makes of them.
fn image(market: &Market, change: impl FnOnce(&mut Value)) -> (Shelf, String) {
    let file = package(&market.stage, "keeper.wasm", "echo", |_| {});
    end(market.author("publish").arg(&file)).with(0);
    let parts =
        [file.clone(), PathBuf::from(format!("{}.sig", file.display()))].map(|path| fs::read(path).expect("a file"));
    let kinds = ["application/wasm", "application/vnd.dsse.envelope.v1+json"];
    let mut shelf = Shelf::new();
    let mut layers = Vec::new();
    for (bytes, kind) in parts.iter().zip(kinds) {
        let digest = sha256(market, bytes);
        layers.push(json!({"mediaType": kind, "digest": digest, "size": bytes.len()}));
        shelf.insert(format!("/v2/acme/keeper/blobs/{digest}"), bytes.clone());
    }
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": layers,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": "sha256:44136fa3", "size": 2},
    });
    change(&mut manifest);
    let manifest = manifest.to_string().into_bytes();
    let digest = sha256(market, &manifest);
    shelf.insert(format!("/v2/acme/keeper/manifests/{digest}"), manifest.clone());
    shelf.insert("/v2/acme/keeper/manifests/1".to_owned(), manifest);
    (shelf, digest)
}

/// A registry with these, but for what a test does with some of it.
fn registry(
    shelf: Shelf,
    other: impl Fn(&Asked, &mut TcpStream) -> Option<std::io::Result<()>> + Send + Sync + 'static,
) -> Site {
    Site::that(move |asked, stream| {
        if let Some(done) = other(asked, stream) {
            return done;
        }
        match shelf.get(asked.path()) {
            None => say(stream, 404, &[], "none"),
            Some(bytes) => {
                let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes))
            }
        }
    })
}

fn at(site: &Site) -> String {
    format!("oci://127.0.0.1:{}/acme/keeper:1", site.port())
}

#[test]
fn a_registry_that_leads_elsewhere_is_not_followed() {
    let market = Market::new();
    let stage = &market.stage;
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let info = |site: &Site| end(stage.agentry("info").arg(at(site)));
    let asks = |realm: String| {
        move |asked: &Asked, stream: &mut TcpStream| {
            let known = asked.header("authorization").is_some() || asked.path().starts_with("/token");
            let challenge = format!("Bearer realm=\"{realm}\",service=\"x\"");
            (!known).then(|| say(stream, 401, &[("www-authenticate", &challenge)], ""))
        }
    };
    // For a token, to another host; and to where clouds keep a machine's keys, also where an admin named that by mistake.
    let (shelf, _) = image(&market, |_| {});
    let site = registry(shelf.clone(), asks("https://auth.example.org/token".to_owned()));
    allow(&market, site.port(), "");
    info(&site).with(3).complains("leads to another server, https://auth.example.org");
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let site = registry(shelf.clone(), asks(metadata.to_owned()));
    allow(&market, site.port(), "");
    info(&site).with(3).complains("leads to another server, http://169.254.169.254");
    allow(&market, site.port(), "leads_to = [\"http://169.254.169.254\"]\n");
    info(&site).with(3).complains("which is a metadata service");
    // For a layer.
    for (to, hint) in [
        (metadata, "leads_to = [\"http://169.254.169.254\"]"),
        ("https://example.org/x", "leads_to = [\"https://example.org\"]"),
        ("file:///etc/passwd", "no registry is asked on such a way"),
        ("data:application/json,{}", "no registry is asked on such a way"),
    ] {
        let site = registry(shelf.clone(), move |asked, stream| {
            asked.path().contains("/blobs/").then(|| say(stream, 307, &[("location", to)], ""))
        });
        allow(&market, site.port(), "");
        let told = info(&site).with(3);
        told.complains("leads to another server");
        assert!(told.stderr.contains(hint), "{to}: {}", told.stderr);
    }
    // On the same server, however long the page is that says so.
    let layers = shelf.clone();
    let site = registry(shelf.clone(), move |asked, stream| {
        if let Some(bytes) =
            layers.get(&asked.path().replacen("/kept/", "/v2/", 1)).filter(|_| asked.path().starts_with("/kept/"))
        {
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
            return Some(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)));
        }
        let to = asked.path().replacen("/v2/", "/kept/", 1);
        let page = "it is kept elsewhere ".repeat(100_000);
        asked.path().contains("/blobs/").then(|| say(stream, 307, &[("location", &to)], &page))
    });
    allow(&market, site.port(), "");
    info(&site).with(0);
    let site = registry(shelf.clone(), |_, stream| Some(say(stream, 307, &[("location", "/again")], "")));
    allow(&market, site.port(), "");
    info(&site).with(3).complains("leads on more than 3 times");
    // A server that an admin named is asked, and is not told who asks.
    let blobs = shelf.clone();
    let beside = registry(BTreeMap::new(), move |asked, stream| {
        let bytes = blobs.get(&asked.path().replacen("/elsewhere", "/v2", 1))?;
        let head = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", bytes.len());
        Some(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)))
    });
    let to = beside.url("/elsewhere");
    let site = Site::that({
        let manifest = shelf["/v2/acme/keeper/manifests/1"].clone();
        move |asked, stream| {
            let path = asked.path();
            if path.starts_with("/token") {
                return say(stream, 200, &[], "{\"token\": \"good\"}");
            }
            if asked.header("authorization") != Some("Bearer good") {
                let realm = format!("Bearer realm=\"http://{}/token\"", asked.header("host").unwrap_or_default());
                return say(stream, 401, &[("www-authenticate", &realm)], "");
            }
            match path.strip_prefix("/v2") {
                Some(rest) if rest.contains("/blobs/") => say(stream, 307, &[("location", &format!("{to}{rest}"))], ""),
                _ => say(stream, 200, &[], &String::from_utf8_lossy(&manifest)),
            }
        }
    });
    allow(&market, site.port(), "");
    info(&site).with(3).complains("leads to another server, http://127.0.0.1:");
    allow(&market, site.port(), &format!("leads_to = [\"{}\"]\n", beside.url("/")));
    info(&site).with(0);
    assert!(
        beside.asked().iter().all(|asked| asked.header("authorization").is_none()),
        "the token is the registry's alone"
    );
    assert!(site.asked().iter().any(|asked| asked.path().contains("scope=repository%3Aacme%2Fkeeper%3Apull")));
    // One that wants a name and a password gets what an admin keeps for it, and for nobody else.
    let site = registry(shelf, |asked, stream| {
        let known = asked.header("authorization") == Some("Basic YWNtZTpzZWNyZXQtcGFzc3dvcmQ=");
        (!known).then(|| say(stream, 401, &[("www-authenticate", "Basic realm=\"x\"")], ""))
    });
    allow(&market, site.port(), "");
    info(&site).with(3).complains("wants to know who asks");
    allow(&market, site.port(), "secret = \"registry\"\n");
    info(&site).with(3).complains("there is no secret `registry`");
    let secret = |only_to: &str| {
        stage.write("secret", "YWNtZTpzZWNyZXQtcGFzc3dvcmQ=\n");
        fs::set_permissions(stage.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("it is ours");
        stage.write(
            "home/agentry.toml",
            &format!(
                "format = 1\n[secrets.registry]\nvalue = {{ file = \"{}\" }}\nheader = \"authorization\"\nprefix = \"Basic \"\nonly_to = [\"{only_to}\"]\n",
                stage.path("secret").display()
            ),
        );
    };
    secret("https://other.example.org");
    info(&site).with(3).complains("the secret is only for https://other.example.org");
    secret(&format!("http://127.0.0.1:{}", site.port()));
    let told = info(&site).with(0);
    assert!(!told.stdout.contains("YWNt") && !told.stderr.contains("YWNt"));
}

#[test]
fn an_image_that_is_not_what_it_says_is_refused_and_the_order_of_its_layers_says_nothing() {
    let market = Market::new();
    let stage = &market.stage;
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let info = |site: &Site| end(stage.agentry("info").arg(at(site)));
    let check = |change: fn(&mut Value), part: &str| {
        let (shelf, _) = image(&market, change);
        let site = registry(shelf, |_, _| None);
        allow(&market, site.port(), "");
        let told = info(&site);
        assert_eq!(told.code, if part.is_empty() { 0 } else { 3 }, "{}", told.stderr);
        assert!(told.stderr.contains(part), "no `{part}` in {}", told.stderr);
    };
    check(|_| {}, "");
    check(|manifest| manifest["layers"].as_array_mut().expect("a list").reverse(), "");
    // Each called what the other is.
    let swap = |manifest: &mut Value| {
        let (one, other) = (manifest["layers"][0]["mediaType"].clone(), manifest["layers"][1]["mediaType"].clone());
        (manifest["layers"][0]["mediaType"], manifest["layers"][1]["mediaType"]) = (other, one);
    };
    check(swap, "more than 16384 bytes");
    check(
        |manifest| drop(manifest["layers"].as_array_mut().expect("a list").remove(1)),
        "is not signed: there is no layer",
    );
    check(
        |manifest| drop(manifest["layers"].as_array_mut().expect("a list").remove(0)),
        "none of its layers is a component",
    );
    let twice = |manifest: &mut Value| {
        let first = manifest["layers"][0].clone();
        manifest["layers"].as_array_mut().expect("a list").push(first);
    };
    check(twice, "several layers of application/wasm");
    check(|manifest| manifest["layers"][0]["size"] = 7.into(), "more than 7 bytes");
    check(|manifest| manifest["layers"][0]["size"] = 60_000_000.into(), "gives another layer than its manifest names");
    check(|manifest| manifest["layers"][0]["size"] = 2_000_000_000.into(), "more than 67108864 bytes");
    check(|manifest| *manifest = json!({"schemaVersion": 2, "manifests": []}), "it has no manifest of one image");
    // Other bytes under a digest: of a layer, and of the manifest that a person named.
    let (mut shelf, digest) = image(&market, |_| {});
    let blob = shelf.keys().find(|path| path.contains("/blobs/")).expect("a layer").clone();
    shelf.get_mut(&blob).expect("it is there")[100] ^= 1;
    let manifest = format!("/v2/acme/keeper/manifests/{digest}");
    shelf.insert(manifest.clone(), [shelf[&manifest].as_slice(), b" "].concat());
    let site = registry(shelf.clone(), |_, _| None);
    allow(&market, site.port(), "");
    info(&site).with(3).complains("gives another layer than its manifest names");
    let named = format!("oci://127.0.0.1:{}/acme/keeper@{digest}", site.port());
    end(stage.agentry("info").arg(named)).with(3).complains("gives another manifest than the one that was named");
    // Without an end, and drop by drop.
    for part in ["/manifests/", "/blobs/"] {
        let (shelf, _) = image(&market, |_| {});
        let site = registry(shelf.clone(), move |asked, stream| {
            asked.path().contains(part).then(|| {
                stream.write_all(b"HTTP/1.1 200 X\r\nconnection: close\r\n\r\n")?;
                (0..100_000).try_for_each(|_| stream.write_all(&[b' '; 1000]))
            })
        });
        allow(&market, site.port(), "");
        info(&site).with(3).complains("the answer has more than");
        let site = registry(shelf, move |asked, stream| {
            asked.path().contains(part).then(|| {
                stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 1000\r\n\r\n")?;
                (0..100).try_for_each(|_| {
                    std::thread::sleep(Duration::from_millis(200));
                    stream.write_all(b" ")
                })
            })
        });
        allow(&market, site.port(), "");
        info(&site).with(5).complains("no whole answer in 2s");
    }
    assert_eq!(market.version("keeper"), None);
    // Named by its digest, it needs no signature; and it is the file's digest that is meant.
    let (shelf, _) = image(&market, |manifest| drop(manifest["layers"].as_array_mut().expect("a list").remove(1)));
    let site = registry(shelf, |_, _| None);
    allow(&market, site.port(), "");
    let digest = sha256(&market, &fs::read(stage.path("keeper.wasm")).expect("a file"));
    end(stage.agentry("info").args([&at(&site), "--digest", &digest])).with(0);
    end(stage.agentry("info").args([&at(&site), "--digest", &digest.replace(['0', '1'], "2")]))
        .with(3)
        .complains("is not the file that was named");
}

/// A registry to which things are pushed: it keeps what it gets under the path that it got it by, but for what a test does with some of it.
fn pushed_to(other: impl Fn(&Asked, &mut TcpStream) -> Option<std::io::Result<()>> + Send + Sync + 'static) -> Site {
    let kept = Mutex::new(BTreeMap::new());
    Site::that(move |asked, stream| {
        if let Some(done) = other(asked, stream) {
            return done;
        }
        let mut kept = kept.lock().expect("no test panics with it");
        match asked.line.split(' ').next() {
            // Where it is to go is said as a part of an address, which stands for itself below the one that was asked.
            Some("POST") => say(stream, 202, &[("location", "begun?state=a")], ""),
            Some("PUT") if asked.path().starts_with("/v2/acme/keeper/manifests/") => {
                kept.insert("manifest", asked.body.clone());
                say(stream, 201, &[], "")
            }
            Some("PUT") if asked.path().starts_with("/v2/acme/keeper/blobs/uploads/begun?state=a&digest=") => {
                say(stream, 201, &[], "")
            }
            Some("GET") if asked.path().starts_with("/v2/acme/keeper/manifests/sha256:") => {
                match kept.get("manifest") {
                    Some(manifest) => say(stream, 200, &[], manifest),
                    None => say(stream, 404, &[], ""),
                }
            }
            _ => say(stream, 404, &[], ""),
        }
    })
}

#[test]
fn what_a_registry_says_that_it_took_it_must_have() {
    let market = Market::new();
    let file = package(&market.stage, "keeper.wasm", "echo", |_| {});
    let push = |site: &Site| {
        allow(&market, site.port(), "");
        let to = format!("oci://127.0.0.1:{}/acme/keeper", site.port());
        end(market.author("publish").arg(&file).args(["--to", &to]))
    };
    push(&pushed_to(|_, _| None)).with(0);
    fn is_manifest(asked: &Asked, verb: &str) -> bool {
        asked.line.starts_with(verb) && asked.path().contains("/manifests/")
    }
    let other = format!("sha256:{}", "0".repeat(64));
    let says = pushed_to(move |asked, stream| {
        is_manifest(asked, "PUT").then(|| say(stream, 201, &[("docker-content-digest", &other)], ""))
    });
    push(&says).with(3).complains("has another one");
    let loses = pushed_to(|asked, stream| is_manifest(asked, "PUT").then(|| say(stream, 201, &[], "")));
    push(&loses).with(5).complains("does not have it");
    let changes = pushed_to(|asked, stream| is_manifest(asked, "GET").then(|| say(stream, 200, &[], "{}")));
    push(&changes).with(3).complains("has another one");
}

#[test]
fn a_registry_asks_who_it_is_in_any_order_and_a_server_of_tokens_may_be_out_of_order() {
    let market = Market::new();
    let stage = &market.stage;
    end(stage.agentry("key trust").args(["acme", &market.key])).with(0);
    let (shelf, _) = image(&market, |_| {});
    for (status, code) in [(200, 0), (500, 5), (429, 5), (403, 3)] {
        let site = registry(shelf.clone(), move |asked, stream| {
            if asked.path().starts_with("/token?service=here&") {
                return Some(say(stream, status, &[], "{\"token\": \"good\"}"));
            }
            let realm = format!("http://{}/token", asked.header("host").unwrap_or_default());
            let bearer = format!("Bearer realm=\"{realm}\", service=here");
            let asks = [("www-authenticate", "Basic realm=\"x\""), ("www-authenticate", bearer.as_str())];
            (asked.header("authorization") != Some("Bearer good"))
                .then(|| say(stream, 401, &asks, &"who? ".repeat(100_000)))
        });
        allow(&market, site.port(), "");
        let told = end(stage.agentry("info").arg(at(&site)));
        assert_eq!(told.code, code, "{status}: {}", told.stderr);
    }
    // Nobody needs the layer with the signature who names the file.
    let digest = sha256(&market, &fs::read(stage.path("keeper.wasm")).expect("a file"));
    let component = digest.clone();
    let site = registry(shelf, move |asked, stream| {
        let is_signature = asked.path().contains("/blobs/") && !asked.path().ends_with(&component);
        is_signature.then(|| say(stream, 500, &[], ""))
    });
    allow(&market, site.port(), "");
    end(stage.agentry("info").arg(at(&site))).with(5).complains("answered with status 500");
    let told = end(stage.agentry("info").args([&at(&site), "--digest", &digest])).with(0);
    assert!(told.stderr.contains("a signature is left out: http://127.0.0.1:"), "{}", told.stderr);
}
