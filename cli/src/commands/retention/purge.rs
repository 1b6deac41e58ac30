//! `imctl retention purge`

use comfy_table::Cell;
use imd_proto::v1::{PurgeRequest, PurgeResponse};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    client::Admin,
    error::Error,
    output::{self, OutputArgs, Row},
};

/// Purges, and shows how far it has come.
pub(super) async fn run(output: &OutputArgs, admin: &mut Admin) -> Result<(), Error> {
    let started = admin.calls.purge(PurgeRequest {}).await;
    let mut steps = started.map_err(|status| admin.failure(status))?.into_inner();
    let bar = ProgressBar::no_length().with_style(style());
    let mut last = PurgeResponse::default();
    while let Some(step) = steps.message().await.map_err(|status| admin.failure(status))? {
        bar.set_length(step.timelines.unsigned_abs());
        bar.set_position(step.timelines_seen.unsigned_abs());
        bar.set_message(format!("{} entries deleted", HumanCount(step.entries.unsigned_abs())));
        last = step;
    }
    bar.finish_and_clear();
    output::one(&PurgeView::from(last), output.output)
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} timelines, {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[derive(Debug, Serialize)]
struct PurgeView {
    timelines: i64,
    timelines_purged: i64,
    entries: i64,
}

impl From<PurgeResponse> for PurgeView {
    fn from(last: PurgeResponse) -> Self {
        Self {
            timelines: last.timelines_seen,
            timelines_purged: last.timelines_purged,
            entries: last.entries,
        }
    }
}

impl Row for PurgeView {
    const COLUMNS: &[&str] = &["TIMELINES", "PURGED", "ENTRIES DELETED"];
    const NARROW: usize = 3;

    fn cells(&self, _now: OffsetDateTime) -> Vec<Cell> {
        [self.timelines, self.timelines_purged, self.entries].map(Cell::new).to_vec()
    }
}
