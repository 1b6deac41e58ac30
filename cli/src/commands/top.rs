//! `imctl top`

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use clap::Args;
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures::StreamExt as _;
use imd_proto::v1::{GetLoadRequest, GetLoadResponse, GetStatusRequest, GetStatusResponse};
use ratatui::{
    Frame, Terminal,
    backend::TestBackend,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Block, Borders, Cell, Paragraph, Row, Table},
};
use tokio::time::sleep;

use crate::{client::Admin, clock, error::Error, output};

/// The size of a picture that is printed where there is no terminal.
const PRINTED: (u16, u16) = (100, 40);

/// Arguments of `imctl top`.
#[derive(Debug, Args)]
#[command(after_help = "\
It shows the node behind --server, and the other nodes as the database sees them. Calls are those of the last minute; rates are \
between two looks. q or Ctrl-C ends it.

Examples:
  imctl top
  imctl --profile prod top --interval 5s
  imctl top --once")]
pub(crate) struct TopArgs {
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = clock::some_time)]
    interval: Duration,
    /// Look twice, print what there is, and end
    #[arg(long)]
    once: bool,
}

/// What was seen at one look.
struct Look {
    at: Instant,
    status: GetStatusResponse,
    load: GetLoadResponse,
    metrics: Metrics,
}

/// Sums of metrics over their labels, by name.
struct Metrics(BTreeMap<String, f64>);

/// A picture: the last look and the one before.
struct Picture {
    now: Look,
    before: Option<Look>,
}

/// Shows how a node fares until somebody has seen enough.
pub(crate) async fn run(args: &TopArgs, admin: &mut Admin) -> Result<(), Error> {
    if args.once || !io::stdout().is_terminal() {
        let before = look(admin).await?;
        sleep(args.interval).await;
        let picture = Picture { now: look(admin).await?, before: Some(before) };
        return output::print(printed(&picture)?);
    }
    let first = look(admin).await?;
    let mut terminal = ratatui::init();
    let watched = watch(args, admin, &mut terminal, first).await;
    ratatui::restore();
    watched
}

async fn watch(
    args: &TopArgs,
    admin: &mut Admin,
    terminal: &mut ratatui::DefaultTerminal,
    first: Look,
) -> Result<(), Error> {
    let mut picture = Picture { now: first, before: None };
    let mut keys = EventStream::new();
    let mut failed = None;
    loop {
        terminal.draw(|frame| draw(&picture, failed.as_deref(), frame)).map_err(Error::Output)?;
        let pause = sleep(args.interval);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                event = keys.next() => match event {
                    Some(Ok(Event::Key(key))) if key.kind == KeyEventKind::Press => {
                        let control = key.modifiers.contains(KeyModifiers::CONTROL);
                        match key.code {
                            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                            KeyCode::Char('c') if control => return Ok(()),
                            _ => {}
                        }
                    }
                    Some(Ok(Event::Resize(..))) => break,
                    Some(Ok(_)) => {}
                    Some(Err(cause)) => return Err(Error::Output(cause)),
                    None => return Ok(()),
                },
            }
        }
        match look(admin).await {
            Ok(now) => {
                failed = None;
                let before = std::mem::replace(&mut picture.now, now);
                picture.before = Some(before);
            }
            // It may come back.
            Err(error) => failed = Some(error.to_string()),
        }
    }
}

async fn look(admin: &mut Admin) -> Result<Look, Error> {
    let status = admin.calls.get_status(GetStatusRequest {}).await;
    let status = status.map_err(|status| admin.failure(status))?.into_inner();
    let load = admin.calls.get_load(GetLoadRequest {}).await;
    let load = load.map_err(|status| admin.failure(status))?.into_inner();
    let metrics = Metrics::parse(&admin.metrics().await?);
    Ok(Look { at: Instant::now(), status, load, metrics })
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let mut sums = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or_default();
            if let Ok(value) = value.parse::<f64>() {
                *sums.entry(name.to_owned()).or_default() += value;
            }
        }
        Self(sums)
    }

    fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}

impl Picture {
    /// How much a counter grows in a second; `None` before the second look.
    fn rate(&self, name: &str) -> Option<f64> {
        let before = self.before.as_ref()?;
        let elapsed = (self.now.at - before.at).as_secs_f64();
        // Less after a restart.
        Some((self.now.metrics.get(name) - before.metrics.get(name)).max(0.0) / elapsed)
    }

