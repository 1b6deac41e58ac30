//! What the guide says of checking signatures, in the languages that are at hand.

use std::{fs, path::Path, process::Stdio};

use serde_json::json;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{receiver::Receiver, start};
use crate::support::{api::Transport, programs::program};

/// The guide's example in a language.
fn snippet(language: &str) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/webhooks.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let (_, rest) = guide.split_once(&format!("```{language}\n")).expect("an example");
    rest.split_once("\n```").expect("its end").0.to_owned()
}

/// Whether the example, run by `program`, takes the requests that `main` feeds it: one a line, as JSON.
async fn verdicts(
    run: &[&str],
    file_name: &str,
    code: String,
    requests: &[serde_json::Value],
) -> Vec<bool> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(file_name);
    fs::write(&file, code).expect("a file");
    let mut command = Command::new(program(run[0]));
    command.args(&run[1..]).arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped());
    // Where Go keeps what it has compiled.
    command.env("GOCACHE", folder.path().join("go")).env("GOPATH", folder.path());
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{run:?}: {error}"));
    let mut input = process.stdin.take().expect("it is piped");
    let lines: Vec<String> = requests.iter().map(ToString::to_string).collect();
    input.write_all(lines.join("\n").as_bytes()).await.expect("it reads");
    drop(input);
    let ended = process.wait_with_output().await.expect("it ends");
    let said = String::from_utf8(ended.stdout).expect("UTF-8");
    said.lines().map(|line| line.eq_ignore_ascii_case("true")).collect()
}

#[tokio::test]
async fn the_examples_of_the_guide_take_what_is_signed_and_nothing_else() {
    let imd = start(Transport::Grpc).await;
    let mut receiver = Receiver::start().await;
    let made = imd.admin().create_webhook(&receiver.url, &["message.sent"]).await;
    let (webhook, old) = made.expect("a webhook");
    let new = imd.admin().rotate_webhook_secret(&webhook.webhook_id).await.expect("a secret");
    let ann = imd.user_with_phone("ann").await;
    ann.say("ann", "Grüße \u{1f44b}").await;
    let got = receiver.next().await;
    let body = got.text();
    let header = |name: &str| got.header(name).to_owned();
    let request = |secret: &str, timestamp: String, body: &str| {
        json!({ "secret": secret, "body": body, "headers": {
            "webhook-id": header("webhook-id"), "webhook-timestamp": timestamp,
            "webhook-signature": header("webhook-signature"),
        }})
    };
    let now = header("webhook-timestamp");
    let stale = (now.parse::<i64>().expect("seconds") - 301).to_string();
    let other = imd.admin().create_webhook(&receiver.url, &["read"]).await.expect("a webhook").1;
    let requests = [
        request(&old, now.clone(), &body),
        request(&new, now.clone(), &body),
        request(&other, now.clone(), &body),
        request(&new, now.clone(), &format!("{body} ")),
        request(&new, stale, &body),
    ];
    let due = [true, true, false, false, false];
    let python = format!(
        "{}\nimport json, sys\nfor line in sys.stdin:\n    r = json.loads(line)\n    \
         print(verify(r['secret'], r['headers'], r['body'].encode()))\n",
        snippet("python")
    );
    assert_eq!(verdicts(&["python3"], "verify.py", python, &requests).await, due, "Python");
    let node = format!(
        "{}\nconst lines = require('node:fs').readFileSync(0, 'utf8').trim().split('\\n');\n\
         for (const r of lines.map(JSON.parse)) console.log(verify(r.secret, r.headers, Buffer.from(r.body)));\n",
        snippet("js")
    );
    assert_eq!(verdicts(&["node"], "verify.js", node, &requests).await, due, "Node");
    let php = format!(
        "<?php\n{}\nforeach (file('php://stdin') as $line) {{\n    $r = json_decode($line, true);\n    \
         echo verify($r['secret'], $r['headers'], $r['body']) ? \"true\\n\" : \"false\\n\";\n}}\n",
        snippet("php")
    );
    assert_eq!(verdicts(&["php"], "verify.php", php, &requests).await, due, "PHP");
    let go = format!("{GO}\n{}\n", snippet("go"));
    assert_eq!(verdicts(&["go", "run"], "verify.go", go, &requests).await, due, "Go");
}

/// What stands around the example in Go.
const GO: &str = r#"
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var r struct {
			Secret, Body string
			Headers      map[string]string
		}
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			panic(lines.Text())
		}
		header := http.Header{}
		for name, value := range r.Headers {
			header.Set(name, value)
		}
		fmt.Println(verify(r.Secret, header, []byte(r.Body)))
	}
}
"#;
