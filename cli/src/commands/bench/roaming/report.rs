//! The result, for people and for programs.

use std::{
    fmt::{Display, Formatter},
    time::Duration,
};

use indicatif::HumanCount;
use serde::Serialize;

use super::RoamingArgs;

/// How long each thing took, each time.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// A page of the small timeline.
    pub(super) small: Vec<Duration>,
    /// A page of the large timeline.
    pub(super) large: Vec<Duration>,
    /// A page of the large timeline, far down.
    pub(super) deep: Vec<Duration>,
    /// The list of 100 conversations.
    pub(super) few: Vec<Duration>,
    /// The list of 2,000 conversations.
    pub(super) many: Vec<Duration>,
    /// The rows of the small timeline, by psql.
    pub(super) select: Vec<Duration>,
    /// The entries of the small timeline, through a stream.
    pub(super) catch_up: Vec<Duration>,
    /// Hiding the whole of the small timeline.
    pub(super) hide_small: Vec<Duration>,
    /// Hiding the whole of the large timeline.
    pub(super) hide_large: Vec<Duration>,
}

/// The result: medians, in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    servers: Vec<String>,
    entries: u32,
    page_small_ms: f64,
    page_large_ms: f64,
    page_deep_ms: f64,
    list_100_ms: f64,
    list_2000_ms: f64,
    /// None where there is no psql.
    select_ms: Option<f64>,
    catch_up_ms: f64,
    hide_small_ms: f64,
    hide_large_ms: f64,
}

impl Report {
    pub(super) fn new(args: &RoamingArgs, figures: &Figures) -> Self {
        Self {
            servers: args.target.names(),
            entries: args.entries,
            page_small_ms: median(&figures.small),
            page_large_ms: median(&figures.large),
            page_deep_ms: median(&figures.deep),
            list_100_ms: median(&figures.few),
            list_2000_ms: median(&figures.many),
            select_ms: Some(median(&figures.select)).filter(|median| median.is_finite()),
            catch_up_ms: median(&figures.catch_up),
            hide_small_ms: median(&figures.hide_small),
            hide_large_ms: median(&figures.hide_large),
        }
    }
}

fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let large = HumanCount(self.entries.into());
        writeln!(f, "a page of 50 messages, newest first, at the median")?;
        writeln!(f, "  of 10,000 entries           {:8.2} ms", self.page_small_ms)?;
        writeln!(
            f,
            "  of {:<23}  {:8.2} ms   {:.2} ×",
            format!("{large} entries"),
            self.page_large_ms,
            self.page_large_ms / self.page_small_ms
        )?;
        writeln!(
            f,
            "  100,000 messages further down{:7.2} ms   {:.2} ×",
            self.page_deep_ms,
            self.page_deep_ms / self.page_large_ms
        )?;
        writeln!(f, "the list of 100 conversations {:8.2} ms", self.list_100_ms)?;
        writeln!(f, "the list of 2,000             {:8.2} ms", self.list_2000_ms)?;
        write!(f, "10,000 entries to a new device{:8.2} ms", self.catch_up_ms)?;
        if let Some(select) = self.select_ms {
            write!(f, "   {:.2} × psql's SELECT ({select:.2} ms)", self.catch_up_ms / select)?;
        }
        writeln!(f)?;
        write!(
            f,
            "hiding all of the large one   {:8.2} ms   {:.2} × the small one ({:.2} ms)",
            self.hide_large_ms,
            self.hide_large_ms / self.hide_small_ms,
            self.hide_small_ms
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let times = [30, 10, 20].map(Duration::from_millis);
        assert!((median(&times) - 20.0).abs() < f64::EPSILON);
    }
}