    /// The mean of what a histogram was told between the looks.
    fn mean(&self, name: &str) -> Option<f64> {
        let before = self.before.as_ref()?;
        let grown = |name: &str| self.now.metrics.get(name) - before.metrics.get(name);
        let count = grown(&format!("{name}_count"));
        (count > 0.0).then(|| grown(&format!("{name}_sum")) / count)
    }
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"))
}

fn draw(picture: &Picture, failed: Option<&str>, frame: &mut Frame<'_>) {
    let nodes = u16::try_from(picture.now.status.nodes.len()).unwrap_or(u16::MAX).min(8);
    let [head, of_nodes, of_rates, below] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(nodes + 3),
        Constraint::Length(6),
        Constraint::Min(4),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(picture, failed)), head);
    draw_nodes(picture, frame, of_nodes);
    draw_rates(picture, frame, of_rates);
    let [slowest, hottest] =
        Layout::horizontal([Constraint::Fill(2), Constraint::Fill(1)]).areas(below);
    draw_slowest(picture, frame, slowest);
    draw_hottest(picture, frame, hottest);
}

fn heading(picture: &Picture, failed: Option<&str>) -> Line<'static> {
    if let Some(failed) = failed {
        return Line::styled(output::printable(failed), Style::new().fg(Color::Red));
    }
    let status = &picture.now.status;
    let text = format!(
        "imd {} on {}   users {}   sessions {} live, {} online   q ends",
        status.version, status.node_id, status.users, status.live_sessions, status.online_sessions
    );
    Line::styled(output::printable(&text), Style::new().add_modifier(Modifier::BOLD))
}

