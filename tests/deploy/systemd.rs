//! The unit, judged by systemd.

use std::process::Stdio;

use tokio::process::Command;

use super::file;
use crate::support::{process::in_time, programs::program};

/// The exposure that systemd may find, in tenths of its points: 100 is a service that may do everything.
const EXPOSURE: &str = "20";

#[tokio::test]
async fn the_unit_leaves_imd_little_to_do_but_serve() {
    let mut analyze = Command::new(program("systemd-analyze"));
    analyze
        .args(["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE])
        .arg(file("systemd/imd.service"))
        .stdin(Stdio::null());
    let output = in_time("systemd-analyze", analyze.output()).await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("Overall exposure level for imd.service"), "{said}\n{complained}");
    // What systemd does not know it only complains of.
    assert_eq!(complained, "");
}
