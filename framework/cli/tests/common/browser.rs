//! A real Chromium, driven by chromedriver: <https://www.w3.org/TR/webdriver2/>.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// What Chromium is started with: it needs no account, no update and no one on the network.
const ARGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser with one window.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect(
                "chromedriver comes with Debian's package `chromium-driver`; .ci/test installs it",
            );
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines.next().expect("chromedriver ended").unwrap();
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').parse().unwrap();
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let mut args: Vec<String> = ARGS.map(str::to_owned).into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
            "goog:chromeOptions": { "args": args },
        } } });
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let session = browser.call("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// One command of the protocol: the first line of the answer, and what it says.
    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<(String, Value)> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        let (port, length) = (self.port, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )?;
        // It leaves the connection open, whatever is asked, so the length tells where the answer ends.
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        while !head.ends_with("\r\n\r\n") {
            let start = head.len();
            if stream.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(said) = head[start..].to_lowercase().strip_prefix("content-length:") {
                length = said.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        let status = head.lines().next().unwrap_or_default().to_owned();
        Ok((status, serde_json::from_slice(&answer)?))
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body).unwrap();
        assert!(status.contains(" 200 "), "{method} {path}: {answer:#}");
        answer["value"].clone()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    /// Goes to an address.
    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a function with this body returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// The text of the first element that is found so, as a person sees it.
    pub fn text(&self, selector: &str) -> String {
        let text =
            self.run(&format!("return document.querySelector({selector:?})?.textContent ?? ''"));
        text.as_str().unwrap().to_owned()
    }

    /// The texts of all elements that are found so.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let found = self.run(&format!(
            "return [...document.querySelectorAll({selector:?})].map((one) => one.textContent)"
        ));
        found.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    /// Waits until the page is so, for as long as it takes.
    pub fn until(&self, script: &str) {
        while self.run(&format!("return Boolean({script})")) != true {
            // The page changes once a second; to ask all the time would keep it from it.
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the text of an element has this in it.
    pub fn until_says(&self, selector: &str, text: &str) {
        self.until(&format!(
            "document.querySelector({selector:?})?.textContent.includes({text:?})"
        ));
    }

    /// Presses a key.
    pub fn press(&self, key: &str) {
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
            { "type": "keyDown", "value": key }, { "type": "keyUp", "value": key },
        ] }] });
        self.post("/actions", &actions);
    }

    /// A command of Chromium's own protocol.
    pub fn chromium(&self, command: &str, params: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    /// Makes the window so wide.
    pub fn width(&self, width: u32) {
        self.chromium(
            "Emulation.setDeviceMetricsOverride",
            &json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false }),
        );
    }

    /// What the console has that is worse than a remark.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "browser" }));
        let bad = log.as_array().unwrap().iter().filter(|entry| entry["level"] != "INFO");
        bad.map(ToString::to_string).collect()
    }

    /// All addresses that were asked for over some network; Chromium has pages of its own in itself.
    pub fn requests(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({ "type": "performance" }));
        let messages = log.as_array().unwrap().iter().map(|entry| {
            serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap()
        });
        let sent = messages.filter(|m| m["message"]["method"] == "Network.requestWillBeSent");
        sent.map(|m| m["message"]["params"]["request"]["url"].as_str().unwrap().to_owned())
            .filter(|url| !url.starts_with("chrome:") && !url.starts_with("data:"))
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without it, Chromium would outlive a test that fails.
        if !self.session.is_empty() {
            let _ = self.ask("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