fn block(title: &'static str) -> Block<'static> {
    Block::new().borders(Borders::TOP).title(title)
}

fn dim(headings: &[&'static str]) -> Row<'static> {
    Row::new(headings.to_vec()).style(Style::new().add_modifier(Modifier::DIM))
}

fn draw_nodes(picture: &Picture, frame: &mut Frame<'_>, area: Rect) {
    let rows = picture.now.status.nodes.iter().map(|node| {
        let (state, color) =
            if node.alive { ("alive", Color::Green) } else { ("gone", Color::Red) };
        Row::new([
            Cell::new(output::printable(&node.node_id)),
            Cell::new(state).style(Style::new().fg(color)),
            Cell::new(node.streams.to_string()),
            Cell::new(output::printable(&node.version)),
        ])
    });
    let widths =
        [Constraint::Fill(1), Constraint::Length(7), Constraint::Length(9), Constraint::Length(10)];
    let table = Table::new(rows, widths).header(dim(&["NODE", "STATE", "STREAMS", "VERSION"]));
    frame.render_widget(table.block(block(" Nodes ")), area);
}

fn draw_rates(picture: &Picture, frame: &mut Frame<'_>, area: Rect) {
    let load = &picture.now.load;
    let lanes = picture.now.metrics.get("imd_append_lanes");
    let batch = picture.mean("imd_append_batch_size");
    let commit = picture.mean("imd_append_batch_seconds");
    let shown = |value: Option<f64>, unit: &str, factor: f64| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}{unit}", value * factor))
    };
    let per_second = |count: i64| {
        // Far below what a float holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "a count of a minute")]
        let count = count as f64;
        if load.period_s > 0.0 { format!("{:.1}/s", count / load.period_s) } else { "-".to_owned() }
    };
    let rows = [
        format!(
            "calls     {:>10}   errors {:>9}   p50 {:.1} ms   p90 {:.1} ms   p99 {:.1} ms",
            per_second(load.calls),
            per_second(load.errors),
            load.p50_ms,
            load.p90_ms,
            load.p99_ms
        ),
        format!(
            "messages  {:>10}   references {:>9}   delivered {:>9}   streams {}",
            rate(picture.rate("imd_messages_appended_total")),
            rate(picture.rate("imd_references_appended_total")),
            rate(picture.rate("imd_entries_delivered_total")),
            load.streams
        ),
        format!(
            "lanes     {lanes:>10}   waiting {}   batch {}   commit {}   retries {}",
            load.queued,
            shown(batch, "", 1.0),
            shown(commit, " ms", 1000.0),
            rate(picture.rate("imd_append_retries_total"))
        ),
        format!(
            "hints     {:>10}   pushes {}   webhooks {}   refused by limits {}",
            rate(picture.rate("imd_hints_sent_total")),
            rate(picture.rate("imd_pushes_total")),
            rate(picture.rate("imd_webhook_requests_total")),
            rate(picture.rate("imd_limited_total"))
        ),
    ];
    let rows: Vec<Line<'_>> = rows.into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(rows).block(block(" This node ")), area);
}

fn draw_slowest(picture: &Picture, frame: &mut Frame<'_>, area: Rect) {
    let rows = picture.now.load.slowest.iter().map(|call| {
        Row::new([
            format!("{:.1}", call.took_ms),
            output::printable(&format!("{} {}", call.method, call.path)),
            output::printable(&call.user_id),
        ])
    });
    let widths = [Constraint::Length(9), Constraint::Fill(3), Constraint::Fill(1)];
    let table = Table::new(rows, widths).header(dim(&["MS", "CALL", "USER"]));
    frame.render_widget(table.block(block(" Slowest of the last minute ")), area);
}

fn draw_hottest(picture: &Picture, frame: &mut Frame<'_>, area: Rect) {
    let rows = picture
        .now
        .load
        .hottest
        .iter()
        .map(|user| Row::new([user.calls.to_string(), output::printable(&user.user_id)]));
    let widths = [Constraint::Length(8), Constraint::Fill(1)];
    let table = Table::new(rows, widths).header(dim(&["CALLS", "USER"]));
    frame.render_widget(table.block(block(" Most calls ")), area);
}

fn never(cause: Infallible) -> Error {
    match cause {}
}

/// The picture as lines of text.
fn printed(picture: &Picture) -> Result<String, Error> {
    let (width, height) = crossterm::terminal::size()
        .ok()
        .filter(|_| io::stdout().is_terminal())
        .map_or(PRINTED, |(width, height)| (width.max(60), height.max(24)));
    let backend = TestBackend::new(width, height);
    let mut terminal = Terminal::new(backend).map_err(never)?;
    terminal.draw(|frame| draw(picture, None, frame)).map_err(never)?;
    let buffer = terminal.backend().buffer();
    let lines = (0..height).map(|y| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use imd_proto::v1::{HotUser, Node, SlowCall};

    use super::*;

    fn look_of(messages: &str, at: Instant) -> Look {
        let status = GetStatusResponse {
            version: "0.1.0".to_owned(),
            node_id: "one:8080".to_owned(),
            nodes: vec![Node { node_id: "one:8080".to_owned(), alive: true, ..Default::default() }],
            ..Default::default()
        };
        let load = GetLoadResponse {
            calls: 120,
            period_s: 60.0,
            p99_ms: 12.5,
            slowest: vec![SlowCall {
                took_ms: 81.5,
                method: "POST".to_owned(),
                path: "/v1/messages".to_owned(),
                user_id: "ann".to_owned(),
                ..Default::default()
            }],
            hottest: vec![HotUser { user_id: "ben\u{1b}[2J".to_owned(), calls: 99 }],
            ..Default::default()
        };
        let metrics = Metrics::parse(&format!(
            "# HELP imd_messages_appended_total x\nimd_messages_appended_total {messages}\n\
             imd_entries_delivered_total{{source=\"hub\"}} 3\nimd_entries_delivered_total{{source=\"log\"}} 4\n"
        ));
        Look { at, status, load, metrics }
    }

    #[test]
    fn a_picture_has_rates_calls_and_users() {
        let at = Instant::now();
        let picture = Picture {
            before: Some(look_of("100", at)),
            now: look_of("150", at + Duration::from_secs(2)),
        };
        let text = printed(&picture).expect("a picture");
        for shown in
            ["one:8080", "25.0/s", "2.0/s", "p99 12.5 ms", "POST /v1/messages", "ann", "99"]
        {
            assert!(text.contains(shown), "{shown} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "nothing of others' moves the cursor");
        assert!((picture.now.metrics.get("imd_entries_delivered_total") - 7.0).abs() < 1e-9);
    }
}
