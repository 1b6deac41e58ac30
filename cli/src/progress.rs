//! What is shown while it takes its time, on stderr and only to people.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for `length` steps.
pub(crate) fn bar(what: &'static str, length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>8} {bar:30} {pos}/{len} {msg}");
    let length = length.try_into().unwrap_or(u64::MAX);
    ProgressBar::new(length)
        .with_style(style.expect("the template is well-formed"))
        .with_prefix(what)
}

/// A bar for so many bytes.
pub(crate) fn bytes(what: &'static str, bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{prefix:>8} {bar:30} {decimal_bytes} of {decimal_total_bytes}, {eta}",
    );
    ProgressBar::new(bytes)
        .with_style(style.expect("the template is well-formed"))
        .with_prefix(what)
}

/// A sign that something is being done.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
