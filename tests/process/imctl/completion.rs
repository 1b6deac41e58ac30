//! What a shell completes.

use tokio::process::Command;

use super::Shell;
use crate::support::process::{DataFolder, binary};

/// What bash offers for a line whose last word is being typed.
async fn offered(shell: &Shell<'_>, line: &str) -> Vec<String> {
    let script = shell.imctl(&["completions", "bash"]).await;
    let words: Vec<&str> = line.split(' ').collect();
    let [.., before, typed] = words[..] else { panic!("{line:?}") };
    let array: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; COMP_TYPE=9\n\
         _clap_complete_imctl imctl '{typed}' '{before}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        array.join(" "),
        words.len() - 1,
    );
    let folder = binary("imctl").parent().expect("it is in a folder").display().to_string();
    let mut bash = Command::new("bash");
    bash.args(["-c", &ask]).env("PATH", format!("{folder}:/usr/bin:/bin"));
    for (name, value) in shell.command(&[]).as_std().get_envs() {
        bash.env(name, value.expect("it is set"));
    }
    let output = bash.output().await.expect("bash runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    said.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn commands_options_and_ids_are_completed() {
    let folder = DataFolder::new();
    let imd = folder.start().await;
    imd.create_users(&["ann", "anna", "bob"]).await;
    let shell = Shell::new(&folder, &imd);
    let create = ["groups", "create", "oslo", "--owner", "ann"];
    shell.imctl(&create).await;
    assert_eq!(offered(&shell, "imctl sess").await, ["sessions"]);
    assert_eq!(offered(&shell, "imctl users show an").await, ["ann", "anna"]);
    assert_eq!(offered(&shell, "imctl users show zo").await, [""; 0]);
    assert_eq!(offered(&shell, "imctl sessions list --user bo").await, ["bob"]);
    assert_eq!(offered(&shell, "imctl groups show o").await, ["oslo"]);
    assert_eq!(offered(&shell, "imctl users set-tier ann un").await, ["unlimited"]);
    // A server that is not there, as the line names it.
    let elsewhere = "imctl --server http://127.0.0.1:1 users show an";
    assert_eq!(offered(&shell, elsewhere).await, [""; 0]);
}
