//! A real browser without a screen, asked through two pipes what it made of a page: how wide it is, and what somebody hears to whom it is read out.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stage::skip;

/// Where the program lies in Debian's package.
const PROGRAM: &str = "usr/lib/chromium/chromium-headless-shell";

/// Where its libraries lie.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/pulseaudio"];

/// The longest that one page may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page open.
pub struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    asked: u64,
    _place: TempDir,
    _watch: Sender<()>,
}

/// What it made of a page.
#[derive(Debug)]
pub struct Page {
    /// Pixels that what stands there takes, and that there are.
    pub widths: (u64, u64),
    /// Each part that a reader comes by: what it is, and what is read out.
    pub parts: Vec<(String, String)>,
}

impl Browser {
    /// Starts one; none, said aloud, if there is none.
    pub fn open(test: &str) -> Option<Self> {
        let Some(tools) = std::env::var_os("AGENTRY_BROWSER_TOOLS").map(PathBuf::from) else {
            skip(test, "AGENTRY_BROWSER_TOOLS names no directory with Chromium");
            return None;
        };
        let unpacked = tools.join(PROGRAM);
        let program = if unpacked.exists() { unpacked } else { Path::new("/").join(PROGRAM) };
        let place = TempDir::new().expect("a directory");
        let (to, from) = (place.path().join("to"), place.path().join("from"));
        assert!(Command::new("mkfifo").args([&to, &from]).status().expect("mkfifo runs").success());
        let libraries: Vec<String> = LIBRARIES.iter().map(|path| tools.join(path).display().to_string()).collect();
        let child = Command::new("sh")
            .args(["-c", "exec 3<\"$1\" 4>\"$2\"; shift 2; exec \"$@\"", "sh"])
            .args([&to, &from])
            .arg(program)
            .args(["--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", place.path().join("profile").display()))
            .arg("about:blank")
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .env("HOME", place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let watch = watch(child.id());
        // In the order in which the shell opens them, for each waits for the other end.
        let to = OpenOptions::new().write(true).open(to).expect("a pipe");
        let from = BufReader::new(File::open(from).expect("a pipe"));
        let mut browser = Self { child, to, from, session: None, asked: 0, _place: place, _watch: watch };
        let page = browser.ask("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", &json!({"targetId": page, "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Accessibility"] {
            browser.ask(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Opens a file in a window of this width, with scripts or without.
    pub fn page(&mut self, file: &Path, width: u64, scripts: bool) -> Page {
        let file = fs::canonicalize(file).expect("a page");
        self.visit(&format!("file://{}", file.display()), width, scripts)
    }

    /// The same of what an address leads to.
    pub fn visit(&mut self, address: &str, width: u64, scripts: bool) -> Page {
        let window = json!({"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600});
        self.ask("Emulation.setDeviceMetricsOverride", &window);
        self.ask("Emulation.setScriptExecutionDisabled", &json!({"value": !scripts}));
        self.ask("Page.navigate", &json!({"url": address}));
        while self.message()["method"] != "Page.loadEventFired" {}
        self.looked_at()
    }

    /// What it makes of the page as it is now.
    pub fn looked_at(&mut self) -> Page {
        let metrics = self.ask("Page.getLayoutMetrics", &json!({}));
        let pixels = |value: &Value| value.as_f64().map(|pixels| pixels.ceil() as u64).expect("a width");
        let widths =
            (pixels(&metrics["cssContentSize"]["width"]), pixels(&metrics["cssLayoutViewport"]["clientWidth"]));
        let tree = self.ask("Accessibility.getFullAXTree", &json!({}));
        let text = |part: &Value, key: &str| part[key]["value"].as_str().unwrap_or_default().to_owned();
        let parts = tree["nodes"].as_array().expect("a tree").iter().filter(|part| part["ignored"] != true);
        Page { widths, parts: parts.map(|part| (text(part, "role"), text(part, "name"))).collect() }
    }

    /// What an expression gives on the page.
    pub fn value(&mut self, expression: &str) -> Value {
        // By the page's own policy.
        let question = json!({"expression": expression, "returnByValue": true, "allowUnsafeEvalBlockedByCSP": false});
        self.ask("Runtime.evaluate", &question)["result"]["value"].clone()
    }

    /// Types this where the focus is.
    pub fn types(&mut self, words: &str) {
        self.ask("Input.insertText", &json!({"text": words}));
    }

    /// Presses a key by its name.
    pub fn presses(&mut self, key: &str) {
        for what in ["rawKeyDown", "keyUp"] {
            let code = match key {
                "Tab" => 9,
                "Escape" => 27,
                "ArrowUp" => 38,
                "ArrowDown" => 40,
                key => panic!("{key} has no code here"),
            };
            self.ask(
                "Input.dispatchKeyEvent",
                &json!({"type": what, "key": key, "code": key, "windowsVirtualKeyCode": code}),
            );
        }
    }

    /// Waits until an expression holds on the page.
    pub fn until(&mut self, expression: &str) {
        let begun = std::time::Instant::now();
        while self.value(expression) != true {
            assert!(begun.elapsed() < Duration::from_secs(20), "never: {expression}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A picture of the page, for whoever wants to look: `AGENTRY_PICTURES` names a directory.
    pub fn picture(&mut self, name: &str) {
        let Some(place) = std::env::var_os("AGENTRY_PICTURES").map(PathBuf::from) else { return };
        let whole = json!({"captureBeyondViewport": true});
        let picture = self.ask("Page.captureScreenshot", &whole)["data"].clone();
        fs::write(place.join(format!("{name}.png.base64")), picture.as_str().unwrap_or_default()).expect("a picture");
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut question = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            question["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{question}\0").as_bytes()).expect("the browser listens");
        loop {
            let message = self.message();
            if message["id"] == self.asked {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).expect("the browser speaks");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended, or took too long");
        serde_json::from_slice(&bytes).expect("it speaks JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    /// What is read out of parts of this kind.
    pub fn all(&self, role: &str) -> Vec<&str> {
        self.parts.iter().filter(|(is, _)| is == role).map(|(_, name)| name.as_str()).collect()
    }

    /// All that is read out, piece by piece.
    pub fn text(&self) -> String {
        self.all("StaticText").join("\n")
    }
}

/// Ends a browser that nobody would wait for any longer.
fn watch(pid: u32) -> Sender<()> {
    let (done, waits) = channel();
    std::thread::spawn(move || {
        if waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    });
    done
}
